"""One case, seen from several sides: each section is asked for when the analyst turns to it."""

from collections import Counter
from collections.abc import Callable, Sequence

from fraudnet.errors import InputError
from fraudnet.review.cases import Case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.explainers import Explainers
from fraudnet.review.network_sections import attention_shown, familiar_shown
from fraudnet.review.reasons import gradients_shown, occlusion_shown, stored_reasons
from fraudnet.review.shown import Shown
from fraudnet.review.similar import MEASURES, SimilarCases
from fraudnet.review.tables import paragraph, table
from fraudnet.review.timeline import course_figure, timeline_figure
from fraudnet.review.verdicts import VERDICTS, audit_trail

_WINDOW_ROWS = 10

Section = Callable[[Case], Sequence[Shown]]


class Sections:
    """What there is to see of a case.

    Attributes:
        by_name: all of them.
        quick: names of those that load no trained network.
        on_page: names of those that a page without a kernel shows.

    Args:
        database: open.
        explainers: the artifact and the trained network, where there are.
    """

    def __init__(self, database: CaseDatabase, explainers: Explainers | None = None) -> None:
        self._database = database
        self._explainers = explainers = explainers or Explainers()
        self._similar = SimilarCases(database)
        quick: dict[str, Section] = {
            "Timeline": self.timeline,
            "Score": self.course,
            "Reasons": self.reasons,
            "Similar cases": self.similar,
            "Verdicts": self.verdicts,
        }
        slow: dict[str, Section] = {
            "Gradients": self.gradients,
            "Attention": lambda case: attention_shown(case, explainers),
            "Familiar": lambda case: familiar_shown(case, explainers),
        }
        self.by_name = quick | slow
        self.quick = tuple(quick)
        self.on_page = tuple(self.by_name) if explainers.on_page else self.quick

    def draw(self, name: str, case: Case) -> Sequence[Shown]:
        """One section of a case; what is missing for it is said in its place."""
        try:
            return self.by_name[name](case)
        except InputError as error:
            return [paragraph(f"Not to be shown: {error}.")]

    def timeline(self, case: Case) -> Sequence[Shown]:
        """The window over time, and its latest transactions."""
        return [timeline_figure(case), table(case.window[::-1], _WINDOW_ROWS)]

    def course(self, case: Case) -> Sequence[Shown]:
        """How the scorer's answers went."""
        return [course_figure(case)]

    def reasons(self, case: Case) -> Sequence[Shown]:
        """What drove the score, by the device and by the artifact."""
        shown = stored_reasons(case)
        try:
            occluded, knows_reputation = self._explainers.occluded(case)
        except InputError as error:
            return [*shown, paragraph(f"Occlusion through the artifact: {error}.")]
        return [*shown, *occlusion_shown(case, occluded, knows_reputation)]

    def gradients(self, case: Case) -> Sequence[Shown]:
        """What drove the score by the trained network, checked by the artifact."""
        found, probability, knows_reputation = self._explainers.attributed(case)
        try:
            occluded = self._explainers.occluded(case)[0]
        except InputError:
            occluded = None
        return gradients_shown(case, found, probability, knows_reputation, occluded)

    def similar(self, case: Case) -> Sequence[Shown]:
        """Decided cases that looked like this one."""
        nearest = self._similar.nearest(case.case_id)
        if nearest.empty:
            return [paragraph("No other case was decided yet: there is none to compare with.")]
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
