"""Which times are believed, by a clock that may have been set back."""

import time

from fraudnet.device.errors import TransactionError
from fraudnet.device.transactions import DAY_US, Transaction


class Clock:
    """The computer's clock, but never before what was scored already.

    A clock that is set back would refuse today's transactions; and one that believed any time would
    let a single wrong row push an account's newest transaction years ahead.

    Args:
        newest_us: time of the newest transaction so far, believed when it came; None: none.
    """

    def __init__(self, newest_us: int | None) -> None:
        self._floor_us = newest_us or 0
        self._start_ns = time.monotonic_ns()

    def check(self, transaction: Transaction) -> None:
        """Refuses a time more than a day ahead.

        Raises:
            TransactionError: so it is.
        """
        passed_us = (time.monotonic_ns() - self._start_ns) // 1000
        now_us = max(time.time_ns() // 1000, self._floor_us + passed_us)
        if transaction.timestamp_us > now_us + DAY_US:
            raise TransactionError(
                f"transaction {transaction.transaction_id!r}: timestamp_us is "
                f"{transaction.timestamp_us}, more than a day ahead of this computer's clock; "
                "mend the row, or the clock"
            )
