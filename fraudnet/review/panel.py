"""An analyst's desk: the queue, one case at a time, the verdict, and its undoing."""

import time
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from fraudnet.errors import InputError
from fraudnet.review.case_panel import CasePanel
from fraudnet.review.cases import Case, list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.leases import Lease, assign, release, take
from fraudnet.review.queue_panel import QueuePanel
from fraudnet.review.sections import Sections
from fraudnet.review.shown import LITERAL, Shown, static_html
from fraudnet.review.style import STYLE
from fraudnet.review.tables import heading, paragraph, table
from fraudnet.review.text import escaped, moment_us
from fraudnet.review.verdict_history import known_kinds, latest_verdict, undo
from fraudnet.review.verdict_panel import VerdictPanel
from fraudnet.review.verdicts import VERDICTS, record_verdict

LEAST_LOOK_S = 0.5
"""A verdict sooner after the case was opened is the second click of a double click."""

QUEUE_COLUMNS = [
    "case_id", "account_id", "timestamp", "amount", "counterparty_id", "category",
    "fraud_probability", "ood_distance", "expected_loss", "age", "transactions", "verdict",
    "assigned_to", "lease_holder",
]  # fmt: skip
_PAGE_ROWS = 20
_ELSEWHERE = paragraph(
    "Verdicts are given in a running notebook: open notebooks/review_flagged_cases.ipynb in "
    "JupyterLab."
)

EMPTY = "The queue is empty: no transaction was flagged."


