"""Why a transaction was flagged: what the artifact says when a part of its window is not so.

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014, section
4.2) through the artifact itself. A field is occluded by what is usual in the window, a transaction
by leaving it out. Which earlier transaction moved the answer most is found by leaving out halves
of the window, then halves of the half that moved it more: 2 log2 T answers instead of T.

Of a run of quick transactions each is evidence that the others repeat, so that without any one of
them little changes: their times are occluded together, by moving them as far apart as is usual.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.contract import Contract
from fraudnet.device.decisions import Reason
from fraudnet.device.transactions import DAY_US, Transaction
from fraudnet.device.window import SECOND_US, UNKNOWN_COUNT, Window

MOST = 3
# A part that moves the probability by less is no reason.
LEAST_DROP = 0.005
# Of what an earlier transaction moves: a field that moves as much is named in its place.
FIELD_SHARE = 0.5
TIME, REPUTATION, WHOLE = "time", "reputation", "transaction"
PACE = "pace"  # a reason of time that is of several transactions
# Of the usual gap: a transaction that follows sooner is part of a run.
QUICK = 0.25
DAY_S = DAY_US // SECOND_US

Matrix = NDArray[np.int32]
Found = tuple[float, int, str]  # probability without, position, field


class Occlusion:
    """Looks for reasons through one artifact.

    Args:
        contract: what its inputs are.
        window: how they are packed.
        probability: of a packed window [inputs, length].
    """

    def __init__(
        self, contract: Contract, window: Window, probability: Callable[[Matrix], float]
    ) -> None:
        self._window = window
        self._probability = probability
        self._fields: dict[str, list[int]] = {}
        for i, entry in enumerate(contract.inputs):
            if entry.kind == "valid":
                self._valid = i
                continue
            field = {"day": TIME, "second": TIME, "reputation": REPUTATION, "amount": "amount"}.get(
                entry.kind, entry.column
            )
            self._fields.setdefault(field, []).append(i)
        self._kinds = [entry.kind for entry in contract.inputs]

    def reasons(
        self, matrix: Matrix, probability: float, transaction_at: Callable[[int], Transaction]
    ) -> list[Reason]:
        """At most three, what moved the probability most first.

        Args:
            matrix: the packed window, [inputs, length], the flagged transaction last.
            probability: of it.
            transaction_at: the transaction so many places before the flagged one.
        """
        last = matrix.shape[1] - 1
        first = last + 1 - int(np.count_nonzero(matrix[self._valid]))
        found = [(self._without(matrix, last, f), last, f) for f in self._fields if f != TIME]
        if TIME in self._fields:
            time = self._without(matrix, last, TIME), last, TIME
            found.append(min(time, (self._at_usual_pace(matrix), last, PACE)))
        if first < last:
            found.append(self._earlier(matrix, probability, first, last))
        found = [each for each in found if each[0] <= probability - LEAST_DROP]
        return [
            self._reason(matrix, probability, each, transaction_at(last - each[1]))
            for each in sorted(found)[:MOST]
        ]

    def every(self, matrix: Matrix) -> list[Found]:
        """What the artifact says with each field of each transaction as is usual, and with all.

        Some five answers a transaction of the window, where `reasons` asks for some 30 in all.

        Args:
            matrix: the packed window, [inputs, length], the flagged transaction last.
        """
        length = matrix.shape[1]
        places = range(length - int(np.count_nonzero(matrix[self._valid])), length)
        return [
            (self._without(matrix, place, field), place, field)
            for place in places
            for field in (*self._fields, WHOLE)
        ]

    def _earlier(self, matrix: Matrix, probability: float, first: int, last: int) -> Found:
        """The earlier transaction that moved the answer most, and its field that did, if one."""
        start, stop, without = first, last, 1.0
        while True:
            if stop - start == 1:
                without = self._without_range(matrix, start, stop)
                break
            middle = (start + stop) // 2
            halves = [(start, middle), (middle, stop)]
            start, stop = min(halves, key=lambda half: self._without_range(matrix, *half))
        fields = [(self._without(matrix, start, f), start, f) for f in self._fields]
        best = min(fields)
        enough = FIELD_SHARE * (probability - without)
        return best if probability - best[0] >= enough else (without, start, WHOLE)

    def _without_range(self, matrix: Matrix, start: int, stop: int) -> float:
        changed = np.zeros_like(matrix)
        changed[:, stop:] = matrix[:, stop:]
        changed[:, stop - start : stop] = matrix[:, :start]
        return self._probability(changed)

    def _without(self, matrix: Matrix, place: int, field: str) -> float:
        """With a field of one transaction, or all, as is usual; 1 where nothing is usual."""
        changed = matrix.copy()
        done = [
            self._make_usual(changed, matrix, place, each)
            for each in self._fields
            if field in (each, WHOLE)
        ]
        return self._probability(changed) if any(done) else 1.0

    def _make_usual(self, changed: Matrix, matrix: Matrix, place: int, field: str) -> bool:
        if field == TIME:
            usual = self._usual_gap_s(matrix, place)
            if usual is None:
                return False
            self._set_time_s(changed, place, int(self._times_s(matrix)[place - 1]) + usual)
            return True
        others = matrix[self._valid] != 0
        others[place] = False
        for i in self._fields[field]:
            self._set(changed, i, place, self._usual(matrix, i, others))
        return True

    def _at_usual_pace(self, matrix: Matrix) -> float:
        """With the run that the last transaction ends as far apart as is usual; 1 if none."""
        last = matrix.shape[1] - 1
        begin, usual = self._run(matrix)
        if last - begin < 2:
            return 1.0
        changed, times = matrix.copy(), self._times_s(matrix)
        moved = times.copy()
        moved[begin:last] = times[last] - usual * np.arange(last - begin, 0, -1)
        moved[:begin] -= times[begin] - moved[begin]
        for place in np.flatnonzero(matrix[self._valid][:last]):
            self._set_time_s(changed, int(place), int(moved[place]))
        return self._probability(changed)

    def _run(self, matrix: Matrix) -> tuple[int, int]:
        """Where the run begins that the last transaction ends, and the usual gap in seconds."""
        last = matrix.shape[1] - 1
        usual = self._usual_gap_s(matrix, last)
        if usual is None:
            return last, 0
        quick = np.diff(self._times_s(matrix)) < QUICK * usual
        quick &= matrix[self._valid][:-1] != 0
        slow = np.flatnonzero(~quick)
        return (int(slow[-1]) + 1 if len(slow) else 0), usual

    def _usual(self, matrix: Matrix, i: int, others: NDArray[np.bool_]) -> float:
        if self._kinds[i] == "reputation":
            return UNKNOWN_COUNT
        if self._kinds[i] == "categorical" or not others.any():
            return 0
        return float(np.median(self._values(matrix, i)[others]))

    def _values(self, matrix: Matrix, i: int) -> NDArray[np.float32] | NDArray[np.int32]:
        row: NDArray[np.int32] = matrix[i]
        return row.view(np.float32) if self._window.is_float[i] else row

    def _set(self, matrix: Matrix, i: int, place: int, value: float) -> None:
        self._values(matrix, i)[place] = value

    def _times_s(self, matrix: Matrix) -> NDArray[np.int64]:
        total = np.zeros(matrix.shape[1], np.int64)
        for i in self._fields.get(TIME, []):
            scale = DAY_S if self._kinds[i] == "day" else 1
            total += scale * self._values(matrix, i).astype(np.int64)
        return total

    def _usual_gap_s(self, matrix: Matrix, place: int) -> int | None:
        """Median seconds from one transaction to the next, that one's left out; None: no other."""
        times = self._times_s(matrix)
        valid = matrix[self._valid] != 0
        gaps = np.diff(times)
        counted = valid[1:] & valid[:-1]
        if place == 0 or not counted[place - 1]:
            return None
        counted[place - 1] = False
        return int(np.median(gaps[counted])) if counted.any() else None

    def _set_time_s(self, matrix: Matrix, place: int, time_s: int) -> None:
        for i in self._fields[TIME]:
            value = time_s // DAY_S if self._kinds[i] == "day" else time_s % DAY_S
            self._set(matrix, i, place, value)

    def _reason(
        self,
        matrix: Matrix,
        probability: float,
        found: Found,
        transaction: Transaction,
    ) -> Reason:
        without, place, field = found
        which = (
            "of this transaction"
            if place == matrix.shape[1] - 1
            else f"of the earlier transaction {transaction.transaction_id}"
        )
        moved = f"the probability is {without:.3f} instead of {probability:.3f}"
        if field == WHOLE:
            text = f"the earlier transaction {transaction.transaction_id}: without it {moved}"
        elif field == PACE:
            begin, usual_s = self._run(matrix)
            took = _duration(int(self._times_s(matrix)[place] - self._times_s(matrix)[begin]))
            text = (
                f"time {which} and of the {place - begin} before it, {took} in all: "
                f"{_duration(usual_s)} apart {moved}"
            )
            field = TIME
        elif field == TIME:
            gap = int(np.diff(self._times_s(matrix))[place - 1])
            after = _duration(self._usual_gap_s(matrix, place) or 0)
            text = f"time {which}, {_duration(gap)} after the one before: after {after} {moved}"
        elif field == REPUTATION:
            text = f"reputation of its counterparty {which}: were it unknown {moved}"
        else:
            value = transaction.amount if field == "amount" else transaction.columns.get(field)
            i = self._fields[field][0]
            others = matrix[self._valid] != 0
            others[place] = False
            usual = self._usual(matrix, i, others)
            said = "unknown" if self._kinds[i] == "categorical" else f"{usual:.2f}"
            text = f"{field} {value} {which}: were it {said} {moved}"
        return Reason(transaction.transaction_id, field, without, text)


def written(reasons: Sequence[Reason]) -> str:
    """Reasons as the store holds them."""
    return json.dumps([asdict(reason) for reason in reasons])


def _duration(seconds: int) -> str:
    for unit, length in (("d", DAY_S), ("h", 3600), ("min", 60)):
        if abs(seconds) >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds} s"
