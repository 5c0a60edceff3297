"""What the device's benchmark scores: an artifact, stores of many transactions, and what arrives.

The transactions are made of random numbers: how long a decision takes hangs on how many there are,
not on what they say.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed_data import load_fold
from fraudnet.device.artifact import read_documents
from fraudnet.device.contract import DISTANCE, FORMAT, FORMAT_VERSION, PROBABILITY
from fraudnet.device.reputation import Counts
from fraudnet.device.scorer import Options, Scorer
from fraudnet.device.tail import CONTRACT, VECTORS, seal, split
from fraudnet.device.transactions import Transaction

if TYPE_CHECKING:
    from fraudnet.network.network import Network

COUNTERPARTIES = 5_000
SPAN_US = 180 * 86_400_000_000
START_US = 20_000 * 86_400_000_000
FLAGGED = 0.005  # share of what is scored
SAMPLE = 500
KEEP_ALL = Options(durable=False, keep=None)


def transactions(first: int, count: int, stored: int, accounts: int) -> Iterator[Transaction]:
    """Transactions in time order, `stored` of them in 180 days.

    Args:
        first: number of the first one; the same number is always the same transaction.
        count: how many.
        stored: how many there are in 180 days.
        accounts: over which they are spread at random.
    """
    for block in range(first // SAMPLE, -(-(first + count) // SAMPLE)):
        rng = np.random.default_rng([block, accounts])
        amounts = np.round(rng.lognormal(3, 1, SAMPLE), 2).tolist()
        account = rng.integers(0, accounts, SAMPLE).tolist()
        counterparty = rng.integers(0, COUNTERPARTIES, SAMPLE).tolist()
        for i in range(SAMPLE):
            number = block * SAMPLE + i
            if first <= number < first + count:
                yield Transaction(
                    transaction_id=f"t{number}",
                    account_id=f"a{account[i]}",
                    timestamp_us=START_US + number * SPAN_US // stored,
                    counterparty_id=f"m{counterparty[i]}",
                    amount=amounts[i],
                    columns={},
                )


def make_artifact(path: Path) -> None:
    """An artifact of the default network with random weights, that flags nothing."""
    import keras

    from fraudnet.artifact.convert import convert
    from fraudnet.artifact.flatbuffer import slim
    from fraudnet.artifact.signatures import SEQUENCE, WINDOW
    from fraudnet.network.network import NetworkConfig, build_network

    keras.utils.set_random_seed(0)
    specification = load_fold(None, 28, 1).histories.specification
    network: Network = build_network(NetworkConfig(), specification)
    length = network.receptive_field
    contract = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "signature": WINDOW,
        "signatures": [{"name": WINDOW}, {"name": SEQUENCE}],
        "tolerance": 1e-3,
        "window_length": length,
        "inputs": [
            entry.model_dump(exclude_none=True, mode="json") | {"shape": [1, length]}
            for entry in specification.inputs
        ],
        "outputs": [
            {"name": name, "dtype": "float32", "shape": [1, 1]} for name in (PROBABILITY, DISTANCE)
        ],
        "threshold": {"probability": 2.0},
        "reputation": {"key": "counterparty_id", "max_age_days": 3650},
    }
    zeros = {entry.name: np.zeros((1, length), entry.dtype) for entry in specification.inputs}
    answers = network.scores(zeros, training=False)
    outputs = {name: float(np.asarray(answers[name]).item()) for name in (PROBABILITY, DISTANCE)}
    inputs = {name: values[0].tolist() for name, values in zeros.items()}
    vectors = [{"inputs": inputs, "outputs": outputs}]
    model = slim(convert(network), SEQUENCE)

    told = contract | {"model_sha256": hashlib.sha256(model).hexdigest()}
    path.write_bytes(seal(model, [json.dumps(told), json.dumps(vectors)]))


def set_threshold(artifact: Path, store: Path, arriving: list[Transaction]) -> None:
    """Makes an artifact flag one in two hundred of what arrives at a store, which is spent."""
    snapshot = artifact.with_name("snapshot")
    with Scorer(artifact, store, snapshot, options=KEEP_ALL) as scorer:
        probabilities = [scorer.score(each).probability for each in arriving]
    model, documents, _ = split(artifact.read_bytes())
    told = documents[CONTRACT]
    told["threshold"]["probability"] = float(np.quantile(probabilities, 1 - FLAGGED))
    artifact.write_bytes(seal(model, [json.dumps(told), json.dumps(documents[VECTORS])]))


def make_snapshot(artifact: Path) -> Path:
    """Counts of all counterparties beside an artifact, for whatever it reads."""
    inputs = read_documents(artifact)["contract.json"]["inputs"]
    columns = [f"{i['statistic']}_{i['days']}d" for i in inputs if i["kind"] == "reputation"]
    hashes = _hashes([f"m{number}" for number in range(COUNTERPARTIES)])
    counts = np.random.default_rng(0).integers(0, 300, (COUNTERPARTIES, len(columns)), np.uint16)
    held = Counts("counterparty_id", START_US - 1, columns, hashes, counts)
    path = artifact.with_name("snapshot")
    path.write_bytes(held.content())
    return path


def _hashes(names: list[str]) -> NDArray[np.uint64]:
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.sort(np.frombuffer(b"".join(digests), "<u8").astype(np.uint64))


def make_store(folder: Path, accounts: int, stored: int) -> Path:
    """A case store of transactions that are not scored yet."""
    path = folder / f"store-{accounts}.sqlite"
    artifact = folder / "fraud.tflite"
    with Scorer(artifact, path, folder / "snapshot", options=KEEP_ALL) as scorer:
        for first in range(0, stored, 50_000):
            count = min(50_000, stored - first)
            scorer.add_history(transactions(first, count, stored, accounts))
    return path


def make_tree_store(folder: Path, accounts: int, stored: int) -> Path:
    """The same transactions as a store whose features are asked for in SQL."""
    path = folder / f"trees-{accounts}.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(TREE_TABLE)
        connection.executemany(
            TREE_INSERT,
            (
                (t.transaction_id, t.account_id, t.timestamp_us, t.amount, None)
                for t in transactions(0, stored, stored, accounts)
            ),
        )
        connection.execute(TREE_INDEX)
    return path


TREE_TABLE = """
CREATE TABLE transactions (
  transaction_id TEXT NOT NULL UNIQUE, account_id TEXT NOT NULL, timestamp_us INTEGER NOT NULL,
  amount REAL NOT NULL, probability REAL)"""
# What the features are asked for lies side by side.
TREE_INDEX = "CREATE INDEX by_account ON transactions (account_id, timestamp_us, amount)"
TREE_INSERT = "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)"
