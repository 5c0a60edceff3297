import hashlib
from pathlib import Path

import plotly.graph_objects as go
import pytest
from IPython.display import HTML

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.erasure import forget_account
from fraudnet.review.explainers import Explainers
from fraudnet.review.page import Review, open_review
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import ACCOUNTS

EMPTY = "The queue is empty: no transaction was flagged."


def text_of(shown: HTML | go.Figure) -> str:
    assert isinstance(shown, HTML)
    return str(shown.data)


def test_environment_names_database_and_reviewer(empty_path: Path) -> None:
    review = open_review({"FRAUDNET_CASES": str(empty_path), "FRAUDNET_REVIEWER": "ana"})
    assert (review.database.place, review.reviewer) == (str(empty_path), "ana")


def test_default_database_is_found_from_below(
    empty_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "build" / "demo"
    demo.mkdir(parents=True)
    empty_path.rename(demo / "reviews.sqlite")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    (demo / "model").mkdir()
    review = open_review({"FRAUDNET_CASES": ""})
    assert review.explainers == Explainers(None, demo / "model")
    (demo / "fraud.tflite").touch()
    assert open_review({}).explainers.artifact_path == demo / "fraud.tflite"
    other = open_review({"FRAUDNET_CASES": review.database.place})
    assert other.explainers == Explainers()  # the demo's explain the demo's cases alone
    assert review.database.place == str(demo / "reviews.sqlite")
    assert "reviews.sqlite: The queue is empty" in text_of(review.summary())


def test_missing_database_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"build/demo/reviews\.sqlite: no such file in .* FRAUDNET"
    ):
        open_review({})


def test_sections_of_an_empty_queue_say_so(empty_path: Path) -> None:
    review = Review(CaseDatabase(empty_path), "ana")
    for section in (review.summary, review.overview):
        assert EMPTY in text_of(section())
    assert "No verdict was given yet." in text_of(review.audit_trail())


def test_without_a_kernel_the_desk_is_the_queue_and_its_first_case(database: CaseDatabase) -> None:
    record_verdict(database, 1, "false_positive", "ana", "<b>known</b> payee")
    review = Review(database, "ana")
    assert "29 undecided" in text_of(review.summary())
    assert "&lt;b&gt;known&lt;/b&gt; payee" in text_of(review.audit_trail())
    shown = review.desk()._repr_mimebundle_()["text/html"]
    riskiest = list_cases(database).iloc[0]
    assert f"{riskiest['expected_loss']:,.2f}</td>" in shown
    for name in ("Timeline", "Score", "Reasons", "Similar cases", "Verdicts"):
        assert f">Case {riskiest['case_id']}: {name}</h3>" in shown
    assert "20 of 30 shown." in shown


def test_the_summary_says_what_explains_the_cases_and_whether_it_fits(
    database: CaseDatabase, tmp_path: Path
) -> None:
    assert "No artifact is given (FRAUDNET_ARTIFACT). No trained" in text_of(
        Review(database, "ana").summary()
    )
    artifact = tmp_path / "fraud.tflite"
    artifact.write_bytes(b"another")
    variables = {"FRAUDNET_CASES": database.place, "FRAUDNET_ARTIFACT": str(artifact)}
    summary = open_review(variables | {"FRAUDNET_MODEL": str(tmp_path)}).summary()
    assert "Artifact fraud.tflite: decided 0 of 30 cases; the others&#x27; reasons" in text_of(
        summary
    )
    sha256 = hashlib.sha256(b"another").hexdigest()
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE flags SET artifact_sha256 = '{sha256}'")
    summary = open_review(variables).summary()
    assert "Artifact fraud.tflite: decided 30 of 30 cases. No trained" in text_of(summary)
    artifact.unlink()
    with pytest.raises(InputError, match=r"fraud\.tflite: not there.*FRAUDNET_ARTIFACT names it"):
        open_review(variables)


def test_a_queue_whose_cases_were_all_erased_is_shown(database: CaseDatabase) -> None:
    for account_id in ACCOUNTS:
        forget_account(database, account_id)
    review = Review(database, "ana")
    assert "30 cases from - to - UTC, 30 undecided" in text_of(review.summary())
    assert isinstance(review.overview(), go.Figure)
    shown = str(review.desk()._repr_mimebundle_()["text/html"])
    assert "30 shown" in shown
