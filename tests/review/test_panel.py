import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.erasure import forget_account
from fraudnet.review.panel import PLOTLY_MIME, ReviewPanel
from fraudnet.review.verdicts import VERDICTS, audit_trail


@pytest.fixture
def panel(database: CaseDatabase) -> ReviewPanel:
    return ReviewPanel(database, "ana")


def drawn_title(panel: ReviewPanel) -> str:
    (output,) = panel.picture.outputs
    return str(output["data"][PLOTLY_MIME]["layout"]["title"]["text"])


def test_offers_the_queue_riskiest_first(panel: ReviewPanel, database: CaseDatabase) -> None:
    queue = list_cases(database)["case_id"].tolist()
    assert [case_id for _, case_id in panel.chooser.options] == queue
    assert panel.chooser.value == queue[0]
    assert drawn_title(panel).startswith(f"Case {queue[0]}, ")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_clicked_is_a_verdict_stored(
    panel: ReviewPanel, database: CaseDatabase, verdict: str
) -> None:
    panel.chooser.value = 12
    panel.note.value = "called the customer"
    panel.buttons[verdict].click()
    (row,) = audit_trail(database).to_dict("records")
    assert (row["case_id"], row["verdict"], row["reviewer"]) == (12, verdict, "ana")
    assert row["note"] == "called the customer"
    assert panel.note.value == ""  # so that it does not go to the next case
    assert panel.chooser.value == 12
    assert VERDICTS[verdict] in panel.chooser.label
    assert panel.status.value == f"Case 12: {VERDICTS[verdict]}, stored for ana."


def test_undo_undoes(panel: ReviewPanel, database: CaseDatabase) -> None:
    panel.chooser.value = 12
    panel.buttons["confirmed_fraud"].click()
    panel.undo.click()
    assert audit_trail(database)["verdict"].tolist() == ["confirmed_fraud", "undecided"]
    assert set(list_cases(database)["verdict"]) == {"undecided"}
    panel.undo.click()
    assert "no verdict to undo" in panel.status.value
    assert len(audit_trail(database)) == 2


def test_choosing_draws_that_case_and_only_then(panel: ReviewPanel) -> None:
    panel.chooser.value = 7
    assert drawn_title(panel).startswith("Case 7, ")
    before = panel.picture.outputs
    panel.buttons["suspicious"].click()
    assert panel.picture.outputs is before
    panel.chooser.value = 8
    assert drawn_title(panel).startswith("Case 8, ")


def test_no_reviewer_no_verdict(panel: ReviewPanel, database: CaseDatabase) -> None:
    panel.reviewer.value = ""
    panel.buttons["suspicious"].click()
    assert panel.status.value.startswith("reviewer: empty")
    assert audit_trail(database).empty


def test_erased_history_is_said_and_the_old_picture_goes(
    panel: ReviewPanel, change: Callable[[str], None]
) -> None:
    change("UPDATE flags SET window_json = '[]' WHERE case_id = 2")
    panel.chooser.value = 2
    assert "case 2: its history was erased" in panel.status.value
    assert panel.picture.outputs == ()


def test_case_that_was_erased_is_offered_and_says_so(database: CaseDatabase) -> None:
    forget_account(database, "a-3")
    panel = ReviewPanel(database, "ana")
    erased = [case_id for label, case_id in panel.chooser.options if "erased" in label]
    assert len(erased) == 6
    panel.chooser.value = erased[0]
    assert f"case {erased[0]}: its history was erased" in panel.status.value


def test_empty_queue_is_said(empty_path: Path) -> None:
    panel = ReviewPanel(CaseDatabase(empty_path), "ana")
    assert panel.status.value == "The queue is empty: no transaction was flagged."
    assert all(button.disabled for button in (*panel.buttons.values(), panel.undo))


def test_callbacks_may_run_in_other_threads(panel: ReviewPanel, database: CaseDatabase) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(panel.buttons["suspicious"].click).result()
    assert len(audit_trail(database)) == 1


def test_verdict_survives_an_abrupt_end(panel: ReviewPanel, source: str) -> None:
    panel.buttons["suspicious"].click()
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT COUNT(*) FROM verdicts").fetchone() == (1,)
