"""The README: every figure has its file, every command parses, every path is there."""

import json
import re
import shlex
import tomllib
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import pytest

from benchmarks.handbook import Row
from benchmarks.handbook_comparison import BOOSTING, GOALS, WITH_REPUTATION, difference
from fraudnet.cli import build_parser
from fraudnet.network.scaling import SIZES
from fraudnet.transactions.recipe import parse_recipe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "benchmarks" / "results"
PEERS = ["pandas", "polars", "duckdb"]
FIGURES = ("roc_auc", "average_precision", "card_precision_at_100")
NAMES = ("ROC AUC", "average precision", "card precision")


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [line.split("|")[-1].split(">")[0].strip() for line in lines]
    return [shlex.split(line) for line in found if line.startswith("fraudnet ")]


def test_the_recipe_that_is_shown_is_one() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    recipe = parse_recipe(tomllib.loads(text) | {"name": "mine"}, "README.md")
    assert recipe.source_columns["account_id"] == ("Bank", "Account")


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


def test_figures_of_windows_are_those_of_the_committed_run() -> None:
    results = json.loads((RESULTS / "windows.json").read_text())
    comparison, sizes = results["comparison"], results["growth"]["sizes"]
    text = " ".join(README.split())
    assert f"{comparison['rows']:,} transactions" in text
    for name, system in comparison["systems"].items():
        ratios = " | ".join(f"{each:.2f}" for each in system["times_as_fast_as"].values())
        memory = system["memory_multiple_of_table"]
        assert f"| {name} | {system['seconds']['median']:.2f} | {ratios} | {memory:.1f} |" in text
    assert list(comparison["systems"]["pandas"]["times_as_fast_as"]) == PEERS
    for size in (sizes[0], sizes[-1]):
        shown = f"{size['microseconds_per_row']:.2f} µs and {size['bytes_per_row']:.0f} bytes"
        assert f"{shown} a transaction at {size['rows']:,}" in text
    disk = results["on_disk"]
    assert f"{disk['rows']:,} are made ready for training in {disk['seconds']:.0f} s" in text
    assert f"at most {disk['resident_bytes'] / 1e9:.2f} GB" in text
    assert disk["resident_bytes"] < 2e9


def test_the_speed_of_training_is_that_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "speed.json").read_text())
    race, text = run["race"], " ".join(README.split())
    fits = (race["dense"], race["windows"][-1], race["first_written"])
    (dense, windows, written), reached = (
        [f"{fit['seconds']:.0f} s" for fit in fits],
        [f"{fit['average_precision']:.3f}" for fit in (*fits, race["windows"][-2])],
    )
    assert race["reached"]
    assert race["first_written_reached"]
    assert f"{race['times']:.1f} times as fast as training the same network" in text
    assert f"({dense} and {windows}, 28 days" in text
    assert f"to {reached[0]};" in text
    before, last = (fit["epochs"] for fit in race["windows"][-2:])
    assert f"with {before} passes in place of {last} windows reach {reached[3]})" in text
    assert f"{race['first_written_times']:.1f} times as fast as windows written" in text
    assert f"({written}, as many passes, which reach {reached[2]};" in text
    steps = {part["name"]: part["median_ms"] for part in run["window_parts"]}
    plain, compiled = steps["Keras's own layers, without XLA"], steps["Keras's own layers"]
    assert f"{plain:.0f} ms a step without XLA, {compiled:.0f} ms with it" in text
    assert run["command"] in text


def test_figures_of_the_family_are_those_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "family.json").read_text())
    assert [member["size"] for member in run["members"]] == [*SIZES]
    for member in run["members"]:
        found = member["average_precision"]
        cells = [
            member["size"],
            *(
                f"{member[name]:,}"
                for name in (
                    *("parameters", "receptive_field", "predicted_macs", "measured_macs"),
                    "artifact_bytes",
                )
            ),
            f"{member['energy_per_inference_uj']['typical']:,.0f}",
            *(
                f"{mean(values):.3f}" + f" ± {pstdev(values):.3f}" * (len(values) > 1)
                for values in (found["validation"], found["test"])
            ),
        ]
        assert f"| {' | '.join(cells)} |" in README


