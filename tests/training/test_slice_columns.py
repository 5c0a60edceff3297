"""Columns that the evaluation alone reads: kept whole, and kept from all else."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudnet.errors import InputError
from fraudnet.training.slice_columns import MOST_VALUES, SliceColumns

PIECES = st.lists(
    st.lists(st.sampled_from(["b", "a", "", "c", None]), min_size=1, max_size=6),
    min_size=1,
    max_size=4,
)


def piece(band: Sequence[str | None]) -> pa.Table:
    return pa.table(
        {
            "amount": np.arange(len(band)),
            "band": pa.array(band, pa.string()),
            "place": ["x"] * len(band),
        }
    )


@given(PIECES)
def test_values_come_back_in_their_order(pieces: list[list[str | None]]) -> None:
    columns = SliceColumns(["band", "place"], ["amount", "place"])
    for each in pieces:
        assert columns.take(piece(each)).column_names == ["amount", "place"]
    found = columns.done()
    assert found.keys() == {"band", "place"}
    band = found["band"]
    assert list(band.values) == sorted(
        {value for each in pieces for value in each if value is not None}
    )
    named = [band.values[code] if code >= 0 else None for code in band.code]
    assert named == [value for each in pieces for value in each]
    assert found["place"].values == ("x",)


def test_a_column_may_come_late_or_never() -> None:
    columns = SliceColumns(["band", "tier"], [])
    columns.take(piece(["a"]).drop_columns(["band"]))
    columns.take(piece(["b", "a"]))
    found = columns.done()
    assert found.keys() == {"band"}
    assert found["band"].code.tolist() == [-1, 1, 0]


def test_what_has_too_many_values_is_no_group() -> None:
    columns = SliceColumns(["band"], [])
    columns.take(piece([str(at) for at in range(MOST_VALUES)]))
    with pytest.raises(InputError, match="'band' has over 1,000 values"):
        columns.take(piece(["one more"]))


def test_numbers_are_groups_too() -> None:
    columns = SliceColumns(["branch"], [])
    columns.take(pa.table({"branch": [7.0, 8.0, None]}))
    assert columns.done()["branch"].code.tolist() == [0, 1, -1]
