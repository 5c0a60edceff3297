"""Score transactions one at a time, against the history that the store keeps of each account."""

import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from fraudnet.device.artifact import open_artifact
from fraudnet.device.contract import COUNTERPARTY, DISTANCE, PROBABILITY
from fraudnet.device.errors import TransactionError
from fraudnet.device.reputation import Snapshot, SnapshotError
from fraudnet.device.store import Score, Store, Stored
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one transaction."""

    transaction_id: str
    account_id: str
    probability: float  # of fraud, calibrated
    ood_distance: float
    flagged: bool  # probability >= threshold
    threshold: float
    familiar: bool | None  # of the like that the network was made on; None: not judged
    case: str  # genuine or fraud, as flagged, with _unfamiliar where it is not familiar
    # Of this call; everything above is as stored.
    repeated: bool  # answered before: the stored decision
    latency_us: int  # commit included

    def line(self) -> str:
        """Returns the decision as one line of JSON."""
        return json.dumps(asdict(self))


class Scorer:
    """An artifact at work on a case store.

    Args:
        artifact: the .tflite.
        store: the SQLite file; made if it is not there.
        reputation: the snapshot of counterparty counts. One that is missing, damaged or stale is
            not used; `notices` says so.
        public_key: PEM of the key that the artifact must be signed with; None: it need not be.
        threads: that the runtime may use.

    Raises:
        ArtifactError: the artifact cannot be used, or is not signed with the key.
        StoreError: the store cannot be used; so do the methods.
        DeviceInputError: no TFLite runtime is installed.
    """

    def __init__(
        self,
        artifact: Path,
        store: Path,
        reputation: Path | None = None,
        public_key: Path | None = None,
        threads: int = 1,
    ) -> None:
        opened = open_artifact(artifact, public_key, threads)
        self.contract = opened.contract
        self._network = opened.network
        self._sha256 = opened.sha256
        self._window = Window(opened.contract)
        self._snapshot: Snapshot | None = None
        self._snapshot_error: SnapshotError | None = None
        if reputation and opened.contract.reputation:
            try:
                self._snapshot = Snapshot(reputation, opened.contract.reputation)
            except SnapshotError as error:
                self._snapshot_error = error
        self._without_reputation = 0
        self._store = Store(store)

    def close(self) -> None:
        """Closes the store."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def score(self, transaction: Transaction) -> Decision:
        """Decides about a transaction and stores it, its decision and its case in one commit.

        One that was decided before gets the stored decision again and is counted once. A late one
        is placed in time order, after those of the same time that arrived before.

        Raises:
            ConflictError: its id is stored with other content.
            TransactionError: the network gives no finite answer.
            StoreError: SQLite fails; nothing is stored.
        """
        start_ns = time.perf_counter_ns()
        with self._store.commit():
            stored = self._store.find(transaction)
            repeated = stored is not None and stored.score is not None
            score = (stored and stored.score) or self._decide(transaction, stored)
        return Decision(
            transaction_id=transaction.transaction_id,
            account_id=transaction.account_id,
            probability=score.fraud_probability,
            ood_distance=score.ood_distance,
            flagged=score.flagged,
            threshold=score.threshold,
            familiar=score.familiar,
            case=_case(score),
            repeated=repeated,
            latency_us=(time.perf_counter_ns() - start_ns) // 1000,
        )

    def add_history(self, transactions: Iterable[Transaction]) -> int:
        """Stores transactions without scoring, in one commit; returns how many were new.

        Their counterparty's counts as known at their time are taken from columns that are named
        like the artifact's inputs (such as counterparty_count_7d), else from the snapshot.

        Raises:
            ConflictError: an id is stored with other content; nothing of the call is stored.
            TransactionError: a count is none; nothing of the call is stored.
            StoreError: SQLite fails; nothing of the call is stored.
        """
        added = 0
        with self._store.commit():
            for given in transactions:
                transaction, reputation = self._split_reputation(given)
                if self._store.find(transaction) is None:
                    self._store.add(transaction, reputation or self._reputation(transaction), None)
                    added += 1
        return added

    def notices(self) -> list[str]:
        """Returns what the user should know about how transactions were scored so far."""
        notices = []
        if self._snapshot_error:
            notices.append(f"the reputation snapshot is not used: {self._snapshot_error}")
        if self._without_reputation:
            reason = f"; the snapshot serves {self._snapshot.serves}" if self._snapshot else ""
            notices.append(
                f"{self._without_reputation} scored with the counterparty's reputation "
                f"unknown{reason}"
            )
        return notices

    def _decide(self, transaction: Transaction, stored: Stored | None) -> Score:
        reputation = (stored and stored.reputation) or self._reputation(transaction)
        score = self._ask(transaction, stored, reputation)
        if stored:
            self._store.decide(stored, reputation, score)
        else:
            self._store.add(transaction, reputation, score)
        if score.flagged:
            self._store.open_case(transaction, self._window.length)
        if self.contract.reputation and not reputation:
            self._without_reputation += 1
        return score

    def _ask(
        self, transaction: Transaction, stored: Stored | None, reputation: dict[str, int]
    ) -> Score:
        history = self._store.history(transaction, stored, self._window.length - 1)
        history.timestamp_us.append(transaction.timestamp_us)
        history.amount.append(transaction.amount)
        history.columns.append(dict(transaction.columns))
        history.reputation.append(reputation)
        answer = self._network.run(self._window.fill(history))
        probability, distance = answer[PROBABILITY], answer[DISTANCE]
        if not math.isfinite(probability + distance):
            raise TransactionError(
                f"transaction {transaction.transaction_id!r}: the network answers {probability}, "
                f"{distance}; expected finite numbers; look for an extreme amount in its window"
            )
        threshold = self.contract.threshold
        flagged = probability >= threshold
        limit = self.contract.distance_threshold
        familiar = None if limit is None else distance <= limit
        return Score(probability, distance, threshold, flagged, self._sha256, familiar)

    def _split_reputation(self, given: Transaction) -> tuple[Transaction, dict[str, int]]:
        """A transaction without its columns of counts, and those; {} where one is missing or -1."""
        counts = {
            entry.statistic: _count(given, entry.name)
            for entry in self.contract.inputs
            if entry.statistic and given.columns.get(entry.name) is not None
        }
        names = {entry.name for entry in self.contract.inputs if entry.statistic}
        columns = {name: value for name, value in given.columns.items() if name not in names}
        known = len(counts) == len(names) and min(counts.values(), default=-1) >= 0
        return replace(given, columns=columns), counts if known else {}

    def _reputation(self, transaction: Transaction) -> dict[str, int]:
        if self._snapshot is None:
            return {}
        return self._snapshot.counts(self._key_of(transaction), transaction.timestamp_us)

    def _key_of(self, transaction: Transaction) -> str | None:
        key = self.contract.reputation.key if self.contract.reputation else COUNTERPARTY
        if key == COUNTERPARTY:
            return transaction.counterparty_id
        value = transaction.columns[key]
        return None if value is None else str(value)


def _case(score: Score) -> str:
    case = "fraud" if score.flagged else "genuine"
    return f"{case}_unfamiliar" if score.familiar is False else case


def _count(transaction: Transaction, name: str) -> int:
    value = transaction.columns[name]
    try:
        number = float(value)  # type: ignore[arg-type]
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TransactionError(f"{name} is {value!r}; expected a whole number, -1 for unknown")
