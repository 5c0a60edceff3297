"""Rows of transactions as plain values, tables of them, and what they say read row by row."""

from typing import NamedTuple

import pyarrow as pa
from hypothesis import strategies as st

DAY_US = 86_400_000_000
TIME = pa.timestamp("us", "UTC")
VOCABULARY = ("food", "fuel", "games")


class Row(NamedTuple):
    """A canonical transaction."""

    account: str
    timestamp_us: int
    counterparty: str | None = "m"
    amount: float = 1.0
    category: str | None = None
    distance: float | None = None
    is_fraud: int | None = None
    label_time_us: int | None = None


def table_of(rows: list[Row], *, chunk: int = 1000, labelled: bool = True) -> pa.Table:
    """The canonical table, its columns in pieces of `chunk` rows."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(Row._fields)
    account, timestamp, counterparty, amount, category, distance, is_fraud, label_time = columns
    table = pa.table(
        {
            "account_id": pa.array(account, pa.string()),
            "timestamp": pa.array(timestamp, TIME),
            "counterparty_id": pa.array(counterparty, pa.string()),
            "amount": pa.array(amount, pa.float64()),
            "category": pa.array(category, pa.string()),
            "distance": pa.array(distance, pa.float64()),
        }
    )
    if labelled:
        table = table.append_column("is_fraud", pa.array(is_fraud, pa.int8()))
        table = table.append_column("label_time", pa.array(label_time, TIME))
    pieces = [table.slice(at, chunk) for at in range(0, len(rows), chunk)]
    return pa.concat_tables(pieces) if pieces else table


def known_us(row: Row, delay_us: int) -> int:
    return row.timestamp_us + delay_us if row.label_time_us is None else row.label_time_us


def past_of(rows: list[Row], at: int) -> list[int]:
    """Rows of the same account up to this one, oldest first, ties in the order of the source."""
    row = rows[at]
    return sorted(
        (
            i
            for i, other in enumerate(rows)
            if other.account == row.account and (other.timestamp_us, i) <= (row.timestamp_us, at)
        ),
        key=lambda i: (rows[i].timestamp_us, i),
    )


# Quarters of a day give ties and the very ends of windows; the microseconds miss them by one.
TIMES = st.builds(
    lambda years, quarters, us: max(0, 365 * years * DAY_US + quarters * DAY_US // 4 + us),
    st.sampled_from([0, 0, 0, 1, 55]),
    st.integers(0, 60),
    st.sampled_from([0, 0, 0, -1, 1, 86_399_999_999]),
)
LATER = st.one_of(st.just(0), st.integers(0, 40).map(lambda quarters: quarters * DAY_US // 4))


@st.composite
def _rows(draw: st.DrawFn) -> Row:
    timestamp_us = draw(TIMES)
    later = draw(st.none() | LATER)
    return Row(
        account=draw(st.sampled_from("abc")),
        timestamp_us=timestamp_us,
        counterparty=draw(st.sampled_from(["m", "n", "o", None])),
        amount=draw(st.floats(-1e9, 1e9)),
        category=draw(st.sampled_from([*VOCABULARY, "other", "", None])),
        distance=draw(st.none() | st.floats(-1e9, 1e9)),
        is_fraud=draw(st.sampled_from([0, 1, 1, None])),
        label_time_us=None if later is None else timestamp_us + later,
    )


ROWS = st.lists(_rows(), max_size=25)
SOME_ROWS = st.lists(_rows(), min_size=1, max_size=25)
# Thousandths of a day: many of them are no exact number of microseconds as floats.
DELAYS = st.sampled_from([0, 0, 43, 86, 250, 1000, 7000])
