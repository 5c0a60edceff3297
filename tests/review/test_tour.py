import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from fraudnet.review.notebook import execute_notebook
from fraudnet.review.places import DEFAULT_TOUR
from tests.browser import drawn_page

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / DEFAULT_TOUR
TITLES = [
    "What was paid, and when",
    "One window, as the network reads it",
    "Learning",
    "Spectra of the 1x1 layers",
    "Are the probabilities true?",
    "How far from the familiar",
    "Energy on a pixel-8 (counted)",
    "Case ",
]


def code_cells() -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_committed_notebook_is_clean_and_holds_no_logic() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    nbformat.validate(document)
    assert len(code_cells()) >= 10
    for cell in code_cells():
        assert cell.outputs == []
        assert cell.execution_count is None
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, ast.ImportFrom | ast.Assign | ast.Expr)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed notebook, gone through on the sample."""
    page = tmp_path_factory.mktemp("tour") / "tour.html"
    seconds = execute_notebook(NOTEBOOK, page, {})
    print({cell: round(each, 1) for cell, each in seconds.items()}, round(sum(seconds.values()), 1))
    assert list(seconds) == [cell.id for cell in code_cells()]
    return page


@pytest.mark.slow
def test_every_step_is_on_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count('class="jp-OutputArea-child') == len(code_cells())
    for title in TITLES:
        assert f'"text":"{title}' in text
    assert "55,369 transactions of 250 accounts" in text
    assert 'data-mime-type="application/vnd.jupyter.stderr"' not in text
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(?!data:)', text)
    assert text.count("plotly.js v") == 1


@pytest.mark.slow
def test_page_in_a_browser(page: Path, tmp_path: Path) -> None:
    drawn = drawn_page(page, tmp_path, wait_ms=10000)
    titles = re.findall(r'<text class="gtitle".*?>(.*?)</text>', drawn)
    assert len(titles) == len(TITLES)
    for title, expected in zip(titles, TITLES, strict=True):
        assert title.startswith(expected)
    assert "Zoom" in drawn
