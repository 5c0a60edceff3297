"""Input that has shifted: what a wrong unit, a wrong clock, a stuck field or a bot makes of it.

Every shift is a function of raw windows [B, T] by name, as the network reads them, and leaves
padding as it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudnet.windows.specification import FeatureSpecification

Windows = dict[str, npt.NDArray[Any]]
Shift = Callable[[Windows], Windows]

CENTS = 100.0
CLOCK_S = 7 * 3600
BURST = 10
BURST_GAP_S = 60
DAY_S = 86_400
WEEK_DAYS = 7


def shifts_of(specification: FeatureSpecification) -> dict[str, Shift]:
    """The shifts of windows with these inputs, by name."""
    reputation = [i.name for i in specification.inputs if i.kind == "reputation"]
    found: dict[str, Shift] = {
        "amounts in cents": in_cents,
        "clock 7 hours off": clock_off,
        "amount stuck": partial(stuck, names=["amount"]),
    }
    if reputation:
        found["reputation stuck"] = partial(stuck, names=reputation)
    copied = [i.name for i in specification.inputs if i.kind not in ("day", "second", "valid")]
    found["bot"] = partial(burst, names=copied)
    for column in specification.categorical:
        size = len(column.vocabulary)
        found[f"{column.column} re-coded"] = partial(recoded, name=column.column, size=size)
    return found


def in_cents(windows: Windows) -> Windows:
    """Amounts a hundred times as large: minor units where major ones are expected."""
    return windows | {"amount": windows["amount"] * np.float32(CENTS)}


def clock_off(windows: Windows) -> Windows:
    """All times 7 hours later, as of a clock in another zone."""
    second = windows["second"] + CLOCK_S
    later = {"day": windows["day"] + second // DAY_S, "second": second % DAY_S}
    return windows | {name: _where_valid(windows, name, value) for name, value in later.items()}


def stuck(windows: Windows, names: list[str]) -> Windows:
    """Some fields say at all positions what they said at the oldest."""
    oldest = np.argmax(windows["valid"] > 0, axis=1)[:, None]
    held = {name: np.take_along_axis(windows[name], oldest, axis=1) for name in names}
    return windows | {name: _where_valid(windows, name, value) for name, value in held.items()}


def burst(windows: Windows, names: list[str]) -> Windows:
    """The newest ten are a bot's: a minute apart to the second, all else as in the newest.

    What came before stays when it was, but no later than the burst begins.

    Args:
        windows: raw windows.
        names: inputs that are as in the newest: amount, and what tells of the counterparty.
    """
    changed = {}
    for name in names:
        values = windows[name].copy()
        values[:, -BURST:] = values[:, -1:]
        changed[name] = values
    moment = windows["day"].astype(np.int64) * DAY_S + windows["second"]
    minutes = np.arange(min(BURST, moment.shape[1]))[::-1] * BURST_GAP_S
    begin = moment[:, -1:] - minutes[0]
    moment = np.concatenate(
        [np.minimum(moment[:, : -len(minutes)], begin), moment[:, -1:] - minutes], axis=1
    )
    changed |= {"day": moment // DAY_S, "second": moment % DAY_S}
    return windows | {name: _where_valid(windows, name, value) for name, value in changed.items()}


def recoded(windows: Windows, name: str, size: int) -> Windows:
    """Known categories are each the next in the vocabulary, as after a new list of codes.

    Args:
        windows: raw windows.
        name: of the input.
        size: of the vocabulary; unknown, 0, stays so.
    """
    index = windows[name]
    return windows | {name: np.where(index > 0, index % size + 1, 0).astype(index.dtype)}


def as_if_now(windows: Windows, newest_day: int) -> Windows:
    """Windows of another time, moved by whole weeks so that the latest ends in a week from a day.

    Args:
        windows: raw windows.
        newest_day: the latest day of the period that they are moved to.
    """
    weeks = (newest_day - int(windows["day"][:, -1].max())) // WEEK_DAYS
    return windows | {"day": _where_valid(windows, "day", windows["day"] + weeks * WEEK_DAYS)}


def _where_valid(windows: Windows, name: str, value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    before = windows[name]
    return np.where(windows["valid"] > 0, value, before).astype(before.dtype)
