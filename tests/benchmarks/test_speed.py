"""Speed: the variants compute the same, the race is run as it says; no time is asserted."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import speed, speed_data, speed_windows
from benchmarks.speed_data import Fold, load_fold
from benchmarks.speed_parts import (
    VARIANTS,
    WINDOW_VARIANTS,
    Variant,
    build_variant,
    time_variants,
    training_step,
)
from benchmarks.speed_windows import FirstStep, Fit, race
from fraudnet.network.network import Network, NetworkConfig
from fraudnet.training import step
from fraudnet.training.batches import Batch
from fraudnet.training.fitting import TrainingConfig
from fraudnet.transactions.simulator import SimulatorConfig
from fraudnet.windows.chunks import chunks_over
from tests.benchmarks.tables import handbook_file

ONE = ("--every", "400", "--training-days", "1")  # one account, one day
SMALL = NetworkConfig(width=8, dilations=(1, 2), squeeze_window=4, normal_window=8, dropout=0.0)


@pytest.fixture
def fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fold:
    # The small file begins on the first of July.
    monkeypatch.setattr(speed_data, "VALIDATION_END", datetime(2018, 9, 1, tzinfo=UTC))
    return load_fold(handbook_file(tmp_path), 28, 2)


def test_half_the_accounts_and_the_days_before_the_delay_are_learnt_from(fold: Fold) -> None:
    histories = fold.histories
    day = histories.timestamp_us // 86_400_000_000 - 17_713  # 2018-07-01
    half = histories.account % 2 == 0
    np.testing.assert_array_equal(fold.training.rows, half & (day >= 20) & (day < 48))
    assert set(day[fold.validation]) == set(range(55, 62))
    assert half[fold.validation].all()


def built_alike(variant: Variant, fold: Fold) -> Network:
    """With weights that are the same for every variant."""
    network = build_variant(variant, SMALL, fold.histories.specification)
    rng = np.random.default_rng(0)
    for variable in network.logit.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    return network


@pytest.mark.parametrize("variant", [*VARIANTS, *WINDOW_VARIANTS[1:]], ids=lambda v: v.name)
def test_every_variant_is_the_same_function(variant: Variant, fold: Fold) -> None:
    ours, other = (built_alike(each, fold) for each in (Variant("ours"), variant))
    chunks = chunks_over(fold.histories, fold.training.rows, ours.receptive_field, 8)
    inputs = chunks.gather(np.arange(4))
    np.testing.assert_allclose(ours.logit(inputs), other.logit(inputs), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("variant", [*VARIANTS, *WINDOW_VARIANTS[1:]], ids=lambda v: v.name)
def test_every_variant_makes_the_same_step(
    variant: Variant, fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (built_alike(each, fold) for each in (Variant("ours"), variant))
    chunks = chunks_over(fold.histories, fold.training.rows, ours.receptive_field, 8)
    chosen = np.arange(4)
    inputs = {name: tf.constant(values) for name, values in chunks.gather(chosen).items()}
    labels = (fold.histories.is_fraud[chunks.rows(chosen)] == 1).astype(np.float32)
    label = tf.constant(labels[..., None])
    given = Batch(inputs, label, tf.ones_like(label), labels.size)
    first = training_step(ours, Variant("ours"))
    monkeypatch.setattr(step, "PARTS", variant.parts)
    other = training_step(theirs, variant)
    for _ in range(3):
        assert float(other(given)) == pytest.approx(float(first(given)), rel=1e-3)


@pytest.mark.slow
def test_times_every_variant(fold: Fold) -> None:
    span = build_variant(VARIANTS[0], NetworkConfig(), fold.histories.specification)
    chunks = chunks_over(fold.histories, fold.training.rows, span.receptive_field, 4)
    timings = time_variants(chunks, VARIANTS[:2], batch=2, rounds=3)
    assert [t.name for t in timings] == [v.name for v in VARIANTS[:2]]
    assert timings[0].times_ours == 1
    assert all(t.lower_ms <= t.median_ms <= t.upper_ms for t in timings)


def fitted(precision: Callable[[int], float], seconds_an_epoch: float) -> Callable[..., Fit]:
    """A fit that takes so long, and is so good after so many epochs on windows."""

    def fit(_fold: Fold, config: TrainingConfig, first_written: bool = False) -> Fit:
        windows = config.chunk_length == 1
        times = 3 if first_written else 1
        return Fit(
            config.chunk_length, config.batch_chunks, config.epochs,
            times * seconds_an_epoch * config.epochs if windows else 10.0, 1.0,
            precision(config.epochs) if windows else 0.7, 1.0,
        )  # fmt: skip

    return fit


def test_windows_are_given_ever_more_epochs_until_they_are_as_good(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_windows, "fit", fitted(lambda e: 0.6 + 0.03 * e, 20.0))
    found = race(fold, TrainingConfig(), 256, [1, 2, 4, 6])
    assert [f.epochs for f in found.windows] == [1, 2, 4]
    assert {f.batch_chunks for f in found.windows} == {256}
    assert found.reached
    assert found.times == pytest.approx(8.0)
    assert found.first_written.epochs == 4
    assert found.first_written_reached
    assert found.first_written_times == pytest.approx(24.0)
    caption = str(speed.race_table(found).caption)
    assert "at least" not in caption
    assert "not tried" not in caption


def test_windows_that_do_not_get_there_are_at_least_so_many_times_slower(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_windows, "fit", fitted(lambda _: 0.5, 20.0))
    found = race(fold, TrainingConfig(), 256, [6])
    assert not found.reached
    assert not found.first_written_reached
    assert found.times == pytest.approx(12.0)
    caption = str(speed.race_table(found).caption)
    assert "at least 12.0 times" in caption
    assert "at least 36.0 times" in caption
    assert "fewer epochs were not tried" in caption


@pytest.mark.slow
def test_a_fit_as_one_may_write_it_at_first_learns_the_same(fold: Fold) -> None:
    """From other weights, or by another schedule, the two would end as far apart as they came."""
    config = TrainingConfig(epochs=2, chunk_length=1, batch_chunks=32)
    none = config.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    begun, ours, written = (
        np.concatenate([v.numpy().ravel() for v in network.logit.trainable_variables])
        for network in (
            speed_windows.trained(fold, settings, SMALL, first_written, FirstStep())
            for settings, first_written in ((none, False), (config, False), (config, True))
        )
    )
    assert np.linalg.norm(written - ours) < 0.02 * np.linalg.norm(ours - begun)


def test_the_help_ends_with_an_example_that_parses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.parser().parse_args(["--help"])
    example = shlex.split(capsys.readouterr().out.rstrip().splitlines()[-1])
    assert example[:3] == ["python", "-m", "benchmarks.speed"]
    assert speed.parser().parse_args(example[3:]).every == 40


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "absent.parquet"], "absent.parquet: there is no such file"),
        (["--rounds", "0"], "--rounds: give at least 1"),
        (["--window-epochs", "2", "0"], "--window-epochs: give at least 1"),
        (["--window-epochs", "2", "2"], "--window-epochs: give rising numbers"),
        (["--data", "handbook.parquet"], "holds the days 2018-07-01 to 2018-07-20, needed are"),
        (["--data", "long.parquet", *ONE], "no fraud or no genuine one; use more"),
        (["--json", "no/speed.json"], "there is no folder no"),
    ],
)
def test_wrong_input_ends_in_one_line(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    handbook_file(tmp_path, days=20)
    handbook_file(tmp_path, name="long.parquet")
    monkeypatch.setattr(speed_data, "VALIDATION_END", datetime(2018, 9, 1, tzinfo=UTC))
    monkeypatch.chdir(tmp_path)
    assert speed.main(words) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_command_prints_both_tables_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = replace(SimulatorConfig(), accounts=40, counterparties=40, fraud_share=0.05)
    monkeypatch.setattr(speed_data, "SimulatorConfig", lambda: small)
    path = tmp_path / "speed.json"
    words = ["--every", "1", "--epochs", "1", "--window-epochs", "1", "--rounds", "1"]
    assert speed.main([*words, "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert [part["name"] for part in report["parts"]] == [v.name for v in VARIANTS]
    assert [part["name"] for part in report["window_parts"]] == [v.name for v in WINDOW_VARIANTS]
    found = report["race"]
    assert found["dense"]["chunk_length"] > found["windows"][0]["chunk_length"]
    for fit in (found["dense"], *found["windows"], found["first_written"]):
        assert 0 < fit["first_step_s"] < fit["seconds"]
        assert 0 <= fit["average_precision"] <= 1
    assert found["first_written_times"] == pytest.approx(
        found["first_written"]["seconds"] / found["dense"]["seconds"]
    )
    shown = capsys.readouterr().out
    assert "One training step" in shown
    assert "Dense training" in shown
    assert sys.version.split()[0] == report["versions"]["python"]
