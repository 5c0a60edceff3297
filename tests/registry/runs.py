"""Runs in a real store: figures and scores that differ by how good the network is."""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import mlflow
import numpy as np
from numpy.typing import NDArray

from fraudnet.artifact.budgets import Check
from fraudnet.artifact.export import Exported
from fraudnet.artifact.gates import ARTIFACT, BUDGETS, record_budgets, record_gate
from fraudnet.artifact.mlflow_model import log_artifact
from fraudnet.artifact.verify import Parity
from fraudnet.device.artifact import open_artifact
from fraudnet.evaluation.metrics import figures_of
from fraudnet.evaluation.scores import Scores, write_scores
from fraudnet.training.tracking import tracked_run
from tests.training.world import World

ROWS, ACCOUNTS = 3000, 300
GATES = {ARTIFACT: True, BUDGETS: True}


@cache
def data() -> tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.float64]]:
    """Account, label and amount of every row."""
    rng = np.random.default_rng(0)
    account = rng.integers(ACCOUNTS, size=ROWS).astype(np.int32)
    is_fraud = (rng.random(ROWS) < 0.08).astype(np.int8)
    return account, is_fraud, rng.lognormal(3, 1, ROWS)


def scores(skill: float, seed: int = 0) -> Scores:
    """Scores of the same rows by a network of some skill, 0 (none) to 1 (all)."""
    account, is_fraud, amount = data()
    noise = np.random.default_rng(seed).random(ROWS)
    return Scores(
        row=np.arange(ROWS),
        account=account,
        timestamp_us=np.arange(ROWS) * 200_000_000,
        amount=amount,
        is_fraud=is_fraud,
        fraud_probability=(skill * is_fraud + (1 - skill) * noise).astype(np.float32),
        ood_distance=np.zeros(ROWS, np.float32),
        fingerprint="sha256:" + "ab" * 32,
        period="2025-01-01 00:00 .. 2025-01-08 00:00",
        threshold=0.7,
    )


def log_run(given: Scores | None, **parameters: object) -> str:
    """A finished run with figures, configuration and, if given, scores of the test period."""
    measured = given or scores(0.5)
    with tracked_run("train") as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"network.width": 8, "training.epochs": 4, **parameters})
        found = figures_of(measured.scored(), measured.threshold, 10)
        mlflow.log_metrics({f"test_{name}": value for name, value in found.items()})
        mlflow.log_metrics({"validation_roc_auc": 0.5, "artifact_bytes": 1000.0})
        if given is not None:
            path = Path(folder) / "test.parquet"
            write_scores(replace(given), path)
            mlflow.log_artifact(str(path), "scores")
    return str(run.info.run_id)


def add_export(
    run_id: str, world: World, gates: dict[str, bool] | None = None, sha256: str | None = None
) -> None:
    """What `fraudnet export` logs; the network is the world's, which the scores are not."""
    with tracked_run("export", run_id):
        parity = {"ai-edge-litert 2.0": Parity(2000, 0.0, 0.0, 0.0, 0, 100.0, 120.0)}
        size = world.artifact.stat().st_size
        log_artifact(Exported(world.artifact, "float32", size, parity, {}, {}, {}))
        wanted = GATES if gates is None else gates
        if ARTIFACT in wanted:
            record_gate(ARTIFACT, passed=wanted[ARTIFACT], reason="as the test wants it")
        if BUDGETS in wanted:
            check = Check("size", False, 1.0, 2.0, wanted[BUDGETS], "as the test wants it")
            record_budgets([check], sha256 or open_artifact(world.artifact).sha256, "a test")
