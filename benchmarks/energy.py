"""How far predicted energies are from published ones, by tier, on rows that no fit has seen."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.command_line import run
from benchmarks.results_file import refuse_unwritable, write_results
from fraudnet.energy.counting import ModelCount, count_file
from fraudnet.energy.fitting import fit_profile, profile_text
from fraudnet.energy.measurements import Measurement, MeasurementTable, read_measurements
from fraudnet.energy.tiers import Tier
from fraudnet.energy.validation import (
    HeldOut,
    as_dictionary,
    askable,
    errors_of,
    leave_all_of_a_system_out,
    leave_one_model_out,
    leave_one_system_out,
    predict_test,
)

PROGRAM = "python -m benchmarks.energy"
TIERS: tuple[Tier, ...] = get_args(Tier)
MODEL_FILES = {
    "ad": "ad01_int8.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "kws": "kws_ref_model.tflite",
    "vww": "vww_96_int8.tflite",
}
PROFILES = {
    "nucleo-l4r5zi-1v8": "v1.2 STMicroelectronics NUCLEO_L4R5ZI",
    "nucleo-l4r5zi-1v8-tflm": "v0.5 reference Nucleo-L4R5ZI",
    "nucleo-l4r5zi-3v0": "v1.1 Krai NUCLEO-L4R5ZI_X-CUBE-AI-8.0",
    "nucleo-h7a3zi-3v0": "v1.2 STMicroelectronics NUCLEO_H7A3ZI_Q",
    "rx65n-3v0": "v0.7 renesas RX65N-Cloud-Kit",
    "xg24-mvp": "v1.0 silicon_labs silicon_labs_xG24_DK2601B",
    "gap9-ne16": "v1.0 greenwaves-technologies gap9_650_240",
    "ndp9120-0v9": "v1.0 syntiant syntiant_9120_0v9_30mhz",
    "ndp9120-1v1": "v1.0 syntiant syntiant_9120_1v1_98mhz",
}
GOALS: dict[Tier, dict[str, float]] = {
    "measured": {"median_ratio": 1.05, "p90_ratio": 1.12},
    "counted": {"median_ratio": 1.13, "p90_ratio": 1.38, "worst_ratio": 1.8},
}
COVERAGE_GOAL = (0.85, 0.95)
SHORT = {
    "leave_one_model_out": "one model",
    "leave_one_system_out": "one system",
    "nothing_known_of_the_system": "all of a system",
    "test": "--test",
}
REFUSED = "an accelerator: what it costs does not follow from counts; measure the latency there"

_DESCRIPTION = """\
Predict published energies an inference from other rows: with each model left out, with each system
left out (its power, or its factor, then comes from its other models), and with nothing known of the
system. With --test: fitted on all of --train, a row of --test is predicted from those and from the
other models of its own system in --test. Tier `measured`: predicted active power times measured
latency. Tier `counted`: from the model file alone; accelerators are refused."""

_EPILOG = f"""\
exit status: 0 done, 2 wrong input

example:
  {PROGRAM} --train ../shared/energy/mlperf_tiny_train.csv --json benchmarks/results/energy.json"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        PROGRAM, description=_DESCRIPTION, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("--train", type=Path, required=True, metavar="FILE", help="results, as CSV")
    made.add_argument("--test", type=Path, metavar="FILE", help="others, with the same columns")
    made.add_argument(
        "--models", type=Path, metavar="FOLDER",
        help="the reference models' .tflite files (default: models/ beside --train)",
    )  # fmt: skip
    made.add_argument("--json", type=Path, metavar="FILE", help="file to write all figures to")
    made.add_argument(
        "--profiles", type=Path, metavar="FOLDER",
        help="write the profiles of the package that --train's measurements make, and nothing else",
    )  # fmt: skip
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command on these words, by default the process's; returns the exit status."""
    return run(parser(), _run, words)


def _run(options: argparse.Namespace, command: str) -> None:
    if options.json:
        refuse_unwritable(options.json)
    counts = _counts(options.models or options.train.parent / "models")
    training = read_measurements(options.train, counts)
    if options.profiles:
        _write_profiles(training.rows, options.profiles)
        return
    test = read_measurements(options.test, counts) if options.test else None
    report = {"command": command, **measure(training, test)}
    if options.json:
        write_results(options.json, report)
    _print(report)


