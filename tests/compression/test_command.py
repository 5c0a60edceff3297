"""`fraudnet compress`: a network as `train` writes it, with all that is said of it in MLflow."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from matplotlib.lines import Line2D
from sklearn.metrics import average_precision_score

from fraudnet.cli import main
from fraudnet.compression.compress import Plan, compress
from fraudnet.compression.figures import Point, spectrum_figure, work_figure
from fraudnet.compression.spectra import spectrum
from fraudnet.energy.counting import count_file
from fraudnet.errors import InputError
from fraudnet.network.describe import describe
from fraudnet.training.scoring import predict_rows
from fraudnet.training.tracking import tracked_run
from fraudnet.training.trained import FACTS, load_facts, load_trained
from tests.compression.examples import activations, layer, moments
from tests.training.test_privacy import identifiers, named_in
from tests.training.test_train import chosen
from tests.training.world import World, command, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compressed")


@pytest.fixture(scope="module")
def store(folder: Path) -> str:
    return make_store(folder)


@pytest.fixture(scope="module")
def compressed(world: World, folder: Path, store: str) -> tuple[Path, dict[str, Any]]:
    """By search to 0.6 of the work, and an epoch of fine-tuning: the directory, what was said.

    The network is the world's, trained in a run of this store.
    """
    model, output = folder / "model", folder / "small"
    shutil.copytree(world.model, model)
    with logging_to(store):
        with tracked_run("train") as run:
            pass
        facts = (model / FACTS).read_text()
        former = world.trained.facts.mlflow_run_id
        (model / FACTS).write_text(facts.replace(former, run.info.run_id))
        words = ["--model", model, "--data", world.data, "--output", output]
        return output, command("compress", *words, "--search", "0.6", "--fine-tune", "1")


def test_it_is_a_network_as_any_other(
    world: World, compressed: tuple[Path, dict[str, Any]]
) -> None:
    directory, said = compressed
    made, whole = load_trained(directory), world.trained
    ranks = made.facts.experiment.network.ranks
    assert ranks == {x["name"]: x["rank"] for x in said["layers"] if x["rank"]}
    assert made.network.config == made.facts.experiment.network
    unlike = {"network"}
    assert made.facts.experiment.model_dump(exclude=unlike) == (
        whole.facts.experiment.model_dump(exclude=unlike)
    )
    assert made.facts.periods == whole.facts.periods
    assert made.facts.training_data == whole.facts.training_data
    for name, values in made.windows.items():
        np.testing.assert_array_equal(values, whole.windows[name])


def test_its_work_is_within_the_budget_and_told_right(
    world: World, compressed: tuple[Path, dict[str, Any]]
) -> None:
    directory, said = compressed
    before, after = describe(world.trained.network), describe(load_trained(directory).network)
    assert said["macs"] == {"before": before.macs, "after": after.macs}
    assert said["parameters"] == {"before": before.parameters, "after": after.parameters}
    work = said["pointwise_macs"]
    assert work["after"] <= 0.6 * work["before"]
    others = [
        sum(layer.macs for layer in each.layers if layer.name != "distance")
        for each in (before, after)
    ]
    assert others[0] - others[1] == work["before"] - work["after"]
    for each in said["layers"]:
        if each["rank"] is not None:
            received, given = each["received"], each["given"]
            assert each["rank"] * (received + given) < received * given


def test_what_stands_on_the_weights_is_fitted_again(
    world: World, compressed: tuple[Path, dict[str, Any]]
) -> None:
    made = load_trained(compressed[0])
    network, histories = made.network, world.prepared.histories
    former = world.trained.facts
    assert made.facts.threshold.probability != former.threshold.probability
    assert made.facts.calibration != former.calibration
    assert made.facts.ood_quantiles != former.ood_quantiles

    rows = chosen(world, "validation", labelled=False)
    answers = predict_rows(network.scores, network.receptive_field, histories, rows)
    flagged = (answers["fraud_probability"][:, 0] >= made.facts.threshold.probability).sum()
    assert flagged == pytest.approx(10 * 7, abs=5)  # the alert budget of a week

    training = chosen(world, "training", known=True) & (histories.is_fraud == 0)
    (activations,) = predict_rows(
        network.fingerprint, network.receptive_field, histories, training
    ).values()
    mean = activations.mean(axis=0)
    np.testing.assert_allclose(network.distance.mean, mean, rtol=1e-3, atol=1e-3)
    assert made.facts.sentinel.distance_threshold != former.sentinel.distance_threshold


def test_precision_is_that_of_the_validation_period(
    world: World, compressed: tuple[Path, dict[str, Any]]
) -> None:
    directory, said = compressed
    found, histories = said["validation_average_precision"], world.prepared.histories
    assert list(found) == ["whole", "factored", "fine-tuned"]
    rows = chosen(world, "validation", known=True)
    for series, network in (
        ("whole", world.trained.network), ("fine-tuned", load_trained(directory).network)
    ):  # fmt: skip
        logit = predict_rows(network.logit, network.receptive_field, histories, rows)["logit"]
        expected = average_precision_score(histories.is_fraud[rows] == 1, logit[:, 0])
        assert found[series] == pytest.approx(expected, rel=1e-6)
    drawn = [point["series"] for point in said["points"]]
    assert drawn == ["whole", *["plain"] * 5, *["whitened"] * 5, "factored", "fine-tuned"]


def test_all_of_it_is_in_a_run_within_that_of_the_training(
    folder: Path, compressed: tuple[Path, dict[str, Any]], store: str
) -> None:
    directory, said = compressed
    with logging_to(store):
        run = mlflow.get_run(load_facts(directory).mlflow_run_id)
        uri = run.info.artifact_uri
        assert mlflow.artifacts.load_dict(f"{uri}/compression.json") == said
        logged = {
            file.path
            for folder in ("figures/spectra", "figures/compression", "figures/validation")
            for file in mlflow.artifacts.list_artifacts(
                run_id=run.info.run_id, artifact_path=folder
            )
        }
    assert run.data.tags["mlflow.parentRunId"] == load_facts(folder / "model").mlflow_run_id
    assert run.info.status == "FINISHED"
    assert {f"figures/spectra/{each['name']}.png" for each in said["layers"]} <= logged
    assert "figures/compression/work.png" in logged
    metrics = run.data.metrics
    assert metrics["macs_after"] == said["macs"]["after"]
    precision = said["validation_average_precision"]
    assert metrics["fine_tuned_average_precision"] == precision["fine-tuned"]
    assert metrics["validation_average_precision"] > 0
    assert run.data.params["compression.by"] == "search"
    assert run.data.params["compression.whiten"] == "True"


@pytest.mark.usefixtures("compressed")
def test_no_account_is_named(world: World, folder: Path) -> None:
    names, logged = identifiers(world), [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "compression.json" for path in logged)
    named = {path.name for path in logged if named_in(path, names)}
    assert named == {"quarantine.parquet"}  # rows of the source, in the output alone


@pytest.mark.slow
def test_evaluate_threshold_export_and_describe_take_it(
    world: World,
    compressed: tuple[Path, dict[str, Any]],
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The other runtime does not load beside TensorFlow.
    monkeypatch.setenv("FRAUDNET_TFLITE_RUNTIME", "ai_edge_litert")
    model, artifact = tmp_path / "model", tmp_path / "small.tflite"
    shutil.copytree(compressed[0], model)
    with logging_to(store):
        command("threshold", "--model", model, "--data", world.data, "--alerts-per-day", "5")
        found = command("evaluate", "--model", model, "--data", world.data)
        command("export", "--model", model, "--artifact", artifact)
        assert main(["artifact", "verify", str(artifact)]) == 0
    assert 0 < found["test"]["average_precision"] <= 1
    assert count_file(artifact).macs < count_file(world.artifact).macs
    capsys.readouterr()
    described = command("describe", "--model", model)
    assert described["macs"] == compressed[1]["macs"]["after"]
    assert described["network"]["ranks"] == load_facts(model).experiment.network.ranks


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--energy", "0.8", "--plain"], id="energy"),
        pytest.param(["--macs", "0.8"], id="macs", marks=pytest.mark.slow),
    ],
)
def test_without_a_fit_the_whole_layers_are_as_they_were(
    world: World,
    store: str,
    tmp_path: Path,
    options: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["compress", "--model", str(world.model), "--data", str(world.data)]
    with logging_to(store):
        assert main([*words, "--output", str(tmp_path / "small"), *options]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    made = load_trained(tmp_path / "small").network
    assert made.config.ranks
    assert f"{describe(made).macs:,} after" in shown
    assert "factored" in shown
    assert "fine-tuned" not in shown
    for name in set(made.pointwise) - made.config.ranks.keys():
        for one, other in zip(
            made.pointwise[name].get_weights(),
            world.trained.network.pointwise[name].get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--energy", "0"], "--energy: expected a share between 0 and 1, got 0"),
        (["--macs", "1.5"], "--macs: expected a share between 0 and 1, got 1.5"),
        (["--search", "nan"], "--search: expected a share between 0 and 1, got nan"),
        (["--search", "0.5", "--fine-tune", "-1"], "--fine-tune: expected epochs, 0 or more"),
        (["--macs", "0.5", "--output", "MODEL"], "holds the network itself"),
        (["--macs", "0.5", "--model", "none"], "no trained network there"),
        (["--macs", "0.5", "--data", "none.csv"], "there is no such file"),
        (["--macs", "0.01"], "cannot take 0.01 of their multiply-accumulates"),
        (["--energy", "0.9999999", "--plain"], "no layer gets smaller"),
    ],
)
def test_what_cannot_be_is_one_line(
    world: World,
    store: str,
    tmp_path: Path,
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--model", str(world.model), "--data", str(world.data), "--output", str(tmp_path)]
    places = {"MODEL": str(world.model)}
    given = [places.get(word, word) for word in options]
    with logging_to(store):
        assert main(["compress", *words, *given]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("fraudnet compress: ")
    assert said in error
    assert not (tmp_path / "trained.json").exists()


def test_a_compressed_network_and_other_data_are_refused(
    world: World,
    compressed: tuple[Path, dict[str, Any]],
    store: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["compress", "--macs", "0.5", "--output", str(tmp_path / "again")]
    with logging_to(store):
        again = ["--model", str(compressed[0]), "--data", str(world.data)]
        assert main([*words, *again]) == 2
        assert "are of two factors already" in capsys.readouterr().err
        lines = world.data.read_text().splitlines()
        fewer = [line for line in lines if "2025-02-2" not in line and "2025-03" not in line]
        (tmp_path / "fewer.csv").write_text("\n".join(fewer))
        other = ["--model", str(world.model), "--data", str(tmp_path / "fewer.csv")]
        assert main([*words, *other]) == 2
    assert "its training period is" in capsys.readouterr().err


def test_a_validation_period_of_one_class_is_refused_before_anything_is_factored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spectra(*_: object) -> None:
        raise AssertionError("was factored")

    monkeypatch.setattr("fraudnet.compression.compress.spectra_of", spectra)
    histories, split = world.prepared.histories, world.prepared.split
    genuine = np.where(split.validation.contains(histories.timestamp_us), 0, histories.is_fraud)
    changed = replace(world.prepared, histories=replace(histories, is_fraud=genuine))
    with pytest.raises(InputError, match=r"validation period .* holds no fraud"):
        compress(changed, world.trained, Plan("macs", 0.5))


def test_figures_show_what_they_say() -> None:
    made, x = layer(9, 12, decay=0.6), activations(50, 9)
    plain, whitened = spectrum(made, 1, None), spectrum(made, 1, moments(x))
    (axes,) = spectrum_figure("stem", plain, whitened, 3).axes
    for line, each in zip(axes.lines, (plain, whitened), strict=False):
        expected = [each.energy[r:].sum() / each.energy.sum() for r in range(9)]
        np.testing.assert_allclose(data(line)[1], expected, atol=1e-9)
    assert data(axes.lines[2])[0] == [5, 5]  # 9 x 12 / 21 = 5.1
    assert data(axes.lines[3])[0] == [3, 3]
    points = [Point("whole", 9, 0.7), Point("plain", 6, 0.6), Point("plain", 3, 0.2)]
    (axes,) = work_figure(points).axes
    drawn = {str(line.get_label()): data(line) for line in axes.lines}
    assert drawn["plain"] == ([3, 6], [0.2, 0.6])
    assert drawn["whole"] == ([9], [0.7])


def data(line: Line2D) -> tuple[list[float], list[float]]:
    x, y = (np.asarray(values, float).tolist() for values in line.get_data())
    return x, y
