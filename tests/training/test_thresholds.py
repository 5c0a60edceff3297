"""`fraudnet threshold`: another choice for the same network, kept, logged and shown."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from fraudnet.cli import main
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.thresholds import AlertConfig, Decided, Threshold, choose_threshold
from fraudnet.training.runs import TEST_OUTDATED
from fraudnet.training.thresholds import print_threshold, threshold_of
from fraudnet.training.tracking import tracked_run
from fraudnet.training.trained import Facts, load_facts, load_trained
from fraudnet.windows.labels import known_rows
from fraudnet.windows.periods import Period
from tests.training.test_train import DELAY, PERIODS, chosen
from tests.training.world import World, experiment, logging_to, make_store

pytestmark = pytest.mark.xdist_group("trained")

COSTS = ["--policy", "cost", "--review-cost", "2", "--customer-cost", "3", "--recovered", "0.8"]


@pytest.fixture
def model(world: World, tmp_path: Path) -> Path:
    shutil.copytree(world.model, tmp_path / "model")
    return tmp_path / "model"


def threshold(world: World, store: str, model: Path, *options: str) -> int:
    with logging_to(store):
        return main(["threshold", "--model", str(model), "--data", str(world.data), *options])


def expected(world: World, alerts: AlertConfig, others_stand_for: float = 1) -> Threshold:
    """From the scores of the world, with the labels that are known in time."""
    rows, known = (
        chosen(world, "validation", labelled=False),
        chosen(world, "validation", known=True),
    )
    histories = world.prepared.histories
    scored = Scored(
        score=world.answers["fraud_probability"][rows],
        is_fraud=np.where(known, histories.is_fraud, -1)[rows].astype(np.int8),
        timestamp_us=histories.timestamp_us[rows],
        account=histories.account[rows],
        amount=histories.amount[rows],
    )
    weight = np.where(scored.is_fraud == 1, 1, others_stand_for)
    begin, end = PERIODS["validation"]
    period = f"{begin:%Y-%m-%d} 00:00 .. {end:%Y-%m-%d} 00:00"
    return choose_threshold(Decided(scored, weight, 7), alerts, period)


def numbers(choice: Any) -> dict[str, float]:  # noqa: ANN401  (a choice or a threshold)
    values = choice.model_dump().items()
    return {name: value for name, value in values if isinstance(value, float)}


def test_the_choice_is_kept_with_the_network_and_logged(world: World, model: Path) -> None:
    store = make_store(model.parent)
    assert threshold(world, store, model, *COSTS) == 0
    before, facts = world.trained.facts, load_facts(model)
    asked = {"policy": "cost", "review_cost": 2, "customer_cost": 3, "recovered": 0.8}
    alerts = before.experiment.alerts.model_copy(update=asked)
    assert facts.experiment.alerts == alerts
    want = expected(world, alerts)
    pairs = zip(
        (facts.threshold, *facts.threshold.alternatives), (want, *want.alternatives), strict=True
    )
    for found, right in pairs:
        assert (found.chosen_by, found.terms) == (right.chosen_by, right.terms)
        assert numbers(found) == pytest.approx(numbers(right), rel=1e-3, abs=1e-6)
    assert facts.threshold.probability != before.threshold.probability

    assert facts.metrics.keys() == {"validation"}  # those of the test are of the former threshold
    figures, former = facts.metrics["validation"], before.metrics["validation"]
    assert figures["alerts_per_day"] != former["alerts_per_day"]
    assert figures["average_precision"] == former["average_precision"]
    same = {"receptive_field", "calibration", "training_data", "periods", "ood_quantiles"}
    assert facts.model_dump(include=same) == before.model_dump(include=same)
    for name, values in load_trained(model).windows.items():
        assert (values == world.trained.windows[name]).all()

    with logging_to(store):
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert run.data.metrics["threshold_cost_probability"] == facts.threshold.probability
    saved = facts.threshold.money_saved_per_day
    assert run.data.metrics["threshold_cost_money_saved_per_day"] == saved
    assert "threshold_alert_budget_recall" in run.data.metrics
    assert run.data.tags[TEST_OUTDATED] == "true"
    held = model.parent / "logged" / run.info.run_id / "artifacts" / "threshold.json"
    assert Threshold.model_validate(json.loads(held.read_text())) == facts.threshold


def test_it_says_what_it_chose_as_json(
    world: World, model: Path, scratch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threshold(world, scratch, model, "--alerts-per-day", "3", "--json") == 0
    said = Threshold.model_validate(json.loads(capsys.readouterr().out))
    assert said == load_facts(model).threshold
    assert (said.chosen_by, said.terms) == ("alert_budget", {"per_day": 3})
    assert said.alerts_per_day == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--policy", "cost"], "policy cost needs review_cost or customer_cost"),
        (["--policy", "precision"], "policy precision needs precision"),
        (["--recovered", "2"], "key 'recovered'"),
    ],
)
def test_a_policy_without_its_terms_is_refused_before_anything_is_read(
    world: World, options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["threshold", "--model", str(world.model), "--data", "none.csv", *options]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("fraudnet threshold: ")
    assert reason in error


def test_a_precision_out_of_reach_leaves_the_network_as_it_was(
    world: World, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_store(model.parent)
    wanted = ["--policy", "precision", "--precision", "0.9999"]
    assert threshold(world, store, model, *wanted) == 2
    assert "alerts.precision 0.9999 is not reached" in capsys.readouterr().err
    assert load_facts(model) == world.trained.facts
    with logging_to(store):
        (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert TEST_OUTDATED not in run.data.tags  # its test is of the threshold that it still has


def test_other_data_are_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *lines = world.data.read_text().splitlines(keepends=True)
    early = tmp_path / "early.csv"
    days = [line for line in lines if line.count(",") > 5 and line.split(",")[1] < '"2025-02-25']
    early.write_text("".join([header, *days]))
    with logging_to(world.store):
        status = main(["threshold", "--model", str(world.model), "--data", str(early)])
    assert status == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith(f"fraudnet threshold: {early}: its validation period is 2025-02-04")


def test_the_table_shows_every_policy_and_marks_the_chosen_one(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = AlertConfig(per_day=10, review_cost=2, precision=0.99)
    print_threshold(expected(world, alerts))
    shown = capsys.readouterr().out
    (heads,) = (line for line in shown.splitlines() if "alert budget" in line)
    assert "alert budget (chosen)" in heads
    assert "cost" in heads
    for words in ("money saved per day", "customers bothered per day", "review cost 2"):
        assert words in shown
    assert "alerts.precision 0.99 is not reached" in shown


def test_alerts_are_those_of_all_transactions_where_the_data_are_a_sample(
    world: World, scratch: str
) -> None:
    asked = experiment("alerts.review_cost=2", "calibration.genuine_sampling_rate=0.25")
    histories = world.prepared.histories
    begin, end = PERIODS["validation"]
    known = known_rows(histories, Period(begin, end), known_by=end + DELAY)
    rows = known.period.contains(histories.timestamp_us)
    probability = world.answers["fraud_probability"][rows]
    with logging_to(scratch), tracked_run("another"):
        found = threshold_of(known, probability, asked)
    right = expected(world, asked.alerts, 4)
    assert found.model_dump() == right.model_dump()
    whole = expected(world, asked.alerts)
    assert 9 < found.alerts_per_day <= 10
    assert found.probability > whole.probability
    assert found.precision is not None
    assert whole.precision is not None
    assert found.alternatives[0].alerts_per_day != whole.alternatives[0].alerts_per_day


def test_facts_that_name_no_policy_are_of_another_version(world: World) -> None:
    values = world.trained.facts.model_dump(mode="json")
    values["threshold"]["chosen_by"] = "alert budget"
    with pytest.raises(ValueError, match="chosen_by"):
        Facts.model_validate(values)
