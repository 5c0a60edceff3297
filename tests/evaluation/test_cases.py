"""The four cases against a count one by one."""

from collections import Counter

import numpy as np
import pytest

from fraudnet.evaluation.cases import case_figures


def test_cases_are_counted_by_decision_and_alarms_on_genuine_rows() -> None:
    rng = np.random.default_rng(0)
    is_fraud = (rng.random(500) < 0.2).astype(np.int8)
    flagged, unfamiliar = rng.random(500) < 0.3, rng.random(500) < 0.1
    cases: Counter[str] = Counter()
    for alarm, strange in zip(flagged, unfamiliar, strict=True):
        cases[("fraud" if alarm else "genuine") + ("_unfamiliar" if strange else "")] += 1
    alarms = [strange for label, strange in zip(is_fraud, unfamiliar, strict=True) if not label]
    assert case_figures(is_fraud, flagged, unfamiliar, 0.1) == {
        "unfamiliar_rate_of_genuine": pytest.approx(sum(alarms) / len(alarms)),
        "unfamiliar_rate_wanted": 0.1,
        **{f"{name}_cases": count for name, count in cases.items()},
    }


def test_without_genuine_rows_there_is_no_rate() -> None:
    one = np.ones(1, bool)
    with pytest.raises(ValueError, match="no genuine"):
        case_figures(np.ones(1, np.int8), one, one, 0.1)
