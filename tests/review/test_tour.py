import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

import nbformat
import pytest
from IPython.display import HTML

from fraudnet.cli import main
from fraudnet.errors import CheckFailed, InputError
from fraudnet.review import tour as tours
from fraudnet.review.notebook import execute_notebook
from fraudnet.review.places import DEFAULT_TOUR
from fraudnet.review.tour import LOG, Tour, begin_tour
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
    shown = text.count('class="jp-OutputArea-child')
    silent = [cell for cell in code_cells() if re.search(r"meanwhile|learning\(", cell.source)]
    assert len(code_cells()) - len(silent) <= shown <= len(code_cells())
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


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Tour]]:
    """Makes a tour whose work has told these lines; with `ended`, and is over."""
    monkeypatch.setattr(tours, "PATIENCE_SECONDS", 0.05)
    folder = TemporaryDirectory(dir=tmp_path)
    with folder:

        def made(*lines: tuple[str, object], ended: bool = False) -> Tour:
            queue: Queue[str | None] = Queue()
            for step, result in lines:
                queue.put(json.dumps({"step": step, "result": result}))
            if ended:
                queue.put(None)
            return Tour(tmp_path / "none.csv", folder, queue)

        yield made


def epoch(number: int) -> tuple[str, object]:
    return "epoch", {"number": number, "of": 3, "loss": 0.5 / number}


def said(shown: HTML | None) -> str:
    assert shown is not None
    return re.sub("<.*?>", "", str(shown.data))


def test_a_cell_says_what_is_being_done_and_nothing_once_it_is(told: Callable[..., Tour]) -> None:
    tour = told(("begun", "the network is converted"))
    assert re.fullmatch(
        r"\d+ s gone by; the network is converted\.", said(tour.meanwhile("artifact"))
    )
    tour.lines.put(json.dumps({"step": "artifact", "result": {}}))
    assert tour.meanwhile("artifact") is None


def test_a_cell_says_how_far_the_training_is(told: Callable[..., Tour]) -> None:
    assert said(told().learning()).endswith("the work begins.")
    assert said(told(epoch(1), epoch(2)).learning()) == "After pass 2 of 3 the loss is 0.2500."
    whole = told(epoch(1), epoch(2), epoch(3))
    assert whole.learning() is None
    assert list(whole.learning_curve().data[0].x) == [1, 2, 3]


def test_every_cell_after_the_work_has_failed_says_why(told: Callable[..., Tour]) -> None:
    tour = told(("network", {}), ended=True)
    (Path(tour.folder.name) / LOG).write_text("first\nno space left on the device\n")
    for cell in (tour.learning, tour.spectra, tour.artifact):
        with pytest.raises(CheckFailed, match="ended early: no space left on the device"):
            cell()
    assert tour.meanwhile("network") is None


@pytest.mark.slow
def test_transactions_that_cannot_be_used_are_named_in_the_cell(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,2\n")
    tour = begin_tour(path)
    with pytest.raises(CheckFailed, match=r"odd\.csv.*transaction_id"):
        tour.windows()
    tour.folder.cleanup()


def test_a_tour_away_from_the_clone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tour", "--html", str(tmp_path / "none" / "tour.html")]) == 2
    assert "make it first" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="run the tour in a clone of fraudnet"):
        begin_tour()
    assert main(["tour", "--html", "tour.html"]) == 2
    assert "run in a clone of fraudnet" in capsys.readouterr().err
