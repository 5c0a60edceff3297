import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import ipywidgets as widgets
import pytest

from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.erasure import forget_account
from fraudnet.review.leases import assign, take
from fraudnet.review.panel import ReviewPanel
from fraudnet.review.queue_panel import ANY
from fraudnet.review.shown import LITERAL, PLOTLY_MIME
from fraudnet.review.verdicts import VERDICTS, audit_trail, record_verdict

MINUTE_US = 60_000_000


def desk(database: CaseDatabase, reviewer: str = "ana") -> ReviewPanel:
    return ReviewPanel(database, reviewer, least_look_s=0)


@pytest.fixture
def panel(database: CaseDatabase) -> ReviewPanel:
    return desk(database)


def choose(panel: ReviewPanel, case_id: int) -> None:
    panel.queue.list.value = case_id
    panel.open.click()


def drawn_title(panel: ReviewPanel) -> str:
    data = panel.case.picture.outputs[0]["data"]
    return str(data[PLOTLY_MIME]["layout"]["title"]["text"])


def holder(database: CaseDatabase, case_id: int) -> str | None:
    queue = list_cases(database).set_index("case_id")
    found: str | None = queue.loc[case_id, "lease_holder"]  # type: ignore[assignment]
    return found


def test_the_first_case_is_shown_and_nobody_s(panel: ReviewPanel, database: CaseDatabase) -> None:
    queue = list_cases(database)["case_id"].tolist()
    assert panel.queue.case_ids == queue
    assert drawn_title(panel).startswith(f"Case {queue[0]}, ")
    assert set(list_cases(database)["lease_holder"]) == {None}
    assert all(button.disabled for button in panel.verdict.buttons.values())
    panel.verdict.buttons["suspicious"].click()
    assert audit_trail(database).empty


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_verdict_clicked_is_a_verdict_stored_and_the_next_case_opens(
    panel: ReviewPanel, database: CaseDatabase, verdict: str
) -> None:
    choose(panel, 12)
    following = panel.queue.after(12)
    assert following is not None
    assert (holder(database, 12), holder(database, following)) == ("ana", None)
    panel.verdict.kind.value = "card testing"
    panel.verdict.note.value = "called the customer"
    panel.verdict.buttons[verdict].click()
    (row,) = audit_trail(database).to_dict("records")
    assert (row["case_id"], row["verdict"], row["reviewer"]) == (12, verdict, "ana")
    assert row["note"] == "called the customer"
    assert row["kind"] == ("card testing" if verdict == "confirmed_fraud" else "")
    assert f"Case 12: {VERDICTS[verdict]}, stored for ana." in panel.status.value
    assert (panel.queue.chosen, holder(database, following)) == (following, "ana")
    assert drawn_title(panel).startswith(f"Case {following}, ")
    # What was said of one case does not go to the next.
    assert (panel.verdict.note.value, panel.verdict.kind.value) == ("", "")


def test_undo_takes_the_latest_verdicts_back_one_by_one(
    panel: ReviewPanel, database: CaseDatabase
) -> None:
    choose(panel, 12)
    panel.verdict.buttons["confirmed_fraud"].click()
    then = panel.queue.chosen
    panel.verdict.buttons["false_positive"].click()
    assert panel.verdict.undo.description == f"Undo: case {then}, false positive"
    panel.verdict.undo.click()
    assert (panel.queue.chosen, holder(database, then or 0)) == (then, "ana")
    assert panel.verdict.undo.description == "Undo: case 12, confirmed fraud"
    panel.verdict.undo.click()
    assert set(list_cases(database)["verdict"]) == {"undecided"}
    trail = audit_trail(database)
    assert trail["verdict"].tolist() == ["confirmed_fraud", "false_positive", *["undecided"] * 2]
    assert trail["undoes"].tolist()[2:] == [2, 1]
    assert panel.verdict.undo.disabled


def test_another_analyst_s_case_is_shown_read_only_until_it_is_free(
    panel: ReviewPanel, database: CaseDatabase
) -> None:
    lease = take(database, 12, "ben")
    choose(panel, 12)
    assert "Read only" in panel.case.banner.value
    assert "being reviewed by ben until" in panel.case.banner.value
    assert drawn_title(panel).startswith("Case 12, ")
    assert all(button.disabled for button in panel.verdict.buttons.values())
    record_verdict(database, 12, "suspicious", "ben", lease=lease)
    panel.open.click()
    assert "Yours to decide" in panel.case.banner.value


