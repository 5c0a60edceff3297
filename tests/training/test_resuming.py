"""A fit that is killed goes on from its last whole epoch, to the very same weights."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fraudnet.errors import InputError
from fraudnet.network.network import Network, build_network
from fraudnet.training import checkpoint
from fraudnet.training.checkpoint import Checkpoint, State
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.prepare import Prepared, prepare
from fraudnet.training.scoring import predict_rows
from fraudnet.training.watched import divide
from fraudnet.windows.labels import KnownRows, known_rows
from fraudnet.windows.periods import microseconds
from fraudnet.windows.reputation import DAY_US
from tests.training.test_fitting import TINY, Recording
from tests.training.world import SETTINGS, experiment

pytestmark = pytest.mark.xdist_group("fitting")

WATCHED = {"stopping_days": 14.0, "patience": 1}


class KilledError(Exception):
    """The machine is switched off."""


class KillsAt(Recording):
    """Kills the fit when so many epochs are done."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._left = epochs

    def step(self, transactions: int) -> None:
        if self._left == 0:
            raise KilledError
        super().step(transactions)

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        super().epoch(number, loss, average_precision)
        self._left -= 1


@pytest.fixture(scope="module")
def prepared(payments: Path) -> Prepared:
    return prepare(payments, experiment(*TINY, "training.epochs=4"))


@pytest.fixture(scope="module")
def known(prepared: Prepared) -> KnownRows:
    period = prepared.split.training
    return known_rows(prepared.histories, period, period.end)


def built(prepared: Prepared) -> Network:
    keras.utils.set_random_seed(0)
    return build_network(prepared.experiment.network, prepared.experiment.features)


def weights(network: Network) -> list[bytes]:
    return [weight.numpy().tobytes() for weight in network.logit.weights]


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        pytest.param(WATCHED, 1, marks=pytest.mark.slow, id="while it is watched"),
        pytest.param(WATCHED, 4, marks=pytest.mark.slow, id="while it is refitted"),
        pytest.param({}, 3, marks=pytest.mark.slow, id="plain"),
        pytest.param({**WATCHED, "refit": False}, 2, marks=pytest.mark.slow, id="not refitted"),
    ],
)
def test_a_killed_fit_goes_on_to_the_same_weights(
    prepared: Prepared, known: KnownRows, tmp_path: Path, changes: dict[str, float], epochs: int
) -> None:
    config = prepared.experiment.training.model_copy(update=changes)
    whole, killed, resumed = built(prepared), built(prepared), built(prepared)
    told = Recording()
    fit_network(whole, known, config, [told])
    assert len(told.losses) > epochs

    checkpoint = Checkpoint(tmp_path / "state.npz", "this", "run")
    with pytest.raises(KilledError):
        fit_network(killed, known, config, [KillsAt(epochs)], checkpoint)
    again = Recording()
    fit_network(resumed, known, config, [again], checkpoint)
    assert again.losses == told.losses[epochs:]
    assert weights(resumed) == weights(whole)


def test_a_state_of_other_settings_is_not_taken_up(
    prepared: Prepared, known: KnownRows, tmp_path: Path
) -> None:
    config = prepared.experiment.training.model_copy(update={"epochs": 1})
    checkpoint = Checkpoint(tmp_path / "state.npz", "this", "run")
    fit_network(built(prepared), known, config, checkpoint=checkpoint)
    assert checkpoint.load() is not None
    other = Checkpoint(checkpoint.path, "other", "run")
    assert other.load() is None
    network = built(prepared)
    told = Recording()
    fit_network(network, known, config, [told], other)
    assert len(told.losses) == 1


@pytest.mark.parametrize("size", [0, 10, 200, -1])
def test_a_state_that_is_not_whole_is_not_taken_up(tmp_path: Path, size: int) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz", "this", "run")
    assert checkpoint.load() is None
    checkpoint.save(State({"epoch": 3}, {"weights": [np.arange(100.0), np.ones((2, 3))]}))
    state = checkpoint.load()
    assert state is not None
    assert state.facts["epoch"] == 3
    assert [values.shape for values in state.arrays["weights"]] == [(100,), (2, 3)]
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(content[:size])
    assert checkpoint.load() is None


def test_a_state_of_another_format_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Checkpoint(tmp_path / "state.npz", "this", "run")
    with monkeypatch.context() as earlier:
        earlier.setattr(checkpoint, "FORMAT", 1)
        kept.save(State({}))
        assert kept.load() is not None
    assert kept.load() is None


def test_a_state_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        Checkpoint(tmp_path / "none" / "state.npz", "this", "run").save(State({}))


def test_the_watched_days_respect_the_label_delay(prepared: Prepared) -> None:
    histories, period = prepared.histories, prepared.split.training
    delay = timedelta(days=7)
    seen = known_rows(histories, period, period.end + delay)
    parts = divide(seen, 14)
    begin = microseconds(period.end) - 14 * DAY_US
    moment, arrived = histories.timestamp_us, histories.known_us <= begin
    assert np.array_equal(parts.watched.rows, seen.rows & (moment >= begin))
    assert np.array_equal(parts.learnt.rows, seen.rows & arrived & (moment < begin - 7 * DAY_US))
    assert parts.learnt.rows.any()
    assert not (parts.learnt.histories.is_fraud[~arrived] >= 0).any()


def test_watched_days_without_fraud_are_refused(prepared: Prepared, known: KnownRows) -> None:
    config = prepared.experiment.training.model_copy(update={"stopping_days": 0.001})
    with pytest.raises(InputError, match=r"training.stopping_days .* holds no fraud or no genuine"):
        fit_network(built(prepared), known, config)


def test_the_best_epoch_is_kept(prepared: Prepared, known: KnownRows) -> None:
    config = TrainingConfig.model_validate(
        prepared.experiment.training.model_dump()
        | {**WATCHED, "refit": False, "epochs": 8, "learning_rate": 0.05}
    )
    network = built(prepared)
    told = Recording()
    fit_network(network, known, config, [told])
    found = [value for value in told.found if value is not None]
    best = int(np.argmax(found))
    assert len(found) == min(8, best + 1 + config.patience)
    watched = divide(known, config.stopping_days).watched
    field, histories = network.receptive_field, watched.histories
    logit = predict_rows(network.logit, field, histories, watched.rows)["logit"][:, 0]
    assert average_precision_score(watched.is_fraud, logit) == pytest.approx(max(found), rel=1e-6)


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_in_the_same_run(payments: Path, tmp_path: Path) -> None:
    """By SIGKILL, whenever it falls: the figures are those of a training that was not killed."""

    def command(output: str) -> list[str]:
        sets = [word for each in SETTINGS for word in ("--set", each)]
        return [
            sys.executable, "-m", "fraudnet", "train", "--data", str(payments), *sets,
            "--output", str(tmp_path / output), "--json",
        ]  # fmt: skip

    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    environment = {**os.environ, **store}
    whole = subprocess.run(
        command("whole"), env=environment, capture_output=True, text=True, check=True
    )
    state = tmp_path / "killed" / "training.npz"
    first = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.DEVNULL)
    while not state.exists():
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "trained.json").exists()
    with np.load(state) as held:
        begun = str(held["facts"])
    again = subprocess.run(
        command("killed"), env=environment, capture_output=True, text=True, check=True
    )
    assert again.stdout == whole.stdout
    assert not state.exists()
    run = (tmp_path / "killed" / "trained.json").read_text().split('"mlflow_run_id": "')[1][:32]
    assert run in begun