def test_what_the_search_for_coefficients_found_is_told() -> None:
    run = json.loads((RESULTS / "scale_search.json").read_text())
    told = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    means = [each["average_precision_mean"] for each in run["candidates"]]
    for each in run["candidates"]:
        mean_, deviation = each["average_precision_mean"], each["average_precision_deviation"]
        row = f"{each['parameters']:,} | {each['macs']:,} | {mean_:.4f} | {deviation:.4f} |"
        assert row.replace("| 0.", "| .") in told
    assert f"within {max(means) - min(means):.4f}".replace("0.", ".") in told


def test_figures_of_sparkov_are_those_of_the_committed_run() -> None:
    text = " ".join(README.split())
    for row in rows_of("detection_sparkov.json"):
        recall = f"{row['recall_at_1_percent_false_positives']:.3f}"
        shown = f"{row['average_precision']:.3f} and {'recall ' * (row['model'] == 'fraudnet')}"
        assert f"{shown}{recall}" in text


def test_figures_are_those_of_the_committed_run() -> None:
    by_model: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows_of("detection_handbook.json"):
        by_model[f"{row['model']}, {row['training_days']} days"].append(row)
    assert by_model
    for model, rows in by_model.items():
        assert {row["fold"] for row in rows} == {1, 2, 3, 4}
        assert f"| {model} | {' | '.join(figures(rows))} |" in README
    seconds = {
        name: mean(row["train_seconds"] for row in by_model[name])
        for name in (
            *(f"fraudnet, {days} days" for days in (7, 28, 90)),
            "lstm, 28 days",
            "cnn, 28 days",
        )
    }
    short, month, quarter, lstm, cnn = (f"{each:.0f} s" for each in seconds.values())
    assert (
        f"A fit takes {short} with 7 days, {month} with 28 and {quarter} with 90 on two cores; "
        f"the LSTM took {lstm} with 28 and, with other work beside, the CNN {cnn}."
    ) in " ".join(README.split())
    daily = figures(rows_of("detection_handbook_daily.json"))
    assert f"{' / '.join(daily)}" in " ".join(README.split())


def test_the_goals_that_are_missed_are_told() -> None:
    by_days: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows_of("detection_handbook.json"):
        if row["model"] == "fraudnet":
            by_days[row["training_days"]].append(row)
    missed = {
        f"{name} by {goal - found:.3f} with {days} days"
        for days, goals in GOALS.items()
        for key, name, goal in zip(FIGURES, NAMES, goals, strict=True)
        if (found := mean(row[key] for row in by_days[days])) < goal
    }
    pattern = rf"(?:{'|'.join(NAMES)}) by 0\.\d{{3}} with \d+ days"
    assert set(re.findall(pattern, " ".join(README.split()))) == missed


def test_how_far_it_is_ahead_of_boosting_is_told() -> None:
    kept = {field.name for field in fields(Row)}
    rows = [
        Row(**{name: value for name, value in row.items() if name in kept})
        for row in rows_of("detection_handbook.json")
    ]
    text = " ".join(README.split())
    for names in (BOOSTING, WITH_REPUTATION):
        ahead, errors = [], []
        for days in (7, 28, 90):
            by_model = defaultdict(list)
            for row in rows:
                if row.training_days == days:
                    by_model[row.model].append(row)
            best = max(names, key=lambda name: mean(r.average_precision for r in by_model[name]))
            found = difference(by_model["fraudnet"], by_model[best])
            assert found is not None
            assert found.error is not None
            ahead.append(f"{found.mean:.3f}")
            errors.append(f"{found.mean / found.error:.1f}")
        assert f"by {ahead[0]}, {ahead[1]} and {ahead[2]}" in text
        assert f"({errors[0]}, {errors[1]} and {errors[2]}" in text


def test_what_the_network_catches_of_each_kind_is_that_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "detection_kinds.json").read_text())
    ratios, text = run["ratio_to_oracle"], " ".join(README.split())
    assert run["command"] in text
    least = min(ratios, key=ratios.__getitem__)
    assert (
        f"from {ratios[least]:.2f} ({least.replace('_', ' ')}) to {max(ratios.values()):.2f}"
        in text
    )
    assert ratios[least] > 0.5
    found = {
        model: [row["average_precision"] for row in run["rows"] if row["model"] == model]
        for model in ("fraudnet", "boosting")
    }
    ours, peer = (f"{mean(each):.3f} ± {pstdev(each):.3f}" for each in found.values())
    assert f"average precision {ours}, of boosting {peer}" in text


