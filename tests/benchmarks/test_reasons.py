"""The benchmark of reasons: what is flagged, what counts as named, and chance."""

from collections import Counter
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import reasons
from benchmarks.reasons import Case, flagged, measure
from benchmarks.reasons_methods import Method, Reasons
from fraudnet.errors import InputError
from fraudnet.training.trained import Trained
from fraudnet.transactions.simulated_fraud import FRAUD_KINDS, PLANTED_CAUSES
from fraudnet.transactions.simulated_population import CATEGORY_NAMES
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.windows.specification import CategoricalColumn, FeatureSpecification
from tests.network.examples import SMALL, random_network

LENGTH = 4


def case(kind: str | None, *alike: int) -> Case:
    window = {"valid": np.ones(LENGTH, np.float32), "kind": np.array([kind])}
    return Case(0, kind, window, np.isin(np.arange(LENGTH), alike))


CASES = [
    case("high_amount", 3),
    case("stolen_card", 1, 3),
    case("card_testing", 2, 3),
    case(None, 0, 1, 2, 3),
]
SAID = {  # by kind: reasons of integrated gradients, and of another
    "high_amount": (Reasons(3, [(3, "amount")]), Reasons(3, [(3, "time"), (3, "amount")])),
    "stolen_card": (Reasons(1, [(1, "amount")]), Reasons(3, [(0, "amount"), (3, "time")])),
    "card_testing": (Reasons(2, [(3, "time")]), Reasons(2, [(2, "amount")])),
    None: (Reasons(3, [(3, "amount")]), Reasons(-1, [])),
}


def test_what_agrees_and_what_is_named() -> None:
    def said(which: int) -> Method:
        return Method(
            reasons.REFERENCE if which == 0 else "another",
            lambda window: SAID[window["kind"][0]][which],
            field_count=4,
            missed=[0.002, 0.004],
        )

    completeness, (reference, another, chance) = measure([said(0), said(1)], CASES)
    assert completeness == {"worst": 0.004, "median": pytest.approx(0.003)}
    assert (reference.agreement, reference.planted_cause_recall) == (None, 1.0)
    assert another.agreement == 2 / 4
    assert another.agreement_elsewhere == 1 / 3  # not both have the flagged one itself
    # Of the stolen card the amount is named at a transaction that was none of its run.
    assert another.planted_cause_recall == pytest.approx(2 / 3)
    assert another.planted_cause_first == pytest.approx(1 / 3)
    assert another.recall_by_kind == {"high_amount": 1, "stolen_card": 0, "card_testing": 1}
    assert chance.agreement == 2 / 4
    assert chance.planted_cause_recall == pytest.approx((0.75 + 0.75 + 1) / 3)
    assert chance.planted_cause_first == pytest.approx((0.25 + 0.25 + 0.5) / 3)
    assert chance.milliseconds is None


def untrained(threshold: float) -> Trained:
    features = FeatureSpecification(
        categorical=(CategoricalColumn(column="category", vocabulary=CATEGORY_NAMES),)
    )
    network = random_network(SMALL, specification=features)
    return cast(
        Trained,
        SimpleNamespace(
            network=network,
            facts=SimpleNamespace(
                experiment=SimpleNamespace(
                    features=features, split=SimpleNamespace(label_delay_days=7)
                ),
                threshold=SimpleNamespace(probability=threshold),
            ),
        ),
    )


@pytest.mark.slow
def test_flagged_are_the_last_days_that_reach_the_threshold() -> None:
    table = simulate(SimulatorConfig(accounts=25, counterparties=30, days=20, fraud_share=0.1))
    trained = untrained(0.0)
    cases = flagged(trained, table, days=4)
    moments = table["timestamp"].cast(pa.int64()).to_numpy()
    late = moments > moments.max() - 4 * reasons.DAY_US
    kinds = np.array(table["fraud_kind"].to_pylist(), dtype=object)
    assert Counter(c.kind for c in cases) == Counter(kinds[late])
    for each in cases:
        assert each.alike[-1]
        assert len(each.window["amount"]) == trained.network.receptive_field
        assert not each.alike[each.window["valid"] == 0].any()
    with pytest.raises(InputError, match="no fraud is flagged"):
        flagged(untrained(1.1), table, days=4)


def test_every_kind_has_a_planted_cause() -> None:
    assert tuple(PLANTED_CAUSES) == FRAUD_KINDS


def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert reasons.main(["--days", "0"]) == 2
    assert reasons.main(["--model", "nowhere"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "python -m benchmarks.reasons: --days: give at least 1"
    assert "nowhere: no trained network there" in said[1]
