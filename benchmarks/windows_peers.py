"""The same account histories and counts by us, pandas, polars and DuckDB, and their comparison.

All count what happened in (t - 7 days - w, t - 7 days], to the microsecond: the Fraud Detection
Handbook's terminal risk (chapter 3, "Feature transformation"), with frauds as counts.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fraudnet.errors import InputError
from fraudnet.windows.histories import build_histories
from fraudnet.windows.reputation import DAY_US
from fraudnet.windows.specification import FeatureSpecification, Reputation

if TYPE_CHECKING:
    import polars as pl

DELAY_DAYS = 7
WINDOWS_DAYS = (1, 7, 30)
REPUTATION = Reputation(episode_days="none", windows_days=WINDOWS_DAYS, refresh="transaction")
COUNTS = REPUTATION.columns  # count_1d, fraud_1d, count_7d ...
# The windows that begin or end before the delay, as lengths up to the transaction itself.
REACHES_DAYS = (DELAY_DAYS, *(DELAY_DAYS + days for days in WINDOWS_DAYS))
_KEPT = ("source_row", "account", "counterparty", "timestamp_us", "amount", "fraud")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Result:
    """What every system must end with.

    Attributes:
        source_row: [N] row of the source, by account (in order of appearance), then by time; ties
            keep the order of the source.
        offsets: [A + 1] first row of each account, and N.
        counts: [N] each, by the names of `COUNTS`.
    """

    source_row: npt.NDArray[Any]
    offsets: npt.NDArray[Any]
    counts: dict[str, npt.NDArray[Any]]

    def columns(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Everything by name."""
        yield "source_row", self.source_row
        yield "offsets", self.offsets
        yield from self.counts.items()


# A system takes the table into its own form; what it gives is timed; what that gives hands over.
Unload = Callable[[], Result]
Build = Callable[[], Unload]


def with_fraudnet(table: pa.Table) -> Build:
    """This project, from the text ids on."""
    specification = FeatureSpecification(reputation=REPUTATION)

    def build() -> Unload:
        made = build_histories(table, specification, float(DELAY_DAYS))
        counts = {name: made.columns[f"counterparty_{name}"] for name in COUNTS}
        return lambda: Result(made.source_row, made.offsets, counts)

    return build


def with_pandas(table: pa.Table) -> Build:
    """The Handbook's way, in one grouped pass a window over all terminals instead of a loop."""
    import pandas as pd

    source = numbered(table).to_pandas()
    source["timestamp"] = pd.to_datetime(source["timestamp_us"], unit="us")

    def build() -> Unload:
        frame = source.assign(one=1.0, frauds=source["fraud"].astype("float64"))
        frame = frame.sort_values(["counterparty", "timestamp"], kind="stable")
        events = frame.set_index("timestamp")[["counterparty", "one", "frauds"]]
        groups = events.groupby("counterparty", sort=False)
        # A transaction of the same moment that comes later is in no sum, so differences hold.
        sums = {days: groups.rolling(f"{days}D").sum().to_numpy() for days in REACHES_DAYS}
        for days in WINDOWS_DAYS:
            counts = sums[DELAY_DAYS + days] - sums[DELAY_DAYS]
            frame[[f"count_{days}d", f"fraud_{days}d"]] = counts
        made = frame[[*_KEPT, *COUNTS]].sort_values(["account", "timestamp_us", "source_row"])
        ends = made.groupby("account").size().cumsum()

        def unload() -> Result:
            counts = {name: made[name].to_numpy() for name in COUNTS}
            return Result(made["source_row"].to_numpy(), _with_zero(ends.to_numpy()), counts)

        return unload

    return build


def with_polars(table: pa.Table) -> Build:
    """Rolling windows of which the delay is the offset, over key and time as one integer.

    The fastest of the ways tried. One integer sorts faster than two columns, and rolling over it
    needs no groups; `group_by` in the rolling, `rolling_sum_by(...).over(...)`, as-of joins of
    running sums and `search_sorted` all take longer.
    """
    import polars as pl

    source = pl.DataFrame(numbered(table))

    def build() -> Unload:
        moment = _moment_of("counterparty").alias("moment")
        ordered = source.lazy().with_columns(moment).sort("moment")
        counts = [
            ordered.rolling(
                "moment",
                period=f"{days * DAY_US}i",
                offset=f"-{(DELAY_DAYS + days) * DAY_US}i",
                closed="right",
            )
            .agg(pl.len().alias(f"count_{days}d"), _frauds().alias(f"fraud_{days}d"))
            .select(f"count_{days}d", f"fraud_{days}d")
            for days in WINDOWS_DAYS
        ]
        made = (
            pl.concat([ordered.select(_KEPT), *counts], how="horizontal")
            .sort(_moment_of("account"), "source_row")
            .collect(engine="in-memory")  # the streaming engine takes longer
        )
        ends = made["account"].rle().struct.field("len").cum_sum()

        def unload() -> Result:
            columns = {name: made[name].to_numpy() for name in COUNTS}
            return Result(made["source_row"].to_numpy(), _with_zero(ends.to_numpy()), columns)

        return unload

    return build


