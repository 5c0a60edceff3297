from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from fraudnet.energy.measurements import Measurement
from fraudnet.energy.tiers import Predicted, Tier, fit_tier
from fraudnet.energy.validation import (
    HeldOut,
    errors_of,
    leave_all_of_a_system_out,
    leave_one_model_out,
    leave_one_system_out,
    predict_test,
)
from fraudnet.errors import InputError
from tests.energy.measured import (
    accelerated,
    busier_where_parameters_are_reused,
    made_measurements,
)

PROTOCOLS = (leave_one_model_out, leave_one_system_out, leave_all_of_a_system_out)


def held_out(predicted: float, low: float, high: float, measured: float) -> HeldOut:
    row = replace(made_measurements()[0], energy_uj=measured)
    return HeldOut(row, Predicted(predicted, low, high))


def test_errors_by_hand() -> None:
    errors = errors_of([held_out(2, 1, 3, 1), held_out(3, 2, 4, 6), held_out(1, 0.5, 2, 1)])
    assert errors is not None
    assert (errors.rows, errors.median_ratio, errors.worst_ratio) == (3, 2, 2)
    assert errors.coverage == pytest.approx(2 / 3)
    assert errors_of([]) is None


@pytest.mark.parametrize("tier", ["measured", "counted"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_row_takes_part_in_its_own_prediction(
    protocol: Callable[[Sequence[Measurement], Tier], list[HeldOut]], tier: Tier
) -> None:
    rows = made_measurements()
    other = [replace(rows[0], energy_uj=50 * rows[0].energy_uj), *rows[1:]]
    before, after = (protocol(table, tier)[0].predicted for table in (rows, other))
    assert before == after


@pytest.mark.parametrize("tier", ["measured", "counted"])
def test_a_test_row_is_predicted_from_the_others_of_its_system(tier: Tier) -> None:
    rows = made_measurements()
    training, test = rows[:9], rows[9:]
    first = predict_test(training, test, tier)
    changed = [replace(test[0], energy_uj=50 * test[0].energy_uj), *test[1:]]
    second = predict_test(training, changed, tier)
    assert first[0].predicted == second[0].predicted
    assert first[1].predicted.energy_uj < second[1].predicted.energy_uj
    assert predict_test(training, test[:1], tier) == []


def test_what_was_made_is_predicted() -> None:
    errors = errors_of(leave_one_system_out(made_measurements(systems=8), "measured"))
    assert errors is not None
    assert errors.median_ratio < 1.1
    assert errors.coverage > 0.8


def test_power_follows_how_often_a_model_uses_its_parameters() -> None:
    """Both dense models use each once; of the two left, the other dense one is the better guide."""
    rows = busier_where_parameters_are_reused(made_measurements(noise=0.01))
    dense = [
        one for one in leave_one_model_out(rows, "measured") if one.row.model in ("small", "large")
    ]
    assert len(dense) == 8
    assert all(one.ratio < 1.1 for one in dense)


def test_a_result_that_is_published_twice_counts_once() -> None:
    rows = made_measurements()
    again = replace(rows[0], system="a later round")
    assert len(fit_tier([*rows, again], "measured").known) == len(rows)
    assert [one.row for one in leave_one_system_out([*rows, again], "measured")] == rows


def test_the_counted_tier_takes_no_accelerator() -> None:
    rows = made_measurements()
    mixed = [*rows, *(replace(accelerated(row), system="npu") for row in rows[:3])]
    mixed = [replace(row, energy_uj=row.energy_uj * (1 + i / 1e6)) for i, row in enumerate(mixed)]
    assert len(fit_tier(mixed, "counted").known) == len(rows)
    assert len(fit_tier(mixed, "measured").known) == len(mixed)
    with pytest.raises(InputError, match="a processor without accelerator"):
        fit_tier([accelerated(row) for row in rows], "counted")


def test_rows_without_latency_have_no_measured_tier() -> None:
    rows: list[Measurement] = [replace(row, latency_us=None) for row in made_measurements()]
    with pytest.raises(InputError, match="needs a latency"):
        fit_tier(rows, "measured")


def test_a_row_of_few_windows_is_predicted_but_predicts_none() -> None:
    rows = made_measurements()
    rows[0] = replace(rows[0], complete=False)
    assert rows[0] not in fit_tier(rows, "measured").known
    assert rows[0] in [one.row for one in leave_one_system_out(rows, "measured")]
