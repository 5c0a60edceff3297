"""The scorer against a naive model: a list, sorted anew for every transaction."""

import json
import math
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fraudnet.device import (
    ArtifactError,
    ConflictError,
    Scorer,
    StoreError,
    Transaction,
    TransactionError,
)
from fraudnet.device.runtime import Network
from fraudnet.device.statements import HISTORY
from fraudnet.device.store import Score, Store
from tests.device.conftest import THRESHOLD, contract, vectors, with_tail, write_snapshot
from tests.device.example_network import LENGTH, VOCABULARY, reference

HOUR_US = 3_600_000_000
START_US = 20_000 * 24 * HOUR_US
AS_OF_US = START_US + 3 * 24 * HOUR_US
SNAPSHOT = {"m0": (3, 1), "m1": (40, 0)}


def transaction(number: int = 0, **changes: object) -> Transaction:
    made = Transaction(
        transaction_id=f"t{number}",
        account_id="a",
        timestamp_us=START_US + number * HOUR_US,
        counterparty_id="m0",
        amount=10.0 + number,
        columns={"category": "fuel", "distance": 1.5},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@dataclass
class Known:
    """A transaction as the naive model holds it."""

    transaction: Transaction
    arrival: int
    counts: tuple[int, int]
    probability: float | None = None


class NaiveScorer:
    """What the contract says, without a database, an index or a network runtime."""

    def __init__(self, has_snapshot: bool) -> None:
        self.known: dict[str, Known] = {}
        self.has_snapshot = has_snapshot

    def counts(self, transaction: Transaction) -> tuple[int, int]:
        age_us = transaction.timestamp_us - AS_OF_US
        fresh = 0 <= age_us <= 2 * 24 * HOUR_US
        if not self.has_snapshot or not fresh or transaction.counterparty_id is None:
            return (-1, -1)
        return SNAPSHOT.get(transaction.counterparty_id, (0, 0))

    def add(self, transaction: Transaction) -> Known:
        made = Known(transaction, len(self.known), self.counts(transaction))
        return self.known.setdefault(transaction.transaction_id, made)

    def window(self, newest: Known) -> list[Known]:
        def order(known: Known) -> tuple[int, int]:
            return known.transaction.timestamp_us, known.arrival

        mine = [k for k in self.known.values() if k.transaction.account_id == "a"]
        others = [k for k in self.known.values() if k.transaction.account_id != "a"]
        same = mine if newest.transaction.account_id == "a" else others
        return sorted((k for k in same if order(k) <= order(newest)), key=order)[-LENGTH:]

    def score(self, transaction: Transaction) -> float:
        newest = self.add(transaction)
        if newest.probability is None:
            if newest.counts == (-1, -1):
                newest.counts = self.counts(transaction)
            newest.probability = reference(naive_arrays(self.window(newest)))[0]
        return newest.probability


def naive_arrays(window: list[Known]) -> dict[str, NDArray[np.float64]]:
    names = ("amount", "day", "second", "valid", "category", "distance")
    arrays = {name: np.zeros(LENGTH) for name in names}
    arrays |= {f"counterparty_{name}_7d": np.zeros(LENGTH) for name in ("count", "fraud")}
    for i, known in enumerate(window, start=LENGTH - len(window)):
        moment = datetime.fromtimestamp(known.transaction.timestamp_us // 10**6, UTC)
        midnight = moment.replace(hour=0, minute=0, second=0)
        arrays["amount"][i] = known.transaction.amount
        arrays["day"][i] = (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days
        arrays["second"][i] = (moment - midnight).seconds
        arrays["valid"][i] = 1
        category = known.transaction.columns["category"]
        if category in VOCABULARY:
            arrays["category"][i] = VOCABULARY.index(str(category)) + 1
        arrays["distance"][i] = known.transaction.columns["distance"] or 0
        arrays["counterparty_count_7d"][i], arrays["counterparty_fraud_7d"][i] = known.counts
    return arrays


# Few moments, so that many are equal, and in any order, so that many come late.
moments = st.integers(0, 40).map(lambda n: START_US + n * 4 * HOUR_US + n * 1_234_567)
transactions = st.builds(
    transaction,
    number=st.integers(0, 50),
    account_id=st.sampled_from("aaaab"),
    timestamp_us=moments,
    counterparty_id=st.sampled_from(["m0", "m1", "m2", None]),
    amount=st.floats(-1000, 5000).map(lambda amount: round(amount, 2)),
    columns=st.fixed_dictionaries(
        {
            "category": st.sampled_from([*VOCABULARY, "unheard of", None]),
            "distance": st.sampled_from([None, 0.5, 3]),
        }
    ),
)
# An id comes up to a few times: as history, scored, scored again, always with the same content.
streams = st.lists(st.tuples(transactions, st.booleans()), min_size=40, max_size=70).map(
    lambda steps: [
        ({t.transaction_id: t for t, _ in reversed(steps)}[t.transaction_id], scored)
        for t, scored in steps
    ]
)


@settings(max_examples=30, deadline=None)
@given(stream=streams, has_snapshot=st.booleans())
def test_same_as_naive(
    artifact: Path, stream: list[tuple[Transaction, bool]], has_snapshot: bool
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshot = write_snapshot(folder / "snapshot", SNAPSHOT, AS_OF_US)
        naive = NaiveScorer(has_snapshot)
        with Scorer(artifact, folder / "store", snapshot if has_snapshot else None) as scorer:
            for item, scored in stream:
                if scored:
                    before = naive.known.get(item.transaction_id)
                    decision = scorer.score(item)
                    assert decision.repeated == bool(before and before.probability is not None)
                    assert decision.probability == pytest.approx(naive.score(item), abs=2e-6)
                    assert decision.flagged == (decision.probability >= THRESHOLD)
                else:
                    assert scorer.add_history([item]) == (item.transaction_id not in naive.known)
                    naive.add(item)
        check_counts(folder / "store", naive)


def check_counts(store: Path, naive: NaiveScorer) -> None:
    with closing(sqlite3.connect(store)) as connection:
        rows = connection.execute(
            "SELECT transaction_id, fraud_probability, flagged FROM transactions ORDER BY sequence"
        ).fetchall()
        cases = {name for (name,) in connection.execute("SELECT transaction_id FROM cases")}
    assert [name for name, _, _ in rows] == list(naive.known)
    for name, probability, _ in rows:
        assert (probability is None) == (naive.known[name].probability is None)
    assert cases == {name for name, _, flagged in rows if flagged}


@pytest.fixture
def scorer(artifact: Path, tmp_path: Path) -> Iterator[Scorer]:
    with Scorer(artifact, tmp_path / "store") as opened:
        yield opened


def test_repeat_answers_with_the_same_bytes(scorer: Scorer) -> None:
    first = scorer.score(transaction(1))
    scorer.score(transaction(2, timestamp_us=START_US))  # late: would change the first's window
    again = scorer.score(transaction(1))
    assert (first.repeated, again.repeated) == (False, True)
    cut = '"repeated"'
    assert again.line().split(cut)[0] == first.line().split(cut)[0]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"amount": 99.5}, "amount is 11.0 in the store, 99.5 received"),
        ({"account_id": "b"}, "account_id is 'a' in the store, 'b' received"),
        ({"columns": {"category": "food", "distance": 1.5}}, "'fuel'"),
        ({"counterparty_id": None}, "counterparty_id is 'm0' in the store, None received"),
    ],
)
def test_other_content_is_refused(scorer: Scorer, change: dict[str, object], shown: str) -> None:
    decision = scorer.score(transaction(1))
    for attempt in (scorer.score, lambda t: scorer.add_history([transaction(5), t])):
        with pytest.raises(ConflictError) as caught:
            attempt(transaction(1, **change))
        assert "'t1'" in str(caught.value)
        assert shown in str(caught.value)
    assert scorer.score(transaction(1)).probability == decision.probability
    assert scorer.add_history([transaction(5)]) == 1  # the refused call stored nothing


