"""From a device that scored, through the team's database, to what the network reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudnet.device import Options, Scorer
from fraudnet.device.artifact import open_artifact
from fraudnet.errors import InputError
from fraudnet.review.cases import Case, open_case
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.explainers import Explainers
from fraudnet.review.explanations.case_sequence import case_sequence, occlusion_table
from fraudnet.review.importing import import_store
from tests.device.conftest import artifact, model, networks  # noqa: F401  (fixtures)
from tests.device.example_network import LENGTH, reference
from tests.device.test_many import random_stream

COUNT = 40


@pytest.fixture
def case(artifact: Path, tmp_path: Path) -> Case:  # noqa: F811
    store = tmp_path / "cases.sqlite"
    stream = random_stream(COUNT, "ab", 0.1)
    counts = {"counterparty_count_7d": 9, "counterparty_fraud_7d": 4}
    history = [replace(each, columns={**each.columns, **counts}) for each in stream[:20]]
    with Scorer(artifact, store, options=Options(durable=False)) as scorer:
        scorer.add_history(history)
        for each in stream[20:-1]:
            scorer.score(each)
        assert scorer.score(replace(stream[-1], account_id="a", amount=1e9)).flagged
    database = CaseDatabase(tmp_path / "reviews.sqlite", create=True, gap_hours=0)
    import_store(database, DeviceStore(store))
    with database.read() as connection:
        newest = connection.exec_driver_sql("SELECT MAX(case_id) FROM flags").scalar_one()
    return open_case(database, int(newest))


def test_the_window_is_the_one_that_was_scored(case: Case, artifact: Path) -> None:  # noqa: F811
    opened = open_artifact(artifact)
    newest = case.flags.iloc[-1]
    sequence = case_sequence(case, opened.contract, 2 * LENGTH)
    assert sequence.transaction_id(0) == newest["transaction_id"]
    probability = newest["fraud_probability"]
    assert reference(sequence.window(LENGTH))[0] == pytest.approx(probability, abs=1e-5)
    found = len(sequence.transaction_ids)
    assert sequence.inputs["valid"].tolist() == [0] * (2 * LENGTH - found) + [1] * found
    assert sequence.knows_reputation
    assert 9 in sequence.inputs["counterparty_count_7d"]

    table = occlusion_table(opened, sequence)
    top = table.iloc[0]
    assert (top.transaction_id, top.places_before) == (newest["transaction_id"], 0)
    np.testing.assert_allclose(table["fraud_probability"] + table["drop"], probability, atol=1e-5)
    assert table["fraud_probability"].is_monotonic_increasing


def test_an_older_case_does_not_know_the_counts(case: Case, artifact: Path) -> None:  # noqa: F811
    stored = [{k: v for k, v in entry.items() if k != "reputation"} for entry in case.stored]
    contract = open_artifact(artifact).contract
    sequence = case_sequence(replace(case, stored=stored), contract, LENGTH)
    assert not sequence.knows_reputation
    assert set(sequence.inputs["counterparty_count_7d"]) <= {-1, 0}  # unknown, or padding


def test_what_cannot_be_read_is_said(case: Case, artifact: Path) -> None:  # noqa: F811
    contract = open_artifact(artifact).contract
    broken = replace(case, stored=[{**case.stored[-1], "amount": 1e300}])
    with pytest.raises(InputError, match=f"case {case.case_id}: the network cannot read its"):
        case_sequence(broken, contract, LENGTH)


def test_an_artifact_that_did_not_decide_the_case_is_refused(
    case: Case,
    artifact: Path,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    occluded, knows_reputation = Explainers(artifact).occluded(case)
    assert capfd.readouterr().err == ""  # the runtime says nothing of itself into a cell
    assert knows_reputation
    assert len(occluded) > LENGTH
    other = replace(case, flags=case.flags.assign(artifact_sha256="ab" * 32))
    with pytest.raises(InputError, match=r"did not decide case \d+, abababababab\.\.\. did"):
        Explainers(artifact).occluded(other)
    with pytest.raises(InputError, match=r"FRAUDNET_ARTIFACT, restart"):
        Explainers().occluded(case)
    with pytest.raises(InputError, match=r"FRAUDNET_MODEL, restart"):
        Explainers(artifact).attributed(case)
