"""The gate: may this network, at this rate, be used on this device?"""

from dataclasses import dataclass

from fraudnet.energy.estimate import Day, Estimate
from fraudnet.errors import InputError


@dataclass(frozen=True)
class EnergyBudget:
    """The most that scoring may take of the battery in a day.

    Raises:
        InputError: the budget is not a percentage above 0.
    """

    battery_percent_per_day: float

    def __post_init__(self) -> None:
        percent = self.battery_percent_per_day
        if not 0 < percent <= 100:
            raise InputError(
                f"the energy budget must be above 0 and at most 100 %, got {percent:g}"
            )


@dataclass(frozen=True)
class BudgetVerdict:
    """Whether the budget holds, and the sentence that says by which numbers."""

    passed: bool
    message: str


def check_budget(estimate: Estimate, day: Day, budget: EnergyBudget) -> BudgetVerdict:
    """Hold the HIGH end of a day's range against the budget.

    A count that misses operators bounds nothing, so it does not pass.

    Raises:
        InputError: the device has no battery.
    """
    if day.battery_percent is None:
        raise InputError("the device's profile has no [battery]; add it, or leave the budget out")
    allowed = budget.battery_percent_per_day
    high = day.battery_percent.high
    if estimate.uncounted_operators:
        names = ", ".join(estimate.uncounted_operators)
        return BudgetVerdict(
            passed=False,
            message=f"energy budget not shown to hold: no rule counts {names}, so the high end "
            "bounds nothing; measure the latency on the device and give it",
        )
    passed = high <= allowed
    message = (
        f"energy budget {'met' if passed else 'exceeded'}: the high end of the range is "
        f"{high:.3g} % of the battery a day, the budget {allowed:g} %"
    )
    return BudgetVerdict(passed, message)
