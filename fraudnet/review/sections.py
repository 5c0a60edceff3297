"""One case, seen from several sides: each section is asked for when the analyst turns to it."""

from collections import Counter
from collections.abc import Callable, Sequence

from fraudnet.review.cases import Case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.reasons import stored_reasons
from fraudnet.review.shown import Shown
from fraudnet.review.similar import MEASURES, SimilarCases
from fraudnet.review.tables import paragraph, table
from fraudnet.review.timeline import course_figure, timeline_figure
from fraudnet.review.verdicts import VERDICTS, audit_trail

_WINDOW_ROWS = 10


class Sections:
    """What there is to see of a case, by name.

    Args:
        database: open.
    """

    def __init__(self, database: CaseDatabase) -> None:
        self._database = database
        self._similar = SimilarCases(database)
        self.by_name: dict[str, Callable[[Case], Sequence[Shown]]] = {
            "Timeline": self.timeline,
            "Score": self.course,
            "Reasons": self.reasons,
            "Similar cases": self.similar,
            "Verdicts": self.verdicts,
        }

    def timeline(self, case: Case) -> Sequence[Shown]:
        """The window over time, and its latest transactions."""
        return [timeline_figure(case), table(case.window[::-1], _WINDOW_ROWS)]

    def course(self, case: Case) -> Sequence[Shown]:
        """How the scorer's answers went."""
        return [course_figure(case)]

    def reasons(self, case: Case) -> Sequence[Shown]:
        """What drove the score."""
        return stored_reasons(case)

    def similar(self, case: Case) -> Sequence[Shown]:
        """Decided cases that looked like this one."""
        nearest = self._similar.nearest(case.case_id)
        if nearest.empty:
            return [paragraph("No case was decided yet, so there is none to compare with.")]
        counts = Counter(VERDICTS[verdict] for verdict in nearest["verdict"])
        verdicts = ", ".join(f"{count} {name.lower()}" for name, count in counts.most_common())
        measures = ", ".join(dict.fromkeys(MEASURES))
        return [
            paragraph(
                f"The {len(nearest)} most alike of the cases that were decided: {verdicts}. "
                f"Compared are plain figures of the newest transactions ({measures}), each in "
                "standard deviations over these cases; the difference is their root mean square. "
                "A difference above 1 is hardly alike."
            ),
            table(nearest, len(nearest)),
        ]

    def verdicts(self, case: Case) -> Sequence[Shown]:
        """What was decided of this case, newest first."""
        trail = audit_trail(self._database, case.case_id)
        if trail.empty:
            return [paragraph("No verdict was given yet.")]
        return [table(trail[::-1], len(trail))]
