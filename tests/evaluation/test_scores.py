"""The file of scores: what goes in comes out, and nothing else is taken for it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import adjusted_rand_score

from fraudnet.errors import InputError
from fraudnet.evaluation.scores import Scores, read_scores, write_scores

TYPES = {
    "row": "int64",
    "account": "int32",
    "timestamp_us": "int64",
    "amount": "float64",
    "is_fraud": "int8",
    "fraud_probability": "float32",
    "ood_distance": "float32",
}


def scores(rows: int = 300) -> Scores:
    rng = np.random.default_rng(3)
    return Scores(
        row=rng.permutation(10 * rows)[:rows],
        account=rng.integers(0, 40, rows).astype(np.int32),
        timestamp_us=rng.integers(0, 10**15, rows),
        amount=rng.normal(size=rows),
        is_fraud=rng.integers(0, 2, rows).astype(np.int8),
        fraud_probability=rng.random(rows, np.float32),
        ood_distance=rng.random(rows, np.float32),
        fingerprint="sha256:ab",
        period="2025-01-01 00:00 .. 2025-01-08 00:00",
        threshold=0.1234567890123456789,
    )


def test_what_is_written_is_read_in_the_order_of_the_source(tmp_path: Path) -> None:
    given = scores()
    write_scores(given, tmp_path / "test.parquet")
    found = read_scores(tmp_path / "test.parquet")
    order = np.argsort(given.row)
    for name in TYPES.keys() - {"account"}:
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name)[order])
    assert found.scored().day.max() == given.timestamp_us.max() // 86_400_000_000
    for name in ("fingerprint", "period", "threshold"):
        assert getattr(found, name) == getattr(given, name)


def test_accounts_are_told_apart_by_other_codes(tmp_path: Path) -> None:
    given = scores()
    write_scores(given, tmp_path / "test.parquet")
    before, after = given.account[np.argsort(given.row)], read_scores(tmp_path / "test.parquet")
    assert adjusted_rand_score(before, after.account) == 1.0
    assert set(after.account) == set(range(len(set(before))))
    assert (before != after.account).mean() > 0.8


def test_the_layout_is_the_agreed_one(tmp_path: Path) -> None:
    write_scores(scores(), tmp_path / "test.parquet")
    schema = pq.read_schema(tmp_path / "test.parquet")
    found = {field.name: field.type.to_pandas_dtype() for field in schema}
    assert found == {name: np.dtype(kind).type for name, kind in TYPES.items()}
    assert json.loads(schema.metadata[b"fraudnet"]) == {
        "fingerprint": "sha256:ab",
        "period": "2025-01-01 00:00 .. 2025-01-08 00:00",
        "threshold": 0.1234567890123456789,
    }


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        write_scores(scores(), tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    write_scores(replace(scores(), fingerprint="sha256:other"), tmp_path / "b.parquet")
    account = [read_scores(tmp_path / name).account for name in ("a.parquet", "b.parquet")]
    assert (account[0] != account[1]).any()


@pytest.mark.parametrize("kind", ["missing", "text", "other columns", "no metadata", "nulls"])
def test_another_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "test.parquet"
    write_scores(scores(), path)
    table = pq.read_table(path)
    if kind == "missing":
        path.unlink()
    elif kind == "text":
        path.write_text("score\n0.5\n")
    else:
        metadata = {} if kind == "no metadata" else table.schema.metadata
        if kind == "other columns":
            table = table.rename_columns(["line", *table.column_names[1:]])
        elif kind == "nulls":
            table = table.set_column(0, "row", pa.nulls(len(table), pa.int64()))
        pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match=r"test\.parquet: .* log it again"):
        read_scores(path)