def measure(training: MeasurementTable, test: MeasurementTable | None) -> dict[str, Any]:
    """Errors by protocol and tier, whether they keep to the goals, and every prediction."""
    protocols: dict[str, dict[Tier, list[HeldOut]]] = {
        "leave_one_model_out": {t: leave_one_model_out(training.rows, t) for t in TIERS},
        "leave_one_system_out": {t: leave_one_system_out(training.rows, t) for t in TIERS},
        "nothing_known_of_the_system": {
            t: leave_all_of_a_system_out(training.rows, t) for t in TIERS
        },
    }
    if test:
        protocols["test"] = {t: predict_test(training.rows, test.rows, t) for t in TIERS}
    tables = {"train": training} | ({"test": test} if test else {})
    return {
        "goals": GOALS | {"coverage": COVERAGE_GOAL},
        "errors": {
            name: {tier: _by_group(held_out) for tier, held_out in tiers.items()}
            for name, tiers in protocols.items()
        },
        "goals_kept": {
            name: {tier: _goals_kept(held_out, tier) for tier, held_out in tiers.items()}
            for name, tiers in protocols.items()
            if name != "nothing_known_of_the_system"
        },
        "not_predicted": {
            name: _not_predicted(
                table, protocols["test" if name == "test" else "leave_one_system_out"]
            )
            for name, table in tables.items()
        },
        "predictions": {
            name: {tier: [_dictionary(one) for one in held_out] for tier, held_out in tiers.items()}
            for name, tiers in protocols.items()
            if name in ("leave_one_system_out", "test")
        },
    }


def _counts(folder: Path) -> dict[str, ModelCount]:
    return {task: count_file(folder / name) for task, name in MODEL_FILES.items()}


def _write_profiles(training: Sequence[Measurement], folder: Path) -> None:
    for name, system in PROFILES.items():
        fitted = fit_profile(training, system, validated=False)
        text = profile_text(fitted, name, "microcontroller", "MLPerf Tiny v0.5 to v1.2")
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
        print(folder / f"{name}.toml")


def _by_group(held_out: list[HeldOut]) -> dict[str, Any]:
    groups = {
        "all": held_out,
        "processors": [one for one in held_out if one.row.accelerator is None],
        "accelerators": [one for one in held_out if one.row.accelerator is not None],
    }
    return {name: as_dictionary(errors_of(group)) for name, group in groups.items()}


def _goals_kept(held_out: list[HeldOut], tier: Tier) -> dict[str, bool] | None:
    errors = errors_of(held_out)
    if errors is None:
        return None
    kept = {name: getattr(errors, name) <= most for name, most in GOALS[tier].items()}
    return kept | {"coverage": COVERAGE_GOAL[0] <= errors.coverage <= COVERAGE_GOAL[1]}


def _not_predicted(
    table: MeasurementTable, predicted: dict[Tier, list[HeldOut]]
) -> dict[str, list[dict[str, str]]]:
    """Why a row has no prediction, so that none is left out in silence."""
    return {
        "both": [{"line": str(line), "reason": reason} for line, reason in table.left_out],
        **{
            tier: [
                {"system": row.system, "model": row.model, "reason": _reason(row, table, tier)}
                for row in table.rows
                if not any(row is one.row for one in held_out)
            ]
            for tier, held_out in predicted.items()
        },
    }


def _reason(row: Measurement, table: MeasurementTable, tier: Tier) -> str:
    if tier == "counted" and row.accelerator is not None:
        return f"{row.accelerator} is {REFUSED}"
    if tier == "measured" and row.latency_us is None:
        return "its latency was not measured"
    if not any(row is one for one in askable(table.rows, tier)):
        return "the same result stands in an earlier row"
    return "no other model of its system is known"


def _dictionary(one: HeldOut) -> dict[str, Any]:
    return {
        "system": one.row.system,
        "model": one.row.model,
        "accelerator": one.row.accelerator,
        "measured_uj": one.row.energy_uj,
        "predicted_uj": _round(one.predicted.energy_uj),
        "low_uj": _round(one.predicted.low_uj),
        "high_uj": _round(one.predicted.high_uj),
    }


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def _print(report: dict[str, Any]) -> None:
    table = Table(title="Predicted against published energy an inference", box=box.SIMPLE)
    for heading in ("held out", "tier", "of"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "median", "p90", "worst", "covered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, tiers in report["errors"].items():
        for tier, groups in tiers.items():
            for group, errors in groups.items():
                if errors is None or (errors == groups["all"] and group != "all"):
                    continue
                ratios = [errors[f"{which}_ratio"] for which in ("median", "p90", "worst")]
                table.add_row(
                    SHORT[name], tier, group, str(errors["rows"]),
                    *(f"{ratio:.3f}" for ratio in ratios), f"{errors['coverage']:.1%}",
                )  # fmt: skip
    console = Console()
    console.print(table)
    for name, tiers in report["goals_kept"].items():
        for tier, kept in tiers.items():
            if missed := [goal for goal, is_kept in (kept or {}).items() if not is_kept]:
                console.print(f"{name.replace('_', ' ')}, {tier}: goal missed: {', '.join(missed)}")


if __name__ == "__main__":
    sys.exit(main())
