"""The JSON of a case's window, against the standard library's own."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fraudnet.device.case_window import window_json
from fraudnet.device.statements import CASE_FIELDS

JSON_TEXT = st.dictionaries(st.text(), st.none() | st.integers() | st.text()).map(json.dumps)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.tuples(
        st.text(), st.integers(), st.none() | st.text(), NUMBERS, JSON_TEXT, JSON_TEXT,
        st.none() | NUMBERS, st.none() | NUMBERS,
    ),
    max_size=4,
)  # fmt: skip


@given(rows=ROWS)
def test_whatever_texts_hold(rows: list[tuple[object, ...]]) -> None:
    expected = [dict(zip(CASE_FIELDS, row, strict=True)) for row in rows]
    for entry in expected:
        for name in ("columns", "reputation"):
            entry[name] = json.loads(str(entry[name]))
    assert json.loads(window_json(rows)) == expected
    assert window_json(rows) == json.dumps(expected)
