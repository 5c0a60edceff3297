"""The queue as widgets: filters, and a list whose lines are cases, highest expected loss first."""

import json
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import pandas as pd

from fraudnet.review.cases import QueueFilter, list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.text import age, brief, plain
from fraudnet.review.verdicts import VERDICTS

MOST_LINES = 500  # a list of more makes a browser slow
ANY = ""  # an option of this value lets all through
REASONS = {
    "flagged": "flagged by the scorer",
    "uncertain": "to learn: uncertain",
    "unfamiliar": "to learn: unfamiliar",
    "random": "to learn: random",
}
"""Why a case entered the queue, as its filter says it."""

_HEADS = (
    ("case", 7), ("exp. loss", 12), ("amount", 12), ("score", 6), ("dist.", 7), ("age", 11),
    ("n", 3),
)  # fmt: skip
_ACCOUNT_WIDTH = 16
_SPACE = "\N{NO-BREAK SPACE}"  # others are drawn together in a list's lines


class QueuePanel:
    """Filters and the list; choosing a line calls back.

    Args:
        database: open.
        reviewer: says who reviews, when it is asked.
        on_choice: is called when another line is chosen.
        on_filter: is called when a filter is set; who owns the queue then refreshes it.
    """

    def __init__(
        self,
        database: CaseDatabase,
        reviewer: Callable[[], str],
        on_choice: Callable[[], None],
        on_filter: Callable[[], None],
    ) -> None:
        self._database, self._reviewer = database, reviewer
        self._on_choice, self._on_filter = on_choice, on_filter
        self.verdict = _dropdown("Verdict", {"any": ANY, **_inverted(VERDICTS)}, "undecided")
        self.reason = _dropdown("In the queue", {"for any reason": ANY, **_inverted(REASONS)}, ANY)
        self.driven_by = _dropdown("Driven by", {"anything": ANY}, ANY)
        self.least_score = _number("Score from", 0.05)
        self.least_distance = _number("Distance from", 0.5)
        self.least_amount = _number("Amount from", 10.0)
        self.most_days = _number("Age to (days)", 1.0)
        self.mine = widgets.Checkbox(value=False, description="assigned to me", indent=False)
        self.mine.layout.width = "12em"
        self.count = widgets.HTML()
        self.list = widgets.Select(rows=9, layout={"width": "auto"})
        self.list.add_class("fraudnet-queue")
        self._filters = (
            self.verdict, self.reason, self.driven_by, self.least_score, self.least_distance,
            self.least_amount, self.most_days, self.mine,
        )  # fmt: skip
        for control in self._filters:
            control.observe(self._filtered_by, names="value")
        self.list.observe(self._chosen, names="value")
        heads = widgets.HTML(f'<div class="fraudnet-heads">{_heads()}</div>')
        self.widget = widgets.VBox(
            [
                _row(self.verdict, self.reason, self.driven_by, self.mine),
                _row(self.least_score, self.least_distance, self.least_amount, self.most_days),
                self.count,
                heads,
                self.list,
            ]
        )
        self.refresh()

    @property
    def case_ids(self) -> list[int]:
        """Of the lines, in their order."""
        return [case_id for _, case_id in self.list.options]

    @property
    def chosen(self) -> int | None:
        """The case whose line is chosen."""
        case_id: int | None = self.list.value
        return case_id

    def refresh(self, choose: int | None = None) -> None:
        """Reads the queue anew; a chosen case stays so while it is listed, else the first is.

        Args:
            choose: another case to choose, if it is listed.
        """
        queue = self._filtered()
        shown = queue.head(MOST_LINES)
        case_ids = shown["case_id"].tolist()
        wanted = [each for each in (choose, self.chosen) if each in case_ids]
        # New options move the choice for a moment; nobody is to be told then.
        self.list.unobserve(self._chosen, names="value")
        self.list.options = [(_line(case), case.case_id) for case in shown.itertuples()]
        self.list.value = next(iter(wanted + case_ids), None)
        self.list.observe(self._chosen, names="value")
        total = f"{len(queue):,} cases, expected loss {queue['expected_loss'].sum():,.2f}"
        cut = f" (the first {MOST_LINES} are listed)" if len(queue) > MOST_LINES else ""
        self.count.value = f"{total}{cut}" if len(queue) else "No case passes these filters."

    def after(self, case_id: int | None) -> int | None:
        """The case of the line after a case's, of the first if it has none."""
        case_ids = self.case_ids
        if case_id not in case_ids:
            return next(iter(case_ids), None)
        place = case_ids.index(case_id) + 1
        return case_ids[place] if place < len(case_ids) else None

    def move(self, lines: int) -> None:
        """Chooses a line further down, or up, as far as there is one.

        The arrow keys do so, too, but JupyterLab takes them to go from cell to cell.
        """
        case_ids = self.case_ids
        if self.chosen is not None:
            place = case_ids.index(self.chosen) + lines
            self.list.value = case_ids[min(max(place, 0), len(case_ids) - 1)]

    def _filtered(self) -> pd.DataFrame:
        criteria = QueueFilter(
            verdict=self.verdict.value or None,
            minimum_probability=_given(self.least_score),
            minimum_distance=_given(self.least_distance),
            minimum_amount=_given(self.least_amount),
            maximum_age_days=_given(self.most_days),
            assigned_to=self._reviewer() if self.mine.value else None,
            reason=self.reason.value or None,
        )
        queue = list_cases(self._database, criteria)
        drivers = queue["reasons"].map(_driver)
        self._offer_drivers(sorted(set(drivers) - {""}))
        return queue if self.driven_by.value is ANY else queue[drivers == self.driven_by.value]

    def _offer_drivers(self, fields: list[str]) -> None:
        chosen = self.driven_by.value
        fields = sorted({*fields, *([] if chosen is ANY else [chosen])})
        self.driven_by.unobserve(self._filtered_by, names="value")
        self.driven_by.options = [("anything", ANY), *((brief(f, 30), f) for f in fields)]
        self.driven_by.value = chosen
        self.driven_by.observe(self._filtered_by, names="value")

    def _filtered_by(self, _: object) -> None:
        self._on_filter()

    def _chosen(self, _: object) -> None:
        self._on_choice()


