"""An artifact in the shadow: its disagreements are counted once, and nothing else is changed."""

import json
import random
import sqlite3
import statistics
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.device import Options, Scorer, Transaction
from tests.device.conftest import command_line, contract, vectors, with_tail, write_snapshot
from tests.device.test_interruption import AS_OF_US, decisions, write_stream
from tests.device.test_many import random_stream
from tests.device.test_scorer import AS_OF_US as SNAPSHOT_US
from tests.device.test_scorer import SNAPSHOT


def stream(count: int) -> list[Transaction]:
    made = random_stream(count, "ab", 0.05)
    rng = random.Random(2)
    return [
        replace(each, columns={**each.columns, "zone": rng.choice("789"), "tip": rng.random()})
        for each in made
    ]


def with_thresholds(model: bytes, path: Path, probability: float, distance: float | None) -> Path:
    document = contract()
    document["threshold"]["probability"] = probability
    document["sentinel"]["distance_threshold"] = distance
    if distance is None:
        del document["sentinel"]
    path.write_bytes(with_tail(model, {"contract.json": document, "vectors.json": vectors()}))
    return path


def run(
    artifact: Path, store: Path, given: list[Transaction], shadow: Path | None, snapshot: Path
) -> list[str]:
    options = Options(durable=False, shadow=shadow)
    with Scorer(artifact, store, snapshot, options=options) as scorer:
        return [replace(scorer.score(each), latency_us=0).line() for each in given]


def content(store: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store)) as connection:
        cases = connection.execute("SELECT case_id, transaction_id, window FROM cases")
        return [*connection.execute("SELECT * FROM transactions"), *cases]


def test_counts_are_those_of_two_scorers(
    artifact: Path, model: bytes, other_artifact: Path, tmp_path: Path
) -> None:
    given = stream(200)
    snapshot = write_snapshot(tmp_path / "snapshot", SNAPSHOT, SNAPSHOT_US)
    plain = [json.loads(each) for each in run(artifact, tmp_path / "p", given, None, snapshot)]
    median = statistics.median(each["ood_distance"] for each in plain)
    stricter = with_thresholds(model, tmp_path / "stricter.tflite", 0.9, median)
    for shadow in (stricter, other_artifact):
        store = tmp_path / f"beside {shadow.name}"
        for part in (given[:150], given[150:]):
            run(artifact, store, part, shadow, snapshot)
        assert content(store) == content(tmp_path / "p")
        with (
            Scorer(shadow, tmp_path / f"alone {shadow.name}", snapshot) as alone,
            Scorer(artifact, store, snapshot) as scorer,
        ):
            own = [alone.score(each) for each in given]
            beside = [scorer.score(each) for each in given]
            (counts,) = scorer.shadow_counts()
        assert (counts.compared, counts.failed) == (200, 0)
        assert counts.artifact_sha256 == alone.artifact_sha256
        assert counts.beside_sha256 == scorer.artifact_sha256
        pairs = list(zip(own, beside, strict=True))
        if shadow is stricter:
            assert counts.flagged_by_it_alone == 0
            assert counts.flagged_without_it == sum(b.flagged > a.flagged for a, b in pairs) > 0
            assert counts.familiar_differs == sum(a.familiar != b.familiar for a, b in pairs) > 0
            assert counts.shift_largest == 0
        else:
            shifts = [a.probability - b.probability for a, b in pairs]
            assert counts.figures()["shift_mean"] == pytest.approx(sum(shifts) / 200, abs=1e-9)
            assert counts.shift_absolute_sum == pytest.approx(sum(map(abs, shifts)), abs=1e-9)
            assert counts.shift_largest == max(map(abs, shifts))


