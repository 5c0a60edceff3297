"""Buttons for an analyst: choose a case, see it, decide, take it back."""

import json
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.figures import case_figure
from fraudnet.review.verdicts import VERDICTS, record_verdict, undo_verdict

PLOTLY_MIME = "application/vnd.plotly.v1+json"

_STYLES = {
    "confirmed_fraud": "danger",
    "suspicious": "warning",
    "false_positive": "success",
    "undecided": "",
}
_WITHOUT_KERNEL = (
    "<p><em>Verdicts are given here in a running notebook: open "
    "<code>notebooks/review_flagged_cases.ipynb</code> in JupyterLab.</em></p>"
)


class ReviewPanel:
    """The widgets, thin over the database: every click is stored at once.

    Args:
        database: open; its queue is offered as it is now, highest expected loss first.
        reviewer: who decides.
    """

    def __init__(self, database: CaseDatabase, reviewer: str) -> None:
        self._database = database
        self.reviewer = widgets.Text(value=reviewer, description="Reviewer")
        self.chooser = widgets.Dropdown(description="Case", layout={"width": "36em"})
        self.note = widgets.Text(placeholder="why (optional)", description="Note")
        self.note.layout.width = "36em"
        self.buttons = {name: _button(label, _STYLES[name]) for name, label in VERDICTS.items()}
        self.undo = _button("Undo", "")
        self.status = widgets.Label()
        self.picture = widgets.Output()
        for name, button in self.buttons.items():
            button.on_click(lambda _, verdict=name: self._act(lambda: self._decide(verdict)))
        self.undo.on_click(lambda _: self._act(self._take_back))
        self.chooser.observe(self._on_choice, names="value")
        self._offer()
        self._act(self._show)
        self.widget = widgets.VBox(
            [
                widgets.HBox([self.chooser, self.reviewer]),
                self.note,
                widgets.HBox([*self.buttons.values(), self.undo]),
                self.status,
                self.picture,
            ]
        )

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401  (IPython's own)
        bundle: dict[str, Any] = self.widget._repr_mimebundle_(**options)
        return bundle | {"text/html": _WITHOUT_KERNEL}

    def _offer(self) -> None:
        """Lists the queue with the verdicts now in force; the case chosen stays chosen."""
        queue = list_cases(self._database)
        case_ids = queue["case_id"].tolist()
        chosen = self.chooser.value
        # New options move the choice for a moment; nothing is to be drawn then.
        self.chooser.unobserve(self._on_choice, names="value")
        self.chooser.options = [(_label(case), case.case_id) for case in queue.itertuples()]
        self.chooser.value = chosen if chosen in case_ids else next(iter(case_ids), None)
        self.chooser.observe(self._on_choice, names="value")
        for control in (*self.buttons.values(), self.undo):
            control.disabled = queue.empty

    def _on_choice(self, _: object) -> None:
        self._act(self._show)

    def _act(self, action: Callable[[], str]) -> None:
        try:
            self.status.value = action()
        except InputError as error:
            self.status.value = str(error)

    def _show(self) -> str:
        self.picture.outputs = ()
        if self.chooser.value is None:
            return "The queue is empty: no transaction was flagged."
        figure = case_figure(open_case(self._database, self.chooser.value))
        data = {PLOTLY_MIME: json.loads(figure.to_json())}
        self.picture.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        return f"Case {self.chooser.value} is shown."

    def _decide(self, verdict: str) -> str:
        case_id = self.chooser.value
        record_verdict(self._database, case_id, verdict, self.reviewer.value, self.note.value)
        self.note.value = ""
        self._offer()
        return f"Case {case_id}: {VERDICTS[verdict]}, stored for {self.reviewer.value}."

    def _take_back(self) -> str:
        case_id = self.chooser.value
        undo_verdict(self._database, case_id, self.reviewer.value)
        self._offer()
        return f"Case {case_id}: undone, undecided again."


def _label(case: Any) -> str:  # noqa: ANN401  (a row of the queue, as pandas names them)
    if case.account_id is None:
        return f"{case.case_id}: its history was erased ({VERDICTS[case.verdict]})"
    return (
        f"{case.case_id}: {case.amount:,.2f}, account {case.account_id}, "
        f"expected loss {case.expected_loss:,.2f} ({VERDICTS[case.verdict]})"
    )


def _button(label: str, style: str) -> widgets.Button:
    return widgets.Button(description=label, button_style=style, layout={"width": "auto"})
