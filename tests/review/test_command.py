import argparse
import sys
from pathlib import Path

import pytest

from fraudnet.errors import InputError
from fraudnet.review.command import add_arguments, run

ROOT = Path(__file__).parents[2]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_empty_queue_makes_a_page_that_says_so(
    empty_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT / "tests")  # the notebook is found from below the clone's root
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    page = tmp_path / "review.html"
    assert run(parse("--store", str(empty_path), "--html", str(page))) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("The queue is empty: no transaction was flagged.") == 3
    assert "No verdict was given yet." in text
    assert str(page) in capsys.readouterr().out


def test_missing_notebook_and_missing_directory(
    empty_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = parse("--store", empty_path.name, "--html", "no/page.html", "--notebook", "n.ipynb")
    with pytest.raises(InputError, match=r"n\.ipynb: no such file here .* --notebook FILE"):
        run(arguments)
    (tmp_path / "n.ipynb").write_text("{}")
    with pytest.raises(InputError, match=r"no/page\.html: no directory no; make it first"):
        run(arguments)
    arguments.html = tmp_path
    with pytest.raises(InputError, match="is a directory; name a file in it"):
        run(arguments)


@pytest.mark.parametrize("budget", ["0", "-3", "nan", "inf"])
def test_the_budget_is_a_number_of_alerts(empty_path: Path, tmp_path: Path, budget: str) -> None:
    page = str(tmp_path / "page.html")
    arguments = parse("quality", "--store", str(empty_path), "--html", page, "--budget", budget)
    with pytest.raises(InputError, match=r"--budget .*: expected alerts a day, such as 30"):
        run(arguments)


@pytest.mark.parametrize("option", ["--artifact", "--device-store", "--scores"])
def test_what_the_quality_page_is_made_from_is_refused_before_the_notebook_runs(
    option: str, empty_path: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd"
    odd.write_text("no such thing")
    page = tmp_path / "page.html"
    arguments = ("quality", "--store", str(empty_path), "--html", str(page), option, str(odd))
    with pytest.raises(InputError, match=str(odd)):
        run(parse(*arguments))
    assert not page.exists()


def test_missing_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no case database there"):
        run(parse("--store", str(tmp_path / "none"), "--html", str(tmp_path / "page.html")))


def test_the_page_s_artifact_must_be_there(empty_path: Path, tmp_path: Path) -> None:
    page, artifact = str(tmp_path / "page.html"), str(tmp_path / "none.tflite")
    arguments = parse("--store", str(empty_path), "--html", page, "--artifact", artifact)
    with pytest.raises(InputError, match=r"none\.tflite: not there; give the \.tflite that"):
        run(arguments)


def test_missing_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("fraudnet.review.")]:
        if name != "fraudnet.review.command":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nbclient", None)
    with pytest.raises(InputError, match=r"nbclient.*pip install 'fraudnet\[review\]'"):
        run(parse("--store", "s", "--html", str(tmp_path / "page.html")))
