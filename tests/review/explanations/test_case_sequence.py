"""From a store that the scorer filled to what the network reads."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudnet.device import Options, Scorer
from fraudnet.device.artifact import open_artifact
from fraudnet.errors import InputError
from fraudnet.review.explanations.case_sequence import (
    case_sequence,
    occlusion_table,
    score_course,
)
from fraudnet.review.store import CaseStore
from tests.device.conftest import artifact, model, networks  # noqa: F401  (fixtures)
from tests.device.example_network import LENGTH, reference
from tests.device.test_many import random_stream

COUNT = 40


@pytest.fixture
def store(artifact: Path, tmp_path: Path) -> CaseStore:  # noqa: F811
    path = tmp_path / "cases.sqlite"
    stream = random_stream(COUNT, "ab", 0.1)
    for i, account in ((-3, "b"), (-1, "a")):
        stream[i] = replace(stream[i], account_id=account, amount=1e9)
    with Scorer(artifact, path, options=Options(durable=False)) as scorer:
        for each in stream:
            scorer.score(each)
    return CaseStore(path)


def last_case(store: CaseStore) -> tuple[int, str, float]:
    with store.connect() as connection:
        row = connection.execute(
            "SELECT case_id, transaction_id, fraud_probability FROM cases "
            "JOIN transactions USING (transaction_id) ORDER BY case_id DESC"
        ).fetchone()
    return int(row[0]), str(row[1]), float(row[2])


def test_the_window_is_the_one_that_was_scored(
    store: CaseStore,
    artifact: Path,  # noqa: F811
) -> None:
    case_id, transaction_id, probability = last_case(store)
    opened = open_artifact(artifact)
    sequence = case_sequence(store, case_id, opened.contract, 2 * LENGTH)
    assert sequence.transaction_id(0) == transaction_id
    assert reference(sequence.window(LENGTH))[0] == pytest.approx(probability, abs=1e-5)
    found = len(sequence.transaction_ids)
    assert sequence.inputs["valid"].tolist() == [0] * (2 * LENGTH - found) + [1] * found

    table = occlusion_table(opened, sequence)
    top = table.iloc[0]
    assert (top.transaction_id, top.places_before) == (transaction_id, 0)
    np.testing.assert_allclose(table["fraud_probability"] + table["drop"], probability, atol=1e-5)
    assert table["fraud_probability"].is_monotonic_increasing


def test_the_course_is_the_accounts(store: CaseStore) -> None:
    case_id, transaction_id, probability = last_case(store)
    course = score_course(store, case_id)
    assert course["timestamp"].is_monotonic_increasing
    assert course.iloc[-1]["transaction_id"] == transaction_id
    assert course.iloc[-1]["fraud_probability"] == pytest.approx(probability)
    with closing(sqlite3.connect(store.path)) as connection:
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM transactions WHERE account_id = 'a'"
        ).fetchone()
    assert len(course) == count
    assert len(score_course(store, case_id, weeks=0)) == 1


def test_what_is_not_there_is_said(store: CaseStore, artifact: Path) -> None:  # noqa: F811
    contract = open_artifact(artifact).contract
    with pytest.raises(InputError, match="case 999: is not there"):
        case_sequence(store, 999, contract, LENGTH)
    case_id, transaction_id, _ = last_case(store)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("DELETE FROM transactions WHERE transaction_id = ?", (transaction_id,))
    with pytest.raises(InputError, match="its transactions were erased"):
        score_course(store, case_id)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE transactions SET columns = '[1'")
    with pytest.raises(InputError, match="its transactions cannot be read"):
        case_sequence(store, case_id - 1, contract, LENGTH)
