"""Predicted against published energies: the command, and the figures that the README quotes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import energy
from tests.energy.measured import FILES, accelerated, made_measurements, write_table

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "energy"
RESULTS = ROOT / "benchmarks" / "results" / "energy.json"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve rows on processors, three on an accelerator, of models made for the purpose."""
    monkeypatch.setattr(energy, "MODEL_FILES", {f"{name}.tflite": name for name in FILES})
    (tmp_path / "models").mkdir()
    for name, content in FILES.items():
        (tmp_path / "models" / name).write_bytes(content)
    rows = made_measurements(5)
    return write_table(tmp_path, [*rows[:12], *(accelerated(row) for row in rows[12:])])


def test_figures_by_tier_and_protocol(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = table.with_name("energy.json")
    assert energy.main(["--train", str(table), "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    for errors in report["errors"].values():
        assert errors["measured"]["all"]["rows"] == 15
        assert errors["measured"]["accelerators"]["rows"] == 3
        assert errors["counted"]["all"]["rows"] == 12
        assert errors["counted"]["accelerators"] is None
    refused = report["not_predicted"]["train"]["counted"]
    assert [row["system"] for row in refused] == ["system 4"] * 3
    assert "an NPU is an accelerator" in refused[0]["reason"]
    shown = capsys.readouterr().out
    assert "one system" in shown
    assert "goal missed" in shown


def test_a_test_table_is_predicted_from_the_training_table(table: Path) -> None:
    path = table.with_name("energy.json")
    lines = table.read_text().splitlines(keepends=True)
    training, test = table.with_name("train.csv"), table.with_name("test.csv")
    training.write_text("".join(lines[:10]))
    test.write_text("".join([lines[0], *lines[10:13]]))
    words = ["--train", str(training), "--test", str(test), "--json", str(path)]
    assert energy.main(words) == 0
    report = json.loads(path.read_text())
    assert report["errors"]["test"]["counted"]["all"]["rows"] == 3
    assert set(report["goals_kept"]["test"]["measured"]) == {
        "median_ratio", "p90_ratio", "coverage",
    }  # fmt: skip
    assert [row["system"] for row in report["predictions"]["test"]["counted"]] == ["system 3"] * 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--train", "none.csv"], "cannot read it"),
        (["--train", "TABLE", "--models", "nowhere"], "name a .tflite file"),
        (["--train", "TABLE", "--test", "EMPTY"], "no column 'system'"),
        (["--train", "TABLE", "--json", "no/folder.json"], "there is no folder"),
    ],
)
def test_wrong_input_is_one_line(
    table: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = table.with_name("empty.csv")
    empty.write_text("")
    named = {"TABLE": str(table), "EMPTY": str(empty)}
    assert energy.main([named.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def quoted(errors: dict[str, Any]) -> str:
    ratios = (errors[f"{name}_ratio"] for name in ("median", "p90", "worst"))
    return " | ".join([*(f"{ratio:.3f}" for ratio in ratios), f"{100 * errors['coverage']:.0f} %"])


def test_the_readme_quotes_the_committed_run() -> None:
    errors = json.loads(RESULTS.read_text())["errors"]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for held_out, protocol in energy.SHORT.items():
        for tier in energy.TIERS:
            if held_out in errors:
                of = errors[held_out][tier]
                assert (
                    f"| {tier} | {protocol} | {of['all']['rows']} | {quoted(of['all'])} |" in text
                )


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
def test_the_committed_run_is_what_the_command_makes(tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    table = PUBLISHED / "mlperf_tiny_train.csv"
    assert energy.main(["--train", str(table), "--json", str(path)]) == 0
    made, committed = json.loads(path.read_text()), json.loads(RESULTS.read_text())
    for protocol, tiers in committed["errors"].items():
        for tier, groups in tiers.items():
            for group, errors in groups.items():
                assert made["errors"][protocol][tier][group] == pytest.approx(errors, rel=1e-2)


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
def test_the_goals_hold_where_a_system_is_held_out(tmp_path: Path) -> None:
    """Also where the last of the rounds are the test table, which the command then predicts."""
    with (PUBLISHED / "mlperf_tiny_train.csv").open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    for name, kept in (("train", True), ("test", False)):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, reader.fieldnames or [])
            writer.writeheader()
            writer.writerows(row for row in rows if (row["round"] < "v1.1") == kept)
    path = tmp_path / "energy.json"
    words = ["--train", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv")]
    models = ["--models", str(PUBLISHED / "models")]
    assert energy.main([*words, *models, "--json", str(path)]) == 0
    kept_goals = json.loads(path.read_text())["goals_kept"]["test"]
    assert kept_goals["measured"]["median_ratio"]
    assert kept_goals["counted"]["worst_ratio"]
    committed = json.loads(RESULTS.read_text())["goals_kept"]["leave_one_system_out"]
    assert all(kept for tier in committed.values() for kept in tier.values())
