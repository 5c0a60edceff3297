"""What dominates a scored transaction, and what another way of scoring would take."""

from dataclasses import replace

from fraudnet.energy.estimate import Component, Estimate
from fraudnet.energy.profiles import Range

BATCH = 10  # transactions that are scored in one go


def dominant(estimate: Estimate) -> Component:
    """The part that typically takes most."""
    return max(estimate.components, key=lambda part: part.energy_uj.typical)


def alternatives(estimate: Estimate) -> dict[str, Range]:
    """Energy a transaction in microjoules if it were scored otherwise, by the way.

    Scored in batches, transactions share one waking up, one reading of the model and one commit;
    scored while something else keeps a core awake, they wake nothing up.
    """
    shared = tuple(replace(part, energy_uj=part.energy_uj * (1 / BATCH)) for part in estimate.fixed)
    return {
        "each on its own": estimate.energy_uj,
        f"{BATCH} at a time": replace(estimate, fixed=shared).energy_uj,
        "while awake for other work": replace(estimate, fixed=_awake(estimate.fixed)).energy_uj,
        f"{BATCH} at a time while awake": replace(estimate, fixed=_awake(shared)).energy_uj,
    }


def _awake(fixed: tuple[Component, ...]) -> tuple[Component, ...]:
    return tuple(part for part in fixed if part.name != "wake-up")
