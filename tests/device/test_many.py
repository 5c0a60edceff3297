"""Many at once as one after the other; late ones placed and what they change reported."""

import itertools
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from fraudnet.device import (
    ConflictError,
    Decision,
    DeviceInputError,
    Options,
    Scorer,
    Transaction,
    TransactionError,
    catch_up,
)
from fraudnet.device.answers import RUNS
from tests.device.conftest import DISTANCE_THRESHOLD, THRESHOLD, write_snapshot
from tests.device.example_network import LENGTH, VOCABULARY, reference
from tests.device.test_scorer import (
    AS_OF_US,
    HOUR_US,
    SNAPSHOT,
    START_US,
    Known,
    NaiveScorer,
    naive_arrays,
    streams,
    transaction,
)

QUICK = Options(durable=False, keep=None)


def random_stream(count: int, accounts: str, late: float, seed: int = 3) -> list[Transaction]:
    rng = random.Random(seed)
    stream = [
        transaction(
            i, account_id=rng.choice(accounts), timestamp_us=START_US + i * HOUR_US // 50,
            amount=round(rng.lognormvariate(3.5, 2), 2), counterparty_id=rng.choice(["m0", "m1"]),
            columns={"category": rng.choice([*VOCABULARY, None]), "distance": rng.random()},
        )
        for i in range(count)
    ]  # fmt: skip
    for i in range(count):
        if rng.random() < late:
            moment_us = stream[rng.randrange(i + 1)].timestamp_us
            stream[i] = replace(stream[i], timestamp_us=moment_us)
    return stream


def same(one: Decision | TransactionError, other: Decision | TransactionError) -> bool:
    if isinstance(one, TransactionError) or isinstance(other, TransactionError):
        return type(one) is type(other) and str(one) == str(other)
    near = abs(one.probability - other.probability) < 1e-5
    near &= abs(one.ood_distance - other.ood_distance) < 1e-4
    alike = replace(one, probability=0.0, ood_distance=0.0, latency_us=0, reasons=()) == replace(
        other, probability=0.0, ood_distance=0.0, latency_us=0, reasons=()
    )
    return near and alike


def one_by_one(scorer: Scorer, stream: list[Transaction]) -> list[Decision | TransactionError]:
    outcomes: list[Decision | TransactionError] = []
    for each in stream:
        try:
            outcomes.append(scorer.score(each))
        except TransactionError as error:
            outcomes.append(error)
    return outcomes


@pytest.mark.parametrize("late", [0.0, 0.03])
@pytest.mark.parametrize("batch", [64, 20_000])
def test_new_ones_together(
    sequence_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    late: float,
    batch: int,
) -> None:
    monkeypatch.setattr(catch_up, "BATCH", batch)
    stream = random_stream(3 * RUNS[0], "ab", late)
    stream += [stream[5], replace(stream[6], amount=-1.0), replace(stream[7], amount=-2.0)]
    # The same id under two accounts, the second of which came first in the batch.
    stream += [replace(stream[-1], transaction_id="twice", account_id=name) for name in "cda"]
    stream += [transaction(9_999, amount=float("nan")), stream[8]]
    snapshot = write_snapshot(tmp_path / "snapshot", SNAPSHOT, AS_OF_US)
    with (
        Scorer(sequence_artifact, tmp_path / "one", snapshot, options=QUICK) as one,
        Scorer(sequence_artifact, tmp_path / "many", snapshot, options=QUICK) as many,
    ):
        expected, found = one_by_one(one, stream), list(many.score_many(stream))
        assert all(map(same, expected, found))
        assert len(expected) == len(found)
        assert sum(isinstance(each, ConflictError) for each in found) == 4
        assert "expected finite" in str(found[-2])
        # What comes next is decided from the same past.
        following = random_stream(len(stream) + 40, "ab", 0.0)[-40:]
        following = [replace(each, transaction_id=f"f{i}") for i, each in enumerate(following)]
        for each in following:
            assert same(one.score(each), many.score(each))
        assert one.notices() == many.notices()
        assert sorted(one.export()) != []
        flagged = [d for d in found if isinstance(d, Decision) and d.flagged]
        assert 20 < len(flagged) < len(stream) - 20


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_stored_ones_together(
    sequence_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_snapshot: bool
) -> None:
    monkeypatch.setattr(catch_up, "STRETCH", 100)
    stream = random_stream(600, "abc", 0.05)
    ordered = sorted(stream, key=lambda t: (t.account_id, t.timestamp_us, stream.index(t)))
    snapshot = write_snapshot(tmp_path / "snapshot", SNAPSHOT, START_US)
    used = snapshot if has_snapshot else None
    # Stored without counts, by a scorer that had no snapshot.
    for name in ("one", "many"):
        with Scorer(sequence_artifact, tmp_path / name, options=QUICK) as scorer:
            scorer.add_history(stream)
            scorer.score(stream[300])
    with (
        Scorer(sequence_artifact, tmp_path / "one", used, options=QUICK) as one,
        Scorer(sequence_artifact, tmp_path / "many", used, options=QUICK) as many,
    ):
        expected = one_by_one(one, ordered)
        found = list(many.score_many())
        assert len(found) == len(stream) - 1
        by_id = {d.transaction_id: d for d in found if isinstance(d, Decision)}
        for one_alone in expected:
            assert isinstance(one_alone, Decision)
            assert one_alone.repeated or same(one_alone, by_id[one_alone.transaction_id])
        assert list(many.score_many()) == []
        assert one.notices() == many.notices()
        assert [len(one.history(name)) for name in "abc"] == [len(many.history(n)) for n in "abc"]


