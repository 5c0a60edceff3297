"""Every system builds the same histories; a number that differs is found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from benchmarks.windows_peers import (
    COUNTS,
    DELAY_DAYS,
    PEERS,
    SYSTEMS,
    WINDOWS_DAYS,
    Result,
    numbered,
    require_equal,
)
from fraudnet.errors import InputError
from tests.benchmarks.tables import handbook_file
from tests.windows.tables import DAY_US, Row, table_of


def random_rows(count: int = 800, seed: int = 3) -> list[Row]:
    """Unordered, with many ties in time and events at the very ends of windows."""
    rng = np.random.default_rng(seed)
    quarters = rng.integers(240, size=count) * (DAY_US // 4)
    time = quarters + rng.choice([0, 0, 0, -1, 1], size=count) + 17_000 * DAY_US
    return [
        Row(
            account=f"a{rng.integers(40)}",
            timestamp_us=int(at),
            counterparty=f"c{rng.integers(8)}",
            is_fraud=[0, 0, 1, None][rng.integers(4)],
        )
        for at in time
    ]


def table_with(rows: list[Row]) -> pa.Table:
    """One label delay for all, as the peers have it."""
    return table_of(rows).drop(["label_time"])


def built_by(system: str, rows: list[Row]) -> Result:
    for needed in (system,) if system in PEERS else ():
        pytest.importorskip(needed, reason="a peer: pip install '.[benchmarks]'")
    return SYSTEMS[system](table_with(rows))()()


def naive(rows: list[Row]) -> Result:
    accounts = {name: at for at, name in enumerate(dict.fromkeys(row.account for row in rows))}
    order = sorted(
        range(len(rows)), key=lambda at: (accounts[rows[at].account], rows[at].timestamp_us, at)
    )
    sizes = [sum(row.account == name for row in rows) for name in accounts]
    counts: dict[str, list[int]] = {name: [] for name in COUNTS}
    for at in order:
        end = rows[at].timestamp_us - DELAY_DAYS * DAY_US
        for days in WINDOWS_DAYS:
            labels = [
                row.is_fraud
                for row in rows
                if row.counterparty == rows[at].counterparty
                and end - days * DAY_US < row.timestamp_us <= end
            ]
            counts[f"count_{days}d"].append(len(labels))
            counts[f"fraud_{days}d"].append(labels.count(1))
    return Result(
        np.array(order),
        np.cumsum([0, *sizes]),
        {name: np.array(values) for name, values in counts.items()},
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_counts_as_a_loop_does(system: str) -> None:
    rows = random_rows()
    require_equal({"loop": naive(rows), system: built_by(system, rows)})


@pytest.mark.parametrize("peer", PEERS)
def test_peers_agree_with_us_on_more_accounts(peer: str) -> None:
    rows = [row._replace(account=f"a{at % 700}") for at, row in enumerate(random_rows(20_000, 4))]
    require_equal({"fraudnet": built_by("fraudnet", rows), peer: built_by(peer, rows)})


def _one_more(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    changed = values.copy()
    changed[7] += 1
    return changed


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (
            lambda made: replace(
                made, counts=made.counts | {"fraud_7d": _one_more(made.counts["fraud_7d"])}
            ),
            "fraud_7d: 1 of 800 differ by fraudnet and altered, first in row 7: ",
        ),
        (lambda made: replace(made, offsets=_one_more(made.offsets)), "offsets: 1 of 41 differ"),
        (lambda made: replace(made, offsets=made.offsets[:-1]), "offsets: 41 by .*, 40 by altered"),
        (
            lambda made: replace(made, source_row=made.source_row[::-1]),
            "source_row: 800 of 800 differ",
        ),
    ],
)
def test_an_altered_column_is_found(alter: Callable[[Result], Result], says: str) -> None:
    made = built_by("fraudnet", random_rows())
    require_equal({"fraudnet": made, "same": made})
    with pytest.raises(ValueError, match=says):
        require_equal({"fraudnet": made, "altered": alter(made)})


def test_rows_without_counterparty_are_refused() -> None:
    with pytest.raises(InputError, match="counterparty_id"):
        numbered(table_with([Row("a", 0, None)]))


def test_the_command_line_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("psutil", reason="measures memory: pip install '.[benchmarks]'")
    from benchmarks.windows import main

    broken = tmp_path / "broken.json"
    broken.write_text("[")
    for words, says in (
        ([], "nothing to measure"),
        (["--growth", "5"], "give at least"),
        (["--data", "none.parquet", "--output", str(tmp_path / "new.json")], "no such file"),
        (["--growth", "--output", str(tmp_path / "no" / "new.json")], "there is no folder"),
        (["--growth", "--output", str(broken)], "holds something else"),
    ):
        assert main(words) == 2
        assert says in capsys.readouterr().err


@pytest.mark.slow
def test_both_parts_are_kept_in_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for needed in (*PEERS, "psutil"):
        pytest.importorskip(needed, reason="a peer: pip install '.[benchmarks]'")
    from benchmarks.windows import REPEATS, main

    output = tmp_path / "windows.json"
    data = handbook_file(tmp_path)
    assert main(["--data", str(data), "--output", str(output)]) == 0
    assert main(["--growth", "20000", "40000", "--output", str(output)]) == 0
    assert "all numbers of all systems are equal" in capsys.readouterr().out
    report = json.loads(output.read_text())
    comparison = report["comparison"]
    assert comparison["rows"] == 66 * 60 * 2
    assert {name: each["seconds"]["runs"] for name, each in comparison["systems"].items()} == (
        REPEATS
    )
    for each in comparison["systems"].values():
        assert 0 < each["seconds"]["min"] <= each["seconds"]["median"] <= each["seconds"]["max"]
        assert set(each["times_as_fast_as"]) == set(PEERS)
    for size, wanted in zip(report["growth"]["sizes"], (20_000, 40_000), strict=True):
        assert size["rows"] == pytest.approx(wanted, rel=0.1)
        assert size["microseconds_per_row"] > 0
    assert (tmp_path / "windows_growth.png").stat().st_size > 1000
