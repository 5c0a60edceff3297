import ast
import json
import re
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fraudnet.errors import CheckFailed, InputError
from fraudnet.review.cases import QueueFilter, list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.notebook import execute_notebook, run_cells
from fraudnet.review.verdicts import audit_trail, record_verdict
from tests.browser import browser
from tests.review.conftest import HOSTILE
from tests.review.many_cases import make_many_cases

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "review_flagged_cases.ipynb"
NOTE = "customer <b>denies</b> it"
CELL_LIMIT_S = 5.0
# What an analyst does, in the notebook's own kernel: the desk is the result of the third cell.
CLICKS = """
desk = Out[3]
desk._least_look_s = 0
desk.open.click()
desk.verdict.kind.value = "card testing"
desk.verdict.note.value = "called"
desk.verdict.buttons["confirmed_fraud"].click()
desk.verdict.buttons["false_positive"].click()
desk.verdict.undo.click()
print(desk.status.value)
"""


def environment(database: str) -> dict[str, str]:
    return {"FRAUDNET_CASES": database, "FRAUDNET_REVIEWER": "ana"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> CaseDatabase:
    """The riskiest undecided case is of the account with a hostile name."""
    database = make_many_cases(tmp_path_factory.mktemp("review") / "reviews.sqlite")
    record_verdict(database, 1, "confirmed_fraud", "ben", NOTE)
    queue = list_cases(database, QueueFilter(verdict="undecided"))
    assert queue["account_id"][0] == HOSTILE[0]
    return database


@pytest.fixture(scope="module")
def page(database: CaseDatabase) -> Path:
    """The committed notebook, executed in a kernel of its own."""
    page = Path(database.place).with_name("review.html")
    execute_notebook(NOTEBOOK, page, environment(database.place))
    return page


def test_in_a_kernel_a_verdict_clicked_is_stored_and_undo_undoes(
    database: CaseDatabase, tmp_path: Path
) -> None:
    database = CaseDatabase(shutil.copy(database.place, tmp_path / "reviews.sqlite"))
    before = len(audit_trail(database))
    first, second = list_cases(database, QueueFilter(verdict="undecided"))["case_id"][:2]
    content = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    content.cells.append(nbformat.v4.new_code_cell(CLICKS))  # type: ignore[no-untyped-call]
    run_cells(content, NOTEBOOK, environment(database.place))
    trail = audit_trail(database)[before:].to_dict("records")
    assert [(row["case_id"], row["verdict"], row["kind"]) for row in trail] == [
        (first, "confirmed_fraud", "card testing"),
        (second, "false_positive", ""),
        (second, "undecided", ""),
    ]
    assert (trail[0]["note"], trail[2]["undoes"]) == ("called", trail[1]["verdict_id"])
    for cell in content.cells:
        if cell.cell_type == "code":
            times = cell.metadata.execution
            began, ended = (
                datetime.fromisoformat(times[name])
                for name in ("iopub.execute_input", "iopub.status.idle")
            )
            assert (ended - began).total_seconds() < CELL_LIMIT_S, cell.source


def test_page_shows_the_cases(database: CaseDatabase, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    riskiest = list_cases(database, QueueFilter(verdict="undecided")).iloc[0]
    assert "300 cases from 2024-0" in text
    assert "239 undecided" in text
    assert f"<td>{riskiest['expected_loss']:,.2f}</td>" in text
    assert f'"text":"Case {riskiest["case_id"]}, account ' in text
    assert "<td>Confirmed fraud</td>" in text
    assert "Verdicts are given in a running notebook" in text


def test_page_shows_texts_from_the_store_as_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for hostile in (*HOSTILE[:4], NOTE):
        assert hostile not in text
    assert "customer &lt;b&gt;denies&lt;/b&gt; it" in text
    assert "&lt;script&gt;document.title=" in text


def test_page_needs_no_network_and_no_kernel(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(?!data:)', text)
    assert "default-src 'none'" in text
    assert text.count("plotly.js v") == 1
    assert "widget-view" not in text


def test_page_in_a_browser(page: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as shown:
        shown.open(page.as_uri())
        shown.wait_for("document.querySelectorAll('.plot-container').length >= 4")
        assert shown.evaluate("document.title") == "Review of flagged cases"  # no script ran
        titles = shown.evaluate(
            "[...document.querySelectorAll('.gtitle')].map(each => each.textContent)"
        )
        assert titles[0] == "Cases by probability and amount"
        assert HOSTILE[0][:30] in titles[1]
        assert titles[2] == "What the scorer said of each transaction"
        # One mark a case: a flagged one is shown with the shape of its verdict.
        first = "document.querySelector('.js-plotly-plot')"
        assert shown.evaluate(f"{first}.querySelectorAll('.point').length") == 300
        buttons = shown.evaluate(
            "[...document.querySelectorAll('.modebar-btn')].map(each => each.dataset.title)"
        )
        assert "Zoom" in buttons
        assert not any("loud" in each for each in buttons)  # plotly's own site gets no data
        is_zoomed = f"""Plotly.relayout({first}, {{'xaxis.range': [0.8, 0.9]}}).then(
            () => {first}.layout.xaxis.range[0] === 0.8)"""
        assert shown.evaluate(is_zoomed)
        assert shown.evaluate("document.body.scrollWidth <= window.innerWidth")


def test_failing_cell_leaves_the_old_page_and_the_kernel_is_this_python(tmp_path: Path) -> None:
    source = "import sys; raise ValueError(sys.executable + '\\nsecond line')"
    cell: dict[str, Any] = {
        "cell_type": "code", "id": "only", "source": source, "metadata": {}, "outputs": [],
        "execution_count": None,
    }  # fmt: skip
    document = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook, page = tmp_path / "bad.ipynb", tmp_path / "page.html"
    notebook.write_text(json.dumps(document))
    page.write_text("old")
    with pytest.raises(CheckFailed) as caught:
        execute_notebook(notebook, page, {})
    assert str(caught.value) == f"{notebook}: a cell failed with ValueError: {sys.executable}"
    assert page.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.ipynb", "page.html"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"print(1)", b"\xff\xfe\x00\x01"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.ipynb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.ipynb: not a notebook"):
        execute_notebook(path, tmp_path / "page.html", {})


def test_committed_notebook_is_clean_and_holds_no_logic() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 4
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        for statement in ast.parse("".join(cell["source"])).body:
            assert isinstance(statement, ast.ImportFrom | ast.Assign | ast.Expr)
