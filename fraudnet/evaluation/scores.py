"""The scores of a period's labelled rows in a file, for whoever compares two networks later."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from fraudnet.errors import InputError
from fraudnet.evaluation.metrics import Scored
from fraudnet.transactions.writing import write_transactions

_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("account", pa.int32()),
        ("timestamp_us", pa.int64()),
        ("amount", pa.float64()),
        ("is_fraud", pa.int8()),
        ("fraud_probability", pa.float32()),
        ("ood_distance", pa.float32()),
    ]
)
_METADATA = "fraudnet"
_AGAIN = "expected what `fraudnet train` and `fraudnet evaluate` log under scores/: log it again"


@dataclass(frozen=True)
class Scores:
    """Labelled rows of a period with what a network answered, [N] each; no id is among it.

    Attributes:
        row: among the rows of the source that could be used, from 0; pairs the scores of two
            networks on the same data.
        account: codes, in no order, of this file alone.
        timestamp_us: microseconds since 1970, UTC.
        amount: major units.
        is_fraud: 1 or 0.
        fraud_probability: calibrated.
        ood_distance: Mahalanobis.
        fingerprint: of the whole data set's transactions.
        period: begin and end, as the facts of the network say it.
        threshold: from which probability on a transaction is flagged.
    """

    row: npt.NDArray[np.int64]
    account: npt.NDArray[np.int32]
    timestamp_us: npt.NDArray[np.int64]
    amount: npt.NDArray[np.float64]
    is_fraud: npt.NDArray[np.int8]
    fraud_probability: npt.NDArray[np.float32]
    ood_distance: npt.NDArray[np.float32]
    fingerprint: str
    period: str
    threshold: float

    def scored(self) -> Scored:
        """The same, as the figures are computed from it."""
        return Scored(
            self.fraud_probability,
            self.is_fraud,
            self.timestamp_us,
            self.account.astype(np.int64),
            self.amount,
        )


def write_scores(scores: Scores, path: Path) -> None:
    """Write scores as Parquet, in the order of `row`; accounts get new codes in a random order.

    The order depends on the data's fingerprint alone, so the same scores give the same bytes.

    Raises:
        InputError: the file cannot be written, or does not end in .parquet.
    """
    seed = list(scores.fingerprint.encode())
    distinct, position = np.unique(scores.account, return_inverse=True)
    codes = np.random.default_rng(seed).permutation(len(distinct))
    order = np.argsort(scores.row)
    columns = {name: getattr(scores, name) for name in _SCHEMA.names} | {"account": codes[position]}
    table = pa.table({name: values[order] for name, values in columns.items()}).cast(_SCHEMA)
    facts = {name: getattr(scores, name) for name in ("fingerprint", "period", "threshold")}
    write_transactions(table.replace_schema_metadata({_METADATA: json.dumps(facts)}), path)


def read_scores(path: Path) -> Scores:
    """Read what `write_scores` wrote.

    Raises:
        InputError: the file cannot be read, or is not such a file.
    """
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: no scores can be read ({reason}); {_AGAIN}") from None
    facts = _facts(table.schema.metadata or {}, path)
    if table.schema.remove_metadata() != _SCHEMA or any(c.null_count for c in table.columns):
        raise InputError(f"{path}: other columns than those of scores; {_AGAIN}")
    return Scores(**{name: table[name].to_numpy() for name in _SCHEMA.names}, **facts)


def _facts(metadata: dict[bytes, bytes], path: Path) -> dict[str, Any]:
    try:
        found = json.loads(metadata[_METADATA.encode()])
        return {
            "fingerprint": str(found["fingerprint"]),
            "period": str(found["period"]),
            "threshold": float(found["threshold"]),
        }
    except (KeyError, ValueError, TypeError):
        raise InputError(f"{path}: not a file of scores; {_AGAIN}") from None
