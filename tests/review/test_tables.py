import re

import pandas as pd
import pytest

from fraudnet.review.tables import paragraph, table
from fraudnet.review.text import brief, plain
from tests.review.conftest import HOSTILE


@pytest.mark.parametrize("text", HOSTILE[:4])
def test_texts_and_column_names_are_no_markup(text: str) -> None:
    shown = str(table(pd.DataFrame({"counterparty_id": [text], text: ["x"]}), 5).data)
    assert text not in shown
    assert shown.count(text.replace("<", "&lt;").replace(">", "&gt;")) == 2
    assert text not in str(paragraph(text).data)


def test_values_read_like_a_person_writes_them() -> None:
    frame = pd.DataFrame(
        {
            "amount": [1234567.891, None],
            "fraud_probability": [0.12345, float("nan")],
            "timestamp": [pd.Timestamp("2024-06-01 12:00:00.123456", tz="UTC"), pd.NaT],
            "age": [pd.Timedelta(days=2, hours=4, minutes=5, seconds=6), pd.NaT],
            "verdict": ["false_positive", "undecided"],
            "tags": [["a", "b"], None],
            "note": ["n" * 300, ""],
        }
    )
    cells = re.findall("<td>(.*?)</td>", str(table(frame, 5).data).replace("\xa0", " "))
    assert cells[:7] == [
        "1,234,567.89", "0.123", "2024-06-01 12:00:00", "52 h 5 min", "False positive",
        "['a', 'b']", "n" * 300,
    ]  # fmt: skip
    assert cells[7:] == ["-", "-", "-", "-", "Undecided", "-", ""]


def test_long_tables_say_what_they_leave_out() -> None:
    shown = str(table(pd.DataFrame({"case_id": range(1200)}), 20).data)
    assert shown.count("<td>") == 20
    assert "20 of 1,200 shown." in shown
    assert "shown." not in str(table(pd.DataFrame({"case_id": range(20)}), 20).data)


def test_a_text_turns_no_other_s_direction() -> None:
    turning = "\u202egnp.exe\u2066\u202a"
    shown = str(paragraph(f"Case 1, account {turning}").data)
    shown += str(table(pd.DataFrame({"counterparty_id": [turning]}), 5).data) + plain(turning)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert shown.count("\ufffdgnp.exe\ufffd\ufffd") == 3
    hebrew, persian = "\u05d0\u05d1", "\u0645\u06cc\u200c\u062e"
    assert plain(hebrew) == brief(hebrew, 9) == hebrew
    assert brief(persian, 9) == persian
