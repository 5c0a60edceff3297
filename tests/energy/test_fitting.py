from fraudnet.energy.fitting import fit_profile
from tests.energy.measured import busier_where_parameters_are_reused, made_measurements


def test_the_range_of_a_profiles_power_holds_models_of_every_intensity() -> None:
    rows = busier_where_parameters_are_reused(made_measurements(noise=0.01))
    power = fit_profile(rows, rows[0].system, validated=False).power
    for row in rows[:3]:
        assert row.system == rows[0].system
        assert row.latency_us is not None
        measured_mw = row.energy_uj / row.latency_us * 1e3
        assert 1 / power.interval_ratio < measured_mw / power.typical_mw < power.interval_ratio
