"""`fraudnet train` and `fraudnet evaluate`: what they say and where they put things."""

import argparse
import json
import shutil
from pathlib import Path

import mlflow
import pyarrow.parquet as pq
import pytest

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.training.command import (
    add_experiment_arguments,
    experiment_of,
    print_figures,
    quarantine_in,
)
from fraudnet.training.experiment import Experiment
from fraudnet.training.trained import load_trained
from tests.training.world import BAD_LINES, World, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")


def test_train_and_evaluate_print_the_figures_that_are_kept(world: World) -> None:
    metrics = world.trained.facts.metrics
    threshold = world.trained.facts.threshold.model_dump(mode="json")
    assert world.said["train"] == {"validation": metrics["validation"], "threshold": threshold}
    assert world.said["evaluate"] == {"test": metrics["test"]}


def test_train_puts_bad_rows_beside_the_network(world: World) -> None:
    held = pq.read_table(world.model / "quarantine.parquet")["reason"].to_pylist()
    assert held == list(BAD_LINES)


def test_evaluate_refuses_what_the_network_was_fitted_on(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = world.data.read_text().splitlines(keepends=True)
    early = tmp_path / "early.csv"
    days = [line for line in lines if line.count(",") > 5 and line.split(",")[1] < '"2025-02-12']
    early.write_text("".join([header, *days]))
    with logging_to(world.store):
        status = main(["evaluate", "--model", str(world.model), "--data", str(early)])
    *_, error = capsys.readouterr().err.splitlines()
    assert status == 2
    assert error.startswith(f"fraudnet evaluate: {early}: its test period 2025-02-05 00:00 ..")


def test_evaluate_writes_a_report_and_a_card_beside_the_network(world: World) -> None:
    page, card = (world.model / name for name in ("report.html", "MODEL_CARD.md"))
    precision = world.trained.facts.metrics["test"]["average_precision"]
    for path in (page, card):
        assert f"{precision:,.4g}" in path.read_text()
    assert "transactions.csv" in page.read_text()
    for text in (page.read_text(), card.read_text()):
        assert str(world.data.parent) not in text
        assert "place" in text
        assert "compromised" in text


def test_the_report_goes_where_it_is_wanted_another_network_beside(
    world: World, scratch: str, tmp_path: Path
) -> None:
    model, page = tmp_path / "model", tmp_path / "new" / "page.html"
    shutil.copytree(world.model, model)
    for name in ("report.html", "MODEL_CARD.md"):
        (model / name).unlink()
    arguments = ["evaluate", "--model", model, "--data", world.data, "--report", page]
    with logging_to(scratch):
        assert main([*map(str, arguments), "--beside", str(world.model)]) == 0
    assert not (model / "report.html").exists()
    assert (model / "MODEL_CARD.md").exists()
    assert ">+0<" in page.read_text()
    assert f">{world.model.name}<" in page.read_text()


def test_the_champion_stands_beside_where_it_was_measured_on_the_same_rows(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, other, page = (tmp_path / name for name in ("model", "other", "report.html"))
    for copy in (model, other):
        shutil.copytree(world.model, copy)
    arguments = ["evaluate", "--data", str(world.data), "--report", str(page), "--name", "mine"]
    with logging_to(make_store(tmp_path)):
        assert main([*arguments, "--model", str(model)]) == 0  # in a run of its own
        assert "champion" not in page.read_text()
        client = mlflow.MlflowClient()
        (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
        client.create_registered_model("mine")
        client.create_model_version("mine", str(model), run.info.run_id)
        client.set_registered_model_alias("mine", "champion", "1")
        assert main([*arguments, "--model", str(model)]) == 0
        shown, card = page.read_text(), (model / "MODEL_CARD.md").read_text()
        assert "+0 (+0 to +0)" in shown
        assert f"champion, {run.info.run_name}" in card
        capsys.readouterr()
        shorter = ["--set", "split.test_days=5"]
        assert main([*arguments, "--model", str(other), *shorter]) == 0
    assert "champion" not in page.read_text()
    said = capsys.readouterr().err
    assert f"without the champion, run {run.info.run_id}, beside: their periods differ" in said


def test_an_evaluation_can_name_other_groups_but_no_other_network(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(world.model, tmp_path / "model")
    page = tmp_path / "model" / "report.html"
    words = ["evaluate", "--data", str(world.data), "--model", str(tmp_path / "model")]
    with logging_to(make_store(tmp_path)):
        groups = "By place, the largest group first"
        assert groups in page.read_text()
        assert main([*words, "--set", "evaluation.group_columns=[]"]) == 0
        assert groups not in page.read_text()
        capsys.readouterr()
        for other, said in (
            ("network.width=4", "trained with its network.width"),
            ("split.label_delay_days=1", "trained with its split.label_delay_days"),
            ("evaluation.groups=[]", "key 'evaluation.groups'"),
        ):
            assert main([*words, "--set", other]) == 2
            assert said in capsys.readouterr().err
    assert load_trained(tmp_path / "model").facts.experiment == world.trained.facts.experiment


def test_report_and_card_say_that_the_rows_are_a_sample(
    world: World, scratch: str, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(world.model, model)
    facts = json.loads((model / "trained.json").read_text())
    facts["experiment"]["calibration"]["genuine_sampling_rate"] = 0.25
    (model / "trained.json").write_text(json.dumps(facts))
    with logging_to(scratch):
        assert main(["evaluate", "--model", str(model), "--data", str(world.data)]) == 0
    for name in ("report.html", "MODEL_CARD.md"):
        assert "a share of 0.25 was kept. Probabilities" in (model / name).read_text()
        assert "was kept" not in (world.model / name).read_text()


def test_a_network_without_figures_of_these_days_cannot_stand_beside(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(world.model, other)
    facts = json.loads((other / "trained.json").read_text())
    del facts["metrics"]["test"]
    (other / "trained.json").write_text(json.dumps(facts))
    arguments = ["evaluate", "--model", world.model, "--data", world.data, "--beside", other]
    with logging_to(world.store):
        assert main([*map(str, arguments)]) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert f"{other}: has no figures of 2025-02-23 00:00 .. 2025-03-02 00:00; run" in error


def test_the_report_is_never_written_over_the_data(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = world.data.read_bytes()
    arguments = ["evaluate", "--model", world.model, "--data", world.data, "--report", world.data]
    assert main([*map(str, arguments)]) == 2
    assert "would overwrite the source" in capsys.readouterr().err
    assert world.data.read_bytes() == before


def experiment(*words: str) -> Experiment:
    parser = argparse.ArgumentParser()
    add_experiment_arguments(parser)
    parser.add_argument("--seed", type=int)
    return experiment_of(parser.parse_args(words))


def test_flags_win_over_settings() -> None:
    settings = ["--set", "training.epochs=3", "--set", "alerts.per_day=5", "--set", "data.recipe=x"]
    flags = ["--epochs", "4", "--alerts-per-day", "6.5", "--seed", "7", "--recipe", "sparkov"]
    flags += ["--labels", "labels.csv"]
    found = experiment(*settings, *flags)
    assert (found.training.epochs, found.training.seed) == (4, 7)
    assert (found.alerts.per_day, found.data.recipe) == (6.5, "sparkov")
    assert found.data.labels == "labels.csv"
    assert experiment("--config", "handbook", "--set", "training.epochs=3").training.epochs == 3


def test_a_recipe_of_an_odd_path_arrives_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / 'my "own" recipe.toml'
    path.write_text(
        'transaction_id = "a"\ntimestamp = "b"\naccount_id = "c"\namount = "d"\n'
        "label_delay_days = 2\n"
    )
    found = experiment("--recipe", str(path))
    assert (found.data.recipe, found.split.label_delay_days) == (str(path), 2.0)


def test_figures_are_shown_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures({"transactions": 12345.0, "roc_auc": 0.98765}, "test", as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "test period" in shown
    assert "transactions │ 12,345" in shown
    assert "roc auc │ 0.9876" in shown or "roc auc │ 0.9877" in shown


def test_an_output_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        quarantine_in(tmp_path / "file")
