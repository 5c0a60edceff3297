"""What comes late: which decisions about later transactions it would have changed."""

import json
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from fraudnet.device.accounts import Accounts
from fraudnet.device.answers import Answer, Answers
from fraudnet.device.store import AFTER_ALL, Entry, Store, Stored
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Past, Window

_SHOWN = 5  # ids that a notice names


class Late:
    """Asks one artifact again about what it decided; the decisions stay as they are.

    All methods but `notices` are called inside a commit of the store.
    """

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        window: Window,
        answers: Answers,
        artifact_sha256: str,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._window = window
        self._answers = answers
        self._sha256 = artifact_sha256
        self._by_history: list[str] = []

    def revised(
        self, transaction: Transaction, past: Past, packed: bytes, sequence: int
    ) -> list[str]:
        """Later transactions that would be flagged, or found familiar, otherwise now."""
        later = self._store.after(
            transaction.account_id, transaction.timestamp_us, sequence, self._window.length - 1
        )
        if not later:
            return []
        columns = self._window.columns([packed, *self._accounts.rows(later)])
        matrix = np.concatenate([past.context(), columns], axis=1)[:, 1:]
        answers = self._answers.of_sequence(matrix)
        return self._otherwise([place.sequence for place in later], answers)

    def newest_us(self, account_id: str) -> int:
        """The time of an account's newest transaction; -1: it has none."""
        places = self._store.before(account_id, AFTER_ALL, AFTER_ALL, 1)
        return places[0].timestamp_us if places else -1

    def revise_by_history(self, account_id: str, added: Collection[tuple[int, int]]) -> None:
        """Notes with late history which decisions it would have changed.

        Args:
            account_id: as it is stored.
            added: time and sequence of what was added, not all newer than the account's newest.
        """
        sequences = {sequence for _, sequence in added}
        part = self._store.stretch(account_id, min(added)[0], AFTER_ALL)
        places = [i for i, each in enumerate(part) if each.sequence in sequences]
        reached = [i for i in range(len(part)) if self._reaches(places, i)]
        if not any(part[i].is_decided for i in reached):
            return
        answers = self._answers.of_sequence(self._matrix(account_id, part[: reached[-1] + 1]))
        by_cause: dict[int, list[int]] = {}
        for i in reached:
            if part[i].is_decided:
                by_cause.setdefault(places[bisect_left(places, i) - 1], []).append(i)
        for cause, caused in by_cause.items():
            revised = self._otherwise(
                (part[i].sequence for i in caused), [answers[i] for i in caused]
            )
            if revised:
                self._store.revise(part[cause].sequence, json.dumps(revised))
                self._by_history += revised

    def _reaches(self, places: Sequence[int], i: int) -> bool:
        """Whether the window of the i-th holds one of the places before it."""
        before = bisect_left(places, i) - 1
        return before >= 0 and i - places[before] < self._window.length

    def _matrix(self, account_id: str, part: Sequence[Entry]) -> np.ndarray:  # type: ignore[type-arg]
        context = self._window.length - 1
        first = part[0]
        before = self._store.before(account_id, first.timestamp_us, first.sequence, context)
        columns = self._window.columns(self._accounts.rows([*before, *part]))
        return np.pad(columns, ((0, 0), (context - len(before), 0)))

    def _otherwise(self, sequences: Iterable[int], answers: Sequence[Answer]) -> list[str]:
        return [
            stored.transaction.transaction_id
            for stored, answer in zip(self._store.at(sequences), answers, strict=True)
            if self._is_otherwise(stored, answer)
        ]

    def _is_otherwise(self, stored: Stored, answer: Answer) -> bool:
        score = stored.score
        if score is None or score.artifact_sha256 != self._sha256:
            return False
        now = self._answers.judge(answer, None)
        return (now.flagged, now.familiar) != (score.flagged, score.familiar)

    def notices(self) -> list[str]:
        """What the user should know."""
        found = self._by_history
        if not found:
            return []
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return [
            f"{len(found)} decisions would be otherwise with history that was added after them: "
            f"{', '.join(found[:_SHOWN])}{more}; they stay as they are"
        ]