def test_of_two_analysts_at_one_case_one_is_told_and_nothing_is_lost(
    panel: ReviewPanel, database: CaseDatabase, change: Callable[[str], None]
) -> None:
    choose(panel, 12)
    change(f"UPDATE cases SET lease_until_us = lease_until_us - {20 * MINUTE_US}")
    other = desk(database, "ben")
    choose(other, 12)
    panel.verdict.note.value = "mine"
    panel.verdict.buttons["false_positive"].click()
    assert "taken by ben after your time ran out; nothing was stored" in panel.status.value
    assert "Read only" in panel.case.banner.value
    assert panel.verdict.note.value == "mine"
    assert audit_trail(database).empty
    other.verdict.buttons["confirmed_fraud"].click()
    (row,) = audit_trail(database).to_dict("records")
    assert (row["reviewer"], row["verdict"]) == ("ben", "confirmed_fraud")


def test_of_two_who_open_a_case_at_one_moment_one_has_it(database: CaseDatabase) -> None:
    desks = [desk(database, name) for name in ("ana", "ben")]
    both = Barrier(2)

    def review(panel: ReviewPanel) -> None:
        panel.queue.list.value = 12
        both.wait()
        panel.open.click()
        both.wait()
        panel.verdict.buttons["suspicious"].click()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(review, desks))
    (given,) = audit_trail(database, 12)["reviewer"]
    (other,) = (panel for panel in desks if panel.reviewer.value != given)
    assert f"Read only: {database.place}: case 12 is being reviewed by {given}" in (
        other.case.banner.value
    )


def test_looking_holds_the_case_and_tells_who_judged_it_meanwhile(
    panel: ReviewPanel, database: CaseDatabase, change: Callable[[str], None]
) -> None:
    choose(panel, 12)
    change(f"UPDATE cases SET lease_until_us = lease_until_us - {14 * MINUTE_US}")
    panel.case.section.value = "Score"  # holds it for a full quarter of an hour again
    change(f"UPDATE cases SET lease_until_us = lease_until_us - {10 * MINUTE_US}")
    assert holder(database, 12) == "ana"
    change(f"UPDATE cases SET lease_until_us = lease_until_us - {10 * MINUTE_US}")
    record_verdict(database, 12, "suspicious", "ben", lease=take(database, 12, "ben"))
    panel.case.section.value = "Verdicts"
    assert "Somebody else had it after your time ran out" in panel.case.banner.value
    assert panel.verdict.buttons["suspicious"].disabled


def test_undo_leaves_what_another_said_since(panel: ReviewPanel, database: CaseDatabase) -> None:
    choose(panel, 12)
    panel.verdict.buttons["suspicious"].click()
    record_verdict(database, 12, "confirmed_fraud", "ben", lease=take(database, 12, "ben"))
    panel.verdict.undo.click()
    assert "ana has no verdict to undo" in panel.status.value
    assert audit_trail(database)["verdict"].tolist() == ["suspicious", "confirmed_fraud"]


def test_leaving_a_case_lets_others_take_it(panel: ReviewPanel, database: CaseDatabase) -> None:
    choose(panel, 12)
    panel.skip.click()
    assert panel.queue.chosen != 12
    assert holder(database, 12) is None
    assert holder(database, panel.queue.chosen or 0) == "ana"
    panel.down.click()  # to look at alone
    assert set(list_cases(database)["lease_holder"]) == {None}
    after = panel.queue.chosen
    panel.up.click()
    assert panel.queue.after(panel.queue.chosen) == after


def test_a_double_click_judges_one_case(database: CaseDatabase) -> None:
    panel = ReviewPanel(database, "ana", least_look_s=60)
    panel.open.click()
    panel.verdict.buttons["suspicious"].click()
    assert "opened just now; nothing was stored" in panel.status.value
    assert audit_trail(database).empty


