"""A store goes on with an artifact of another contract as if it had never had the first."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.device import ConflictError, Decision, Options, Scorer, Transaction
from fraudnet.device.reading import read_rows
from tests.device.conftest import write_snapshot
from tests.device.example_network import LENGTH, OTHER_LENGTH

AS_OF_US = 1_728_086_400_000_000  # 2024-10-05
OPTIONS = Options(durable=False, keep=OTHER_LENGTH)


def rows(count: int) -> list[dict[str, object]]:
    rng = random.Random(6)
    return [
        {
            "transaction_id": f"t{i}",
            "timestamp": f"2024-10-05T{i // 10:02}:{6 * (i % 10):02}:00Z",
            "account_id": rng.choice("ab"),
            "counterparty_id": rng.choice(["m0", "m1"]),
            "amount": float(rng.randint(1, 90)),
            "category": rng.choice(["food", "fuel", "travel", "cash"]),
            "distance": rng.randint(0, 3),
            "zone": rng.choice([7, 8, 9]),  # a number that the other artifact reads as a word
            "tip": rng.choice([0.5, 2, 4]),
        }
        for i in range(count)
    ]


def write(path: Path, made: list[dict[str, object]]) -> Path:
    if path.suffix == ".csv":
        lines = [",".join(made[0]), *(",".join(map(str, row.values())) for row in made)]
        path.write_text("\n".join(lines))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def read(path: Path, scorer: Scorer) -> list[Transaction]:
    """As an input is read for this artifact."""
    return [row.transaction() for row in read_rows(path, scorer.contract.columns)]


def plain(decisions: list[Decision]) -> list[Decision]:
    return [replace(each, latency_us=0, repeated=False) for each in decisions]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("back", [False, True])
def test_decisions_are_those_of_a_fresh_store(
    artifact: Path, other_artifact: Path, tmp_path: Path, form: str, back: bool
) -> None:
    first, second = (other_artifact, artifact) if back else (artifact, other_artifact)
    made = rows(120)
    early, late = (
        write(tmp_path / f"{n}.{form}", part) for n, part in enumerate((made[:80], made[80:]))
    )
    both = ("count_7d", "fraud_7d", "count_30d")
    snapshot = write_snapshot(tmp_path / "r", {"m0": (0, 0, 1), "m1": (2, 1, 4)}, AS_OF_US, both)
    with Scorer(first, tmp_path / "store", snapshot, options=OPTIONS) as scorer:
        scorer.add_history(read(early, scorer)[:40])
        for each in read(early, scorer)[40:]:
            scorer.score(each)
    options = replace(OPTIONS, keep=None)
    with Scorer(second, tmp_path / "fresh", options=options) as fresh:
        # Of the past the statistics were not kept that the second reads: unknown, all of them.
        fresh.add_history(read(early, fresh))
    with (
        Scorer(second, tmp_path / "store", snapshot, options=OPTIONS) as updated,
        Scorer(second, tmp_path / "fresh", snapshot, options=options) as fresh,
    ):
        coming = read(late, updated)
        found, expected = ([scorer.score(each) for each in coming] for scorer in (updated, fresh))
        assert plain(found) == plain(expected)
        assert len({round(each.probability, 6) for each in found}) == len(found)
        # Sent again, what the first artifact read is what the second reads.
        assert updated.score(read(early, updated)[79]).repeated
        assert updated.add_history(read(early, updated)[60:]) == 0
        with pytest.raises(ConflictError):
            updated.score(replace(read(early, updated)[79], amount=1e3))
        assert updated.notices() == []


@pytest.mark.parametrize("together", [True, False])
def test_history_that_was_stored_for_another_is_decided_alike(
    artifact: Path, other_artifact: Path, tmp_path: Path, together: bool
) -> None:
    """The first snapshot lacks a count that the second artifact reads; the second has it."""
    source = write(tmp_path / "input.csv", rows(80))
    snapshots = [
        write_snapshot(tmp_path / "first", {"m0": (0, 0), "m1": (2, 1)}, AS_OF_US),
        write_snapshot(
            tmp_path / "second", {"m0": (3, 1), "m1": (5, 9)}, AS_OF_US, ["count_7d", "count_30d"]
        ),
    ]
    options = replace(OPTIONS, keep=None, explain=False)
    with Scorer(artifact, tmp_path / "store", snapshots[0], options=options) as scorer:
        scorer.add_history(read(source, scorer))
    found = []
    for store in ("store", "fresh"):
        with Scorer(other_artifact, tmp_path / store, snapshots[1], options=options) as scorer:
            given = read(source, scorer)
            scorer.add_history(given if store == "fresh" else [])
            many = scorer.score_many() if together else map(scorer.score, given)
            decisions = {d.transaction_id: d for d in many if isinstance(d, Decision)}
            found.append([decisions[each.transaction_id].probability for each in given])
            assert scorer.notices() == []
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert len(set(found[0])) == len(found[0])


def test_less_history_than_the_window_reads_is_said(
    artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """And what is left of older cases is not taken for the transaction before."""
    made = [row | {"account_id": "a"} for row in rows(41)]
    source = write(
        tmp_path / "input.jsonl",
        [r | {"amount": 1e9, "distance": 90} for r in made[:10]] + made[10:],
    )
    least = Options(durable=False, keep=1, explain=False)
    with Scorer(artifact, tmp_path / "store", options=least) as scorer:
        assert all(scorer.score(each).flagged for each in read(source, scorer)[5:10])
        scorer.add_history(read(source, scorer)[10:40])
        scorer.score(read(source, scorer)[40])
    with (
        Scorer(other_artifact, tmp_path / "store", options=OPTIONS) as scorer,
        Scorer(other_artifact, tmp_path / "fresh", options=OPTIONS) as fresh,
    ):
        assert len(scorer.history("a")) == 5 + LENGTH + 1
        fresh.add_history(read(source, fresh)[40 - LENGTH :])
        coming = replace(read(source, fresh)[40], transaction_id="new")
        assert plain([scorer.score(coming)]) == plain([fresh.score(coming)])
        said = [notice for notice in scorer.notices() if "less history" in notice]
    assert said == [
        "1 accounts were scored with less history than they had: the store kept less of them than "
        "this artifact's window reads"
    ]
