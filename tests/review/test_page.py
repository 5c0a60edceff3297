from pathlib import Path

import plotly.graph_objects as go
import pytest
from IPython.display import HTML

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.page import Review, open_review
from fraudnet.review.store import CaseStore
from fraudnet.review.verdicts import record_verdict

EMPTY = "The queue is empty: no transaction was flagged."


def text_of(shown: HTML | go.Figure) -> str:
    assert isinstance(shown, HTML)
    return str(shown.data)


def test_environment_names_store_and_reviewer(store_path: Path) -> None:
    review = open_review({"FRAUDNET_STORE": str(store_path), "FRAUDNET_REVIEWER": "ana"})
    assert (review.store.path, review.reviewer) == (store_path, "ana")


def test_default_store_is_found_from_below(
    store_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = tmp_path / "build" / "demo"
    demo.mkdir(parents=True)
    store_path.rename(demo / "cases.sqlite")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    review = open_review({"FRAUDNET_STORE": ""})
    assert review.store.path == demo / "cases.sqlite"
    assert "30 cases" in text_of(review.summary())


def test_missing_store_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"build/demo/cases\.sqlite: no such file in .* FRAUDNET"):
        open_review({})


def test_sections_of_an_empty_queue_say_so(empty_path: Path) -> None:
    review = Review(CaseStore(empty_path), "ana")
    for section in (
        review.summary, review.overview, review.queue, review.riskiest_figure,
        review.riskiest_transactions,
    ):  # fmt: skip
        assert EMPTY in text_of(section())
    assert "No verdict was given yet." in text_of(review.audit_trail())


def test_riskiest_is_the_first_undecided(store: CaseStore) -> None:
    review = Review(store, "ana")
    order = list_cases(store)["case_id"].tolist()
    record_verdict(store, order[0], "false_positive", "ana", "<b>known</b> payee")
    figure = review.riskiest_figure()
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text.startswith(f"Case {order[1]}, ")
    assert "29 undecided" in text_of(review.summary())
    assert "&lt;b&gt;known&lt;/b&gt; payee" in text_of(review.audit_trail())
    for case_id in order[1:]:
        record_verdict(store, case_id, "suspicious", "ana")
    figure = review.riskiest_figure()
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text.startswith(f"Case {order[0]}, ")


def test_latest_transactions_begin_with_the_flagged_one(store: CaseStore) -> None:
    riskiest = list_cases(store).iloc[0]
    first_row = text_of(Review(store, "ana").riskiest_transactions()).split("<tr")[2]
    assert f"{riskiest['amount']:,.2f}" in first_row
