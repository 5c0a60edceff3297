"""The data profile: counted, compared and written as one page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fraudnet.errors import InputError
from fraudnet.profile.drift import Drift, compared_periods, drift_of
from fraudnet.profile.leaks import LeakReport, leaks_of
from fraudnet.profile.ledger import ledger_of
from fraudnet.profile.page import page
from fraudnet.profile.statistics import Statistics, statistics_of
from fraudnet.transactions.reading import Transactions
from fraudnet.windows.periods import SplitConfig


@dataclass(frozen=True)
class Profile:
    """All that the page says."""

    statistics: Statistics
    drift: Drift
    leaks: LeakReport

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON holds them: lists for arrays, times in ISO 8601, None for NaN."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:  # noqa: ANN401  (whatever a figure is)
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        # Days as text: NumPy's own list of them holds dates.
        return _plain((value.astype(str) if value.dtype.kind == "M" else value).tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if value != value else value


def profile_of(read: Transactions, split_config: SplitConfig, label_delay_days: float) -> Profile:
    """Count and compare.

    Args:
        read: transactions, at least one.
        split_config: says which periods are compared.
        label_delay_days: days until a label is known, where a row has no label time.
    """
    ledger = ledger_of(read.table)
    compared = compared_periods(ledger.timestamp_us, split_config)
    return Profile(
        statistics_of(read, ledger, label_delay_days),
        drift_of(ledger, read.recipe, compared),
        leaks_of(ledger, read.recipe, compared),
    )


def write_profile(
    read: Transactions, split_config: SplitConfig, label_delay_days: float, path: Path
) -> Profile:
    """Write the data profile as one HTML file that needs no other.

    It shows no name of an account, a counterparty or a transaction.

    Args:
        read: transactions, at least one.
        split_config: says which periods are compared; where the data are too short for them, the
            page says so and compares the earlier half with the later.
        label_delay_days: days until a label is known, where a row has no label time.
        path: the file to write.

    Returns:
        What the page says.

    Raises:
        InputError: the file cannot be written.
    """
    profile = profile_of(read, split_config, label_delay_days)
    text = page(profile.statistics, profile.drift, profile.leaks)
    try:
        path.write_text(text, "utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path}: the page cannot be written ({error.strerror or error}); "
            "name a file in a folder that can"
        ) from None
    return profile
