"""An artifact in the shadow: it decides about what was decided, and only its disagreements count.

It follows the store by the order of arrival, after the decisions and beside them: none waits for
it, is changed by it or fails with it. How far it came is stored with the counts in one commit, so
that each decision counts once, whatever is killed in between.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from fraudnet.device.accounts import Accounts
from fraudnet.device.answers import Answers
from fraudnet.device.artifact import open_artifact
from fraudnet.device.errors import DeviceInputError, StoreError, TransactionError
from fraudnet.device.lookup import Lookup
from fraudnet.device.store import Score, Store, Stored
from fraudnet.device.window import Window

FOLLOW_EVERY = 32  # decisions that the shadow of a stream of rows is behind at most
# From now on: what was decided before a shadow came is not compared.
_BEGIN = """
INSERT OR IGNORE INTO shadows SELECT ?, COALESCE(MAX(sequence), 0) FROM transactions"""
_FOLLOWED = "SELECT followed FROM shadows WHERE artifact_sha256 = ?"
# Not if another process has counted them.
_MOVE = "UPDATE shadows SET followed = ? WHERE artifact_sha256 = ? AND followed = ?"
_STORE_COUNTS = "REPLACE INTO shadow_counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class ShadowCounts:
    """How the decisions of one artifact compare with those of the one in whose shadow it was."""

    artifact_sha256: str  # of the one in the shadow
    beside_sha256: str  # of the one that decided
    since_us: int  # when this count began
    compared: int = 0
    flagged_by_it_alone: int = 0
    flagged_without_it: int = 0
    familiar_differs: int = 0  # where both judge it
    failed: int = 0  # it gave no answer; not among those compared
    shift_sum: float = 0.0  # of probabilities, its own minus the other
    shift_absolute_sum: float = 0.0
    shift_largest: float = 0.0  # absolute

    def with_another(self, score: Score, own: Score | None) -> "ShadowCounts":
        """These counts and one more decision; None: there was no answer to it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if own is None:
            return ShadowCounts(**values | {"failed": self.failed + 1})
        shift = own.fraud_probability - score.fraud_probability
        both_judge = None not in (own.familiar, score.familiar)
        values["compared"] += 1
        values["flagged_by_it_alone"] += own.flagged and not score.flagged
        values["flagged_without_it"] += score.flagged and not own.flagged
        values["familiar_differs"] += both_judge and own.familiar is not score.familiar
        values["shift_sum"] += shift
        values["shift_absolute_sum"] += abs(shift)
        values["shift_largest"] = max(self.shift_largest, abs(shift))
        return ShadowCounts(**values)

    def figures(self) -> dict[str, str | int | float | None]:
        """By name, with means in place of sums; None: nothing was compared."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, mean in (("shift_sum", "shift_mean"), ("shift_absolute_sum", "shift_mean_abs")):
            total = values.pop(name)
            values[mean] = total / self.compared if self.compared else None
        return values


class Shadow:
    """An artifact that follows a store; one that cannot be used is said in `notices`, no more.

    Args:
        store: that the decisions are in.
        artifact: the .tflite, verified as any; None: there is none.
        reputation: the snapshot that the decisions were made with.
        public_key: PEM of the key that the artifact must be signed with; None: it need not be.
        threads: that the runtime may use.
    """

    def __init__(
        self,
        store: Store,
        artifact: Path | None,
        reputation: Path | None,
        public_key: Path | None,
        threads: int,
    ) -> None:
        self._store = store
        self._network: _Network | None = None
        self._error: DeviceInputError | None = None
        if artifact is not None:
            try:
                self._network = _Network(store, artifact, reputation, public_key, threads)
                with store.commit():
                    store.database.connection.execute(_BEGIN, (self._network.sha256,))
            except DeviceInputError as error:
                self._network, self._error = None, error

    @property
    def window_length(self) -> int:
        """What its window reads of an account; 0: there is none."""
        return self._network.window.length if self._network else 0

    def follow(self, most: int) -> int:
        """Counts what was decided since; returns how many decisions, at most `most`."""
        if self._network is None:
            return 0
        try:
            return self._follow(self._network, most)
        except StoreError as error:
            self._error = error
            return 0

    def _follow(self, network: "_Network", most: int) -> int:
        connection = self._store.database.connection
        with self._store.database.explained():
            (begin,) = connection.execute(_FOLLOWED, (network.sha256,)).fetchone()
            decided = self._store.decided_after(begin, most)
            answers = [network.decide(each) for each in decided]
        if decided:
            with self._store.commit():
                to_there = (decided[-1].sequence, network.sha256, begin)
                if connection.execute(_MOVE, to_there).rowcount:
                    self._count(network.sha256, decided, answers)
        return len(decided)

    def _count(
        self, sha256: str, decided: Sequence[Stored], answers: Sequence[Score | None]
    ) -> None:
        counts = {held.beside_sha256: held for held in read_counts(self._store, sha256)}
        for stored, own in zip(decided, answers, strict=True):
            assert stored.score is not None
            beside = stored.score.artifact_sha256
            held = counts.get(beside) or ShadowCounts(sha256, beside, time.time_ns() // 1000)
            counts[beside] = held.with_another(stored.score, own)
        for held in counts.values():
            values = [getattr(held, field.name) for field in fields(held)]
            self._store.database.connection.execute(_STORE_COUNTS, values)

    def notices(self) -> list[str]:
        """What the user should know."""
        return [f"the shadow does not follow: {self._error}"] if self._error else []


class _Network:
    """The artifact of a shadow, asked about what is stored."""

    def __init__(
        self,
        store: Store,
        artifact: Path,
        reputation: Path | None,
        public_key: Path | None,
        threads: int,
    ) -> None:
        opened = open_artifact(artifact, public_key, threads)
        self.sha256 = opened.sha256
        self.window = Window(opened.contract)
        self._answers = Answers(opened, self.window)
        self._lookup = Lookup(opened.contract, reputation)
        self._accounts = Accounts(store, self.window, keep=None)

    def decide(self, stored: Stored) -> Score | None:
        """Its own decision about a transaction; None: it has none."""
        transaction = stored.transaction
        try:
            reputation = self.window.known(stored.reputation)
            if not reputation:
                reputation, _ = self._lookup.counts(transaction)
            past = self._accounts.past_of(transaction, stored.sequence, then=True)
            inputs = past.window(self.window.pack_again(transaction, reputation))
            return self._answers.judge(self._answers.of(transaction.transaction_id, inputs), None)
        # RuntimeError, ValueError: of the runtime.
        except (TransactionError, RuntimeError, ValueError):
            return None


def read_counts(store: Store, artifact_sha256: str | None = None) -> list[ShadowCounts]:
    """What is stored of one shadow, or of all, the oldest first.

    Raises:
        StoreError: SQLite fails.
    """
    names = ", ".join(field.name for field in fields(ShadowCounts))
    query = f"SELECT {names} FROM shadow_counts ORDER BY since_us"  # noqa: S608  (names of ours)
    with store.database.explained():
        found = [ShadowCounts(*row) for row in store.database.connection.execute(query)]
    return [each for each in found if artifact_sha256 in (None, each.artifact_sha256)]