@pytest.mark.parametrize("contexts", [1, 3])
def test_the_store_may_change_while_stored_ones_are_read(
    sequence_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, contexts: int
) -> None:
    monkeypatch.setattr(catch_up, "STRETCH", 100)
    monkeypatch.setattr(catch_up, "CONTEXTS", contexts)
    stream = random_stream(400, "abc", 0.0)
    late = transaction(
        1_000, account_id="b", timestamp_us=stream[99].timestamp_us - 1, amount=9_000.0
    )
    for name in ("one", "many"):
        with Scorer(sequence_artifact, tmp_path / name, options=QUICK) as scorer:
            scorer.add_history(stream)
    with (
        Scorer(sequence_artifact, tmp_path / "one", options=QUICK) as one,
        Scorer(sequence_artifact, tmp_path / "many", options=QUICK) as many,
    ):
        expected = one_by_one(one, [*stream[:100], late, *stream[100:]])
        outcomes = many.score_many()
        found = [next(outcomes), many.score(late), *outcomes]
        assert len(expected) == len(found)
        by_id = {d.transaction_id: d for d in found if isinstance(d, Decision)}
        for alone in expected:
            assert isinstance(alone, Decision)
            assert same(alone, by_id[alone.transaction_id])


@settings(max_examples=15, deadline=None)
@given(stream=streams)
def test_any_stream_together(
    artifact: Path, sequence_artifact: Path, stream: list[tuple[Transaction, bool]]
) -> None:
    """With either kind of artifact: one of version 1 has no signature for many."""
    for used in (artifact, sequence_artifact):
        with tempfile.TemporaryDirectory() as name:
            one = Scorer(used, Path(name) / "one", options=QUICK)
            many = Scorer(used, Path(name) / "many", options=QUICK)
            with one, many:
                for scored, group in itertools.groupby(stream, key=lambda step: step[1]):
                    items = [item for item, _ in group]
                    if scored:
                        assert all(map(same, one_by_one(one, items), many.score_many(items)))
                    else:
                        assert one.add_history(items) == many.add_history(items)


def test_late_ones_say_which_decisions_they_would_have_changed(
    sequence_artifact: Path, artifact: Path, tmp_path: Path
) -> None:
    stream = random_stream(400, "a", 0.3, seed=8)
    naive, decided, told = NaiveScorer(has_snapshot=False), {}, 0
    with (
        Scorer(sequence_artifact, tmp_path / "s", options=QUICK) as scorer,
        Scorer(artifact, tmp_path / "t", options=QUICK) as other,
    ):
        for each in stream:
            decision = scorer.score(each)
            naive.score(each)
            decided[each.transaction_id] = (decision.flagged, decision.familiar)
            expected = [
                known.transaction.transaction_id
                for known in later_ones(naive, naive.known[each.transaction_id])
                if answer_now(naive, known) != decided[known.transaction.transaction_id]
            ]
            assert list(decision.revises) == expected
            assert other.score(each).revises == decision.revises
            told += len(expected)
            # Reported, not rewritten; and the same when it is asked again.
            again = scorer.score(each)
            assert replace(again, repeated=False, latency_us=0) == replace(decision, latency_us=0)
        for each in stream:
            stored = scorer.score(each)
            assert (stored.flagged, stored.familiar) == decided[each.transaction_id]
    assert told > 20


def later_ones(naive: NaiveScorer, late: Known) -> list[Known]:
    def order(known: Known) -> tuple[int, int]:
        return known.transaction.timestamp_us, known.arrival

    after = sorted((k for k in naive.known.values() if order(k) > order(late)), key=order)
    return after[: LENGTH - 1]