def test_from_now_on_and_each_once(artifact: Path, model: bytes, tmp_path: Path) -> None:
    given = stream(60)
    shadow = with_thresholds(model, tmp_path / "shadow.tflite", 0.9, None)
    store, options = tmp_path / "store", Options(durable=False, shadow=shadow)
    with Scorer(artifact, store, options=Options(durable=False)) as scorer:
        for each in given[:20]:
            scorer.score(each)
    with Scorer(artifact, store, options=options) as scorer:
        assert scorer.follow_shadow() == 0
        for each in given[:30]:
            scorer.score(each)
        assert scorer.follow_shadow(most=4) == 4
        list(scorer.score_many(given[30:40]))
        with Scorer(artifact, store, options=options) as second:
            assert second.follow_shadow() == 16
            assert scorer.follow_shadow() == 0
    # Another one decides: it is counted apart. The shadow does not judge what is familiar.
    with Scorer(shadow, store, options=options) as scorer:
        for each in given[40:]:
            scorer.score(each)
        scorer.follow_shadow()
        first, itself = scorer.shadow_counts()
    assert (first.compared, itself.compared) == (20, 20)
    assert (first.familiar_differs, first.shift_largest) == (0, 0)
    assert itself.flagged_without_it == itself.flagged_by_it_alone == itself.shift_largest == 0


def test_what_comes_after_an_erasure_counts(artifact: Path, tmp_path: Path) -> None:
    options = Options(durable=False, shadow=artifact)
    with Scorer(artifact, tmp_path / "store", options=options) as scorer:
        for each in stream(20):
            scorer.score(each)
        assert scorer.follow_shadow() == 20
        scorer.forget("a")
        scorer.forget("b")
        scorer.score(stream(1)[0])
        assert scorer.follow_shadow() == 1


@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_a_shadow_of_no_use_is_said_and_scoring_goes_on(
    artifact: Path, tmp_path: Path, kind: str
) -> None:
    shadow = tmp_path / "shadow.tflite"
    if kind == "cut":
        shadow.write_bytes(artifact.read_bytes()[:-9])
    options = Options(durable=False, shadow=shadow)
    with Scorer(artifact, tmp_path / "store", options=options) as scorer:
        decision = scorer.score(stream(1)[0])
        assert scorer.follow_shadow() == 0
        assert any(n.startswith(f"the shadow does not follow: {shadow}") for n in scorer.notices())
        assert scorer.shadow_counts() == []
    assert not decision.repeated


def test_a_store_that_fails_the_shadow_fails_no_decision(artifact: Path, tmp_path: Path) -> None:
    options = Options(durable=False, shadow=artifact)
    with Scorer(artifact, tmp_path / "store", options=options) as scorer:
        with closing(sqlite3.connect(tmp_path / "store")) as connection, connection:
            connection.execute("DROP TABLE shadow_counts")
        given = stream(2)
        scorer.score(given[0])
        assert scorer.follow_shadow() == 0
        assert not scorer.score(given[1]).repeated
        assert any("no such table: shadow_counts" in notice for notice in scorer.notices())


def test_killed_and_started_again(artifact: Path, model: bytes, tmp_path: Path) -> None:
    """Each decision counts once, wherever the kill came; and the decisions are the same."""
    write_stream(tmp_path / "input.jsonl")
    shadow = with_thresholds(model, tmp_path / "shadow.tflite", 0.9, 5.0)
    snapshot = write_snapshot(tmp_path / "snapshot", {"m1": (3, 1), "m2": (9, 0)}, AS_OF_US)

    def command(store: str, *more: object) -> list[str]:
        files = ["--artifact", artifact, "--reputation", snapshot, "--store", tmp_path / store]
        return command_line(*files, *more, tmp_path / "input.jsonl")

    plain = subprocess.run(command("plain"), capture_output=True, text=True, check=True)
    for goal in (1, 90, 200):
        with subprocess.Popen(
            command("store", "--shadow", shadow),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for _ in range(goal):
                process.stdout.readline()
            process.kill()
    done = subprocess.run(
        command("store", "--shadow", shadow), capture_output=True, text=True, check=True
    )
    assert decisions(done.stdout) == decisions(plain.stdout)
    with Scorer(artifact, tmp_path / "store") as scorer:
        (counts,) = scorer.shadow_counts()
        held = scorer.history("a0") + [h for i in "1234" for h in scorer.history(f"a{i}")]
    probabilities = [each.decision.probability for each in held if each.decision]
    assert counts.compared == len(probabilities) == 400
    assert counts.flagged_without_it == sum(0.55 <= p < 0.9 for p in probabilities)
    assert sys.executable in command("store")[0]
