"""What the network reads of a case, from the case store; and how its scores went."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudnet.device.artifact import Artifact
from fraudnet.device.contract import Contract
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.reasons import Occlusion
from fraudnet.device.runtime import Network
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window
from fraudnet.errors import InputError
from fraudnet.review.store import CaseStore

WEEKS = 4
WEEK_US = 7 * 86_400_000_000

_FLAGGED = """
SELECT account_id, timestamp_us, sequence FROM cases JOIN transactions USING (transaction_id)
WHERE case_id = ?
"""
_UP_TO = """
SELECT transaction_id, account_id, timestamp_us, counterparty_id, amount, columns, reputation
FROM transactions WHERE account_id = ? AND (timestamp_us, sequence) <= (?, ?)
ORDER BY timestamp_us DESC, sequence DESC LIMIT ?
"""
_COURSE = """
SELECT transaction_id, timestamp_us, amount, fraud_probability, ood_distance, threshold, flagged
FROM transactions WHERE account_id = ? AND timestamp_us >= ? AND (timestamp_us, sequence) <= (?, ?)
ORDER BY timestamp_us, sequence
"""


@dataclass(frozen=True)
class CaseSequence:
    """An account's transactions up to the flagged one.

    Attributes:
        transaction_ids: of the positions that are not padding, oldest first.
        inputs: the network's raw inputs by name, [L] each, padding first.
        matrix: the same as the device packs them, [inputs, L].
    """

    transaction_ids: list[str]
    inputs: dict[str, npt.NDArray[Any]]
    matrix: npt.NDArray[np.int32]

    def window(self, length: int) -> dict[str, npt.NDArray[Any]]:
        """The inputs of the last `length` positions."""
        return {name: values[-length:] for name, values in self.inputs.items()}

    def transaction_id(self, places_before: int) -> str:
        """Of the transaction so many places before the flagged one."""
        return self.transaction_ids[-1 - places_before]


def case_sequence(
    store: CaseStore, case_id: int, contract: Contract, positions: int
) -> CaseSequence:
    """What the network reads of a case's account, from what the store holds now.

    Args:
        store: an open case store.
        case_id: whose flagged transaction is the newest.
        contract: of an artifact, which says what the inputs are.
        positions: L; a window's length explains the score, more show the account's usual as well.

    Raises:
        InputError: no such case, its transactions were erased, or the artifact cannot read them.
    """
    account_id, timestamp_us, sequence = _flagged(store, case_id)
    with store.connect() as connection:
        rows = connection.execute(
            _UP_TO, (account_id, timestamp_us, sequence, positions)
        ).fetchall()[::-1]
    packing = Window(contract)
    matrix = np.zeros((len(packing.names), positions), np.int32)
    try:
        packed = [packing.pack(_transaction(row), json.loads(row[6])) for row in rows]
        matrix[:, positions - len(rows) :] = packing.columns(packed)
    except (TypeError, ValueError, DeviceInputError) as error:
        raise InputError(
            f"{store.path}: case {case_id}: its transactions cannot be read ({error})"
        ) from error
    inputs = packing.inputs(matrix, 0, positions)
    return CaseSequence(
        [row[0] for row in rows], {name: values[0] for name, values in inputs.items()}, matrix
    )


def score_course(store: CaseStore, case_id: int, weeks: float = WEEKS) -> pd.DataFrame:
    """Scores and distances of a case's account in the weeks before and at the flagged transaction.

    Returns:
        Rows transaction_id, timestamp (UTC), amount, fraud_probability, ood_distance, threshold,
        flagged, oldest first; what was stored as history alone has no score (NaN).

    Raises:
        InputError: no such case, or its transactions were erased.
    """
    account_id, timestamp_us, sequence = _flagged(store, case_id)
    since_us = timestamp_us - round(weeks * WEEK_US)
    with store.connect() as connection:
        course = pd.read_sql_query(
            _COURSE, connection, params=(account_id, since_us, timestamp_us, sequence)
        )
    course.insert(1, "timestamp", pd.to_datetime(course.pop("timestamp_us"), unit="us", utc=True))
    for name in ("amount", "fraud_probability", "ood_distance", "threshold"):
        course[name] = course[name].astype(float)
    course["flagged"] = course["flagged"].fillna(0).astype(bool)
    return course


def occlusion_table(artifact: Artifact, sequence: CaseSequence) -> pd.DataFrame:
    """What the artifact says with each field of each transaction as is usual in the window.

    Some 700 answers of a full window, about a tenth of a second on one core.

    Returns:
        Rows transaction_id, places_before (0: the flagged one), field (`transaction`: all fields),
        fraud_probability (without), drop (from that of the window); what moves it most is first.
    """
    packing = Window(artifact.contract)
    network: Network = artifact.network

    def probability(matrix: npt.NDArray[np.int32]) -> float:
        inputs = packing.inputs(np.ascontiguousarray(matrix), 0, packing.length)
        return float(network.run(inputs)["fraud_probability"])

    matrix = np.ascontiguousarray(sequence.matrix[:, -packing.length :])
    found = Occlusion(artifact.contract, packing, probability).every(matrix)
    as_is, last = probability(matrix), matrix.shape[1] - 1
    return pd.DataFrame(
        [
            (sequence.transaction_id(last - place), last - place, field, without, as_is - without)
            for without, place, field in sorted(found)
        ],
        columns=["transaction_id", "places_before", "field", "fraud_probability", "drop"],
    )


def _transaction(row: tuple[Any, ...]) -> Transaction:
    transaction_id, account_id, timestamp_us, counterparty_id, amount, columns, _ = row
    return Transaction(
        transaction_id, account_id, timestamp_us, counterparty_id, amount, json.loads(columns)
    )


def _flagged(store: CaseStore, case_id: int) -> tuple[str, int, int]:
    with store.connect() as connection:
        row = connection.execute(_FLAGGED, (case_id,)).fetchone()
        if row is None:
            known = connection.execute("SELECT 1 FROM cases WHERE case_id = ?", (case_id,))
            erased = known.fetchone() is not None
    if row is None:
        what = "its transactions were erased from the store" if erased else "is not there"
        raise InputError(f"{store.path}: case {case_id}: {what}; there is nothing to explain")
    return row[0], int(row[1]), int(row[2])
