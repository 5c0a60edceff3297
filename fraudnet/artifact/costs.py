"""What a flatbuffer takes, in figures for its contract."""

from typing import Any

from fraudnet.energy.counting import ModelCount, count_bytes
from fraudnet.energy.estimate import Day, Estimate, estimate_counted, estimate_day
from fraudnet.energy.profiles import Profile, load_profile, operate
from fraudnet.training.experiment import BatteryConfig


def costs_of(model: bytes, battery: BatteryConfig) -> dict[str, Any]:
    """MACs, bytes and, on the configured device, energy and battery a day as ranges.

    Args:
        model: the flatbuffer.
        battery: device and transactions a day.

    Raises:
        InputError: there is no such device.
    """
    profile = load_profile(battery.device)
    count = count_bytes(model, "the converted network")
    estimate, day = estimated(count, profile, battery.inferences_per_day)
    return {
        "macs": count.macs,
        "model_bytes": len(model),
        "parameter_bytes": count.parameter_bytes,
        "peak_live_activation_bytes": count.peak_live_activation_bytes,
        "energy": {
            "tier": estimate.tier,
            "device": profile.name,
            "inferences_per_day": battery.inferences_per_day,
            "energy_per_inference_uj": estimate.energy_uj.model_dump(),
            "battery_percent_per_day": day.battery_percent and day.battery_percent.model_dump(),
        },
    }


def estimated(
    count: ModelCount, profile: Profile, inferences_per_day: float
) -> tuple[Estimate, Day]:
    """What a network takes on a device, an inference and a day, from counts alone."""
    estimate = estimate_counted(count, profile, operate(profile, None, None))
    return estimate, estimate_day(estimate, inferences_per_day, profile.battery)
