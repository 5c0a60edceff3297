"""`fraudnet cases` and `fraudnet review export` from the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fraudnet.cli import main
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.importing import add_flags
from fraudnet.review.leases import take
from fraudnet.review.verdicts import record_verdict
from tests.review.test_importing import flag


def said(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    assert main([str(each) for each in arguments]) == status
    captured = capsys.readouterr()
    return captured.out if status == 0 else captured.err


def test_from_a_store_to_labels(
    device_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = tmp_path / "reviews.sqlite"
    first = said(capsys, "cases", "import", device_path, "--into", team, "--gap-hours", 0)
    assert "30 new flags, 0 there before, 0 verdicts" in first
    again = json.loads(said(capsys, "cases", "import", device_path, "--into", team, "--json"))
    assert (again["flags"], again["known"]) == (0, 30)
    assert "20 of 30 shown; --rows N shows more." in said(
        capsys, "cases", "list", "--database", team
    )
    some = said(
        capsys, "cases", "list", "--database", team, "--account", "a-2", "--json", "--rows", 99
    )
    assert {json.loads(line)["account_id"] for line in some.splitlines()} == {"a-2"}
    assert "no such case" in said(capsys, "cases", "list", "--database", team, "--account", "none")
    said(capsys, "cases", "assign", 7, "ana", "--database", team)
    mine = said(capsys, "cases", "list", "--database", team, "--assigned-to", "ana", "--json")
    assert [json.loads(line)["case_id"] for line in mine.splitlines()] == [7]
    database = CaseDatabase(team)
    take(database, 7, "ana")
    said(capsys, "cases", "release", 7, "ana", "--database", team)
    assert take(database, 7, "ben").number == 2
    record_verdict(database, 7, "confirmed_fraud", "ben", "\x1b[2J gone")
    shown = said(capsys, "cases", "show", 7, "--database", team)
    assert "confirmed_fraud" in shown
    assert "\x1b" not in shown
    told = said(capsys, "review", "export", tmp_path / "labels.csv", "--store", team)
    assert "1 labels, 1 fraud and 0 genuine" in told
    assert "30 rows" in said(capsys, "cases", "export", tmp_path / "c.csv", "--database", team)
    assert "6 cases, 6 flags" in said(capsys, "cases", "forget", "a-2", "--database", team)
    assert "No case of this account" in said(capsys, "cases", "forget", "a-9", "--database", team)
    assert "  6 left out, of accounts that were erased" in said(
        capsys, "cases", "import", device_path, "--into", team
    )
    erased = said(capsys, "cases", "show", 7, "--database", team, status=2)
    assert "case 7: its history was erased" in erased


def test_what_cannot_be_done_is_said_in_one_line(
    device_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = tmp_path / "reviews.sqlite"
    for arguments, problem in (
        (["cases", "list", "--database", team], "no case database there; make one with"),
        (["cases", "list", "--database", device_path], "fraudnet cases import"),
        (["cases", "import", tmp_path / "no", "--into", team], "No such file"),
        (["review", "export", tmp_path / "l.csv", "--store", device_path], "cases import"),
        (["review", "--store", device_path, "--html", tmp_path / "r.html"], "cases import"),
        (["review"], "--store DATABASE"),
    ):
        message = said(capsys, *arguments, status=2)
        assert problem in message
        assert message.count("\n") == 1
    assert not team.exists()
    CaseDatabase(team, create=True)
    for option, value, problem in (
        ("--rows", -3, "--rows -3: give at least 1"),
        ("--reason", "odd", "--reason odd: expected one of flagged, uncertain, unfamiliar, random"),
        ("--maximum-age-days", "inf", "maximum_age_days inf: expected a number"),
        ("--minimum-amount", "nan", "minimum_amount nan: expected a number"),
    ):
        listing = ["cases", "list", "--database", team, option, value]
        assert problem in said(capsys, *listing, status=2)
    odd = ["cases", "list", "--database", team, "--verdict", "fraud"]
    assert "--verdict fraud: expected one of confirmed_fraud" in said(capsys, *odd, status=2)
    two = ["cases", "import", device_path, device_path, "--into", team, "--device", "x"]
    assert "--device names one device" in said(capsys, *two, status=2)
    nobody = ["cases", "forget", "", "--database", team]
    assert "account: empty" in said(capsys, *nobody, status=2)
    unseen = ["cases", "assign", 1, "an\x1ba", "--database", team]
    assert "reviewer: holds U+001B" in said(capsys, *unseen, status=2)
    assert "the queue is empty" in said(capsys, "cases", "show", 1, "--database", team, status=2)
    assert "--html FILE" in said(capsys, "review", "--store", team, status=2)


def test_conflicts_are_said(
    device_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = tmp_path / "reviews.sqlite"
    store = DeviceStore(device_path)
    (theirs,) = store.flags([list(store.flagged())[1]])
    other = replace(theirs, fraud_probability=0.875)
    add_flags(CaseDatabase(team, create=True), "phone", [flag(0, name="t-0-17"), other])
    told = said(capsys, "cases", "import", device_path, "--into", team)
    assert "1 left out, there with other content (such as t-0-17)" in told
    assert (
        f"1 of those there before have another score here (such as {theirs.transaction_id}: "
        f"{theirs.fraud_probability:.3f}, on device phone 0.875): the first that came stays" in told
    )
    listed = json.loads(said(capsys, "cases", "import", device_path, "--into", team, "--json"))
    assert listed["other_scores"] == [
        {
            "transaction_id": theirs.transaction_id,
            "fraud_probability": theirs.fraud_probability,
            "first_device_id": "phone",
            "first_fraud_probability": 0.875,
        }
    ]


def test_words_that_no_database_holds_end_in_no_traceback(
    device_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team, odd = tmp_path / "reviews.sqlite", "a-\udcff\0"  # what a shell passes of a byte 255
    said(capsys, "cases", "import", device_path, "--into", team, "--device", odd)
    add_flags(CaseDatabase(team), "phone", [flag(0, account_id=odd)])
    listing = ["cases", "list", "--database", team]
    (found,) = said(capsys, *listing, "--account", odd, "--json").splitlines()
    assert json.loads(found)["account_id"] == "a-?\N{SYMBOL FOR NULL}"
    assert "1 cases, 1 flags" in said(capsys, "cases", "forget", odd, "--database", team)
    assert "no such case" in said(capsys, *listing, "--account", odd)
    assert said(capsys, *listing, "--maximum-age-days", 1e300).count("\n") > 1
    for number in (2**63, -(10**30), 0):
        beyond = said(capsys, "cases", "show", "--database", team, "--", number, status=2)
        assert f"case {number} is not there; cases go from 1 to" in beyond
