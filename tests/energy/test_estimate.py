import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.energy.budget import EnergyBudget, check_budget
from fraudnet.energy.counting import ModelCount, OperatorCount
from fraudnet.energy.estimate import (
    Estimate,
    estimate_counted,
    estimate_day,
    estimate_measured,
)
from fraudnet.energy.profiles import (
    Battery,
    Fitted,
    Operation,
    Profile,
    Quantity,
    Range,
    Software,
    load_profile,
    operate,
    profile_names,
)
from fraudnet.errors import InputError

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "energy"
PHONE = load_profile("pixel-8")
PHONES = [name for name in profile_names() if name.startswith("pixel")]
BATTERY = Battery(capacity_mah=1000, voltage_v=4.0, source="a label")


def counted(
    macs: int = 1000, depthwise: int = 0, elementwise: int = 0, *, known: bool = True
) -> ModelCount:
    """A model of three operators that move 600 bytes."""
    names = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD" if known else "CUSTOM Attention")
    work = ((macs, 0), (depthwise, 0), (0, elementwise))
    operators = tuple(
        OperatorCount(name, (1,), *done, 100, 50, 50, counted=known or name != names[2])
        for name, done in zip(names, work, strict=True)
    )
    return ModelCount(operators, 300, 100, 100)


def quantity(low: float, typical: float, high: float) -> Quantity:
    return Quantity(low=low, typical=typical, high=high, source="a round number")


def by_hand(profile: Profile) -> tuple[Profile, Operation]:
    """The profile with round numbers: 100, 200 and 400 pJ a cycle, 10, 20 and 40 mW."""
    software = Software(
        cycles_per_mac=quantity(1, 2, 3),
        depthwise_mac_weight=quantity(2, 2, 4),
        cycles_per_element=quantity(1, 5, 10),
        cycles_per_operator=quantity(10, 100, 1000),
        picojoules_per_byte=quantity(10, 50, 100),
    )
    operation = Operation(
        cluster="core",
        core="a core",
        clock_mhz=Range.exactly(100),
        active_power_mw=Range(low=10, typical=20, high=40),
        energy_per_cycle_pj=Range(low=100, typical=200, high=400),
    )
    fixed = profile.fixed.model_copy(
        update={
            "wake_up_ms": quantity(1, 2, 3),
            "storage_commit_uj": quantity(5, 10, 15),
            "model_reads_per_inference": quantity(0, 0.5, 1),
            "storage_read_picojoules_per_byte": quantity(1000, 2000, 3000),
        }
    )
    return profile.model_copy(update={"software": software, "fixed": fixed}), operation


def energies(estimate: Estimate) -> dict[str, Any]:
    return {
        part.name: (
            pytest.approx(part.energy_uj.low),
            pytest.approx(part.energy_uj.typical),
            pytest.approx(part.energy_uj.high),
        )
        for part in estimate.components
    }


def test_counted_tier_by_hand() -> None:
    profile, operation = by_hand(PHONE)
    model = counted(macs=1_000_000, depthwise=100_000, elementwise=10_000)
    estimate = estimate_counted(model, profile, operation)
    assert energies(estimate) == {
        # 100 pJ x 1 x (1.0 M + 2 x 0.1 M); 200 x 2 x 1.2 M; 400 x 3 x (1.0 M + 4 x 0.1 M)
        "multiply-accumulates": (120, 480, 1680),
        "element-wise": (1, 10, 40),
        "memory": (0.006, 0.03, 0.06),
        "invocation": (0.003, 0.06, 1.2),
        "wake-up": (10, 40, 120),
        # 300 bytes of parameters, half the time, at 2 nJ.
        "reading the model": (0, 0.3, 0.9),
        "storage commit": (5, 10, 15),
    }
    assert estimate.network_energy_uj.typical == pytest.approx(490.09)
    assert estimate.fixed_energy_uj.typical == pytest.approx(50.3)
    assert estimate.energy_uj.typical == pytest.approx(540.39)


def test_measured_tier_by_hand() -> None:
    profile, operation = by_hand(PHONE)
    estimate = estimate_measured(500, profile, operation)
    # 10, 20 and 40 mW for 500 us.
    assert energies(estimate) == {
        "inference": (5, 10, 20),
        "wake-up": (10, 40, 120),
        "storage commit": (5, 10, 15),
    }
    with_model = estimate_measured(500, profile, operation, counted())
    assert energies(with_model)["reading the model"] == (0, 0.3, pytest.approx(0.9))


