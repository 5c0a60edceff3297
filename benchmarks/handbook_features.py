"""The Handbook's hand-made features (chapter 3), and beside them what the network reads."""

import numpy as np

from benchmarks.handbook_task import DELAY_DAYS, Column, Floats
from fraudnet.windows.histories import Histories
from fraudnet.windows.reputation import DAY_US, counts_as_of
from fraudnet.windows.specification import Reputation

WINDOWS_DAYS = (1, 7, 30)
LAST_HOUR_OF_NIGHT = 6


def handbook_features(histories: Histories) -> Floats:
    """The Handbook's features (chapter 3, "Baseline feature transformation").

    Args:
        histories: N rows.

    Returns:
        [N, 15]: amount; weekend; night (hour 0 to 6); customer's count and mean amount, then
        terminal's count and share of frauds delayed by 7 days, over 1, 7 and 30 days each.
    """
    second = histories.timestamp_us // 1_000_000
    weekday = (second // 86_400 + 3) % 7  # 1970 began on a Thursday; Monday is 0
    columns = [histories.amount, weekday >= 5, second % 86_400 // 3600 <= LAST_HOUR_OF_NIGHT]
    columns += _customer(histories) + _terminal(histories)
    return np.stack([column.astype(np.float32) for column in columns], axis=1)


def _customer(histories: Histories) -> list[Column]:
    """[N] count, then mean amount, of (t - w, t], the transaction itself included, for each w.

    Of transactions of one account at one moment, those that come later in the source are left out.
    """
    # Rows are sorted by account and time; accounts far apart in time can be searched as one.
    first, last = int(histories.timestamp_us.min()), int(histories.timestamp_us.max())
    span = last - first + max(WINDOWS_DAYS) * DAY_US + 1
    moment = histories.account * span + histories.timestamp_us - first
    spent = np.concatenate(([0.0], np.cumsum(histories.amount)))
    end = np.arange(1, len(histories) + 1)
    columns: list[Column] = []
    for days in WINDOWS_DAYS:
        begin = np.searchsorted(moment, moment - days * DAY_US, side="right")
        count = end - begin
        columns += [count, (spent[end] - spent[begin]) / count]
    return columns


def _terminal(histories: Histories) -> list[Column]:
    """[N] count, then share of frauds, of (t - 7 - w, t - 7], for each w; 0 where there is none.

    To the moment, as the Handbook has it, whatever the network's own counts are as of.
    """
    key, now = histories.counterparty, histories.timestamp_us
    events = (key, now + DELAY_DAYS * DAY_US, histories.is_fraud)
    counts = counts_as_of(
        Reputation(episode_days="none", windows_days=WINDOWS_DAYS), key, now, events
    )
    counts[key < 0] = 0
    columns: list[Column] = []
    for i in range(len(WINDOWS_DAYS)):
        count, frauds = counts[:, 2 * i], counts[:, 2 * i + 1]
        columns += [count, frauds / np.maximum(count, 1)]
    return columns


def with_reputation(histories: Histories, features: Floats) -> Floats:
    """Features, and after them every statistic of reputation that the network reads.

    Args:
        histories: N rows.
        features: [N, F].

    Returns:
        [N, F + R]; R is 0 where the network reads no reputation.
    """
    inputs = histories.specification.inputs
    names = [each.name for each in inputs if each.kind == "reputation"]
    columns = [histories.columns[name].astype(np.float32)[:, None] for name in names]
    return np.concatenate([features, *columns], axis=1)
