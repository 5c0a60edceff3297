"""One case as widgets: who may decide it, and its sections, drawn when they are asked for."""

from collections.abc import Callable

import ipywidgets as widgets

from fraudnet.review.cases import Case
from fraudnet.review.sections import Sections
from fraudnet.review.shown import output
from fraudnet.review.tables import paragraph
from fraudnet.review.text import escaped


class CasePanel:
    """What there is to see of the case that is shown.

    Args:
        sections: that there are.
        on_look: is called before another section is drawn.
    """

    def __init__(self, sections: Sections, on_look: Callable[[], None]) -> None:
        self._sections, self._on_look = sections, on_look
        self._case: Case | None = None
        self.banner = widgets.HTML()
        self.section = widgets.ToggleButtons(options=list(sections.by_name))
        self.section.style.button_width = "auto"
        self.section.observe(self._turn, names="value")
        self.picture = widgets.Output()

    def show(self, case: Case | None) -> None:
        """Draws the section that is chosen; None: no case is shown."""
        self._case = case
        self.section.disabled = case is None
        self._draw()

    def say(self, title: str, text: str, kind: str) -> None:
        """Writes above the case.

        Args:
            title: in bold.
            text: after it.
            kind: "yours", "others" or "nobody's", which the style knows.
        """
        self.banner.value = (
            f'<div class="fraudnet-banner fraudnet-{kind} tex2jax_ignore">'
            f"<strong>{escaped(title)}</strong> {escaped(text)}</div>"
        )

    def _turn(self, _: object) -> None:
        self._on_look()
        self._draw()

    def _draw(self) -> None:
        if self._case is None:
            self.picture.outputs = ()
            return
        if self.section.value not in self._sections.quick:
            self.picture.outputs = (output(paragraph("The network is asked ...")),)
        shown = self._sections.draw(self.section.value, self._case)
        self.picture.outputs = tuple(output(each) for each in shown)
