"""The counterparty's counts at a transaction's time, from a snapshot if one can be used."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fraudnet.device.contract import COUNTERPARTY, Contract
from fraudnet.device.errors import TransactionError
from fraudnet.device.reputation import Snapshot, SnapshotError
from fraudnet.device.transactions import Scalar, Transaction


class Lookup:
    """A snapshot at work for one artifact; one that is missing, damaged or stale is not used.

    Args:
        contract: of the artifact.
        path: the snapshot; None: there is none.
    """

    def __init__(self, contract: Contract, path: Path | None) -> None:
        self._terms = contract.reputation
        self._statistics = {e.name: e.statistic for e in contract.inputs if e.statistic}
        self._snapshot: Snapshot | None = None
        self._error: SnapshotError | None = None
        self._unknown = 0
        if path and self._terms:
            try:
                self._snapshot = Snapshot(path, self._terms)
            except SnapshotError as error:
                self._error = error

    @property
    def is_usable(self) -> bool:
        """Whether there is a snapshot."""
        return self._snapshot is not None

    def counts(self, transaction: Transaction) -> tuple[dict[str, int], int | None]:
        """Returns counts by statistic, and the moment they are of; {} and None: unknown."""
        if self._snapshot is None or self._terms is None:
            return {}, None
        key = self._terms.key
        value = transaction.counterparty_id if key == COUNTERPARTY else transaction.columns.get(key)
        counts = self._snapshot.counts(
            None if value is None else str(value), transaction.timestamp_us
        )
        return counts, self._snapshot.as_of_us if counts else None

    def given(self, transaction: Transaction) -> tuple[Transaction, dict[str, int]]:
        """A transaction without its columns of counts, and those; {} where one is missing or -1.

        Raises:
            TransactionError: a count is none.
        """
        given = {name: transaction.columns.get(name) for name in self._statistics}
        if given.keys().isdisjoint(transaction.columns):
            return transaction, {}
        counts = {
            self._statistics[name]: _count(name, value)
            for name, value in given.items()
            if value is not None
        }
        columns = {k: value for k, value in transaction.columns.items() if k not in given}
        known = len(counts) == len(given) and min(counts.values(), default=-1) >= 0
        return replace(transaction, columns=columns), counts if known else {}

    def note(self, reputation: Mapping[str, int]) -> None:
        """Counts one that was scored with its counterparty unknown."""
        if self._terms and not reputation:
            self._unknown += 1

    def notices(self) -> list[str]:
        """Returns what the user should know."""
        notices = []
        if self._error:
            notices.append(f"the reputation snapshot is not used: {self._error}")
        if self._unknown:
            reason = f"; the snapshot serves {self._snapshot.serves}" if self._snapshot else ""
            notices.append(
                f"{self._unknown} scored with the counterparty's reputation unknown{reason}"
            )
        return notices


def _count(name: str, value: Scalar) -> int:
    try:
        number = float(value)  # type: ignore[arg-type]
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TransactionError(f"{name} is {value!r}; expected a whole number, -1 for unknown")