def answer_now(naive: NaiveScorer, known: Known) -> tuple[bool, bool]:
    probability, distance = reference(naive_arrays(naive.window(known)))
    return probability >= THRESHOLD, distance <= DISTANCE_THRESHOLD


def test_reasons_are_those_that_occlusion_finds(artifact: Path, tmp_path: Path) -> None:
    """Against every field and every transaction left out, one by one, in plain numpy."""
    stream = random_stream(60, "a", 0.0, seed=4)
    stream[50] = replace(stream[50], amount=1e15)
    stream[59] = replace(
        stream[59], amount=5e14, timestamp_us=stream[58].timestamp_us + 40 * HOUR_US
    )
    naive = NaiveScorer(has_snapshot=False)
    with Scorer(artifact, tmp_path / "store", options=QUICK) as scorer:
        decisions = [scorer.score(each) for each in stream]
        for each in stream:
            naive.score(each)
    last = decisions[-1]
    assert last.flagged
    assert last.reasons
    found = [(reason.transaction_id, reason.field) for reason in last.reasons]
    assert found[:2] == [("t59", "amount"), ("t50", "amount")]
    window = naive_arrays(naive.window(naive.known["t59"]))
    for reason, place in zip(last.reasons[:2], (LENGTH - 1, LENGTH - 10), strict=True):
        occluded = window["amount"].copy()
        occluded[place] = np.median(np.delete(window["amount"], place))
        without = reference(window | {"amount": occluded})[0]
        assert reason.probability_without == pytest.approx(without, abs=2e-6)
        assert f"instead of {last.probability:.3f}" in reason.text
    assert [r.probability_without for r in last.reasons] == sorted(
        r.probability_without for r in last.reasons
    )
    assert all(not d.reasons for d in decisions if not d.flagged)


def test_reasons_may_be_deferred(sequence_artifact: Path, tmp_path: Path) -> None:
    stream = [replace(each, amount=each.amount * 1e3) for each in random_stream(40, "a", 0.1)]
    later = replace(QUICK, explain=False)
    with (
        Scorer(sequence_artifact, tmp_path / "now", options=QUICK) as now,
        Scorer(sequence_artifact, tmp_path / "later", options=later) as deferred,
    ):
        for each in stream:
            decision, without = now.score(each), deferred.score(each)
            assert without.reasons == (None if decision.flagged else ())
            assert deferred.explain(each.transaction_id) == decision.reasons
            assert deferred.score(each).reasons == decision.reasons
        assert any(d.decision and d.decision.reasons for d in now.history("a"))
        with pytest.raises(DeviceInputError, match="no decision is stored"):
            now.explain("unheard of")


def test_what_score_refuses_for_want_of_history_is_refused_together(
    sequence_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up, "STRETCH", 40)
    *stream, last = random_stream(301, "ab", 0.0)
    for name in ("one", "many"):
        options = replace(QUICK, keep=100)
        with Scorer(sequence_artifact, tmp_path / name, options=options) as scorer:
            scorer.add_history(stream)
            scorer.score(stream[3])  # has a case, perhaps, and stays
            scorer.score(last)  # the account keeps 100 from now on
    with (
        Scorer(sequence_artifact, tmp_path / "one", options=QUICK) as one,
        Scorer(sequence_artifact, tmp_path / "many", options=QUICK) as many,
    ):
        held = [*one.history("a"), *one.history("b")]
        left = sorted(
            (each.transaction for each in held if each.decision is None),
            key=lambda transaction: stream.index(transaction),
        )
        expected, found = one_by_one(one, left), list(many.score_many())
        refused = [isinstance(each, TransactionError) for each in expected]
        assert 0 < sum(refused) < len(refused)
        assert all(map(same, expected, found))
        assert len(expected) == len(found)
        assert one.notices() == many.notices()


def test_late_history_decided_together_says_what_it_would_have_changed(
    sequence_artifact: Path, tmp_path: Path
) -> None:
    stream = random_stream(120, "a", 0.0)
    late = [
        transaction(
            900 + i, account_id="a", timestamp_us=stream[i].timestamp_us - 1, amount=9_000.0
        )
        for i in range(20, 100, 9)
    ]
    for name in ("one", "many"):
        with Scorer(sequence_artifact, tmp_path / name, options=QUICK) as scorer:
            one_by_one(scorer, stream)
            scorer.add_history(late)
    with (
        Scorer(sequence_artifact, tmp_path / "one", options=QUICK) as one,
        Scorer(sequence_artifact, tmp_path / "many", options=QUICK) as many,
    ):
        expected, found = one_by_one(one, late), list(many.score_many())
        assert any(isinstance(each, Decision) and each.revises for each in expected)
        assert all(map(same, expected, found))
        assert len(expected) == len(found)
