"""What the network reads of a case, from the window that the case keeps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudnet.device.artifact import Artifact
from fraudnet.device.contract import PROBABILITY, Contract
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.reasons import Occlusion
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window
from fraudnet.errors import InputError
from fraudnet.review.cases import Case


@dataclass(frozen=True)
class CaseSequence:
    """An account's transactions up to the flagged one.

    Attributes:
        transaction_ids: of the positions that are not padding, oldest first.
        inputs: the network's raw inputs by name, [L] each, padding first.
        matrix: the same as the device packs them, [inputs, L].
        knows_reputation: whether the case kept the counts of its transactions' counterparties, or
            the network reads none.
    """

    transaction_ids: list[str]
    inputs: dict[str, npt.NDArray[Any]]
    matrix: npt.NDArray[np.int32]
    knows_reputation: bool

    def window(self, length: int) -> dict[str, npt.NDArray[Any]]:
        """The inputs of the last `length` positions."""
        return {name: values[-length:] for name, values in self.inputs.items()}

    def transaction_id(self, places_before: int) -> str:
        """Of the transaction so many places before the flagged one."""
        return self.transaction_ids[-1 - places_before]


def case_sequence(case: Case, contract: Contract, positions: int) -> CaseSequence:
    """What the network reads of a case.

    Args:
        case: open.
        contract: of an artifact, which says what the inputs are.
        positions: L; a window's length explains the score, more show the account's usual as well,
            as far back as the case's window goes.

    Raises:
        InputError: the network cannot read its transactions.
    """
    stored = case.stored[-positions:]
    packing = Window(contract)
    matrix = np.zeros((len(packing.names), positions), np.int32)
    try:
        packed = [
            packing.pack(_transaction(case.account_id, entry), entry.get("reputation", {}))
            for entry in stored
        ]
        matrix[:, positions - len(stored) :] = packing.columns(packed)
    except (DeviceInputError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"case {case.case_id}: the network cannot read its transactions ({error})"
        ) from error
    inputs = packing.inputs(matrix, 0, positions)
    return CaseSequence(
        [str(entry["transaction_id"]) for entry in stored],
        {name: values[0] for name, values in inputs.items()},
        matrix,
        contract.reputation is None or all("reputation" in entry for entry in stored),
    )


def occlusion_table(artifact: Artifact, sequence: CaseSequence) -> pd.DataFrame:
    """What the artifact says with each field of each transaction as is usual in the window.

    Some 700 answers of a full window, about a tenth of a second on one core.

    Returns:
        Rows transaction_id, places_before (0: the flagged one), field (`transaction`: all fields),
        fraud_probability (without), drop (from that of the window); what moves it most is first.
    """
    packing = Window(artifact.contract)

    def probability(matrix: npt.NDArray[np.int32]) -> float:
        inputs = packing.inputs(np.ascontiguousarray(matrix), 0, packing.length)
        return float(artifact.network.run(inputs)[PROBABILITY])

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


def _transaction(account_id: str, entry: dict[str, Any]) -> Transaction:
    return Transaction(
        str(entry["transaction_id"]), account_id, int(entry["timestamp_us"]),
        entry["counterparty_id"], float(entry["amount"]), entry["columns"],
    )  # fmt: skip