def test_filters_choose_among_the_queue(panel: ReviewPanel, database: CaseDatabase) -> None:
    queue = list_cases(database)
    filters = panel.queue
    for control, name in (
        (filters.least_score, "fraud_probability"), (filters.least_distance, "ood_distance"),
        (filters.least_amount, "amount"),
    ):  # fmt: skip
        least = float(queue[name].median())
        control.value = least
        assert filters.case_ids == queue["case_id"][queue[name] >= least].tolist()
        control.value = 0
    filters.reason.value = "random"
    assert filters.case_ids == []
    assert filters.count.value == "No case passes these filters."
    filters.reason.value = ANY
    assign(database, 7, "ana")
    filters.mine.value = True
    assert filters.case_ids == [7]
    assert "of ana" in filters.list.label.replace("\xa0", " ")


def test_cases_are_chosen_by_what_drove_the_score(
    database: CaseDatabase, change: Callable[[str], None]
) -> None:
    for case_id, field in ((3, "amount"), (5, "<script>")):
        found = f'[{{"field": "{field}", "probability_without": 0.1, "transaction_id": "t"}}]'
        change(f"UPDATE flags SET reasons = '{found}' WHERE case_id = {case_id}")
    change("UPDATE flags SET reasons = 'broken' WHERE case_id = 4")
    queue = desk(database).queue
    assert [field for _, field in queue.driven_by.options] == [ANY, "<script>", "amount"]
    queue.driven_by.value = "amount"
    assert queue.case_ids == [3]


def test_a_filter_leaves_the_open_case_open(panel: ReviewPanel, database: CaseDatabase) -> None:
    choose(panel, 12)
    panel.queue.most_days.value = 10_000
    assert holder(database, 12) == "ana"


def test_no_reviewer_no_case(panel: ReviewPanel, database: CaseDatabase) -> None:
    panel.reviewer.value = ""
    panel.open.click()
    assert "reviewer: empty" in panel.status.value
    assert set(list_cases(database)["lease_holder"]) == {None}


def test_erased_history_is_said_and_the_old_picture_goes(
    panel: ReviewPanel, change: Callable[[str], None]
) -> None:
    change("UPDATE flags SET window_json = '[]' WHERE case_id = 2")
    choose(panel, 2)
    assert "case 2: its history was erased" in panel.status.value
    assert "Case 2 cannot be shown" in panel.case.banner.value
    assert panel.case.picture.outputs == ()


def test_case_that_was_erased_is_listed_and_says_so(database: CaseDatabase) -> None:
    forget_account(database, "a-3")
    panel = desk(database)
    lines = {case_id: label.replace("\xa0", " ") for label, case_id in panel.queue.list.options}
    erased = [case_id for case_id, line in lines.items() if "history was erased" in line]
    assert len(erased) == 6
    choose(panel, erased[0])
    assert f"case {erased[0]}: its history was erased" in panel.status.value


def test_empty_queue_is_said(empty_path: Path) -> None:
    panel = desk(CaseDatabase(empty_path))
    assert "The queue is empty: no transaction was flagged." in panel.status.value
    for button in (panel.open, panel.skip, panel.assign, panel.refresh, panel.verdict.undo):
        button.click()
    assert panel.verdict.undo.disabled
    assert "The queue is empty" in panel._repr_mimebundle_()["text/html"]


def test_assigning_and_refreshing(panel: ReviewPanel, database: CaseDatabase) -> None:
    panel.assign.click()
    queue = list_cases(database)
    assert queue["case_id"][queue["assigned_to"] == "ana"].tolist() == [panel.queue.chosen]
    take(database, 7, "ben")
    panel.refresh.click()
    labels = {case_id: label.replace("\xa0", " ") for label, case_id in panel.queue.list.options}
    assert "reviewed by ben" in labels[7]


def test_texts_from_the_store_are_text_in_every_control(database: CaseDatabase) -> None:
    record_verdict(database, 30, "confirmed_fraud", "<b>ben</b>", kind="<script>kind</script>")
    panel = desk(database)
    panel.queue.verdict.value = ANY
    for case_id in panel.queue.case_ids[:5]:
        choose(panel, case_id)
        for section in panel.case.section.options:
            panel.case.section.value = section
            for output in panel.case.picture.outputs:
                for text in output["data"].values():
                    assert_no_markup(str(text))
    for control in _all(panel.widget):
        if isinstance(control, widgets.HTML) and "<style>" not in control.value:
            assert_no_markup(control.value)


def assert_no_markup(text: str) -> None:
    for mark in ("<script", "<b>", "<i>", "<img"):
        assert mark not in text
    assert "$" not in text or LITERAL in text


