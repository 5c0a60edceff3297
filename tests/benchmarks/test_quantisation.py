"""The two tools that quantise: every variant is made, asked in both runtimes, scored."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks import quantisation
from tests.benchmarks.tables import handbook_table


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert quantisation.main(["--data", "none.parquet"]) == 2
    assert "none.parquet" in capsys.readouterr().err


@pytest.mark.slow
def test_every_variant_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data = tmp_path / "quantisation.json", tmp_path / "handbook.parquet"
    pq.write_table(handbook_table(), data)
    words = ["--data", str(data), "--folds", "4", "--epochs", "1", "--json", str(path)]
    assert quantisation.main(words) == 0
    rows = json.loads(path.read_text())["rows"]
    assert len(rows) == 7
    by = {(row["tool"], row["variant"]): row for row in rows}
    ours = {v: by["ai-edge-quantizer", v] for v in ("float32", "float16", "int8_weights", "int8")}
    assert ours["float32"]["equal_decisions"] == 1.0
    for row in ours.values():
        assert all(isinstance(off, float) for off in row["runtimes"].values())
        assert row["average_precision"] == pytest.approx(
            ours["float32"]["average_precision"], abs=0.02
        )
    assert ours["int8_weights"]["bytes"] < ours["float16"]["bytes"] < ours["float32"]["bytes"]
    shown = capsys.readouterr().out
    assert all(f"{tool} {variant} in ai-edge-litert" in shown for tool, variant in by)