def _moment_of(key: str) -> "pl.Expr":
    """Key and time as one integer; no window reaches from one key's times into another's."""
    import polars as pl

    time, reach = pl.col("timestamp_us"), (REACHES_DAYS[-1] + 1) * DAY_US
    return pl.col(key).cast(pl.Int64) * (time.max() - time.min() + reach) + time - time.min()


def _frauds() -> "pl.Expr":
    import polars as pl

    return pl.col("fraud").cast(pl.Int32).sum()


def with_duckdb(table: pa.Table) -> Build:
    """Named windows with the delayed frame itself, both counts in one sum.

    The fastest of the ways tried. A count and a sum for each frame, differences of sums or of
    running sums, as-of joins, and one integer of key and time in place of PARTITION BY all take
    as long or longer.
    """
    import duckdb

    connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
    connection.register("arrow", numbered(table))
    connection.execute("CREATE TABLE transactions AS FROM arrow")
    connection.unregister("arrow")
    sums = ", ".join(
        f"coalesce(sum(event) OVER last_{days}, 0)::BIGINT AS events_{days}"
        for days in WINDOWS_DAYS
    )
    windows = ", ".join(
        f"last_{days} AS (PARTITION BY counterparty ORDER BY timestamp_us "
        # Open at its lower edge.
        f"RANGE BETWEEN {(DELAY_DAYS + days) * DAY_US - 1} PRECEDING "
        f"AND {DELAY_DAYS * DAY_US} PRECEDING)"
        for days in WINDOWS_DAYS
    )
    counts = ", ".join(
        f"(events_{days} & {2**32 - 1})::INTEGER AS count_{days}d, "
        f"(events_{days} >> 32)::INTEGER AS fraud_{days}d"
        for days in WINDOWS_DAYS
    )
    histories = f"""
        CREATE OR REPLACE TABLE histories AS
        WITH events AS (SELECT *, 1 + fraud::BIGINT * {2**32} AS event FROM transactions),
        summed AS (SELECT *, {sums} FROM events WINDOW {windows})
        SELECT {", ".join(_KEPT)}, {counts} FROM summed ORDER BY account, timestamp_us, source_row
    """
    offsets = """
        CREATE OR REPLACE TABLE offsets AS
        SELECT sum(count(*)) OVER (ORDER BY account)::BIGINT AS last_row
        FROM histories GROUP BY account ORDER BY account
    """

    def build() -> Unload:
        connection.execute(histories)
        connection.execute(offsets)

        def unload() -> Result:
            made = connection.execute("FROM histories").fetchnumpy()
            ends = connection.execute("FROM offsets").fetchnumpy()["last_row"]
            counts = {name: np.asarray(made[name]) for name in COUNTS}
            return Result(np.asarray(made["source_row"]), _with_zero(np.asarray(ends)), counts)

        return unload

    return build


SYSTEMS: dict[str, Callable[[pa.Table], Build]] = {
    "fraudnet": with_fraudnet,
    "pandas": with_pandas,
    "polars": with_polars,
    "duckdb": with_duckdb,
}
PEERS = tuple(name for name in SYSTEMS if name != "fraudnet")


def numbered(table: pa.Table) -> pa.Table:
    """The columns that peers read, in the types that serve them best.

    Ids are numbers in order of appearance, and the label is 1 or 0 (0 also for unlabelled).

    Raises:
        InputError: a row names no counterparty; peers would count these as one.
    """
    if table["counterparty_id"].null_count:
        raise InputError("counterparty_id: rows without one; this benchmark is for tables with all")
    label = pc.fill_null(table["is_fraud"], 0)
    return pa.table(
        {
            "source_row": pa.array(np.arange(table.num_rows, dtype=np.int32)),
            "account": _codes(table["account_id"]),
            "counterparty": _codes(table["counterparty_id"]),
            "timestamp_us": table["timestamp"].cast(pa.int64()),
            "amount": table["amount"],
            "fraud": label,
        }
    )


def _codes(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().dictionary_encode().indices


def _with_zero(ends: npt.NDArray[Any]) -> Ints:
    return np.concatenate(([0], ends)).astype(np.int64)


def require_equal(results: dict[str, Result]) -> None:
    """Compare every number of every system with those of the first.

    Raises:
        ValueError: two differ.
    """
    (first, wanted), *others = results.items()
    for name, result in others:
        for (column, ours), (_, theirs) in zip(wanted.columns(), result.columns(), strict=True):
            if ours.shape != theirs.shape:
                raise ValueError(f"{column}: {len(ours)} by {first}, {len(theirs)} by {name}")
            if len(rows := np.flatnonzero(ours != theirs)):
                raise ValueError(
                    f"{column}: {len(rows)} of {len(ours)} differ by {first} and {name}, "
                    f"first in row {rows[0]}: {ours[rows[0]]} and {theirs[rows[0]]}"
                )
