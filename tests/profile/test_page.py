"""The page: whole, readable without a network, and without a name of a person on it."""

import base64
import json
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudnet.errors import InputError
from fraudnet.profile.profile import write_profile
from fraudnet.transactions.reading import read_transactions
from fraudnet.transactions.recipe import load_recipe
from fraudnet.windows.periods import SplitConfig
from tests.profile.made import FIRST_US, Columns, columns, read

HANDBOOK = Path(__file__).parents[2].parent / "shared" / "data" / "handbook.parquet"
SECTIONS = ["source", "span", "time", "accounts", "amounts", "gaps", "delay", "drift", "leaks"]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser sees: that every tag is closed in its turn, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.cells: list[str] = []
        self.source = source
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style",):
            self.texts.append(data.strip())
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))


def page_of(folder: Path, made: Columns, **further: Any) -> Page:  # noqa: ANN401
    given = read(folder, made, **further)
    path = folder / "profile.html"
    profile = write_profile(given, SplitConfig(), 7.0, path)
    json.dumps(profile.to_dict(), allow_nan=False)
    return Page(path.read_text("utf-8"))


def check(page: Page) -> None:
    assert page.source.startswith("<!DOCTYPE html>")
    assert [each["id"] for each in page.all("section")] == SECTIONS
    assert [each["href"] for each in page.all("a")] == [f"#{name}" for name in SECTIONS]
    assert page.all("script") == page.all("link") == []
    for address in ("http:", "https:", "url(", "@import"):
        assert address not in page.source
    for image in page.all("img"):
        assert (image["alt"] or "").endswith(".")
        kind, _, data = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    assert "nan" not in page.text.split()


def test_the_page_is_whole_and_says_what_was_counted(tmp_path: Path) -> None:
    made = columns(3000, 1)
    made["label_time"] = made["timestamp"] + 3 * 86_400_000_000
    page = page_of(tmp_path, made, traps=["amounts are in cents"], licence="CC0")
    check(page)
    assert len(page.all("img")) == 6
    for said in ("made.parquet", "sha256:", "CC0", "amounts are in cents", "3,000", "2024-10-04"):
        assert said in page.text
    assert "No column is flagged." in page.text
    assert "never features" in page.text
    assert "3,000 of 3,000 labels have a time of their own" in page.text


def test_the_same_data_give_the_same_page(tmp_path: Path) -> None:
    made = columns(500, 2)
    assert page_of(tmp_path, made).source == page_of(tmp_path, made).source


def test_what_cannot_be_used_is_counted_by_reason(tmp_path: Path) -> None:
    made = columns(500, 3)
    made["transaction_id"][7] = made["transaction_id"][8]
    made["amount"][9] = np.inf
    page = page_of(tmp_path, made)
    assert "Rows that cannot be used, set aside: 2 (0.40%)." in page.text
    cells = page.cells
    for name, count in (
        ("rows in", "500"),
        ("= rows used", "498"),
        ("+ rows quarantined", "2"),
        ("of these: transaction_id_duplicate", "1"),
        ("of these: amount_not_finite", "1"),
    ):
        assert cells[cells.index(name) + 1] == count


def test_texts_of_the_data_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script>"
    folder = tmp_path / "<b>&amp;"
    folder.mkdir()
    made = columns(3000, 4)
    made["category"] = np.where(made["is_fraud"] == 1, evil, "food")
    made['"><img src=x>'] = made["category"]
    page = page_of(
        folder,
        made,
        categorical=['"><img src=x>'],
        name="<i>recipe</i>",
        description="{{ 7 * 7 }}",
        traps=["<u>"],
        licence="</td>",
    )
    check(page)
    assert evil in page.cells
    assert '"><img src=x>' in page.cells
    assert any(evil in text for text in page.texts if text.startswith("Leak? category"))
    for said in ("<i>recipe</i>: {{ 7 * 7 }}", "<u>", "</td>"):
        assert said in page.cells
    assert "<b>&amp;" in page.text


def test_no_account_counterparty_or_transaction_is_named(tmp_path: Path) -> None:
    made = columns(2000, 5)
    fraud = made["is_fraud"] == 1
    # All of them leak, so that they are talked about.
    made["account_id"] = np.where(fraud, "holder Jane Doe", made["account_id"])
    made["counterparty_id"] = np.where(fraud, "payee Scam Ltd", made["counterparty_id"])
    made["transaction_id"] = [f"{'fraud-id' if f else 'id'}-{i}" for i, f in enumerate(fraud)]
    made["note"] = np.where(fraud, "told by Jane", "-")
    page = page_of(tmp_path, made, report=["note"])
    check(page)
    for column in ("account_id", "counterparty_id", "transaction_id"):
        assert f"Leak? {column}" in page.text
    for name in ("holder", "payee", "fraud-id", "Jane", "Scam"):
        assert name not in page.source


def without(made: Columns, *names: str) -> Columns:
    return {name: values for name, values in made.items() if name not in names}


def first_rows(made: Columns, rows: int) -> Columns:
    return {name: values[:rows] for name, values in made.items()}


EDGES: dict[str, tuple[Columns, str]] = {
    "no label column": (without(columns(900, 6), "is_fraud"), "No transaction is labelled"),
    "one row": (first_rows(columns(900, 6), 1), "All transactions have one time."),
    "two rows": (first_rows(columns(900, 6), 2), "No account has two transactions."),
    "neither": (without(columns(900, 6), "counterparty_id", "category"), "none"),
    "no number": (columns(900, 6) | {"number": np.full(900, np.nan)}, "100.00%"),
    "refunds": (columns(900, 6) | {"amount": -columns(900, 6)["amount"]}, "900"),
    "one amount": (columns(900, 6) | {"amount": np.full(900, 9.5)}, "9.50"),
    "no amount": (columns(900, 6) | {"amount": np.zeros(900)}, "0.00"),
    "huge amounts": (columns(900, 6) | {"amount": np.full(900, 3e38)}, "3e+38"),
    "one time": (columns(900, 6) | {"timestamp": np.full(900, FIRST_US)}, "one time"),
    "only frauds": (columns(900, 6) | {"is_fraud": np.ones(900, np.int8)}, "needs labels"),
    "no frauds": (columns(900, 6) | {"is_fraud": np.zeros(900, np.int8)}, "needs labels"),
    "short": (columns(900, 6, days=9), "The split does not fit: the data span 9 days"),
    "a year": (columns(900, 6, days=365), "by week"),
}


@pytest.mark.parametrize("name", EDGES)
def test_odd_files_have_a_page(name: str, tmp_path: Path) -> None:
    made, said = EDGES[name]
    numeric = ["number"] if "number" in made else []
    page = page_of(tmp_path, made, numeric=numeric)
    check(page)
    assert said in page.text


def test_a_page_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    given = read(tmp_path, columns(50, 7))
    with pytest.raises(InputError, match="cannot be written"):
        write_profile(given, SplitConfig(), 7.0, tmp_path / "nowhere" / "page.html")


@pytest.mark.data
def test_the_handbook_has_a_small_page_soon(tmp_path: Path) -> None:
    given = read_transactions(HANDBOOK, load_recipe("handbook"))
    path = tmp_path / "page.html"
    began = time.monotonic()
    profile = write_profile(given, SplitConfig(), 7.0, path)
    assert time.monotonic() - began < 30
    assert path.stat().st_size < 3_000_000
    check(Page(path.read_text("utf-8")))
    assert {each.column for each in profile.leaks.flagged} == {"fraud_kind"}
    assert profile.statistics.overview.frauds == 14_681