def test_case_holds_the_window_oldest_first(artifact: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with Scorer(artifact, store) as scorer:
        scorer.add_history(transaction(i) for i in reversed(range(LENGTH + 3)))
        counts = {"counterparty_count_7d": 3, "counterparty_fraud_7d": 1}
        scorer.add_history([transaction(LENGTH + 3, columns={"category": "fuel", **counts})])
        flagged = transaction(LENGTH + 4, amount=1e6, timestamp_us=START_US + 200 * 24 * HOUR_US)
        decision = scorer.score(flagged)
    assert decision.flagged
    with closing(sqlite3.connect(store)) as connection:
        ((name, opened_at_us, document),) = connection.execute(
            "SELECT transaction_id, opened_at_us, window FROM cases"
        )
    window = json.loads(document)
    assert name == flagged.transaction_id
    assert opened_at_us > flagged.timestamp_us
    assert [entry["transaction_id"] for entry in window] == [f"t{i}" for i in range(5, LENGTH + 5)]
    assert window[-1] == {
        "transaction_id": flagged.transaction_id,
        "timestamp_us": flagged.timestamp_us,
        "counterparty_id": "m0",
        "amount": 1e6,
        "columns": {"category": "fuel", "distance": 1.5},
        "reputation": {},
        "fraud_probability": decision.probability,
        "ood_distance": decision.ood_distance,
    }
    assert window[0]["fraud_probability"] is None  # history only
    assert window[-2]["columns"] == {"category": "fuel"}
    assert window[-2]["reputation"] == {"count_7d": 3, "fraud_7d": 1}


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
def test_an_amount_that_is_not_finite_is_refused(scorer: Scorer, amount: float) -> None:
    odd = transaction(1, amount=amount)
    with pytest.raises(TransactionError, match=f"amount is {amount}; expected finite"):
        scorer.score(odd)
    with pytest.raises(TransactionError, match=f"amount is {amount}; expected finite"):
        scorer.add_history([odd])
    assert scorer.add_history([transaction(1)]) == 1


@pytest.mark.parametrize("answer", [(math.nan, 1.0), (0.5, math.inf)])
def test_a_transaction_without_a_finite_answer_is_not_stored(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch, answer: tuple[float, float]
) -> None:
    """What makes a network answer so differs between processors, so it is put in its mouth."""
    given = dict(zip(("fraud_probability", "ood_distance"), answer, strict=True))
    with monkeypatch.context() as patched:
        patched.setattr(Network, "run", lambda *_: given)
        with pytest.raises(TransactionError, match="the network answers"):
            scorer.score(transaction(1))
    assert scorer.add_history([transaction(1)]) == 1


def test_another_artifact_may_take_over_a_store(
    artifact: Path, model: bytes, tmp_path: Path
) -> None:
    """Stored columns of another type than the new artifact reads count as null, as do missing."""
    before = [
        transaction(0, columns={"distance": "far", "city": "Ghent", "category": 7}),
        transaction(1, columns={"category": "food"}),
    ]
    with Scorer(artifact, tmp_path / "store") as scorer:
        scorer.add_history(before)
        answered = scorer.score(transaction(2)).probability
    read = [replace(t, columns={"distance": None, "category": None}) for t in before]
    read[1] = replace(read[1], columns={"distance": None, "category": "food"})
    naive = NaiveScorer(has_snapshot=False)
    for item in read:
        naive.add(item)
    assert answered == pytest.approx(naive.score(transaction(2)), abs=2e-6)

    stricter = contract()
    stricter["threshold"]["probability"] = 0.0
    other = tmp_path / "other.tflite"
    other.write_bytes(with_tail(model, {"contract.json": stricter, "vectors.json": vectors()}))
    with Scorer(other, tmp_path / "store") as scorer:
        repeated, fresh = scorer.score(transaction(2)), scorer.score(transaction(3))
    assert (repeated.threshold, repeated.flagged) == (THRESHOLD, False)
    assert (fresh.threshold, fresh.flagged) == (0.0, True)


def test_store_that_is_none(artifact: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, " * 100)
    foreign = tmp_path / "foreign.sqlite"
    with closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE dogs (name)")
    newer = tmp_path / "newer.sqlite"
    Scorer(artifact, newer).close()
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE meta SET value = '9' WHERE key = 'schema_version'")
    for path, reason in [
        (text, "not a database"),
        (foreign, "no case store"),
        (newer, "schema version 9"),
        (tmp_path, "unable to open"),
        (tmp_path / "no" / "folder", "unable to open"),
    ]:
        with pytest.raises(StoreError, match=reason) as caught:
            Scorer(artifact, path)
        assert str(path) in str(caught.value)


def test_commit_is_all_or_nothing(tmp_path: Path) -> None:
    score = Score(0.9, 1.0, 0.5, True, "0", None)
    with Store(tmp_path / "store") as store:
        with store.commit():
            store.add(transaction(2), {}, score)

        def add_two() -> None:
            with store.commit():
                store.add(transaction(1), {}, score)
                store.add(transaction(2), {}, score)

        with pytest.raises(StoreError, match="UNIQUE"):
            add_two()
        with store.commit():
            assert store.find(transaction(1)) is None


def test_flagged_from_the_threshold_on(artifact: Path, model: bytes, tmp_path: Path) -> None:
    with Scorer(artifact, tmp_path / "first") as scorer:
        probability = scorer.score(transaction(0)).probability
    document = contract()
    for threshold, flagged in [(probability, True), (np.nextafter(probability, 1), False)]:
        document["threshold"]["probability"] = threshold
        other = tmp_path / "other.tflite"
        other.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
        with Scorer(other, tmp_path / f"store {flagged}") as scorer:
            assert scorer.score(transaction(0)).flagged is flagged


def with_limits(model: bytes, path: Path, probability: float, distance: float | None) -> Path:
    document = contract()
    document["threshold"]["probability"] = probability
    if distance is None:
        del document["sentinel"]
    else:
        document["sentinel"]["distance_threshold"] = distance
    path.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    return path


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("familiar", [True, False, None])
def test_the_cases(model: bytes, tmp_path: Path, flagged: bool, familiar: bool | None) -> None:
    with Scorer(with_limits(model, tmp_path / "a", 0, None), tmp_path / "first") as scorer:
        at = scorer.score(transaction(0)).ood_distance
    # What is exactly as far as the threshold is familiar.
    limit = None if familiar is None else at if familiar else float(np.nextafter(at, 0))
    other = with_limits(model, tmp_path / "b", 0.0 if flagged else 1.0, limit)
    with Scorer(other, tmp_path / "second") as scorer:
        found = scorer.score(transaction(0))
    assert (found.flagged, found.familiar) == (flagged, familiar)
    expected = ("fraud" if flagged else "genuine") + ("_unfamiliar" if familiar is False else "")
    assert found.case == expected


def test_a_repeated_answer_outlives_its_artifact(model: bytes, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = []
    for number, limit in enumerate((0.0, 1e9, None)):
        with Scorer(with_limits(model, tmp_path / "a", 0.5, limit), store) as scorer:
            first.append(scorer.score(transaction(number)))
    assert [each.familiar for each in first] == [False, True, None]
    with Scorer(with_limits(model, tmp_path / "a", 0.5, 1e9), store) as scorer:
        again = [scorer.score(transaction(number)) for number in range(3)]
    assert [replace(each, repeated=False, latency_us=0) for each in again] == [
        replace(each, latency_us=0) for each in first
    ]


@pytest.mark.parametrize("sentinel", [{}, [], {"distance_threshold": "far"}])
def test_a_sentinel_without_a_threshold_is_refused(
    model: bytes, tmp_path: Path, sentinel: object
) -> None:
    document = contract() | {"sentinel": sentinel}
    other = tmp_path / "other.tflite"
    other.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    with pytest.raises(ArtifactError, match="sentinel"):
        Scorer(other, tmp_path / "store")


def test_synchronised_to_the_disk_at_every_commit(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        settings = ("journal_mode", "synchronous", "foreign_keys")
        rows = [store._connection.execute(f"PRAGMA {name}").fetchone() for name in settings]
    assert rows == [("wal",), (2,), (1,)]  # 2 = FULL


def test_windows_come_from_the_index(tmp_path: Path) -> None:
    Store(tmp_path / "store").close()
    with closing(sqlite3.connect(tmp_path / "store")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {HISTORY}", ("a", 0, 0, 9))
        steps = [detail for *_, detail in plan]
    assert len(steps) == 1  # no sorting
    assert "transactions_by_account (account_id=? AND timestamp_us<?)" in steps[0]


def test_artifact_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.tflite: No such file"):
        Scorer(tmp_path / "none.tflite", tmp_path / "store")
    assert not (tmp_path / "store").exists()