def _all(widget: widgets.Widget) -> list[widgets.Widget]:
    children = getattr(widget, "children", ())
    return [widget, *(each for child in children for each in _all(child))]


def test_callbacks_may_run_in_other_threads(panel: ReviewPanel, database: CaseDatabase) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(panel.open.click).result()
        pool.submit(panel.verdict.buttons["suspicious"].click).result()
    assert len(audit_trail(database)) == 1


def test_verdict_survives_an_abrupt_end(panel: ReviewPanel, source: str) -> None:
    panel.open.click()
    panel.verdict.buttons["suspicious"].click()
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT COUNT(*) FROM verdicts").fetchone() == (1,)


def test_a_database_that_vanishes_is_told_at_every_control_and_what_was_typed_stays(
    source: str, database: CaseDatabase
) -> None:
    panel = desk(CaseDatabase(source))
    choose(panel, 12)
    panel.verdict.note.value = "called the customer"
    away = Path(source).rename(f"{source}.away")
    panel.verdict.buttons["suspicious"].click()
    assert panel.verdict.note.value == "called the customer"
    controls = [
        panel.verdict.undo.click, panel.down.click, panel.open.click, panel.skip.click,
        panel.refresh.click,
        lambda: setattr(panel.queue.least_score, "value", 0.4),
        lambda: setattr(panel.queue.verdict, "value", ANY),
        lambda: setattr(panel.reviewer, "value", "ben"),
    ]  # fmt: skip
    for use in controls:
        panel.status.value = ""
        use()
        assert "reviews0.sqlite: unable to open database file" in panel.status.value
    assert "unable to open" in panel._repr_mimebundle_()["text/html"]
    for section in panel.case.section.options[:5]:
        panel.case.section.value = section
    away.rename(source)
    panel.reviewer.value = "ana"  # whose lease could not be given back
    choose(panel, 12)
    panel.verdict.buttons["suspicious"].click()
    assert audit_trail(database)["reviewer"].tolist() == ["ana"]


def test_another_reviewer_sees_what_is_assigned_to_them(
    panel: ReviewPanel, database: CaseDatabase
) -> None:
    assign(database, 7, "ana")
    assign(database, 8, "ben")
    panel.queue.mine.value = True
    assert panel.queue.case_ids == [7]
    panel.reviewer.value = " ben "
    assert panel.queue.case_ids == [8]
    assert drawn_title(panel).startswith("Case 8, ")


@pytest.mark.parametrize("name", ["", "an\x1ba", "\ud800", "a" * 101])
def test_a_name_that_is_none_is_told_at_the_desk(
    panel: ReviewPanel, database: CaseDatabase, name: str
) -> None:
    panel.reviewer.value = name
    for button in (panel.open, panel.assign, panel.skip):
        panel.status.value = ""
        button.click()
        assert "reviewer: " in panel.status.value
    panel.verdict.undo.click()
    assert set(list_cases(database)["lease_holder"]) == {None}


def test_a_note_without_end_is_told_and_stays(panel: ReviewPanel, database: CaseDatabase) -> None:
    choose(panel, 12)
    panel.verdict.note.value = "x" * 1_000_000
    panel.verdict.buttons["suspicious"].click()
    assert "note: 1,000,000 characters; give at most 10,000" in panel.status.value
    assert (len(panel.verdict.note.value), len(audit_trail(database))) == (1_000_000, 0)
    panel.verdict.note.value = "short"
    panel.verdict.buttons["suspicious"].click()
    assert audit_trail(database)["note"].tolist() == ["short"]


@pytest.mark.parametrize(
    "reasons",
    ['{"a": 1}', "[1]", '"x"', "[{}]", '[{"field": null}]', '[{"field": "amount"}]',
     '[{"field": "amount", "transaction_id": 1, "probability_without": "a"}]'],
)  # fmt: skip
def test_reasons_that_are_damaged_are_told(
    database: CaseDatabase, change: Callable[[str], None], reasons: str
) -> None:
    change(f"UPDATE flags SET reasons = '{reasons}' WHERE case_id = 12")
    panel = desk(database)
    panel.queue.list.value = 12
    panel.case.section.value = "Reasons"
    data = panel.case.picture.outputs[0]["data"]
    assert "reasons that the device kept for this flag cannot be read" in data["text/html"]
