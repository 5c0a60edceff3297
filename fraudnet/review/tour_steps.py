"""The work of the tour, in a process beside the notebook's, so that it goes on while one reads.

Each step is told as a line of JSON on standard output as soon as it is done: its name and what it
found, in plain values that the notebook draws without importing what made them.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fraudnet.evaluation.calibration import Predicted
    from fraudnet.training.prepare import Prepared
    from fraudnet.training.trained import Trained, Windows

EPOCHS = 12
SCORED_DAYS = 2
SETTINGS = (
    # The smallest of the family learns the sample in seconds, in small steps.
    "network.size=nano",
    f"training.epochs={EPOCHS}",
    "training.batch_chunks=8",
    # Weeks enough to calibrate on: the sample holds some four frauds a day.
    "split.validation_days=21",
    "split.test_days=7",
    "alerts.per_day=5",
    "alerts.accounts_per_day=5",
    "evaluation.resamples=20",
)
UNFAMILIAR = {"amounts": "amounts in cents", "gaps": "a payment a minute"}
"""Of the shifts that the distance is chosen by, those that the tour shows, as it calls them."""

Tell = Callable[[str, Any], None]
Mask = npt.NDArray[np.bool_]


def walk(source: Path, folder: Path, tell: Tell, settings: tuple[str, ...] = SETTINGS) -> None:
    """From the sample's transactions to flagged cases, telling of each step.

    Told in this order: windows, network, epoch (as many as there are), spectra, calibration,
    distance, artifact, cases; and before what takes seconds, as "begun", what that is.

    Args:
        source: labelled transactions in canonical columns, with `fraud_kind`.
        folder: where fraud.tflite and cases.sqlite are made, and all that is needed for them.
        tell: is given each step's name and result.
        settings: of the experiment.

    Raises:
        InputError: the transactions cannot be used.
        CheckFailed: the artifact differs from Keras.
    """
    tell("begun", "the libraries are loaded and the transactions read")
    from fraudnet.network.network import build_network
    from fraudnet.training.experiment import load_experiment
    from fraudnet.training.prepare import prepare
    from fraudnet.training.train import train

    prepared = prepare(source, load_experiment("simulated", settings))
    experiment = prepared.experiment
    untrained = build_network(experiment.network, experiment.features)
    tell("windows", _windows(prepared, untrained.receptive_field))
    from fraudnet.network.describe import describe
    from fraudnet.training.describe_command import as_dictionary

    tell("network", as_dictionary(describe(untrained)))
    tell("begun", "the network's step is compiled for this machine")
    trained = train(prepared, watch=lambda _: _Told(tell))
    tell("spectra", _spectra(prepared, trained))
    predicted, distance = _validated(prepared, trained)
    tell("calibration", _reliability(predicted))
    tell("distance", _distances(trained, predicted, distance))
    tell("begun", "the network is converted, and compared with Keras")
    tell("artifact", _artifact(trained, folder / "fraud.tflite"))
    tell("begun", "the last days are scored as a phone would")
    tell("cases", _cases(prepared, trained, folder))


def _windows(prepared: "Prepared", receptive_field: int) -> dict[str, Any]:
    """What the network reads at one transaction of each kind of fraud, and at a genuine one.

    Each the last of its kind in an account that fills the window; kinds without one are left out.
    """
    from fraudnet.windows.chunks import windows_of

    histories, kinds = prepared.histories, prepared.slices["fraud_kind"]
    code = kinds.code[histories.source_row]
    position = np.arange(len(histories)) - histories.offsets[histories.account]
    of_kind = {"genuine": histories.is_fraud == 0}
    of_kind |= {name: code == number for number, name in enumerate(kinds.values) if name}
    found = {}
    for name, rows in of_kind.items():
        row = _last(np.flatnonzero(rows & (position >= receptive_field)), histories.timestamp_us)
        window = windows_of(histories, row, receptive_field).gather(np.arange(len(row)))
        second = window["day"].astype(np.int64) * 86_400 + window["second"].astype(np.int64)
        if len(row):
            found[name] = {
                "amount": window["amount"][0].tolist(),
                "gap_hours": (np.diff(second[0], prepend=second[0, :1]) / 3600).tolist(),
                "counterparty_frauds": window["counterparty_fraud_30d"][0].tolist(),
            }
    return found


def _last(rows: npt.NDArray[np.int64], timestamp_us: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401
    """The one of the rows that happened last, [1]; none where there are none."""
    return rows[np.argsort(timestamp_us[rows], kind="stable")[-1:]]


class _Told:
    """Tells of each epoch of the fit."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._epochs = tell, 0

    def begin(self, epochs: int, transactions: int, first: int) -> None:  # noqa: ARG002
        self._epochs = epochs

    def step(self, transactions: int) -> None:
        pass

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:  # noqa: ARG002
        self._tell("epoch", {"number": number + 1, "of": self._epochs, "loss": loss})

    def end(self) -> None:
        self._tell("begun", "the distance, the calibration and the threshold are fitted")


def _spectra(prepared: "Prepared", trained: "Trained") -> dict[str, list[float]]:
    """Of each 1x1 layer, the share of its answers' energy that ranks 0, 1, 2, ... leave out."""
    from fraudnet.compression.moments import input_moments
    from fraudnet.compression.spectra import spectra
    from fraudnet.training.prepare import known_of

    known = known_of(prepared, prepared.split.training)
    found = spectra(trained.network, input_moments(trained.network, known))
    return {
        name: [1 - each.retained(rank) for rank in range(len(each.energy))]
        for name, each in found.items()
    }


