"""What the review notebook shows, one call a section, so that its cells hold no logic."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from IPython.display import HTML

from fraudnet.errors import InputError
from fraudnet.review.cases import Case, list_cases, open_case
from fraudnet.review.figures import case_figure, queue_figure
from fraudnet.review.panel import ReviewPanel
from fraudnet.review.places import DEFAULT_STORE, find_upwards
from fraudnet.review.store import CaseStore
from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import moment
from fraudnet.review.verdicts import audit_trail

_EMPTY = "The queue is empty: no transaction was flagged."


@dataclass(frozen=True)
class Review:
    """An analyst at a case store; each section reads the store anew."""

    store: CaseStore
    reviewer: str

    def summary(self) -> HTML:
        """How many cases there are, how many wait, and which time they cover."""
        queue = list_cases(self.store)
        if queue.empty:
            return paragraph(f"{self.store.path.name}: {_EMPTY}")
        waiting = queue[queue["verdict"] == "undecided"]
        return paragraph(
            f"{self.store.path.name}: {len(queue):,} cases from "
            f"{moment(queue['timestamp'].min())} to {moment(queue['timestamp'].max())} UTC, "
            f"{len(waiting):,} undecided with an expected loss of "
            f"{waiting['expected_loss'].sum():,.2f} together. Reviewer: {self.reviewer}."
        )

    def overview(self) -> go.Figure | HTML:
        """All cases in one picture."""
        queue = list_cases(self.store)
        return paragraph(_EMPTY) if queue.empty else queue_figure(queue)

    def queue(self, rows: int = 20) -> HTML:
        """The cases as a table, highest expected loss first."""
        queue = list_cases(self.store)
        return paragraph(_EMPTY) if queue.empty else table(queue, rows)

    def riskiest_figure(self) -> go.Figure | HTML:
        """The window of the undecided case with the highest expected loss."""
        case = self._riskiest()
        return paragraph(_EMPTY) if case is None else case_figure(case)

    def riskiest_transactions(self, rows: int = 10) -> HTML:
        """The same case's latest transactions, newest first, the flagged one on top."""
        case = self._riskiest()
        return paragraph(_EMPTY) if case is None else table(case.window[::-1], rows)

    def panel(self) -> ReviewPanel:
        """The widgets to decide with."""
        return ReviewPanel(self.store, self.reviewer)

    def audit_trail(self, rows: int = 50) -> HTML:
        """The latest verdicts, newest first."""
        trail = audit_trail(self.store)
        return paragraph("No verdict was given yet.") if trail.empty else table(trail[::-1], rows)

    def _riskiest(self) -> Case | None:
        """The first undecided case; with none undecided the first of all, so the page shows one."""
        queue = list_cases(self.store)
        if queue.empty:
            return None
        undecided = queue[queue["verdict"] == "undecided"]
        first = (queue if undecided.empty else undecided).iloc[0]
        return open_case(self.store, int(first["case_id"]))


def open_review(environment: Mapping[str, str] = os.environ) -> Review:
    """The review that environment variables name.

    Args:
        environment: FRAUDNET_STORE, the case store (build/demo/cases.sqlite if unset; a relative
            path is looked for in the working directory, then in each directory above it);
            FRAUDNET_REVIEWER, who decides (the login name if unset).

    Raises:
        InputError: the store is not there or cannot be used.
    """
    named = Path(environment.get("FRAUDNET_STORE") or DEFAULT_STORE)
    path = find_upwards(named)
    if path is None:
        raise InputError(
            f"{named}: no such file in {Path.cwd()} or above it; make the demo's case store with "
            "`make demo`, or name yours in the environment variable FRAUDNET_STORE"
        )
    return Review(CaseStore(path), environment.get("FRAUDNET_REVIEWER") or _login_name())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name; the panel then asks for one
        return ""
