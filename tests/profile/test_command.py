"""`fraudnet data`: what its users type."""

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fraudnet.cli import main
from fraudnet.transactions.recipe import load_recipe, shipped_recipes

HEADER = "transaction_id,timestamp,account_id,counterparty_id,amount,category,is_fraud\n"


def written(folder: Path, bad: int = 0) -> Path:
    rows = [f"t{n},2024-05-{1 + n % 28:02} 10:00:00,a{n % 9},m{n % 5},{n}.5,food,{n % 10 == 0:d}"
            for n in range(280)]  # fmt: skip
    rows[:bad] = [row.replace(".5,", "x,") for row in rows[:bad]]
    path = folder / "payments.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def test_list_says_of_every_recipe_where_its_data_are_and_what_is_wrong_with_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["data", "list", "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert set(listed) == set(shipped_recipes())
    assert main(["data", "list"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name in shipped_recipes():
        recipe = load_recipe(name)
        for text in (name, recipe.size, recipe.licence, recipe.source, *recipe.traps):
            assert " ".join(text.split()) in shown
        assert listed[name]["traps"] == list(recipe.traps)


def test_check_counts_and_keeps_what_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, bad = written(tmp_path, bad=3), tmp_path / "bad.parquet"
    assert main(["data", "check", str(path), "--quarantine", str(bad), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows_in"], report["rows_used"], report["rows_quarantined"]) == (280, 277, 3)
    assert (report["accounts"], report["counterparties"]) == (9, 5)
    assert pq.read_table(bad)["line"].to_pylist() == [2, 3, 4]
    assert main(["data", "check", str(path)]) == 0
    assert "amount_not_a_number" in capsys.readouterr().out
    assert main(["data", "check", str(path), "--max-bad-share", "0.01"]) == 2
    assert "more than the 1% allowed" in capsys.readouterr().err


def test_check_reads_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(tmp_path / "bank.db") as bank:
        bank.execute(f"create table payments ({HEADER})")
        rows = [row.split(",") for row in written(tmp_path).read_text().splitlines()[1:]]
        bank.executemany("insert into payments values (?, ?, ?, ?, ?, ?, ?)", rows)
    bank.close()
    assert main(["data", "check", f"sqlite:///{tmp_path}/bank.db#payments", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows_used"] == 280


def test_profile_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    given = ["data", "profile", str(written(tmp_path)), "--output", str(page)]
    assert main([*given, "--label-delay-days", "1", "--test-days", "5"]) == 0
    assert str(page) in capsys.readouterr().out
    assert "<html" in page.read_text()
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["statistics"]["overview"]["rows"] == 280
    assert main([*given, "--test-days", "-1"]) == 2
    assert "test_days" in capsys.readouterr().err
    assert main([*given[:4], str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_names_are_text_and_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a[" / "b]"
    folder.mkdir(parents=True)
    path = written(folder)
    text = path.read_text().replace("\n", ",1\n")
    path.write_text(text.replace("is_fraud,1", "is_fraud,km[/hour]\x1b[31m", 1))
    assert main(["data", "check", str(path)]) == 0
    shown = "".join(capsys.readouterr().out.split())
    assert "km[/hour]" in shown
    assert "a[/b]" in shown
    assert "\x1b[31m" not in shown


def test_a_recipe_too_deep_to_read_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "deep.toml"
    recipe.write_text("traps = " + "[" * 5000 + "]" * 5000)
    assert main(["data", "check", str(written(tmp_path)), "--recipe", str(recipe)]) == 2
    assert "is not valid TOML" in capsys.readouterr().err


def test_the_source_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    path = written(folder).rename(folder / "a.jsonl")
    before = path.read_bytes()
    for given in (
        ["check", str(path), "--quarantine", str(path)],
        ["check", str(folder), "--quarantine", str(folder / "bad.parquet")],
        ["profile", str(path), "--output", str(path)],
    ):
        assert main(["data", *given]) == 2
        assert "would overwrite the source" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert list(folder.iterdir()) == [path]