def test_costs_fitted_to_a_device_by_hand() -> None:
    profile, operation = by_hand(PHONE)
    fitted = Fitted(
        picojoules_per_convolution_mac=100,
        picojoules_per_depthwise_mac=300,
        picojoules_per_fully_connected_mac=200,
        picojoules_per_activation_byte=10,
        picojoules_per_parameter_byte=20,
        interval_ratio=1.25,
        arithmetic_types=("INT8",),
        source="a bench",
    )
    profile = profile.model_copy(update={"software": None, "fitted": fitted})
    model = counted(macs=1_000_000, depthwise=100_000)
    estimate = estimate_counted(model, profile, operation)
    # 1.0 M at 100 pJ and 0.1 M at 300; 300 bytes at 10 pJ and 300 at 20; 1.25 times either way.
    assert energies(estimate) == energies(estimate) | {
        "multiply-accumulates": (104, 130, 162.5),
        "memory": (0.0072, 0.009, 0.01125),
    }
    assert estimate.network_energy_uj.typical == pytest.approx(130.009)


def test_accelerators_have_no_counted_tier() -> None:
    profile = load_profile("xg24-mvp")
    operation = operate(profile)
    with pytest.raises(
        InputError, match=r"runs the network on an accelerator \(Silicon Labs MVP\)"
    ):
        estimate_counted(counted(), profile, operation)
    measured = estimate_measured(120_860.5, profile, operation).network_energy_uj
    # What the ic model takes there, 1,235 uJ, by its published latency.
    assert measured.low < 1234.65 < measured.high


def test_tiers_are_never_mixed() -> None:
    operation = operate(PHONE)
    measured = estimate_measured(60, PHONE, operation)
    from_file = estimate_counted(counted(), PHONE, operation)
    assert {part.origin for part in measured.components} == {"measured", "assumed"}
    assert {part.origin for part in from_file.components} == {"counted", "assumed"}
    assert {part.origin for part in measured.network} == {measured.tier}
    assert {part.origin for part in from_file.network} == {from_file.tier}


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
def test_measured_tier_gives_the_published_energies() -> None:
    with (PUBLISHED / "mlperf_tiny_train.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["latency_ms_energy_mode"]]
    assert len(rows) > 80
    for row in rows:
        power_mw = float(row["power_mW_energy_mode"])
        operation = Operation(
            cluster="board",
            core=row["processor"],
            clock_mhz=Range.exactly(1),
            active_power_mw=Range.exactly(power_mw),
            energy_per_cycle_pj=Range.exactly(1),
        )
        latency_us = 1e3 * float(row["latency_ms_energy_mode"])
        estimate = estimate_measured(latency_us, PHONE, operation)
        published = float(row["energy_uJ"])
        assert estimate.network_energy_uj.typical == pytest.approx(published, rel=2e-3)


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
@pytest.mark.parametrize("name", PHONES)
def test_a_network_typically_costs_less_than_the_whole_application_around_it(name: str) -> None:
    with (PUBLISHED / "phone_measured.csv").open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["model"] == "MobileNetv1 FP32 224"]
    on_cpu = [row for row in rows if row["unit"].startswith("CPU")]
    profile = load_profile(name)
    model = counted(macs=int(on_cpu[0]["macs"]))
    typical_uj = estimate_counted(model, profile, operate(profile)).network_energy_uj.typical
    assert typical_uj < min(1e3 * float(row["energy_mJ"]) for row in on_cpu)


@pytest.mark.parametrize("name", PHONES)
def test_waking_up_costs_a_phone_more_than_a_small_network(name: str) -> None:
    profile = load_profile(name)
    estimate = estimate_counted(counted(macs=1_500_000), profile, operate(profile))
    wake_up = next(part for part in estimate.fixed if part.name == "wake-up")
    assert wake_up.energy_uj.typical > 3 * estimate.network_energy_uj.typical


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.integers(0, 10**10))
def test_more_work_never_costs_less(macs: int, depthwise: int, elementwise: int) -> None:
    operation = operate(PHONE)
    less = estimate_counted(counted(macs, depthwise, elementwise), PHONE, operation).energy_uj
    more = estimate_counted(
        counted(macs + 10**6, depthwise + 10**6, elementwise + 10**6), PHONE, operation
    ).energy_uj
    assert less.low < more.low
    assert less.typical < more.typical
    assert less.high < more.high


