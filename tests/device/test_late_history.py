"""History that comes after decisions it would have changed."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.device import Scorer, Transaction
from tests.device.conftest import DISTANCE_THRESHOLD, THRESHOLD
from tests.device.example_network import LENGTH, reference
from tests.device.test_many import QUICK, random_stream
from tests.device.test_scorer import Known, naive_arrays


def naive_decision(held: list[Transaction], i: int) -> tuple[bool, bool]:
    """Of the i-th of an account's transactions, in time order."""
    window = [Known(each, 0, (-1, -1)) for each in held[max(0, i + 1 - LENGTH) : i + 1]]
    probability, distance = reference(naive_arrays(window))
    return probability >= THRESHOLD, distance <= DISTANCE_THRESHOLD


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_what_it_would_have_changed_is_said(
    sequence_artifact: Path, tmp_path: Path, share: float
) -> None:
    """Against every window with and without it, by the naive reference."""
    made = [
        replace(each, amount=1.0, columns={"category": None, "distance": 21.0 * (i % 5 < 2)})
        for i, each in enumerate(random_stream(160, "ab", 0.0))
    ]
    late = made[10 : 10 + int(share * 100)]
    given = [each for each in made if each not in late]
    with Scorer(sequence_artifact, tmp_path / "store", options=QUICK) as scorer:
        before = {each.transaction_id: scorer.score(each) for each in given}
        assert scorer.notices()[1:] == []
        assert scorer.add_history([*late, given[0]]) == len(late)
        said = [notice for notice in scorer.notices() if "would be otherwise" in notice]
        expected = set()
        for account_id in "ab":
            held = [each for each in made if each.account_id == account_id]
            for i, each in enumerate(held):
                if each.transaction_id in before:
                    decided = before[each.transaction_id]
                    now = naive_decision(held, i)
                    if now != (decided.flagged, decided.familiar):
                        expected.add(each.transaction_id)
        assert expected
        assert said[0].startswith(f"{len(expected)} decisions would be otherwise with history")
        # They stay, and are there with what caused them, also when that is decided itself.
        assert all(scorer.score(given[i]).repeated for i in range(20))
        decisions = [scorer.score(each) for each in late]
        assert set().union(*(each.revises for each in decisions)) >= expected
    with closing(sqlite3.connect(tmp_path / "store")) as connection:
        stored = connection.execute("SELECT revises FROM transactions WHERE revises NOT NULL")
        assert sum(len(json.loads(revises)) for (revises,) in stored) >= len(expected)


def test_history_in_time_asks_nothing(
    sequence_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = random_stream(60, "ab", 0.0)
    with Scorer(sequence_artifact, tmp_path / "store", options=QUICK) as scorer:
        for each in made[:30]:
            scorer.score(each)
        monkeypatch.setattr(scorer._late, "_otherwise", None)
        assert scorer.add_history(made[30:]) == 30
        assert scorer.add_history(made) == 0
