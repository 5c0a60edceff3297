"""Occlusion against every change made by hand to a window of plain arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudnet.device import Transaction
from fraudnet.device.contract import parse_contract
from fraudnet.device.reasons import WHOLE, Occlusion
from fraudnet.device.window import Window
from tests.device.conftest import contract
from tests.device.example_network import LENGTH, reference

Arrays = dict[str, NDArray[Any]]
CONTRACT = parse_contract(contract())
PACKING = Window(CONTRACT)
HOUR = 3_600


def window(count: int, gaps_s: NDArray[np.int64]) -> Arrays:
    """The last `count` positions are transactions that follow each other after these gaps."""
    rng = np.random.default_rng(count)
    time = 20_000 * 86_400 + np.concatenate([[0], np.cumsum(gaps_s)])
    made: Arrays = {
        "amount": rng.lognormal(3, 1, count).astype(np.float32),
        "day": (time // 86_400).astype(np.int32),
        "second": (time % 86_400).astype(np.int32),
        "valid": np.ones(count, np.float32),
        "category": rng.integers(1, 4, count, np.int32),
        "distance": rng.random(count).astype(np.float32),
        "counterparty_count_7d": rng.integers(3, 9, count).astype(np.float32),
        "counterparty_fraud_7d": rng.integers(0, 3, count).astype(np.float32),
    }
    return {n: np.pad(values, (LENGTH - count, 0)) for n, values in made.items()}


def occlusion(probability: Callable[[Arrays], float]) -> Occlusion:
    def of(matrix: NDArray[np.int32]) -> float:
        inputs = PACKING.inputs(np.ascontiguousarray(matrix), 0, LENGTH)
        return probability({name: values[0] for name, values in inputs.items()})

    return Occlusion(CONTRACT, PACKING, of)


def packed(arrays: Arrays) -> NDArray[np.int32]:
    return np.stack([arrays[name].view(np.int32) for name in PACKING.names])


def times(arrays: Arrays) -> NDArray[np.int64]:
    return arrays["day"].astype(np.int64) * 86_400 + arrays["second"].astype(np.int64)


def without(arrays: Arrays, place: int, field: str) -> Arrays:
    """The window with one field as is usual among the others."""
    changed = {name: values.copy() for name, values in arrays.items()}
    others = [i for i in range(LENGTH) if arrays["valid"][i] and i != place]
    if field in ("amount", "distance"):
        changed[field][place] = np.median(arrays[field][others])
    elif field == "category":
        changed[field][place] = 0
    elif field == "reputation":
        for name in ("counterparty_count_7d", "counterparty_fraud_7d"):
            changed[name][place] = -1
    elif arrays["valid"][place - 1]:
        time = times(arrays)
        valid = arrays["valid"]
        gaps = [
            time[i] - time[i - 1]
            for i in range(1, LENGTH)
            if i != place and valid[i] and valid[i - 1]
        ]
        moved = int(time[place - 1]) + int(np.median(gaps))
        changed["day"][place], changed["second"][place] = moved // 86_400, moved % 86_400
    return changed


def test_every_field_and_transaction_is_occluded() -> None:
    arrays = window(6, np.array([5, 9, 2, 7, 3]) * HOUR)
    found = occlusion(lambda w: reference(w)[0]).every(packed(arrays))
    fields = ("amount", "time", "category", "distance", "reputation")
    assert {(place, field) for _, place, field in found} == {
        (place, field) for place in range(LENGTH - 6, LENGTH) for field in (*fields, WHOLE)
    }
    for probability, place, field in found:
        changed = arrays
        for each in fields:
            if field in (each, WHOLE):
                part = without(arrays, place, each)
                changed = {n: np.where(part[n] != arrays[n], part[n], changed[n]) for n in arrays}
        expected = reference(changed)[0]
        if field == "time" and place == LENGTH - 6:
            expected = 1.0  # the first has no gap
        assert probability == pytest.approx(expected, abs=1e-6), (place, field)


def quickness(arrays: Arrays) -> float:
    """High as soon as one of the last four gaps is short: any one of them is evidence enough."""
    return 0.9 if (np.diff(times(arrays))[-4:] < HOUR).any() else 0.1


def test_a_run_of_quick_ones_is_one_reason() -> None:
    arrays = window(9, np.array([8 * HOUR, 10 * HOUR, 12 * HOUR, 10 * HOUR, 120, 60, 180, 60]))
    said = occlusion(quickness)
    reasons = said.reasons(packed(arrays), 0.9, transaction)
    assert [(r.transaction_id, r.field, r.probability_without) for r in reasons] == [
        ("t0", "time", 0.1)
    ]
    assert reasons[0].text == (
        "time of this transaction and of the 4 before it, 7.0 min in all: 8.0 h apart the "
        "probability is 0.100 instead of 0.900"
    )


def test_one_quick_one_is_no_run() -> None:
    arrays = window(6, np.array([8 * HOUR, 9 * HOUR, 7 * HOUR, 8 * HOUR, 60]))
    (reason,) = occlusion(quickness).reasons(packed(arrays), 0.9, transaction)
    assert reason.text == (
        "time of this transaction, 1.0 min after the one before: after 8.0 h the probability is "
        "0.100 instead of 0.900"
    )


def test_of_one_transaction_no_time_is_usual() -> None:
    arrays = window(1, np.array([], np.int64))
    assert occlusion(quickness).reasons(packed(arrays), 0.9, transaction) == []


def transaction(places_before: int) -> Transaction:
    return Transaction(f"t{places_before}", "a", 0, None, 1.0, {})