def _line(case: Any) -> str:  # noqa: ANN401  (a row of the queue, as pandas names them)
    state = VERDICTS[case.verdict] if case.verdict != "undecided" else ""
    if case.account_id is None:
        return f"{case.case_id:>7}  its history was erased  {state}".replace(" ", _SPACE)
    texts = (
        str(case.case_id), plain(case.expected_loss, "{:,.2f}".format),
        plain(case.amount, "{:,.2f}".format), plain(case.fraud_probability, "{:.3f}".format),
        plain(case.ood_distance, "{:.2f}".format), plain(case.age, age), str(case.transactions),
    )  # fmt: skip
    cells = [text.rjust(width) for text, (_, width) in zip(texts, _HEADS, strict=True)]
    account = brief(case.account_id, _ACCOUNT_WIDTH).ljust(_ACCOUNT_WIDTH)
    reviewed = f"reviewed by {brief(case.lease_holder, 20)}" if case.lease_holder else ""
    assigned = f"of {brief(case.assigned_to, 20)}" if case.assigned_to else ""
    further = ", ".join(filter(None, (state, reviewed, assigned)))
    return "  ".join([*cells, account, further]).replace(" ", _SPACE)


def _heads() -> str:
    cells = [head.rjust(width) for head, width in _HEADS]
    return "  ".join([*cells, "account".ljust(_ACCOUNT_WIDTH), "state"]).replace(" ", _SPACE)


def _driver(reasons: str | None) -> str:
    """The field that drove the score most."""
    try:
        return str(json.loads(reasons or "[]")[0]["field"])
    except (ValueError, LookupError, TypeError):
        return ""


def _given(control: widgets.BoundedFloatText) -> float | None:
    """A limit; none at 0, where it lets all through."""
    return control.value or None


def _inverted(labels: dict[str, str]) -> dict[str, str]:
    return {label: name for name, label in labels.items()}


def _dropdown(description: str, options: dict[str, str], value: str) -> widgets.Dropdown:
    control = widgets.Dropdown(
        options=list(options.items()), value=value, description=description,
        style={"description_width": "initial"},
    )  # fmt: skip
    control.layout.width = "auto"
    return control


def _number(description: str, step: float) -> widgets.BoundedFloatText:
    control = widgets.BoundedFloatText(
        value=0.0, min=0.0, max=1e12, step=step, description=description,
        style={"description_width": "initial"},
    )  # fmt: skip
    control.layout.width = "13em"
    return control


def _row(*controls: widgets.Widget) -> widgets.HBox:
    return widgets.HBox(list(controls), layout={"flex_flow": "row wrap"})