class ReviewPanel:
    """The widgets, thin over the database: every click is stored at once.

    A case that is chosen in the list is shown to look at. Opening it takes its lease, and only then
    can a verdict be given; another analyst's is shown, says whose it is, and cannot be decided.

    Args:
        database: open.
        reviewer: who decides.
        sections: what there is to see of a case.
        least_look_s: a verdict sooner after its case was opened is not taken.
    """

    def __init__(
        self,
        database: CaseDatabase,
        reviewer: str,
        sections: Sections | None = None,
        least_look_s: float = LEAST_LOOK_S,
    ) -> None:
        self._database, self._least_look_s = database, least_look_s
        self._case: Case | None = None
        self._lease: Lease | None = None
        self._opened_s = 0.0
        self.reviewer = widgets.Text(
            value=reviewer, description="Reviewer", continuous_update=False
        )
        self.reviewer.layout.width = "18em"
        self.queue = QueuePanel(database, lambda: self._name, self._on_choice, self._on_filter)
        self._sections = sections or Sections(database)
        self.case = CasePanel(self._sections, self._hold)
        self.verdict = VerdictPanel(self._on_verdict, self._on_undo)
        self.up = _button("Line up", lambda _: self.queue.move(-1), "")
        self.down = _button("Line down", lambda _: self.queue.move(1), "")
        self.open = _button("Open case", self._on_open, "primary")
        self.skip = _button("Open next", self._on_skip, "")
        self.assign = _button("Assign to me", self._on_assign, "")
        self.refresh = _button("Refresh", self._on_refresh, "")
        self.status = widgets.HTML()
        self.reviewer.observe(self._on_reviewer, names="value")
        commands = [
            self.up, self.down, self.open, self.skip, self.assign, self.refresh, self.reviewer
        ]  # fmt: skip
        self.widget = widgets.VBox(
            [
                widgets.HTML(STYLE),
                self.queue.widget,
                widgets.HBox(commands, layout={"flex_flow": "row wrap"}),
                self.status,
                self.case.banner,
                self.verdict.widget,
                self.case.section,
                self.case.picture,
            ]
        )
        self.widget.add_class("fraudnet-review")
        self._act(self._start)

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401  (IPython's own)
        bundle: dict[str, Any] = self.widget._repr_mimebundle_(**options)
        return bundle | {"text/html": self._without_kernel()}

    def _without_kernel(self) -> str:
        """What a page shows in place of the widgets: the queue, and the case that is shown."""
        try:
            queue = list_cases(self._database)
        except InputError as error:
            return str(paragraph(str(error)).data)
        if queue.empty:
            return str(paragraph(EMPTY).data)
        parts: list[Shown] = [_ELSEWHERE, table(queue[QUEUE_COLUMNS], _PAGE_ROWS)]
        if self._case is not None:
            for name in self._sections.on_page:
                parts += [heading(f"Case {self._case.case_id}: {name}")]
                parts += self._sections.draw(name, self._case)
        return static_html(parts)

    def _start(self) -> str:
        self._look(self.queue.chosen)
        is_empty = self.queue.chosen is None and list_cases(self._database).empty
        return EMPTY if is_empty else ""

    def _act(self, action: Callable[[], str]) -> None:
        """Does something and says what; what the database refuses is said, too."""
        said = ""
        for step in (action, self._offer_undo):
            try:
                said = step() or said
            except InputError as error:
                said = said or str(error)
        self._say(said)

    def _say(self, text: str) -> None:
        self.status.value = f'<div class="fraudnet-status {LITERAL}">{escaped(text)}</div>'

    def _on_choice(self) -> None:
        self._act(lambda: self._look(self.queue.chosen))

    def _on_filter(self) -> None:
        self._act(self._filter)

    def _on_open(self, _: object) -> None:
        self._act(lambda: self._open(self.queue.chosen))

    def _on_skip(self, _: object) -> None:
        self._act(self._skip)

    def _on_assign(self, _: object) -> None:
        self._act(self._assign)

    def _on_refresh(self, _: object) -> None:
        self._act(self._refresh)

    def _on_reviewer(self, _: object) -> None:
        self._act(self._change_reviewer)

    def _on_verdict(self, verdict: str) -> None:
        self._act(lambda: self._decide(verdict))

    def _on_undo(self) -> None:
        self._act(self._undo)

    def _filter(self) -> str:
        before = self.queue.chosen
        self.queue.refresh()
        return self._look(self.queue.chosen) if self.queue.chosen != before else ""

    def _change_reviewer(self) -> str:
        self.queue.refresh()  # what is assigned to whom
        return self._look(self.queue.chosen)

    def _look(self, case_id: int | None) -> str:
        """Shows a case without taking it."""
        self._leave()
        self._case = None
        try:
            if case_id is not None:
                self._case = open_case(self._database, case_id)
                self.case.say(self._title, "Open it to decide it; others can, too.", "nobodys")
            else:
                self.case.say("No case is shown.", "", "nobodys")
        except InputError:
            self.case.say(f"Case {case_id} cannot be shown.", "", "nobodys")
            raise
        finally:
            self.case.show(self._case)
            self.verdict.allow(False)
        return ""

    def _open(self, case_id: int | None) -> str:
        """Shows a case and takes it, if nobody else has it."""
        self._look(case_id)
        if self._case is None:
            return "No case is listed to open."
        try:
            self._lease = take(self._database, self._case.case_id, self.reviewer.value)
        except InputError as error:
            self.case.say(self._title, f"Read only: {error}", "others")
            raise
        self._opened_s = time.monotonic()
        self.verdict.offer(known_kinds(self._database))
        self.verdict.allow(True)
        self._say_lease()
        return f"Case {case_id} is open."

    def _skip(self) -> str:
        following = self.queue.after(self.queue.chosen if self._lease else None)
        if following is None:
            return "This was the last case of the list."
        self._leave()
        self.queue.refresh(following)
        return self._open(following)

    def _assign(self) -> str:
        if self._case is None:
            return "No case is shown to assign."
        assign(self._database, self._case.case_id, self.reviewer.value)
        self.queue.refresh()
        return f"Case {self._case.case_id} is {self.reviewer.value}'s work."

    def _refresh(self) -> str:
        self._hold()
        self.queue.refresh()
        if self._lease is None:
            self._look(self.queue.chosen)
        return "The queue was read anew."

    def _decide(self, verdict: str) -> str:
        if self._case is None or self._lease is None:
            return "No case is open to decide."
        if time.monotonic() - self._opened_s < self._least_look_s:
            return f"Case {self._case.case_id} was opened just now; nothing was stored: look first."
        case_id, following = self._case.case_id, self.queue.after(self._case.case_id)
        try:
            record_verdict(
                self._database, case_id, verdict, self.reviewer.value, self.verdict.note.value,
                kind=self.verdict.kind.value if verdict == "confirmed_fraud" else "",
                lease=self._lease, transaction_ids=self._case.flags["transaction_id"].tolist(),
            )  # fmt: skip
        except InputError:
            self._hold()  # says whose the case is now
            raise
        self._lease = None
        said = f"Case {case_id}: {VERDICTS[verdict]}, stored for {self._name}."
        self.queue.refresh(following)
        if following is None:
            self._look(self.queue.chosen)
            return f"{said} It was the last of the list."
        return f"{said} {self._open(following)}"

    def _undo(self) -> str:
        latest = latest_verdict(self._database, self._name)
        if latest is None:
            return f"{self._name} has no verdict to undo."
        self._leave()
        case_id = undo(self._database, latest, self._name)
        self.queue.refresh(case_id)
        self._open(case_id)
        return f"Case {latest.case_id}: undone, undecided again."

    def _hold(self) -> None:
        """Holds the open case longer while it is looked at; says so where it was lost."""
        if self._lease is None:
            return
        try:
            now = take(self._database, self._lease.case_id, self.reviewer.value)
        except InputError as error:
            self._lose(str(error))
            return
        if now.number != self._lease.number:
            release(self._database, now.case_id, now.reviewer)
            self._lose("Somebody else had it after your time ran out: open it again, and look.")
            return
        self._lease = now
        self._say_lease()

    def _lose(self, why: str) -> None:
        self._lease = None
        self.verdict.allow(False)
        self.case.say(self._title, f"Read only: {why}", "others")

    def _leave(self) -> None:
        """Lets others take the case that was open."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            release(self._database, lease.case_id, lease.reviewer)
        except InputError:  # it ran out, and is another's now
            return

    def _offer_undo(self) -> str:
        self.verdict.offer_undo(latest_verdict(self._database, self._name))
        return ""

    def _say_lease(self) -> None:
        if self._lease is not None:
            until = moment_us(self._lease.until_us)[11:16]
            self.case.say(self._title, f"Yours to decide until {until} UTC.", "yours")

    @property
    def _name(self) -> str:
        return str(self.reviewer.value).strip()

    @property
    def _title(self) -> str:
        if self._case is None:
            return ""
        flags = self._case.flags
        what = f"{len(flags)} transactions" if len(flags) > 1 else "1 transaction"
        return (
            f"Case {self._case.case_id}, account {self._case.account_id}: {what}, "
            f"{flags['amount'].sum():,.2f} together."
        )


def _button(label: str, action: Callable[[Any], None], style: str) -> widgets.Button:
    made = widgets.Button(description=label, button_style=style, layout={"width": "auto"})
    made.on_click(action)
    return made
