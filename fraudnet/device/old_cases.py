"""Cases are kept for as long as the owner says; none goes without a word before and after."""

import time
from datetime import UTC, datetime
from typing import NamedTuple

from fraudnet.device.erasure import deletable_verdicts
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.store import Store
from fraudnet.device.transactions import DAY_US

_RECENT = 1_000  # arrivals whose times are believed where the clock is ahead
_EVERY_S = 86_400.0
# Of the time that a case is kept: from then on it is said that it will go.
_SAID_AT = 0.9
_KEY = "dropped_cases"

_OLD = "SELECT case_id, transaction_id FROM cases WHERE opened_at_us < ?"
_HAS_VERDICT = "SELECT 1 FROM verdicts WHERE case_id = ?"
# What is newer than that is history, which has a bound of its own.
_DROP_TRANSACTION = """
DELETE FROM transactions WHERE transaction_id = ? AND timestamp_us <
  (SELECT kept_from_us FROM pruned WHERE pruned.account_id = transactions.account_id)"""


class Dropped(NamedTuple):
    """Cases that were dropped since the store was made."""

    cases: int
    without_verdict: int  # in this store
    until_us: int  # the last of them was opened before


class OldCases:
    """Drops the cases of a store that are older than its owner keeps them.

    Args:
        store: that holds them.
        keep_days: from when a case was opened; None: for ever.

    Raises:
        DeviceInputError: not one day at least.
    """

    def __init__(self, store: Store, keep_days: int | None) -> None:
        if keep_days is not None and keep_days < 1:
            raise DeviceInputError(f"cases are to be kept {keep_days} days; expected 1 or more")
        self._store = store
        self._keep_us = None if keep_days is None else keep_days * DAY_US
        self._keep_days = keep_days
        self._due = 0.0

    def drop_if_due(self) -> None:
        """Drops what is too old, once a day; in a commit of the store."""
        now_s = time.monotonic()
        if self._keep_us is not None and now_s >= self._due:
            self._due = now_s + _EVERY_S
            if before_us := self._before_us(self._keep_us):
                self._drop(before_us)

    def notices(self) -> list[str]:
        """What the user should know.

        Raises:
            StoreError: SQLite fails.
        """
        notices = []
        with self._store.database.explained():
            dropped = self._dropped()
            going = self._going() if self._keep_us is not None else 0
        if dropped.cases:
            notices.append(
                f"{dropped.cases} cases were dropped since this store was made, "
                f"{dropped.without_verdict} of them without a verdict in it, all from before "
                f"{_day(dropped.until_us)}"
            )
        if going:
            notices.append(
                f"{going} cases are soon {self._keep_days} days old and will be dropped then; have "
                "them reviewed, or keep them longer"
            )
        return notices

    def _before_us(self, kept_us: int) -> int:
        """Opened before then is too old: by the clock, but no later than what arrives says."""
        newest_us = self._store.newest_us(_RECENT)
        if newest_us is None:
            return 0
        # No earlier than 1970: SQLite takes no number past 64 bits.
        return max(0, min(time.time_ns() // 1000, newest_us + DAY_US) - kept_us)

    def _going(self) -> int:
        assert self._keep_us is not None
        before_us = self._before_us(int(self._keep_us * _SAID_AT))
        query = "SELECT COUNT(*) FROM cases WHERE opened_at_us < ?"
        return int(self._store.database.connection.execute(query, (before_us,)).fetchone()[0])

    def _drop(self, before_us: int) -> None:
        connection = self._store.database.connection
        old = connection.execute(_OLD, (before_us,)).fetchall()
        if not old:
            return
        cases = [(case_id,) for case_id, _ in old]
        without = len(cases)
        with deletable_verdicts(connection) as there:
            if there:
                without -= sum(bool(connection.execute(_HAS_VERDICT, c).fetchone()) for c in cases)
                connection.executemany("DELETE FROM verdicts WHERE case_id = ?", cases)
            connection.executemany("DELETE FROM cases WHERE case_id = ?", cases)
        connection.executemany(_DROP_TRANSACTION, [(name,) for _, name in old])
        so_far = self._dropped()
        total = Dropped(so_far.cases + len(cases), so_far.without_verdict + without, before_us)
        connection.execute("REPLACE INTO meta VALUES (?, ?)", (_KEY, " ".join(map(str, total))))

    def _dropped(self) -> Dropped:
        query = "SELECT value FROM meta WHERE key = ?"
        row = self._store.database.connection.execute(query, (_KEY,)).fetchone()
        return Dropped(*map(int, row[0].split())) if row else Dropped(0, 0, 0)


def _day(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us // 1_000_000, UTC).date().isoformat()