@given(st.integers(0, 10**10), st.floats(1e-3, 1e9))
def test_shares_of_all_parts_make_one(macs: int, latency_us: float) -> None:
    operation = operate(PHONE)
    for estimate in (
        estimate_counted(counted(macs), PHONE, operation),
        estimate_measured(latency_us, PHONE, operation),
    ):
        names = [part.name for part in estimate.components]
        shares = [estimate.share([name]) for name in names]
        assert sum(share.typical for share in shares) == pytest.approx(1)
        assert sum(share.low for share in shares) <= 1 + 1e-9
        assert sum(share.high for share in shares) >= 1 - 1e-9
        assert estimate.share(names).low == pytest.approx(1)
        first, rest = estimate.share(names[:1]), estimate.share(names[1:])
        assert first.low + rest.high == pytest.approx(1)


def test_a_day_by_hand() -> None:
    profile, operation = by_hand(PHONE)
    assert estimate_day(
        estimate_measured(500, profile, operation), 1440, None
    ).mean_power_uw.typical == pytest.approx(1)  # 60 uJ a minute
    # Typical: 10 uJ measured, 40 waking up, 10 committing.
    day = estimate_day(estimate_measured(500, profile, operation), 240_000, BATTERY)
    assert day.energy_j.typical == pytest.approx(14.4)
    assert day.charge_mah is not None
    assert day.battery_percent is not None
    # 14.4 J at 4 V are 3.6 C, that is 1 mAh of 1,000.
    assert day.charge_mah.typical == pytest.approx(1)
    assert day.battery_percent.typical == pytest.approx(0.1)


@given(st.floats(0, 1e9))
def test_a_day_grows_with_the_rate(rate: float) -> None:
    estimate = estimate_measured(60, PHONE, operate(PHONE))
    day = estimate_day(estimate, rate, BATTERY)
    assert day.energy_j.high == pytest.approx(rate * estimate.energy_uj.high * 1e-6)


def test_without_a_battery_there_is_energy_alone() -> None:
    day = estimate_day(estimate_measured(60, PHONE, operate(PHONE)), 10, None)
    assert day.energy_j.typical > 0
    assert (day.charge_mah, day.battery_percent) == (None, None)


@pytest.mark.parametrize("latency_us", [0, -1, float("nan"), float("inf"), 1e300])
def test_impossible_latency_is_refused(latency_us: float) -> None:
    with pytest.raises(InputError, match="latency"):
        estimate_measured(latency_us, PHONE, operate(PHONE))


@pytest.mark.parametrize("rate", [-1, float("nan"), float("inf"), 1e300])
def test_impossible_rate_is_refused(rate: float) -> None:
    estimate = estimate_measured(60, PHONE, operate(PHONE))
    with pytest.raises(InputError, match="inferences a day"):
        estimate_day(estimate, rate, BATTERY)


def test_the_budget_holds_the_high_end() -> None:
    estimate = estimate_measured(60, PHONE, operate(PHONE))
    day = estimate_day(estimate, 100_000, BATTERY)
    assert day.battery_percent is not None
    high = day.battery_percent.high
    assert day.battery_percent.typical < 0.9 * high
    met = check_budget(estimate, day, EnergyBudget(1.001 * high))
    exceeded = check_budget(estimate, day, EnergyBudget(0.999 * high))
    assert met.passed
    assert not exceeded.passed
    for verdict in (met, exceeded):
        assert "high end" in verdict.message
        assert f"{high:.3g} %" in verdict.message


def test_a_count_with_unknown_operators_does_not_pass() -> None:
    estimate = estimate_counted(counted(known=False), PHONE, operate(PHONE))
    verdict = check_budget(estimate, estimate_day(estimate, 1, BATTERY), EnergyBudget(100))
    assert not verdict.passed
    assert "CUSTOM Attention" in verdict.message


@pytest.mark.parametrize("percent", [0, -1, 101, float("nan"), float("inf")])
def test_impossible_budget_is_refused(percent: float) -> None:
    with pytest.raises(InputError, match="budget"):
        EnergyBudget(percent)


def test_a_budget_needs_a_battery() -> None:
    estimate = estimate_measured(60, PHONE, operate(PHONE))
    with pytest.raises(InputError, match=r"no \[battery\]"):
        check_budget(estimate, estimate_day(estimate, 1, None), EnergyBudget(1))
