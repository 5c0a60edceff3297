"""Transactions that no device flagged, from its store into the queue, and what they tell of all."""

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.choosing import Span, choose_for_learning, figures_of_queue
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.importing import import_store
from fraudnet.review.learning import Shares
from fraudnet.review.sampled import Reviewed, sampled_figures
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import START_US, account_history, both, make_store

START = datetime.fromtimestamp(START_US / 1e6, UTC)
ALL = Span(START, START + timedelta(days=60))
SHARES = Shares(uncertain=0.1, unfamiliar=0.1, random=0.2)
Histories = list[list[dict[str, Any]]]


def unflagged(histories: Histories) -> dict[str, dict[str, Any]]:
    rows = [row for history in histories for row in history]
    scored = [row for row in rows if row["fraud_probability"] is not None and not row["flagged"]]
    return {row["transaction_id"]: row for row in scored}


def test_what_is_chosen_enters_the_queue_once_with_its_window(
    database: CaseDatabase, device_path: Path, histories: Histories
) -> None:
    store = DeviceStore(device_path)
    found = choose_for_learning(database, [store], ALL, 50, SHARES, seed=3)
    assert found.reasons == {"uncertain": 5, "unfamiliar": 5, "random": 10}
    candidates = unflagged(histories)
    assert (found.scored - found.flagged, found.flagged) == (len(candidates), 30)
    queue = list_cases(database)
    chosen = queue[queue["reason"] != "flagged"]
    assert len(chosen) == found.imported.flags == 20
    for case_id in chosen["case_id"]:
        case = open_case(database, int(case_id))
        (flag,) = case.flags.to_dict("records")
        row = candidates[flag["transaction_id"]]
        assert flag["fraud_probability"] == row["fraud_probability"]
        assert (flag["inclusion_probability"] < 1) == (flag["reason"] == "random")
        own = histories[int(row["transaction_id"].split("-")[1])]
        until = own[: own.index(row) + 1]
        assert case.window["transaction_id"].tolist() == [each["transaction_id"] for each in until]
        assert all(isinstance(each["reputation"], dict) for each in case.stored)
    again = choose_for_learning(database, [store], ALL, 50, SHARES, seed=3)
    assert (again.imported.flags, again.imported.known) == (0, 20)
    assert len(list_cases(database)) == len(queue)


def test_the_stores_of_all_devices_are_one_population(
    database: CaseDatabase, device_path: Path, tmp_path: Path
) -> None:
    other_history = account_history("b-1", 9, random.Random(1))
    stores = [
        DeviceStore(device_path, "first"),
        DeviceStore(make_store(tmp_path / "other.sqlite", [other_history]), "second"),
    ]
    found = choose_for_learning(database, stores, ALL, 40, Shares(random=1.0))
    assert found.reasons == {"random": 40}
    query = "SELECT device_id, account_id FROM flags WHERE reason = 'random'"
    with database.read() as connection:
        devices = set(map(tuple, connection.exec_driver_sql(query).all()))
    assert {device for device, _ in devices} == {"first", "second"}
    assert {account for device, account in devices if device == "second"} == {"b-1"}


def test_what_one_device_scored_is_not_drawn_from_twice(
    database: CaseDatabase, device_path: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copy(device_path, tmp_path / "copy.sqlite"))
    stores = [DeviceStore(device_path), DeviceStore(copied)]
    with pytest.raises(InputError, match=r"copy\.sqlite: holds what .* of the same device"):
        choose_for_learning(database, stores, ALL, 40, Shares(random=1.0))
    assert len(list_cases(database)) == 30


@both
def test_figures_of_the_queue_are_those_of_its_verdicts(
    database: CaseDatabase, device_path: Path
) -> None:
    choose_for_learning(database, [DeviceStore(device_path)], ALL, 60, Shares(random=0.5), seed=1)
    rng = np.random.default_rng(0)
    expected = []
    for case_id in list_cases(database)["case_id"]:
        verdict = rng.choice(["confirmed_fraud", "false_positive", "suspicious"], p=[0.3, 0.6, 0.1])
        record_verdict(database, int(case_id), str(verdict), "ana")
        label = {"confirmed_fraud": 1, "false_positive": 0}.get(str(verdict), -1)
        (flag,) = open_case(database, int(case_id)).flags.to_dict("records")
        expected.append((label, flag["inclusion_probability"], flag["reason"] == "flagged"))
    labels, probability, alerted = zip(*expected, strict=True)
    whole = sampled_figures(
        Reviewed(np.array(labels, np.int8), np.array(probability), np.array(alerted))
    )
    found = figures_of_queue(database, ALL)
    for name in ("recall", "precision", "prevalence"):
        own, other = getattr(found, name), getattr(whole, name)
        assert own.value == pytest.approx(other.value)
        assert own.interval.high == pytest.approx(other.interval.high)


def test_the_commands_choose_and_tell(
    tmp_path: Path, device_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = tmp_path / "team.sqlite"
    import_store(CaseDatabase(reviews, create=True), DeviceStore(device_path))
    days = ["--since", "2024-06-01", "--until", "2024-08-01"]
    words = ["cases", "choose", str(device_path), "--into", str(reviews), "--budget", "40", *days]
    assert main([*words, "--random", "0.5"]) == 0
    assert "20 random; of 220 scored transactions" in capsys.readouterr().out
    assert main([*words, "--random", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"]["known"] == 20
    database = CaseDatabase(reviews)
    for case_id in list_cases(database)["case_id"]:
        record_verdict(database, int(case_id), "false_positive", "ana")
    assert main(["cases", "figures", "--database", str(reviews), *days]) == 0
    shown = capsys.readouterr().out
    assert "recall     not to be told" in shown
    assert "precision  0.0000" in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "give --uncertain, --unfamiliar or --random"),
        (["--random", "0.001"], "share random of 0.001 comes to none"),
        (["--random", "0.5", "--until", "2024-05-01"], "--until 2024-05-01 is not after"),
        (["--random", "0.5", "--since", "2025-06-01", "--until", "2025-06-02"], ": no scored"),
        (["--random", "0.5", "--budget", f"{10**30}"], "give 1 to 1,000,000,000"),
        (["--random", "0.5", "--seed", "-1"], "--seed -1: give 0 or more"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(
    more: list[str],
    message: str,
    tmp_path: Path,
    device_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reviews = tmp_path / "team.sqlite"
    CaseDatabase(reviews, create=True)
    words = ["cases", "choose", str(device_path), "--into", str(reviews), "--budget", "40"]
    assert main([*words, "--since", "2024-06-01", "--until", "2024-08-01", *more]) == 2
    assert message in capsys.readouterr().err


def test_flags_alone_tell_nothing_of_all(database: CaseDatabase) -> None:
    with pytest.raises(InputError, match="none of the 30 chosen was drawn at random"):
        figures_of_queue(database, ALL)
    with pytest.raises(InputError, match="holds no case of 2020"):
        figures_of_queue(database, Span(datetime(2020, 1, 1), datetime(2020, 2, 1)))
