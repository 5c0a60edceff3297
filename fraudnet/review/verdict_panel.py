"""The verdict as widgets: kind of fraud, note, one button a verdict, and undo."""

from collections.abc import Callable

import ipywidgets as widgets

from fraudnet.review.figures import MARKS
from fraudnet.review.text import brief
from fraudnet.review.verdict_history import LatestVerdict
from fraudnet.review.verdicts import VERDICTS

KINDS = (
    "lost or stolen card", "account takeover", "card testing", "counterfeit card",
    "compromised merchant or terminal", "customer was deceived", "mule account",
    "identity fraud", "customer's own",
)  # fmt: skip
"""Kinds of fraud that are offered, beside those in the database."""


class VerdictPanel:
    """Controls alone; what they do is its owner's.

    Args:
        on_verdict: is called with the verdict whose button is pressed.
        on_undo: is called when the undo button is.
    """

    def __init__(self, on_verdict: Callable[[str], None], on_undo: Callable[[], None]) -> None:
        self.kind = widgets.Dropdown(
            description="Kind of fraud", style={"description_width": "initial"}
        )
        self.kind.layout.width = "24em"
        self.note = widgets.Text(placeholder="why (optional)", description="Note")
        self.note.layout.width = "36em"
        self.note.style.description_width = "initial"
        self.buttons = {name: _button(label, MARKS[name][0]) for name, label in VERDICTS.items()}
        self.undo = _button("Undo", None)
        for name, button in self.buttons.items():
            button.on_click(lambda _, verdict=name: on_verdict(verdict))
        self.undo.on_click(lambda _: on_undo())
        wrapped = {"flex_flow": "row wrap"}
        self.widget = widgets.VBox(
            [
                widgets.HBox([self.kind, self.note], layout=wrapped),
                widgets.HBox([*self.buttons.values(), self.undo], layout=wrapped),
            ]
        )

    def offer(self, kinds: list[str]) -> None:
        """Offers kinds of fraud besides `KINDS`, and forgets what was typed for the last case."""
        known = list(dict.fromkeys([*KINDS, *kinds]))
        options: list[tuple[str, str]] = [("not said", ""), *((brief(k, 40), k) for k in known)]
        if list(self.kind.options) != options:
            self.kind.options = options
        self.kind.value = ""
        self.note.value = ""

    def allow(self, is_allowed: bool) -> None:
        """Whether a verdict can be given."""
        for control in (self.kind, self.note, *self.buttons.values()):
            control.disabled = not is_allowed

    def offer_undo(self, latest: LatestVerdict | None) -> None:
        """Names on the button the verdict that it takes back; None: there is none."""
        self.undo.disabled = latest is None
        self.undo.description = (
            "Undo"
            if latest is None
            else f"Undo: case {latest.case_id}, {VERDICTS[latest.verdict].lower()}"
        )


def _button(label: str, colour: str | None) -> widgets.Button:
    made = widgets.Button(description=label, layout={"width": "auto"})
    made.style.button_color = colour
    made.style.text_color = None if colour is None else _text_on(colour)
    return made


def _text_on(colour: str) -> str:
    """Black or white, whichever has the greater contrast (WCAG 2.2, "relative luminance")."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"
