"""Score transactions one at a time, against the history that the store keeps of each account."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from fraudnet.device.accounts import Accounts
from fraudnet.device.answers import Answers
from fraudnet.device.artifact import open_artifact
from fraudnet.device.catch_up import CatchUp, OneByOne
from fraudnet.device.clock import Clock
from fraudnet.device.decisions import Decision, Held, Reason
from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.lookup import Lookup
from fraudnet.device.reasons import Occlusion, written
from fraudnet.device.repair import set_aside_files
from fraudnet.device.store import AFTER_ALL, Score, Store, Stored, hashed_account
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Past, Window

KEEP = 1_000
_RECENT = 1_000  # arrivals whose times are believed where the clock says otherwise


@dataclass(frozen=True)
class Options:
    """How a scorer keeps and explains."""

    durable: bool = True  # a commit waits for the disk; without, a power cut may lose the last ones
    keep: int | None = KEEP  # transactions an account, at least what a window reads; None: all
    explain: bool = True  # reasons with the decision, else deferred to `explain`
    account_key: bytes | None = None  # account ids are stored as keyed hashes
    encryption_key: bytes | None = None  # 32 bytes; the store is encrypted (SQLCipher)


class Scorer:
    """An artifact at work on a case store.

    Args:
        artifact: the .tflite.
        store: the SQLite file; made if it is not there. One that is damaged is set aside and
            rebuilt from what is readable; `notices` says so.
        reputation: the snapshot of counterparty counts. One that is missing, damaged or stale is
            not used; `notices` says so.
        public_key: PEM of the key that the artifact must be signed with; None: it need not be.
        options: how the store is kept.
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
        options: Options | None = None,
        threads: int = 1,
    ) -> None:
        self._options = options or Options()
        opened = open_artifact(artifact, public_key, threads)
        self.contract = opened.contract
        self.artifact_sha256 = opened.sha256
        self._window = Window(opened.contract)
        self._answers = Answers(opened, self._window)
        self._occlusion = Occlusion(
            opened.contract, self._window, lambda m: self._answers.of_matrix(m).probability
        )
        self._lookup = Lookup(opened.contract, reputation)
        self._path = store
        self._store = Store(
            store, self._options.durable, self._options.encryption_key, self._options.account_key
        )
        self._accounts = Accounts(self._store, self._window, self._options.keep)
        self._clock = Clock(self._store.newest_us(_RECENT))

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
        is placed in time order, after those of the same time that arrived before; which later
        decisions it would have changed is said, and they stay as they are.

        Raises:
            ConflictError: its id is stored with other content.
            TransactionError: the network gives no finite answer; its time is more than a day
                ahead, or before the history that is kept.
            StoreError: SQLite fails; nothing is stored.
        """
        start_ns = time.perf_counter_ns()
        kept = self._hashed(transaction)
        try:
            with self._store.commit():
                score, repeated = self._score(kept)
        except BaseException:
            self._accounts.drop(kept.account_id)  # as it would be had the commit succeeded
            raise
        return Decision.about(
            kept.transaction_id, transaction.account_id, kept.timestamp_us, score,
            repeated=repeated, latency_us=(time.perf_counter_ns() - start_ns) // 1000,
        )  # fmt: skip

    def score_many(
        self, transactions: Iterable[Transaction] | None = None
    ) -> Iterator[Decision | TransactionError]:
        """Decides about many, many times as fast, some thousands a commit.

        Decisions and thresholds are as those of `score` one after the other; probabilities and
        distances but for rounding. Reasons are deferred to `explain`. A latency is that of the
        commit, an equal part each.

        Args:
            transactions: in the order of their arrival; None: all that are stored undecided,
                each account's in time order.

        Yields:
            For each its decision, or the error that `score` would raise, after the commit.

        Raises:
            StoreError: SQLite fails; nothing of the current commit is stored.
        """
        work = CatchUp(self._store, self._accounts, self._window, self._answers, self._lookup)
        if transactions is None:
            yield from work.stored()
            return
        one = OneByOne(self._hashed, self._clock.check, self._score)
        yield from work.given(transactions, one)

    def explain(self, transaction_id: str) -> tuple[Reason, ...]:
        """The reasons of a flag, looked for and stored if they were deferred; () if not flagged.

        Raises:
            DeviceInputError: no decision of this artifact is stored under the id.
            StoreError: SQLite fails.
        """
        with self._store.commit():
            stored = self._store.find_id(transaction_id)
            if stored is None or stored.score is None:
                raise DeviceInputError(f"transaction {transaction_id!r}: no decision is stored")
            score = stored.score
            if score.flagged and score.reasons is None:
                if score.artifact_sha256 != self.artifact_sha256:
                    raise DeviceInputError(
                        f"transaction {transaction_id!r} was decided by another artifact; open "
                        "the store with that one"
                    )
                past = self._accounts.past_of(stored.transaction, stored.sequence)
                past.window(self._accounts.rows(self._store.places([stored.sequence]))[0])
                # With what has come late since, it may be another.
                now = score._replace(
                    fraud_probability=self._answers.of_matrix(past.packed).probability
                )
                score = self._explained(stored.transaction, past, stored.sequence, now)
                self._store.explain(stored.sequence, score.reasons or "[]")
                stored = stored._replace(score=score)
            decision = self._held(stored, stored.transaction.account_id).decision
        return (decision and decision.reasons) or ()

    def add_history(self, transactions: Iterable[Transaction]) -> int:
        """Stores transactions without scoring, in one commit; returns how many were new.

        Their counterparty's counts as known at their time are taken from columns that are named
        like the artifact's inputs (such as counterparty_count_7d), else from the snapshot. What is
        from before the history that is kept of its account was there already, and is left out.

        Raises:
            ConflictError: an id is stored with other content; nothing of the call is stored.
            TransactionError: a count is none, or a time more than a day ahead; nothing of the call
                is stored.
            StoreError: SQLite fails; nothing of the call is stored.
        """
        added = 0
        with self._store.commit():
            for given in transactions:
                transaction, reputation = self._split_reputation(self._hashed(given))
                self._clock.check(transaction)
                self._accounts.drop(transaction.account_id)
                if self._store.find(transaction) is None and self._is_kept(transaction):
                    counts = reputation or self._lookup.counts(transaction)[0]
                    packed = self._window.pack(transaction, counts)
                    self._store.add(transaction, counts, None, packed)
                    added += 1
        return added

    def history(self, account_id: str) -> list[Held]:
        """What is stored of an account, oldest first."""
        return [
            self._held(stored, account_id)
            for stored in self._store.all_of(self._hashed_id(account_id))
        ]

    def export(self) -> Iterator[str]:
        """Everything that is stored, by account, as JSON lines; account ids as they are stored."""
        for stored in self._store.all_of(None):
            yield self._held(stored, stored.transaction.account_id).line()

    def forget(self, account_id: str) -> dict[str, int]:
        """Erases an account: its transactions, decisions, cases and their verdicts.

        Nothing of it is left in the file, its free pages or its log, which costs a rewrite of the
        file. Damaged stores that were set aside are not touched: `notices` names them.

        Returns:
            How many there were, by table.

        Raises:
            StoreError: another process reads the store, or SQLite fails; call it again.
        """
        hashed = self._hashed_id(account_id)
        self._accounts.drop(hashed)
        return self._store.forget(hashed)

    def notices(self) -> list[str]:
        """Returns what the user should know about the store and how transactions were scored."""
        notices = self._lookup.notices()
        if self._store.repaired:
            notices.append(self._store.repaired)
        if aside := set_aside_files(self._path):
            notices.append(
                f"what was set aside holds transactions that nothing erases: "
                f"{', '.join(map(str, aside))}; delete it when it is no longer needed"
            )
        return notices

    def _score(self, transaction: Transaction) -> tuple[Score, bool]:
        """The decision, and whether it was there already; inside a commit."""
        stored = self._store.find(transaction)
        if stored and stored.score:
            return stored.score, True
        self._clock.check(transaction)
        reputation, as_of_us = stored.reputation if stored else {}, None
        if not reputation:
            reputation, as_of_us = self._lookup.counts(transaction)
        packed = self._window.pack(transaction, reputation)
        sequence = stored.sequence if stored else AFTER_ALL
        past = self._past(transaction, sequence)
        answer = self._answers.of(transaction.transaction_id, past.window(packed))
        score = self._answers.judge(answer, as_of_us)
        if score.flagged and self._options.explain:
            score = self._explained(transaction, past, sequence, score)
        if stored:
            self._store.decide_many([(sequence, score)])
            if reputation != stored.reputation:
                self._store.repack(sequence, reputation, packed)
                self._accounts.drop(transaction.account_id)
        else:
            sequence = self._store.add(transaction, reputation, score, packed)
            score = self._placed(transaction, past, packed, sequence, score)
        if score.flagged:
            self._store.open_case(transaction, sequence, self._window.length)
        self._lookup.note(reputation)
        return score, False

    def _past(self, transaction: Transaction, sequence: int) -> Past:
        """What the transaction's window holds before it."""
        if sequence == AFTER_ALL:
            newest = self._accounts.past(transaction.account_id)
            if newest.newest_us is None or transaction.timestamp_us >= newest.newest_us:
                return newest
        return self._accounts.past_of(transaction, sequence)

    def _placed(
        self, transaction: Transaction, past: Past, packed: bytes, sequence: int, score: Score
    ) -> Score:
        """Notes a new transaction in the account's past; a late one with what it would change."""
        if past is self._accounts.past(transaction.account_id):
            past.keep(transaction.timestamp_us)
            return score
        self._accounts.drop(transaction.account_id)
        if revised := self._revised(transaction, past, packed, sequence):
            score = score._replace(revises=json.dumps(revised))
            self._store.decide_many([(sequence, score)])
        return score

    def _revised(
        self, transaction: Transaction, past: Past, packed: bytes, sequence: int
    ) -> list[str]:
        """Later transactions that this artifact would flag, or find familiar, otherwise now."""
        later = self._store.after(
            transaction.account_id, transaction.timestamp_us, sequence, self._window.length - 1
        )
        if not later:
            return []
        columns = self._window.columns([packed, *self._accounts.rows(later)])
        matrix = np.concatenate([past.context(), columns], axis=1)[:, 1:]
        answers = self._answers.of_sequence(matrix)
        revised = []
        for stored, answer in zip(
            self._store.at(place.sequence for place in later), answers, strict=True
        ):
            score = stored.score
            if score and score.artifact_sha256 == self.artifact_sha256:
                now = self._answers.judge(answer, None)
                if (now.flagged, now.familiar) != (score.flagged, score.familiar):
                    revised.append(stored.transaction.transaction_id)
        return revised

    def _explained(
        self, transaction: Transaction, past: Past, sequence: int, score: Score
    ) -> Score:
        def at(places_before: int) -> Transaction:
            if places_before == 0:
                return transaction
            found = self._store.before(
                transaction.account_id, transaction.timestamp_us, sequence, places_before
            )
            return self._store.at([found[0].sequence])[0].transaction

        reasons = self._occlusion.reasons(past.packed, score.fraud_probability, at)
        return score._replace(reasons=written(reasons))

    def _held(self, stored: Stored, account_id: str) -> Held:
        decision = stored.score and Decision.about(
            stored.transaction.transaction_id, account_id, stored.transaction.timestamp_us,
            stored.score, repeated=True, latency_us=0,
        )  # fmt: skip
        transaction = replace(stored.transaction, account_id=account_id)
        return Held(transaction, stored.reputation, decision)

    def _hashed(self, transaction: Transaction) -> Transaction:
        if self._options.account_key is None:
            return transaction
        return replace(transaction, account_id=self._hashed_id(transaction.account_id))

    def _hashed_id(self, account_id: str) -> str:
        key = self._options.account_key
        return account_id if key is None else hashed_account(account_id, key)

    def _is_kept(self, transaction: Transaction) -> bool:
        kept_from_us = self._store.kept_from_us(transaction.account_id)
        return kept_from_us is None or transaction.timestamp_us >= kept_from_us

    def _split_reputation(self, given: Transaction) -> tuple[Transaction, dict[str, int]]:
        """A transaction without its columns of counts, and those; {} where one is missing or -1."""
        names = {entry.name for entry in self.contract.inputs if entry.statistic}
        if names.isdisjoint(given.columns):
            return given, {}
        counts = {
            entry.statistic: _count(given, entry.name)
            for entry in self.contract.inputs
            if entry.statistic and given.columns.get(entry.name) is not None
        }
        columns = {name: value for name, value in given.columns.items() if name not in names}
        known = len(counts) == len(names) and min(counts.values(), default=-1) >= 0
        return replace(given, columns=columns), counts if known else {}


def _count(transaction: Transaction, name: str) -> int:
    value = transaction.columns[name]
    try:
        number = float(value)  # type: ignore[arg-type]
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TransactionError(f"{name} is {value!r}; expected a whole number, -1 for unknown")
