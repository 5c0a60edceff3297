"""The pictures show what numpy and scikit-learn count."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fraudnet.evaluation.figures import figures
from fraudnet.evaluation.metrics import Scored

DAY_US = 86_400_000_000
THRESHOLD = 0.5


def scored(seed: int = 0, count: int = 500, days: int = 7) -> Scored:
    rng = np.random.default_rng(seed)
    score = rng.random(count).astype(np.float32)
    return Scored(
        score=score,
        is_fraud=(rng.random(count) < score**3).astype(np.int8),
        timestamp_us=rng.integers(0, days * DAY_US, count) + 20_000 * DAY_US,
        account=rng.integers(0, 50, count),
        amount=rng.random(count),
    )


@pytest.fixture
def drawn() -> dict[str, Figure]:
    return figures(scored(), THRESHOLD, 12.5)


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def test_there_are_three(drawn: dict[str, Figure]) -> None:
    assert set(drawn) == {"precision_recall", "score_histogram", "alerts_a_day"}
    for figure in drawn.values():
        axes = axes_of(figure)
        assert axes.get_title()
        assert axes.get_xlabel()
        assert axes.get_ylabel()


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9, 2.0])
def test_the_point_is_precision_and_recall_at_the_threshold(threshold: float) -> None:
    given = scored()
    axes = axes_of(figures(given, threshold, 12.5)["precision_recall"])
    (point,) = (line for line in axes.lines if line.get_label() == "at the threshold")
    flagged, fraud = given.score >= threshold, given.is_fraud == 1
    recall = (flagged & fraud).sum() / fraud.sum()
    precision = (flagged & fraud).sum() / flagged.sum() if flagged.any() else 1.0
    assert np.ravel(point.get_xydata()) == pytest.approx([recall, precision])


def test_the_bars_are_the_flags_of_each_day(drawn: dict[str, Figure]) -> None:
    given = scored()
    flagged, fraud = given.score >= THRESHOLD, given.is_fraud == 1
    bars = axes_of(drawn["alerts_a_day"]).containers
    for container, chosen in zip(bars, (flagged & fraud, flagged & ~fraud), strict=True):
        expected = [(chosen & (given.day == day)).sum() for day in range(20_000, 20_007)]
        assert [bar.get_height() for bar in container] == expected
    (budget,) = axes_of(drawn["alerts_a_day"]).lines
    assert set(np.ravel(budget.get_ydata())) == {12.5}


def test_the_histogram_holds_every_transaction_once(drawn: dict[str, Figure]) -> None:
    given = scored()
    genuine, fraud = axes_of(drawn["score_histogram"]).containers
    for container, value in ((genuine, 0), (fraud, 1)):
        expected, _ = np.histogram(given.score[given.is_fraud == value], 40, (0, 1))
        assert [bar.get_height() for bar in container] == expected.tolist()


def test_scores_that_are_all_alike_can_be_drawn() -> None:
    given = scored()
    flat = Scored(
        np.full(500, 0.03, np.float32), given.is_fraud, given.timestamp_us, given.account,
        given.amount,
    )  # fmt: skip
    for figure in figures(flat, 0.04, 3).values():
        figure.canvas.draw()