def test_figures_of_shifts_are_those_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "ood.json").read_text())
    text = " ".join((ROOT / "docs" / "familiar.md").read_text(encoding="utf-8").split())
    ours, macs = run["ours"], run["macs_per_position"]
    assert run["command"] in text
    assert f"{macs[ours]:,} of {run['network_macs_per_position']:,} a position" in text
    assert macs[ours] < 0.03 * run["network_macs_per_position"]
    by_shift: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in run["rows"]:
        by_shift[row["shift"]][row["method"]] = row
    for shift, each in by_shift.items():
        peers = [name for name in each if not name.startswith(("ours", "without"))]
        best = max(peers, key=lambda name: each[name]["auroc"])
        own, peer = (f"{each[n]['auroc']:.3f} | {each[n]['fpr95']:.2f}" for n in (ours, best))
        others = (f"{each[n]['auroc']:.3f}" for n in ("ours, channel", "without limits, full"))
        assert f"| {shift} | {own} | {' | '.join(others)} | {best} | {peer} |" in text
    for kind in run["held_out"]:
        assert f"| {kind['recall_alone']:.3f} | {kind['recall_shared']:.3f} |" in text


def test_figures_of_the_variants_are_those_of_the_committed_run() -> None:
    for name, prefix in (("variants.jsonl", ""), ("variants_small.jsonl", "narrow, ")):
        rows = [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]
        assert [row["refused"] for row in rows] == [None] * 4
        for row in rows:
            if prefix and not row["variant"].startswith("int8"):
                continue
            found = {key.split()[0]: value for key, value in row["latency_p50_us"].items()}
            slow = {key.split()[0]: value for key, value in row["latency_p99_us"].items()}
            times = " | ".join(
                f"{found[r]:.0f} / {slow[r]:.0f}" for r in ("ai-edge-litert", "tflite-runtime")
            )
            assert (
                (
                    f"| {prefix}{row['variant']} | {row['bytes']:,} | {row['macs']:,} | {times} | "
                    f"{row['average_precision']:.4f} | {row['decision_agreement']:.2%}"[:-1]
                )
                in README
            )
            assert row["keras_average_precision"] - row["average_precision"] < 0.005
            assert row["decision_agreement"] >= 0.995
        assert not prefix or min(row["bytes"] for row in rows) <= 60_000


def test_figures_of_a_decision_are_those_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "inference.json").read_text())
    for name, latency in run["latency_us"].items():
        times = run["times_ours"][name]["p50"]
        assert f"| {latency['p50']:.0f} | {latency['p99']:.0f} | {times:.2f} |" in README
    assert f"{run['score_sequence_transactions_per_second']:,.0f} transactions a second" in README
    assert run["command"] in " ".join(README.split())


def test_figures_of_compression_are_those_of_the_committed_run() -> None:
    rows = json.loads((RESULTS / "compression.json").read_text())["rows"]
    found = {(r["size"], r["method"], r["share"]): r for r in rows}
    methods = ("plain", "whitened", "searched", "tuned", "smaller")
    for (size, method, share), row in found.items():
        if method == "whole":
            shown = f"| | | | {row['average_precision']:.3f} | |"
        else:
            row = found[size, "tuned", share]
            figures = (found[size, each, share]["average_precision"] for each in methods)
            shown = f"| {' | '.join(f'{each:.3f}' for each in figures)} |"
        assert f"| {size} | {share:g} | {row['macs']:,} {shown}" in README
    further = json.loads((RESULTS / "compression_large.json").read_text())["rows"]
    gap: defaultdict[str, list[float]] = defaultdict(list)
    for fold in range(1, 5):
        own = {
            row["method"]: row["average_precision"]
            for row in (*rows, *further)
            if (row["size"], row["fold"]) == ("large", fold) and row["share"] != 0.25
        }
        for name, other in (("tuned", "whole"), ("whitened", "plain"), ("smaller", "tuned")):
            gap[name].append(own[name] - own[other])
    said = " ".join(README.split())
    assert max(map(abs, gap["tuned"])) < 0.002
    whole, quarter = (found["large", *each] for each in (("whole", 1.0), ("tuned", 0.25)))
    assert whole["average_precision"] - quarter["average_precision"] < 0.005
    ahead, behind = mean(gap["whitened"]), -min(gap["whitened"])
    assert (
        f"whitened is {ahead:.3f} ahead of plain on average, on one fold {behind:.3f} behind"
        in said
    )
    assert sum(each < 0 for each in gap["whitened"]) == 1
    *rest, earliest = gap["smaller"]
    assert (
        f"is {-max(rest):.3f} to {-min(rest):.3f} behind the fitted half on three folds and "
        f"{earliest:.3f} ahead on the earliest"
    ) in said


