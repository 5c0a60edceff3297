"""A small world of payments, with what spoils real ones, and a network that is trained on it."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fraudnet.cli import main
from fraudnet.training.experiment import Experiment, load_experiment
from fraudnet.training.prepare import Prepared, prepare, read_data
from fraudnet.training.scoring import predict_rows
from fraudnet.training.trained import Trained, load_trained
from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.transactions.writing import write_transactions

Floats = NDArray[np.float32]

DAY_US = 86_400_000_000
TRAINING_END = datetime(2025, 2, 2, tzinfo=UTC)
ONLY_LATER = "novelty"
SETTINGS = (
    'features.numeric=["distance"]',
    "network.width=8",
    "network.dilations=[1, 2]",
    "network.squeeze_window=4",
    "network.normal_window=8",
    "network.embedding=3",
    "network.head=8",
    "training.epochs=4",
    "training.batch_chunks=8",
    "training.chunk_length=32",
    "training.learning_rate=0.01",
    "training.weight_averaging=0.9",
    "alerts.per_day=10",
    "alerts.accounts_per_day=10",
    "budgets.p99_latency_ms=1e6",  # no test hangs on how busy the machine is
    'evaluation.group_columns=["place"]',
    "evaluation.resamples=40",
)
BAD_LINES = {
    "amount_not_a_number": "T900000001,2025-01-05T10:00:00Z,A000001,C000001,much,food,P01,0,,,1.5",
    "account_id_missing": "T900000002,2025-01-05T10:00:00Z,,C000001,12.5,food,P01,0,,,1.5",
    "is_fraud_unknown_label": "T900000003,2025-02-28T10:00:00Z,A000001,C1,1.5,food,P01,maybe,,,1.5",
    "line_field_count": "T900000004,2025-01-05T10:00:00Z,A000001",
    "transaction_id_duplicate": "T000000001,2025-01-05T10:00:00Z,A000001,C1,1.5,food,P01,0,,,1.5",
}


@dataclass(frozen=True)
class World:
    """What the commands made, and what they said as JSON; its store is read only."""

    data: Path
    model: Path
    artifact: Path
    store: str
    logged: Path
    said: dict[str, Any]
    prepared: Prepared
    trained: Trained

    @cached_property
    def table(self) -> pa.Table:
        """The transactions in canonical columns."""
        return table_read(self.prepared)

    @cached_property
    def answers(self) -> dict[str, Floats]:
        """Logit, probability and distance of every row of the histories, [N] each."""
        network, histories = self.trained.network, self.prepared.histories
        all_ = np.ones(len(histories), bool)
        found: dict[str, Floats] = {}
        for model in (network.logit, network.scores):
            found |= predict_rows(model, network.receptive_field, histories, all_)
        return {name: values[:, 0] for name, values in found.items()}


def table_read(prepared: Prepared) -> pa.Table:
    return read_data(prepared.source, prepared.experiment).table


def experiment(*more: str) -> Experiment:
    return load_experiment("simulated", [*SETTINGS, *more])


def spoiled(seed: int = 11) -> pa.Table:
    """Simulated transactions with ties, gaps, refunds, late labels, and what was never seen."""
    table = simulate(
        SimulatorConfig(accounts=150, counterparties=120, days=60, fraud_share=0.03, seed=seed)
    )
    rng = np.random.default_rng(seed)
    count = table.num_rows

    def some(share: float) -> NDArray[np.bool_]:
        drawn: NDArray[np.bool_] = rng.random(count) < share
        return drawn

    moment = table["timestamp"].cast(pa.int64()).to_numpy().copy()
    moment += np.where(some(0.5), rng.integers(0, 1_000_000, count), 0)
    account = table["account_id"].to_numpy()
    order = np.lexsort((moment, account))
    tied = np.flatnonzero(some(0.02)[1:] & (account[order][1:] == account[order][:-1])) + 1
    moment[order[tied]] = moment[order[tied - 1]]
    later = moment >= TRAINING_END.timestamp() * 1e6
    category = table["category"].to_numpy().copy()
    category[later & some(0.05)] = ONLY_LATER
    late = moment + rng.integers(0, 30 * DAY_US, count)
    changed = {
        "timestamp": pa.array(moment, pa.timestamp("us", "UTC")),
        "counterparty_id": pa.array(table["counterparty_id"].to_numpy(), mask=some(0.02)),
        "amount": table["amount"].to_numpy() * np.where(some(0.03), -1.0, 1.0),
        "category": pa.array(category, mask=some(0.01)),
        "is_fraud": pa.array(table["is_fraud"].to_numpy(), mask=some(0.05)),
        "label_time": pa.array(late, pa.timestamp("us", "UTC"), mask=some(0.9)),
        "distance": pa.array(rng.lognormal(2.0, 1.0, count), mask=some(0.1)),
    }
    kept = {name: table[name] for name in table.column_names}
    return pa.table(kept | changed)


def write_world(folder: Path) -> Path:
    path = folder / "transactions.csv"
    write_transactions(spoiled(), path)
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in BAD_LINES.values())
    return path


def command(*arguments: object) -> dict[str, Any]:
    """What a command prints as JSON."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert main([*map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(said.getvalue())
    return found


def make_world(folder: Path) -> None:
    """Train, evaluate and export by the command line."""
    for name in ("data", "runs", "made"):
        (folder / name).mkdir(parents=True)
    data, model = write_world(folder / "data"), folder / "made" / "model"
    artifact, store = folder / "made" / "fraud.tflite", make_store(folder / "runs")
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    with logging_to(store):
        said = {
            "train": command("train", "--data", data, *settings, "--output", model),
            "evaluate": command("evaluate", "--model", model, "--data", data),
            "export": command("export", "--model", model, "--artifact", artifact),
        }
    (folder / "said.json").write_text(json.dumps(said))


def open_world(folder: Path) -> World:
    data, model = folder / "data" / "transactions.csv", folder / "made" / "model"
    trained = load_trained(model)
    return World(
        data=data,
        model=model,
        artifact=folder / "made" / "fraud.tflite",
        store=f"sqlite:///{folder / 'runs' / 'mlflow.db'}",
        logged=folder / "runs" / "logged",
        said=json.loads((folder / "said.json").read_text()),
        prepared=prepare(data, trained.facts.experiment),
        trained=trained,
    )


def make_store(folder: Path) -> str:
    """An MLflow store with the experiment `fraudnet`; its files are in `logged`."""
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with logging_to(store):
        mlflow.create_experiment("fraudnet", (folder / "logged").as_uri())
    return store


@contextmanager
def logging_to(store: str) -> Iterator[None]:
    """MLflow uses this store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        # MLflow sets it; that way it is put back.
        patch.setenv("MLFLOW_EXPERIMENT_ID", "")
        patch.delenv("MLFLOW_EXPERIMENT_ID")
        yield
