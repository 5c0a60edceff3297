"""`fraudnet variants`: the table is measured, and scores are those of the files."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fraudnet.artifact.sequences import score_rows
from fraudnet.cli import main
from fraudnet.windows.prequential import rows_to_test
from tests.training.world import World, logging_to

pytestmark = pytest.mark.xdist_group("trained")


def test_rows_are_scored_as_by_keras(world: World) -> None:
    histories, length = world.prepared.histories, world.trained.facts.receptive_field
    wanted = np.random.default_rng(0).random(len(histories)) < 0.3
    found = score_rows(world.artifact.read_bytes(), length, histories, wanted)
    for name, values in found.items():
        assert values == pytest.approx(world.answers[name][wanted], rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_the_table_is_of_the_files(
    world: World, scratch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", world.model, "--data", world.data, "--output", tmp_path, "--json"]
    with logging_to(scratch):
        assert main(["variants", *map(str, arguments)]) == 0
        (run,) = mlflow.search_runs(
            search_all_experiments=True, output_format="list",
            filter_string="attributes.run_name = 'variants'",
        )  # fmt: skip
        logged = {f.path for f in mlflow.MlflowClient().list_artifacts(run.info.run_id, "variants")}
    rows = {row["variant"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(rows) == ["float32", "float16", "int8_weights", "int8"]
    assert {"variants/variants.json", "variants/layer_errors.json"} <= logged
    histories, split = world.prepared.histories, world.prepared.split
    since = split.training.begin if world.prepared.experiment.split.without_compromised else None
    test = rows_to_test(histories, split.test, since)
    by_keras = world.answers["fraud_probability"][test]
    threshold = world.trained.facts.threshold.probability
    for variant, row in rows.items():
        if row["refused"]:
            continue
        path = tmp_path / f"fraud.{variant}.tflite"
        assert row["bytes"] == path.stat().st_size
        scores = score_rows(
            path.read_bytes(), world.trained.facts.receptive_field, histories, test
        )["fraud_probability"]
        found = average_precision_score(histories.is_fraud[test], scores)
        assert row["average_precision"] == pytest.approx(found)
        equal = ((scores >= threshold) == (by_keras >= threshold)).mean()
        assert row["decision_agreement"] == pytest.approx(equal)
        assert len(row["latency_p50_us"]) == len(row["latency_p99_us"]) >= 1
        assert run.data.metrics[f"bytes_{variant}"] == row["bytes"]
    errors = rows["int8"]["layer_errors"]
    assert sorted(errors) == sorted(world.trained.network.pointwise)
    assert list(errors.values()) == sorted(errors.values(), reverse=True)
    assert rows["float32"]["layer_errors"] is None