def _validated(
    prepared: "Prepared", trained: "Trained"
) -> tuple["Predicted", npt.NDArray[np.float32]]:
    """What the network says of the validation period's labelled rows, and their distances.

    The calibration is fitted to half of the accounts for the other half: to rows that it was fitted
    to it would flatter itself.
    """
    from scipy.special import expit

    from fraudnet.evaluation.calibration import Predicted
    from fraudnet.training.calibration import cross_fitted
    from fraudnet.training.prepare import known_of
    from fraudnet.training.scoring import logits_of, score

    known = known_of(prepared, prepared.split.validation)
    histories, rows = known.histories, known.rows
    logits = logits_of(trained.network, histories, rows)
    config = prepared.experiment.calibration
    everything = np.ones(len(logits), bool)
    account = histories.account[rows]
    predicted = Predicted(
        is_fraud=known.is_fraud,
        weight=config.weights(known.is_fraud),
        uncalibrated=expit(logits),
        calibrated=cross_fitted(logits, known.is_fraud, everything, account, config),
    )
    return predicted, score(trained.network, histories, rows)["ood_distance"]


def _reliability(predicted: "Predicted") -> dict[str, Any]:
    """Share of fraud against mean probability, with 95 % intervals, before and after."""
    from fraudnet.evaluation.calibration import DIAGRAM_BINS, binned
    from fraudnet.evaluation.wilson import wilson_interval

    found = {}
    for name in ("uncalibrated", "calibrated"):
        probability, weight = getattr(predicted, name), predicted.weight
        if probability is None:
            continue
        bins = binned(probability, predicted.is_fraud, weight, weight * probability, DIAGRAM_BINS)
        low, high = wilson_interval(bins.observed, bins.count)
        found[name] = {
            "predicted": bins.predicted.tolist(),
            "observed": bins.observed.tolist(),
            "low": low.tolist(),
            "high": high.tolist(),
        }
    return found


def _distances(
    trained: "Trained", predicted: "Predicted", distance: npt.NDArray[np.float32]
) -> dict[str, Any]:
    """Distances of genuine transactions, of frauds, and of windows that something is wrong with."""
    from fraudnet.training.sentinel import shifted

    shown = {
        "genuine": distance[predicted.is_fraud == 0],
        "fraud": distance[predicted.is_fraud == 1],
    }
    network = trained.network
    for kind, windows in shifted(trained.windows, network.specification):
        if kind in UNFAMILIAR:
            answers = network.scores(_tensors(windows), training=False)
            shown[UNFAMILIAR[kind]] = answers["ood_distance"].numpy()[:, 0, 0]
    return {
        "threshold": trained.facts.sentinel.distance_threshold,
        "layer": trained.facts.sentinel.layer,
        "of": {name: values.tolist() for name, values in shown.items()},
    }


def _tensors(windows: "Windows") -> dict[str, Any]:
    import tensorflow as tf

    return {name: tf.constant(values) for name, values in windows.items()}


def _artifact(trained: "Trained", path: Path) -> dict[str, Any]:
    """The one file, which is written only if every runtime here answers as Keras does."""
    from fraudnet.artifact.costs import costs_of
    from fraudnet.artifact.export import converted, export

    battery = trained.facts.experiment.battery
    exported = export(
        converted(trained, with_step=False), path, lambda model: costs_of(model, battery)
    )
    return {
        "path": str(path),
        **exported.furthest(),
        "bytes": exported.bytes,
        "windows": next(iter(exported.parity.values())).windows,
        "runtimes": list(exported.parity),
    }


def _cases(prepared: "Prepared", trained: "Trained", folder: Path) -> dict[str, Any]:
    """The last days as a device meets them; what it flags comes into the team's database."""
    from fraudnet.artifact.feed_command import feed_of
    from fraudnet.device import command
    from fraudnet.review.database import CaseDatabase
    from fraudnet.review.device_store import DeviceStore
    from fraudnet.review.importing import import_store

    feed = feed_of(
        prepared.source, prepared.experiment, trained.facts.receptive_field, SCORED_DAYS,
        folder / "feed",
    )  # fmt: skip
    store = folder / "cases.sqlite"
    history = ["--history", str(feed.history)]
    for day in feed.days:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        command.run(parser.parse_args([
            "--artifact", str(folder / "fraud.tflite"), "--store", str(store), *history,
            "--reputation", str(day.reputation), str(day.transactions),
        ]))  # fmt: skip
        history = []
    database = folder / "reviews.sqlite"
    import_store(CaseDatabase(database, create=True), DeviceStore(store))
    return {"database": str(database), "days": len(feed.days)}


def main(source: Path, folder: Path) -> int:
    """Go the way, telling of each step on standard output; nothing else is printed there."""
    from fraudnet.device.errors import DeviceInputError
    from fraudnet.errors import FraudnetError

    lines = sys.stdout

    def tell(step: str, result: Any) -> None:  # noqa: ANN401
        lines.write(json.dumps({"step": step, "result": result}) + "\n")
        lines.flush()

    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    try:
        with redirect_stdout(sys.stderr):
            walk(source, folder, tell)
    except (FraudnetError, DeviceInputError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