def test_figures_of_quantisation_are_those_of_the_committed_run() -> None:
    by_kind: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows_of("quantisation.json"):
        by_kind[row["tool"], row["variant"]].append(row)
    whole = mean(r["average_precision"] for r in by_kind["ai-edge-quantizer", "float32"])
    for (tool, variant), rows in by_kind.items():
        assert [row["fold"] for row in rows] == [1, 2, 3, 4]
        found = mean(row["average_precision"] for row in rows)
        equal = min(row["equal_decisions"] for row in rows)
        size = max(row["bytes"] for row in rows)
        assert f"| {tool} | {variant} | {size:,} | {found:.4f} | {100 * equal:.2f} % |" in README
        if tool == "ai-edge-quantizer":
            assert whole - found < 0.005
            assert equal >= 0.995


def test_figures_of_whole_decisions_are_those_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "device.json").read_text())
    for row in run["latency_ms"]:
        assert f"{row['p50']:.2f} / {row['p99']:.2f} / {row['p99_9']:.1f}" in README
    for each in run["catch_up"]:
        assert f"{each['transactions_per_second']:,.0f}" in README
        assert each["other_decisions"] == 0
    assert run["command"] in " ".join(README.split())


def test_figures_of_reasons_are_those_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "reasons.json").read_text())
    found = {row["method"]: row for row in run["rows"]}
    for method, row in found.items():
        shares = (row[k] for k in ("agreement", "planted_cause_recall", "planted_cause_first"))
        shown = ["" if share is None else f"{share:.1%}" for share in shares]
        took = "" if row["milliseconds"] is None else f"{row['milliseconds']:.0f}"
        assert f"| {' | '.join([method, *shown, took])} |" in README
    frauds = sum(run["frauds"].values())
    text = " ".join(README.split())
    assert f"On {run['flagged']} flags" in text
    assert f"trained on, {frauds} of them frauds" in text
    assert f"miss at most {run['completeness']['worst']:.2%} of" in text
    assert run["completeness"]["worst"] <= 0.01
    assert found["occlusion through the artifact"]["agreement"] >= 0.8
    for method in ("reasons of the device", "integrated gradients"):
        assert found[method]["planted_cause_recall"] >= 0.9
    assert run["command"] in text


def test_what_verdicts_teach_is_that_of_the_committed_run() -> None:
    run = json.loads((RESULTS / "feedback.json").read_text())
    text = " ".join(README.split())
    assert len({row["month"] for row in run["rows"]}) == 12
    assert f"`{run['command'].removesuffix(' --resume')}`" in text
    conditions = run["conditions"]
    assert f"{conditions['accounts']:,} accounts" in text
    assert f"{conditions['budget_per_day']} transactions a day are looked at" in text
    names = ("recall_at_budget", "later_recall", "recall_of_ranking", "precision")
    for each in run["summary"]:
        share = each["reported_share"]
        told = "" if share is None else f", {share:.0%} reported"
        figures = ("{:.3f} ± {:.3f}".format(*each["figures"][name]) for name in names)
        name = f"{each['policy']}{told}"
        assert f"| {name} | {each['worlds']} | {' | '.join(figures)} |" in README
    own = [row for row in run["rows"] if row["policy"] == "verdicts" and row["reported_share"]]
    (found,) = (e for e in run["summary"] if e["policy"] == "verdicts" and e["reported_share"])
    worlds = {row["seed"] for row in own}
    by_world = [mean(r["recall_at_budget"] for r in own if r["seed"] == w) for w in worlds]
    assert found["worlds"] == len(worlds) > 1
    assert found["figures"]["recall_at_budget"] == pytest.approx([mean(by_world), pstdev(by_world)])
