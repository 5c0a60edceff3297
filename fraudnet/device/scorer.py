"""Score transactions one at a time, against the history that the store keeps of each account."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fraudnet.device.accounts import Accounts
from fraudnet.device.answers import Answers
from fraudnet.device.artifact import open_artifact
from fraudnet.device.catch_up import CatchUp, OneByOne
from fraudnet.device.clock import Clock
from fraudnet.device.decisions import Decision, Held, Reason
from fraudnet.device.errors import DeviceInputError, TransactionError
from fraudnet.device.late import Late
from fraudnet.device.lookup import Lookup
from fraudnet.device.old_cases import OldCases
from fraudnet.device.reasons import Occlusion, written
from fraudnet.device.records import Records, held
from fraudnet.device.repair import set_aside_files
from fraudnet.device.shadow import Shadow, ShadowCounts, read_counts
from fraudnet.device.store import AFTER_ALL, Score, Store
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Past, Window

KEEP = 1_000
KEEP_CASES_DAYS = 730
_RECENT = 1_000  # arrivals whose times are believed where the clock says otherwise


@dataclass(frozen=True)
class Options:
    """How a scorer keeps and explains."""

    durable: bool = True  # a commit waits for the disk; without, a power cut may lose the last ones
    keep: int | None = KEEP  # transactions an account, at least what a window reads; None: all
    keep_cases_days: int | None = KEEP_CASES_DAYS  # from when they were opened; None: for ever
    explain: bool = True  # reasons with the decision, else deferred to `explain`
    account_key: bytes | None = None  # account ids are stored as keyed hashes
    encryption_key: bytes | None = None  # 32 bytes; the store is encrypted (SQLCipher)
    shadow: Path | None = None  # an artifact whose decisions are compared, and no more


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
        self._records = Records(self._store, self._options.account_key)
        self._shadow = Shadow(self._store, self._options.shadow, reputation, public_key, threads)
        keep = self._options.keep and max(self._options.keep, self._shadow.window_length)
        self._accounts = Accounts(self._store, self._window, keep)
        self._late = Late(
            self._store, self._accounts, self._window, self._answers, self.artifact_sha256
        )
        self._old_cases = OldCases(self._store, self._options.keep_cases_days)
        with self._store.commit():
            self._old_cases.drop_if_due()
        self._clock = Clock(self._store.newest_us(_RECENT))

    def close(self) -> None:
        """Closes the store, after the shadow has followed a little more."""
        self.follow_shadow()
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
            TransactionError: its amount or the network's answer is not finite; its time is more
                than a day ahead, or before the history that is kept.
            StoreError: SQLite fails; nothing is stored.
        """
        start_ns = time.perf_counter_ns()
        kept = self._records.as_stored(transaction)
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
        one = OneByOne(self._records.as_stored, self._clock.check, self._score)
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
            decision = held(stored, stored.transaction.account_id).decision
        return (decision and decision.reasons) or ()

    def unexplained(self) -> list[str]:
        """Ids of this artifact's flags whose reasons were deferred and not looked for since."""
        return self._store.unexplained(self.artifact_sha256)

    def add_history(self, transactions: Iterable[Transaction]) -> int:
        """Stores transactions without scoring, in one commit; returns how many were new.

        Their counterparty's counts as known at their time are taken from columns that are named
        like the artifact's inputs (such as counterparty_count_7d), else from the snapshot. What is
        from before the history that is kept of its account was there already, and is left out.
        Which decisions late ones would have changed is said in `notices`, and those stay.

        Raises:
            ConflictError: an id is stored with other content; nothing of the call is stored.
            TransactionError: a count is none, or a time more than a day ahead; nothing of the call
                is stored.
            StoreError: SQLite fails; nothing of the call is stored.
        """
        newest_us: dict[str, int] = {}
        added: dict[str, list[tuple[int, int]]] = {}
        with self._store.commit():
            for given in transactions:
                transaction, reputation = self._lookup.given(self._records.as_stored(given))
                account_id, moment_us = transaction.account_id, transaction.timestamp_us
                self._clock.check(transaction)
                self._accounts.drop(account_id)
                if account_id not in newest_us:
                    newest_us[account_id] = self._late.newest_us(account_id)
                if self._store.find(transaction) is None and self._is_kept(transaction):
                    counts = reputation or self._lookup.counts(transaction)[0]
                    packed = self._window.pack(transaction, counts)
                    sequence = self._store.add(transaction, counts, None, packed)
                    added.setdefault(account_id, []).append((moment_us, sequence))
            for account_id, places in added.items():
                if min(places)[0] < newest_us[account_id]:
                    self._late.revise_by_history(account_id, places)
        return sum(map(len, added.values()))

    def history(self, account_id: str) -> list[Held]:
        """What is stored of an account, oldest first."""
        return self._records.history(account_id)

    def export(self) -> Iterator[str]:
        """Everything that is stored, by account, as JSON lines; account ids as they are stored."""
        return self._records.export()

    def forget(self, account_id: str) -> dict[str, int]:
        """Erases an account: its transactions, decisions, cases and their verdicts.

        Nothing of it is left in the file, its free pages or its log, which costs a rewrite of the
        file. Damaged stores that were set aside are not touched: `notices` names them.

        Returns:
            How many there were, by table.

        Raises:
            StoreError: another process reads the store, or SQLite fails; call it again.
        """
        self._accounts.drop(self._records.stored_id(account_id))
        return self._records.forget(account_id)

    def follow_shadow(self, most: int = 1_000) -> int:
        """Has the shadow decide what was decided since; returns how many.

        To be called when no transaction waits. What is not followed when the process ends is when
        the next one has the same shadow. Decisions that were there before the shadow first came do
        not count, nor do those of `score_many` about what was stored undecided.
        """
        return self._shadow.follow(most)

    def shadow_counts(self) -> list[ShadowCounts]:
        """How the artifacts that were in the shadow compare with those that decided."""
        return read_counts(self._store)

    def notices(self) -> list[str]:
        """Returns what the user should know about the store and how transactions were scored."""
        parts = (self._lookup, self._accounts, self._late, self._shadow, self._old_cases)
        notices = [notice for part in parts for notice in part.notices()]
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
        reputation = self._window.known(stored.reputation) if stored else {}
        as_of_us = None
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
            score = self._store.at([sequence])[0].score or score  # with what it revised as history
            if reputation and reputation != stored.reputation:
                self._store.repack(sequence, reputation, packed)
                self._accounts.drop(transaction.account_id)
        else:
            sequence = self._store.add(transaction, reputation, score, packed)
            score = self._placed(transaction, past, packed, sequence, score)
        if score.flagged:
            self._store.open_case(transaction, sequence, self._window.length)
            self._old_cases.drop_if_due()
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
        if revised := self._late.revised(transaction, past, packed, sequence):
            score = score._replace(revises=json.dumps(revised))
            self._store.decide_many([(sequence, score)])
        return score

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

    def _is_kept(self, transaction: Transaction) -> bool:
        kept_from_us = self._store.kept_from_us(transaction.account_id)
        return kept_from_us is None or transaction.timestamp_us >= kept_from_us
