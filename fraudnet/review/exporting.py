"""Files from the team's database: its cases as tables, and the labels that its verdicts make."""

import json
import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
from sqlalchemy import text

from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.transactions.labels import ENDINGS
from fraudnet.transactions.untrusted import guarded
from fraudnet.transactions.writing import write_transactions

_CASES = text("""
SELECT cases.case_id, cases.account_id, transaction_id, timestamp_us, amount, counterparty_id,
       category, fraud_probability, ood_distance, threshold, familiar, reasons, artifact_sha256,
       reason, inclusion_probability, device_id, opened_at_us,
       COALESCE(verdict, 'undecided') AS verdict, kind, note, reviewer, decided_at_us,
       assigned_to, erased_at_us
FROM cases LEFT JOIN flags USING (case_id)
LEFT JOIN verdicts_in_force ON verdicts_in_force.case_id = cases.case_id
WHERE joined_to IS NULL ORDER BY cases.case_id, timestamp_us, transaction_id
""")
# A verdict covers what its analyst saw; what it does not cover was put into another case. Where a
# clock was set back, or the device's goes ahead, a label is known from its transaction on.
_LABELS = text("""
SELECT transaction_id, CASE WHEN verdict = 'confirmed_fraud' THEN 1 ELSE 0 END AS is_fraud,
       CASE WHEN decided_at_us < timestamp_us THEN timestamp_us ELSE decided_at_us END
         AS known_at_us, kind,
       (SELECT COUNT(DISTINCT given.reviewer) FROM verdicts AS given
        JOIN verdict_flags AS covered ON covered.verdict_id = given.verdict_id
        WHERE covered.flag_id = flags.flag_id AND given.verdict <> 'undecided') AS reviewers,
       reason, inclusion_probability, flags.case_id
FROM flags JOIN verdicts_in_force USING (case_id)
JOIN verdict_flags ON verdict_flags.verdict_id = verdicts_in_force.verdict_id
  AND verdict_flags.flag_id = flags.flag_id
WHERE verdict IN ('confirmed_fraud', 'false_positive') ORDER BY transaction_id
""")
_ENDINGS = (".csv", ".csv.gz", ".parquet", ".json", ".jsonl", ".jsonl.gz")
_MOMENTS = ("timestamp", "opened_at", "decided_at", "erased_at", "label_time")
_INTEGERS = ("case_id", "is_fraud", "reviewers")
_NUMBERS = ("amount", "fraud_probability", "ood_distance", "threshold", "inclusion_probability")


def labels(database: CaseDatabase) -> pd.DataFrame:
    """What the verdicts in force say of transactions: confirmed fraud is 1, false positive 0.

    Suspicious and undecided say neither, and give no label.

    Returns:
        One row a transaction, by its id: transaction_id, is_fraud, label_time (UTC, the moment of
        the verdict, or of the transaction where a clock puts that later), kind (of fraud, or ''),
        reviewers (how many gave a verdict on it), reason and inclusion_probability (why it was
        looked at), case_id.
    """
    with database.read() as connection:
        found = pd.read_sql_query(_LABELS, connection)
    found.insert(2, "label_time", pd.to_datetime(found.pop("known_at_us"), unit="us", utc=True))
    return found


def export_labels(database: CaseDatabase, path: Path) -> pd.DataFrame:
    """Write the labels to a file that training reads, whole or not at all; returns them.

    Raises:
        InputError: the extension is not known, or the file cannot be written.
    """
    if not path.name.endswith(ENDINGS):
        raise InputError(f"{path}: unknown ending; give labels as one of {', '.join(ENDINGS)}")
    found = labels(database)
    _write(found, path)
    return found


def export_cases(database: CaseDatabase, path: Path) -> int:
    """Write all cases, one row a transaction, to .csv, .parquet, .json or .jsonl.

    A case whose history was erased has one row without a transaction. Texts of a CSV are guarded,
    so that a spreadsheet takes none for a formula.

    Returns:
        How many rows.

    Raises:
        InputError: the extension is not known, or the file cannot be written.
    """
    with database.read() as connection:
        cases = pd.read_sql_query(_CASES, connection)
    for name in [name for name in cases.columns if name.endswith("_us")]:
        moments = pd.to_datetime(cases[name], unit="us", utc=True)
        cases.insert(cases.columns.get_loc(name), name.removesuffix("_us"), moments)  # type: ignore[arg-type]
        del cases[name]
    cases["familiar"] = cases["familiar"].astype("boolean")
    _write(cases, path)
    return len(cases)


def _write(frame: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(frame, _schema(frame), preserve_index=False)
    name = path.name.lower()
    if name.endswith(".json"):
        _write_json(table, path)
        return
    if not name.endswith(_ENDINGS):
        raise InputError(f"{path}: unknown ending; give one of {', '.join(_ENDINGS)}")
    is_csv = name.endswith((".csv", ".csv.gz"))
    write_transactions(guarded(table) if is_csv else table, path)


def _schema(frame: pd.DataFrame) -> pa.Schema:
    """Types by name, so that an empty column has the same as a full one."""
    types = {
        **dict.fromkeys(_MOMENTS, pa.timestamp("us", "UTC")),
        **dict.fromkeys(_INTEGERS, pa.int64()),
        **dict.fromkeys(_NUMBERS, pa.float64()),
        "familiar": pa.bool_(),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in frame.columns])


def _write_json(table: pa.Table, path: Path) -> None:
    records = [
        {name: value.isoformat() if name in _MOMENTS and value else value for name, value in row}
        for row in (record.items() for record in table.to_pylist())
    ]
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        beside.write_text(json.dumps(records, indent=1), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
