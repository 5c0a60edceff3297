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
from fraudnet.review.database import CaseDatabase
from fraudnet.review.figures import case_figure, queue_figure
from fraudnet.review.panel import ReviewPanel
from fraudnet.review.places import DEFAULT_DATABASE, find_upwards
from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import moment
from fraudnet.review.verdicts import audit_trail

_EMPTY = "The queue is empty: no transaction was flagged."
_QUEUE_COLUMNS = [
    "case_id", "account_id", "timestamp", "amount", "counterparty_id", "category",
    "fraud_probability", "ood_distance", "expected_loss", "age", "transactions", "verdict",
    "assigned_to", "lease_holder",
]  # fmt: skip


@dataclass(frozen=True)
class Review:
    """An analyst at a case database; each section reads it anew."""

    database: CaseDatabase
    reviewer: str

    def summary(self) -> HTML:
        """How many cases there are, how many wait, and which time they cover."""
        queue = list_cases(self.database)
        if queue.empty:
            return paragraph(f"{self.database.name}: {_EMPTY}")
        waiting = queue[queue["verdict"] == "undecided"]
        return paragraph(
            f"{self.database.name}: {len(queue):,} cases from "
            f"{moment(queue['timestamp'].min())} to {moment(queue['timestamp'].max())} UTC, "
            f"{len(waiting):,} undecided with an expected loss of "
            f"{waiting['expected_loss'].sum():,.2f} together. Reviewer: {self.reviewer}."
        )

    def overview(self) -> go.Figure | HTML:
        """All cases in one picture."""
        queue = list_cases(self.database)
        return paragraph(_EMPTY) if queue.empty else queue_figure(queue)

    def queue(self, rows: int = 20) -> HTML:
        """The cases as a table, highest expected loss first."""
        queue = list_cases(self.database)
        return paragraph(_EMPTY) if queue.empty else table(queue[_QUEUE_COLUMNS], rows)

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
        return ReviewPanel(self.database, self.reviewer)

    def audit_trail(self, rows: int = 50) -> HTML:
        """The latest verdicts, newest first."""
        trail = audit_trail(self.database)
        return paragraph("No verdict was given yet.") if trail.empty else table(trail[::-1], rows)

    def _riskiest(self) -> Case | None:
        """The first undecided case; with none undecided the first of all, so the page shows one."""
        queue = list_cases(self.database)
        shown = queue[queue["erased_at"].isna()]
        if shown.empty:
            return None
        undecided = shown[shown["verdict"] == "undecided"]
        first = (shown if undecided.empty else undecided).iloc[0]
        return open_case(self.database, int(first["case_id"]))


def open_review(environment: Mapping[str, str] = os.environ) -> Review:
    """The review that environment variables name.

    Args:
        environment: FRAUDNET_STORE, the case database, a path or a PostgreSQL URL
            (build/demo/reviews.sqlite if unset; a relative path is looked for in the working
            directory, then in each directory above it); FRAUDNET_REVIEWER, who decides (the login
            name if unset).

    Raises:
        InputError: the database is not there or cannot be used.
    """
    named = environment.get("FRAUDNET_STORE") or str(DEFAULT_DATABASE)
    place: str | Path | None = named if "://" in named else find_upwards(Path(named))
    if place is None:
        raise InputError(
            f"{named}: no such file in {Path.cwd()} or above it; make the demo's case database "
            "with `make demo`, or name yours in the environment variable FRAUDNET_STORE"
        )
    return Review(CaseDatabase(place), environment.get("FRAUDNET_REVIEWER") or _login_name())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name; the panel then asks for one
        return ""
