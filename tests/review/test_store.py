from collections.abc import Callable
from pathlib import Path

import pytest

from fraudnet.device.store import Score, Store
from fraudnet.device.transactions import Transaction
from fraudnet.errors import InputError
from fraudnet.review.cases import list_cases, open_case
from fraudnet.review.store import CaseStore


def test_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with pytest.raises(InputError, match=r"none\.sqlite: no case store there; make one with"):
        CaseStore(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"SELECT 1;\n" * 200, bytes(range(256)) * 8])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.bin: not a case store"):
        CaseStore(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE meta SET value = '7' WHERE key = 'schema_version'", "schema version 7, expected"),
        ("DELETE FROM meta", "schema version none, expected"),
        ("DROP TABLE cases", "no table cases"),
    ],
)
def test_other_schemas_are_refused(
    store_path: Path, change: Callable[[str], None], statement: str, found: str
) -> None:
    change(statement)
    with pytest.raises(InputError, match=found) as caught:
        CaseStore(store_path)
    assert "\n" not in str(caught.value)


def test_path_with_characters_of_a_uri(store_path: Path) -> None:
    odd = store_path.rename(store_path.with_name("what? #1 100%.sqlite"))
    assert len(list_cases(CaseStore(odd))) == 30


def test_reads_what_the_scorer_writes(tmp_path: Path) -> None:
    path = tmp_path / "scored.sqlite"
    known = Transaction("t-1", "a-1", 1_000_000, "grocer", 12.5, {"category": "food"})
    flagged = Transaction("t-2", "a-1", 61_000_000, None, 900.0, {"category": None})
    with Store(path) as scorer, scorer.commit():
        scorer.add(known, {}, None)
        sequence = scorer.add(flagged, {}, Score(0.9, 4.0, 0.3, True, "0" * 64, False))
        scorer.open_case(flagged, sequence, 160)
    store = CaseStore(path)
    (listed,) = list_cases(store).itertuples()
    assert (listed.account_id, listed.expected_loss, listed.verdict) == ("a-1", 810.0, "undecided")
    assert listed.case_id == 1
    case = open_case(store, 1)
    assert case.threshold == 0.3
    assert case.window["transaction_id"].tolist() == ["t-1", "t-2"]
    assert case.window["gap_hours"].iloc[1] == pytest.approx(1 / 60)
