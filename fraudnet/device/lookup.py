"""The counterparty's counts at a transaction's time, from a snapshot if one can be used."""

from pathlib import Path

from fraudnet.device.contract import COUNTERPARTY, Contract
from fraudnet.device.reputation import Snapshot, SnapshotError
from fraudnet.device.transactions import Transaction


class Lookup:
    """A snapshot at work for one artifact; one that is missing, damaged or stale is not used.

    Args:
        contract: of the artifact.
        path: the snapshot; None: there is none.
    """

    def __init__(self, contract: Contract, path: Path | None) -> None:
        self._terms = contract.reputation
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

    def note(self, reputation: dict[str, int]) -> None:
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
