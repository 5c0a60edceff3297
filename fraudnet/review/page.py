"""What the review notebook shows, one call a section, so that its cells hold no logic."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import plotly.graph_objects as go
from IPython.display import HTML

from fraudnet.errors import InputError
from fraudnet.review.cases import decided_by, list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.explainers import ARTIFACT, MODEL, Explainers
from fraudnet.review.figures import queue_figure
from fraudnet.review.panel import EMPTY, ReviewPanel
from fraudnet.review.places import (
    DEFAULT_ARTIFACT,
    DEFAULT_DATABASE,
    DEFAULT_MODEL,
    find_upwards,
)
from fraudnet.review.sections import Sections
from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import moment, plain
from fraudnet.review.verdicts import audit_trail

CASES = "FRAUDNET_CASES"
NETWORK_ON_PAGE = "FRAUDNET_NETWORK_ON_PAGE"


@dataclass(frozen=True)
class Review:
    """An analyst at a case database; each section reads it anew."""

    database: CaseDatabase
    reviewer: str
    explainers: Explainers = field(default_factory=Explainers)

    def summary(self) -> HTML:
        """How many cases there are, how many wait, and which time they cover."""
        queue = list_cases(self.database)
        if queue.empty:
            return paragraph(f"{self.database.name}: {EMPTY}")
        waiting = queue[queue["verdict"] == "undecided"]
        return paragraph(
            f"{self.database.name}: {len(queue):,} cases from "
            f"{plain(queue['timestamp'].min(), moment)} to "
            f"{plain(queue['timestamp'].max(), moment)} UTC, "
            f"{len(waiting):,} undecided with an expected loss of "
            f"{waiting['expected_loss'].sum():,.2f} together. Reviewer: {self.reviewer}. "
            f"{self._explained_by()}"
        )

    def _explained_by(self) -> str:
        """What there is to explain cases with, and whether it fits them."""
        path, sha256 = self.explainers.artifact_path, self.explainers.artifact_sha256
        model = self.explainers.model_path
        network = (
            f"No trained network is given ({MODEL})."
            if model is None
            else f"Trained network: {model.name}."
        )
        if path is None or sha256 is None:
            return f"No artifact is given ({ARTIFACT}). {network}"
        decided = decided_by(self.database)
        count, total = decided.get(sha256, 0), sum(decided.values())
        others = (
            ""
            if count == total
            else f"; the others' reasons cannot be checked by it, give the one that scored them in "
            f"{ARTIFACT}"
        )
        return f"Artifact {path.name}: decided {count:,} of {total:,} cases{others}. {network}"

    def overview(self) -> go.Figure | HTML:
        """All cases in one picture."""
        queue = list_cases(self.database)
        return paragraph(EMPTY) if queue.empty else queue_figure(queue)

    def desk(self) -> ReviewPanel:
        """The widgets to review with."""
        return ReviewPanel(self.database, self.reviewer, Sections(self.database, self.explainers))

    def audit_trail(self, rows: int = 50) -> HTML:
        """The latest verdicts, newest first."""
        trail = audit_trail(self.database)
        return paragraph("No verdict was given yet.") if trail.empty else table(trail[::-1], rows)


def open_review(environment: Mapping[str, str] = os.environ) -> Review:
    """The review that environment variables name.

    Args:
        environment: FRAUDNET_CASES, the case database, a path or a PostgreSQL URL
            (build/demo/reviews.sqlite if unset; a relative path is looked for in the working
            directory, then in each directory above it); FRAUDNET_REVIEWER, who decides (the login
            name if unset); FRAUDNET_ARTIFACT and FRAUDNET_MODEL, which explain the cases (those of
            the demo if the database is the demo's, else none if unset); FRAUDNET_NETWORK_ON_PAGE,
            by which the page of the notebook shows what the model says, too.

    Raises:
        InputError: the database, the artifact or the model is not there, or the database cannot be
            used.
    """
    named = environment.get(CASES) or str(DEFAULT_DATABASE)
    place: str | Path | None = named if "://" in named else find_upwards(Path(named))
    if place is None:
        raise InputError(
            f"{named}: no such file in {Path.cwd()} or above it; make the demo's case database "
            f"with `make demo`, or name yours in the environment variable {CASES}"
        )
    is_demo = not environment.get(CASES)
    explainers = Explainers(
        _given(environment, ARTIFACT, DEFAULT_ARTIFACT if is_demo else None),
        _given(environment, MODEL, DEFAULT_MODEL if is_demo else None),
        on_page=bool(environment.get(NETWORK_ON_PAGE)),
    )
    reviewer = environment.get("FRAUDNET_REVIEWER") or _login_name()
    return Review(CaseDatabase(place), reviewer, explainers)


def _given(environment: Mapping[str, str], variable: str, default: Path | None) -> Path | None:
    """What a variable names; if it is unset the default, where that is there."""
    if not environment.get(variable):
        return None if default is None else find_upwards(default)
    found = find_upwards(Path(environment[variable]))
    if found is None:
        raise InputError(
            f"{environment[variable]}: not there, in {Path.cwd()} or above it; the environment "
            f"variable {variable} names it: give another, or leave it out"
        )
    return found


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name; the panel then asks for one
        return ""
