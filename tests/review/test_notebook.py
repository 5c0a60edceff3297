import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from fraudnet.errors import CheckFailed, InputError
from fraudnet.review.cases import list_cases
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.importing import import_store
from fraudnet.review.notebook import execute_notebook
from fraudnet.review.verdicts import record_verdict
from tests.review.conftest import HOSTILE, make_histories, make_store

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "review_flagged_cases.ipynb"
NOTE = "customer <b>denies</b> it"


def environment(database: str) -> dict[str, str]:
    return {"FRAUDNET_STORE": database, "FRAUDNET_REVIEWER": "ana"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> CaseDatabase:
    """The riskiest undecided case is of the account with a hostile name."""
    folder = tmp_path_factory.mktemp("review")
    database = CaseDatabase(folder / "reviews.sqlite", create=True, gap_hours=0)
    import_store(database, DeviceStore(make_store(folder / "cases.sqlite", make_histories())))
    queue = list_cases(database)
    assert queue["account_id"][0] == "<i>a-5</i>"
    record_verdict(database, int(queue["case_id"][1]), "confirmed_fraud", "ben", NOTE)
    return database


@pytest.fixture(scope="module")
def page(database: CaseDatabase) -> Path:
    """The committed notebook, executed in a kernel of its own."""
    page = Path(database.place).with_name("review.html")
    execute_notebook(NOTEBOOK, page, environment(database.place))
    return page


def test_page_shows_the_cases(database: CaseDatabase, page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    riskiest = list_cases(database).iloc[0]
    assert "30 cases from 2024-06-" in text
    assert "29 undecided" in text
    assert f"<td>{riskiest['expected_loss']:,.2f}</td>" in text
    assert f'"text":"Case {riskiest["case_id"]}, account ' in text
    assert "<td>Confirmed fraud</td>" in text
    assert "Verdicts are given here in a running notebook" in text


def test_page_shows_texts_from_the_store_as_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for hostile in (*HOSTILE[:4], "<i>a-5</i>", NOTE):
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
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        f"--user-data-dir={tmp_path / 'profile'} --virtual-time-budget=5000 --dump-dom"
    )
    command = [browser, *flags.split(), page.as_uri()]
    drawn = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "<title>Review of flagged cases</title>" in drawn  # hostile scripts would change it
    titles = re.findall(r'<text class="gtitle".*?>(.*?)</text>', drawn)
    assert len(titles) == 2
    assert titles[0] == "Cases by probability and amount"
    assert titles[1].endswith("account &lt;i&gt;a-5&lt;/i&gt;")
    assert drawn.count('class="point ') > 30
    buttons = set(re.findall('data-title="(.*?)"', drawn))
    assert "Zoom" in buttons
    assert not any("loud" in button for button in buttons)  # plotly's own site gets no data


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
    assert len(code) >= 6
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        for statement in ast.parse("".join(cell["source"])).body:
            assert isinstance(statement, ast.ImportFrom | ast.Assign | ast.Expr)
