"""Many transactions at once: whole stretches of an account through the network, few commits."""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.accounts import Accounts, no_longer_held
from fraudnet.device.answers import Answer, Answers, not_finite
from fraudnet.device.decisions import Decision
from fraudnet.device.errors import TransactionError
from fraudnet.device.lookup import Lookup
from fraudnet.device.store import Entry, Place, Score, Store
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window

BATCH = 20_000  # transactions a commit
STRETCH = 80_000  # the same of stored ones
CONTEXTS = 2_000  # accounts whose last columns are kept from one stretch to the next
Columns = NDArray[np.int32]  # packed, [inputs, transactions]
# Sequence, account, id, time, probability, distance, moment of the counts, what it revises, whether
# its window is held. No class of its own: the collector goes through tens of thousands again and
# again, but not through plain tuples of numbers and texts.
Found = tuple[int, str, str, int, float, float, int | None, str | None, bool]
Outcome = Decision | TransactionError
Result = Score | TransactionError


@dataclass(frozen=True)
class OneByOne:
    """The parts of scoring one transaction that many share."""

    hashed: Callable[[Transaction], Transaction]
    check: Callable[[Transaction], None]
    score: Callable[[Transaction], tuple[Score, bool]]  # and whether it was there; in a commit


class CatchUp:
    """The parts of a scorer, at work on many transactions."""

    def __init__(
        self, store: Store, accounts: Accounts, window: Window, answers: Answers, lookup: Lookup
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._window = window
        self._answers = answers
        self._lookup = lookup

    def stored(self) -> Iterator[Outcome]:
        """Decides all that are stored undecided, some days of all accounts after the others.

        Not account after account: what arrived together lies together in the file, so each of its
        pages is read and written in one commit.
        """
        accounts, moments = self._store.undecided()
        if not accounts:
            return
        moments.sort()
        edges = [*np.unique(moments[::STRETCH]).tolist(), int(moments[-1]) + 1]
        contexts: dict[str, Columns] = {}
        changes = self._store.changes()
        for first_us, stop_us in itertools.pairwise(edges):
            begin_ns = time.perf_counter_ns()
            found: list[Found] = []
            with self._commit():
                if changes != self._store.changes():  # whoever reads the outcomes may write, too
                    contexts.clear()
                for account_id in accounts:
                    part = self._store.stretch(account_id, first_us, stop_us)
                    found += self._decide_stretch(account_id, part, contexts)
                found.sort()  # as they lie in the file
                self._keep(found)
                changes = self._store.changes()
            each_us = (time.perf_counter_ns() - begin_ns) // 1000 // max(1, len(found))
            for each in found:
                yield _outcome(each[2], each[1], each[3], self._result(each), False, each_us)

    def given(self, transactions: Iterable[Transaction], one: OneByOne) -> Iterator[Outcome]:
        """Decides new ones, in the order of their arrival."""
        arriving = iter(transactions)
        while batch := list(itertools.islice(arriving, BATCH)):
            begin_ns = time.perf_counter_ns()
            with self._commit():
                results = self._decide_batch([one.hashed(each) for each in batch], one)
            each_us = (time.perf_counter_ns() - begin_ns) // 1000 // len(batch)
            for given, (result, repeated) in zip(batch, results, strict=True):
                yield _outcome(
                    given.transaction_id, given.account_id, given.timestamp_us, result, repeated,
                    each_us,
                )  # fmt: skip

    @contextmanager
    def _commit(self) -> Iterator[None]:
        try:
            with self._store.commit():
                yield
        except BaseException:
            self._accounts.clear()  # they are as they would be had the commit succeeded
            raise

    def _decide_stretch(
        self, account_id: str, part: Sequence[Entry], contexts: dict[str, Columns]
    ) -> list[Found]:
        """What is found about the undecided of a stretch of one account's history.

        Args:
            account_id: of the account.
            part: of its history.
            contexts: what of the accounts' stretches before this one a window reads.
        """
        if all(entry.is_decided for entry in part):
            contexts.pop(account_id, None)
            return []
        rows = self._accounts.rows(part)
        context, held_from = contexts.get(account_id), 0
        kept_from_us = self._store.kept_from_us(account_id)
        if context is None or kept_from_us is not None:
            places = self._places(account_id, part[0])
            context = self._padded(places)
            if kept_from_us is not None:
                held_from = self._held_from(places, part, kept_from_us)
        moments, repacked = self._look_up(part, rows, held_from)
        matrix = np.concatenate([context, self._window.columns(rows)], axis=1)
        if len(contexts) < CONTEXTS or account_id in contexts:
            contexts[account_id] = matrix[:, matrix.shape[1] - context.shape[1] :].copy()
        for place, counts in repacked.items():
            self._store.repack(part[place].sequence, counts, rows[place])
        if repacked:
            self._accounts.drop(account_id)
        answers = self._answers.of_sequence(matrix)
        return [
            (
                entry.sequence, account_id, entry.transaction_id, entry.timestamp_us,
                *answer, moment, entry.revises, place >= held_from,
            )
            for place, (entry, answer, moment) in enumerate(
                zip(part, answers, moments, strict=True)
            )
            if not entry.is_decided
        ]  # fmt: skip

    def _places(self, account_id: str, first: Entry) -> list[Place]:
        """What the window of a stretch's first transaction reads before it."""
        return self._store.before(
            account_id, first.timestamp_us, first.sequence, self._window.length - 1
        )

    def _padded(self, places: Sequence[Place]) -> Columns:
        """Their columns, [inputs, length - 1], padding first."""
        context = np.zeros((len(self._window.names), self._window.length - 1), np.int32)
        if places:
            context[:, -len(places) :] = self._window.columns(self._accounts.rows(places))
        return context

    def _held_from(self, places: Sequence[Place], part: Sequence[Entry], kept_from_us: int) -> int:
        """The first of a pruned account's stretch whose whole window is held, as `score` asks.

        What is older than the history that is kept is there for its case, with gaps between.
        """
        held = sum(place.timestamp_us >= kept_from_us for place in places)
        older = sum(entry.timestamp_us < kept_from_us for entry in part)
        return older + self._window.length - 1 - held

    def _keep(self, found: Sequence[Found]) -> None:
        """Stores the decisions, and opens the cases of what they flag."""
        flagged = []

        def scores() -> Iterator[tuple[int, Score]]:
            for each in found:
                if isinstance(score := self._result(each), Score):
                    if score.flagged:
                        flagged.append(each[0])
                    yield each[0], score

        self._store.decide_many(scores())
        for stored in self._store.at(flagged):
            self._store.open_case(stored.transaction, stored.sequence, self._window.length)

    def _look_up(
        self, part: Sequence[Entry], rows: list[bytes], held_from: int
    ) -> tuple[list[int | None], dict[int, dict[str, int]]]:
        """Fills in counts that were not known when the history was stored; packs them into rows."""
        moments: list[int | None] = [None] * len(part)
        repacked: dict[int, dict[str, int]] = {}
        for place, entry in enumerate(part):
            is_foreign = not self._window.fits(entry.packed)  # it may lack a count that is read
            if place < held_from or entry.is_decided or not (entry.is_unknown or is_foreign):
                continue
            if is_foreign or self._lookup.is_usable:
                (stored,) = self._store.at([entry.sequence])
                if self._window.known(stored.reputation):
                    continue
                counts, moments[place] = self._lookup.counts(stored.transaction)
                if counts:
                    repacked[place] = counts
                    rows[place] = self._window.pack_again(stored.transaction, counts)
            self._lookup.note(repacked.get(place, {}))
        return moments, repacked

    def _decide_batch(
        self, batch: Sequence[Transaction], one: OneByOne
    ) -> list[tuple[Result, bool]]:
        results: list[tuple[Result, bool] | None] = [None] * len(batch)
        by_account: dict[str, list[int]] = {}
        for place, transaction in enumerate(batch):
            by_account.setdefault(transaction.account_id, []).append(place)
        fresh = self._fresh(batch)
        alone: list[int] = []
        for account_id, places in by_account.items():
            together = None
            if all(fresh[place] for place in places):
                together = self._decide_group(account_id, [batch[i] for i in places], one)
            if together is None:
                alone += places
            else:
                for place, result in zip(places, together, strict=True):
                    results[place] = result
        # In the order of arrival: an id may come twice, under two accounts.
        for place in sorted(alone):
            results[place] = self._alone(batch[place], one)
        return [result for result in results if result is not None]

    def _fresh(self, batch: Sequence[Transaction]) -> list[bool]:
        """Whether each is stored under no id, and the first of the batch with its id."""
        seen: set[str] = set()
        fresh = []
        for transaction in batch:
            name = transaction.transaction_id
            fresh.append(name not in seen and not self._store.holds(name))
            seen.add(name)
        return fresh

    def _alone(self, transaction: Transaction, one: OneByOne) -> tuple[Result, bool]:
        try:
            return one.score(transaction)
        except TransactionError as error:
            return error, False

    def _decide_group(
        self, account_id: str, group: Sequence[Transaction], one: OneByOne
    ) -> list[tuple[Result, bool]] | None:
        """Decides new transactions of one account together; None: that is not the same.

        It is where each follows all before it, and nothing is wrong with any.
        """
        past = self._accounts.past(account_id)
        moments = [transaction.timestamp_us for transaction in group]
        is_late = past.newest_us is not None and past.newest_us > moments[0]
        if is_late or sorted(moments) != moments:
            return None
        looked_up = [self._lookup.counts(transaction) for transaction in group]
        try:
            for transaction in group:
                one.check(transaction)
            rows = [
                self._window.pack(transaction, counts)
                for transaction, (counts, _) in zip(group, looked_up, strict=True)
            ]
        except TransactionError:
            return None
        columns = self._window.columns(rows)
        answers = self._answers.of_sequence(np.concatenate([past.context(), columns], axis=1))
        if not all(math.isfinite(sum(answer)) for answer in answers):
            return None
        results: list[tuple[Result, bool]] = []
        for transaction, answer, (counts, as_of_us), row in zip(
            group, answers, looked_up, rows, strict=True
        ):
            score = self._answers.judge(answer, as_of_us)
            sequence = self._store.add(transaction, counts, score, row)
            if score.flagged:
                self._store.open_case(transaction, sequence, self._window.length)
            self._lookup.note(counts)
            results.append((score, False))
        past.extend(columns, moments[-1])
        return results

    def _result(self, found: Found) -> Result:
        _, _, transaction_id, _, probability, distance, as_of_us, revises, is_held = found
        if not is_held:
            return no_longer_held(transaction_id)
        answer = Answer(probability, distance)
        if not math.isfinite(probability + distance):
            return not_finite(transaction_id, answer)
        score = self._answers.judge(answer, as_of_us)
        return score._replace(revises=revises) if revises else score


def _outcome(
    transaction_id: str,
    account_id: str,
    timestamp_us: int,
    result: Result,
    repeated: bool,
    latency_us: int,
) -> Outcome:
    if isinstance(result, TransactionError):
        return result
    return Decision.about(
        transaction_id, account_id, timestamp_us, result, repeated=repeated, latency_us=latency_us
    )
