"""The README: every figure has its file, every command parses, every path is there."""

import json
import re
import shlex
from collections import defaultdict
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import pytest

from fraudnet.cli import build_parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ("roc_auc", "average_precision", "card_precision_at_100")


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [line.split("|")[-1].split(">")[0].strip() for line in lines]
    return [shlex.split(line) for line in found if line.startswith("fraudnet ")]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_command_parses(command: list[str]) -> None:
    assert build_parser().parse_args(command[1:]).command == command[1]


def rows_of(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((RESULTS / name).read_text())["rows"]
    return rows


def figures(rows: list[dict[str, Any]]) -> list[str]:
    columns = ([row[key] for row in rows] for key in FIGURES)
    return [f"{mean(values):.3f} ± {pstdev(values):.3f}" for values in columns]


def test_paths_are_there() -> None:
    named = re.findall(r"`((?:fraudnet|data|notebooks|benchmarks|mlflow)/[\w./-]*)`", README)
    assert len(named) > 8
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_figures_are_those_of_the_committed_run() -> None:
    by_model: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows_of("detection_handbook.json"):
        by_model[f"{row['model']}, {row['training_days']} days"].append(row)
    assert by_model
    for name, rows in by_model.items():
        assert f"| {name} | {' | '.join(figures(rows))} |" in README
    daily = figures(rows_of("detection_handbook_daily.json"))
    assert f"{' / '.join(daily)}" in " ".join(README.split())
