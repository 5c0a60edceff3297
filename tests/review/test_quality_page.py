import ast
import html
import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from IPython.display import HTML

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.evaluation.scores import Scores, read_scores, write_scores
from fraudnet.evaluation.thresholds import AlertConfig
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore
from fraudnet.review.notebook import execute_notebook, run_cells
from fraudnet.review.quality_page import NO_CASES, NO_PAIR, NO_VERDICTS, Quality
from fraudnet.review.quality_panel import WhatIfPanel
from fraudnet.review.quality_sources import open_quality
from fraudnet.review.verdicts import record_verdict
from fraudnet.review.what_if import what_if
from tests.browser import drawn_page
from tests.review.conftest import DAY_US, HOSTILE, make_histories, make_store
from tests.review.quality_team import NOW_US, make_team

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "alert_quality.ipynb"
CONTRACT = {
    "threshold": {"precision": 0.83, "terms": {"per_day": 30.0}},
    "ood_quantiles": {"0.5": 4.4, "0.9": 6.6, "0.99": 8.9, "0.999": 10.9},
}
SECTIONS = (
    "precision_by_week", "alerts_per_day", "waiting_summary", "drift_of_alerts", "what_if",
    "group_precision",
)  # fmt: skip
FURTHER = (
    "precision_by_part", "precision_table", "waiting_figure", "drift_of_alerts_table",
    "group_precision_table", "agreement_table",
)  # fmt: skip


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> CaseDatabase:
    return make_team(tmp_path_factory.mktemp("page") / "reviews.sqlite")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("device") / "cases.sqlite", make_histories())


@pytest.fixture(scope="module")
def quality(team: CaseDatabase, store: Path) -> Quality:
    return Quality(team, CONTRACT, (DeviceStore(store),), None, "region", None, NOW_US)


@pytest.fixture(scope="module")
def page(team: CaseDatabase, store: Path) -> Path:
    """The committed notebook, executed in a kernel of its own."""
    page = store.with_name("quality.html")
    environment = {
        "FRAUDNET_CASES": team.place, "FRAUDNET_DEVICE_STORES": str(store),
        "FRAUDNET_GROUP": "region", "FRAUDNET_BUDGET": "12",
    }  # fmt: skip
    execute_notebook(NOTEBOOK, page, environment)
    return page


def text_of(shown: object) -> str:
    assert isinstance(shown, HTML)
    return str(shown.data)


def test_every_figure_draws_what_its_function_says(quality: Quality) -> None:
    figure = quality.precision_by_week()
    assert isinstance(figure, go.Figure)
    (precision,) = [trace for trace in figure.data if trace.name.startswith("precision")]
    weekly = quality.flags[quality.flags["is_alert"] & (quality.flags["is_fraud"] >= 0)]
    assert list(precision.y) == pytest.approx(weekly.groupby("week")["is_fraud"].mean().tolist())
    notes = [note.text for note in figure.layout.annotations]
    assert " validation 83%" in notes
    figure = quality.alerts_per_day()
    assert isinstance(figure, go.Figure)
    assert sum(sum(trace.y) for trace in figure.data if trace.type == "bar") == 300
    assert [note.text for note in figure.layout.annotations] == [" budget 30 a day"]
    figure = quality.agreement_figure()
    assert isinstance(figure, go.Figure)
    assert sum(int(text) for trace in figure.data for text in trace.text) == 77
    assert "77" in text_of(quality.agreement_table())
    for section in (quality.waiting_figure, quality.drift_of_alerts, quality.drift_of_all,
                    quality.distances, quality.group_precision):  # fmt: skip
        assert isinstance(section(), go.Figure)
    assert "<td>for learning</td>" in text_of(quality.precision_table())
    assert "<td>shifted</td>" in text_of(quality.drift_of_alerts_table())
    assert "has a column &#x27;region&#x27;" in text_of(quality.group_alert_rate())


def test_untrusted_names_are_no_markup(quality: Quality) -> None:
    shown = ""
    for section in (*SECTIONS, *FURTHER, "summary", "agreement_figure"):
        found = getattr(quality, section)()
        if isinstance(found, go.Figure):
            shown += str(found.to_json())
        else:
            shown += str(found._repr_mimebundle_()) if section == "what_if" else text_of(found)
    for hostile in (*HOSTILE[:4], "<b>ben</b>"):
        assert hostile not in shown
        assert hostile.replace("<", "\\u003c").replace(">", "\\u003e") not in shown
    assert "&lt;b&gt;ben&lt;/b&gt;" in shown


def test_empty_database_says_so_in_every_part(empty_path: Path) -> None:
    quality = Quality(CaseDatabase(empty_path), group="region")
    for section in (*SECTIONS, "summary"):
        assert html.escape(NO_CASES) in text_of(getattr(quality, section)())
    for section in FURTHER:  # the cell before has said it
        assert text_of(getattr(quality, section)()) == '<p class="tex2jax_ignore"></p>'
    assert NO_PAIR in text_of(quality.agreement_figure())
    for section, variable in (
        ("drift_of_all", "DEVICE_STORES"), ("distances", "ARTIFACT"), ("group_alert_rate", "GROUP")
    ):  # fmt: skip
        assert f"FRAUDNET_{variable}" in text_of(getattr(quality, section)())
    assert "FRAUDNET_GROUP" in text_of(Quality(quality.database).group_precision())


def test_database_without_verdicts_says_so(database: CaseDatabase) -> None:
    quality = Quality(database, group="distance")
    for section in ("precision_by_week", "what_if", "group_precision"):
        assert text_of(getattr(quality, section)()).count(NO_VERDICTS) == 1
    assert "0 have a verdict" in text_of(quality.summary())
    assert "not yet: nine in ten have one; 30 are open" in text_of(quality.waiting_summary())
    assert isinstance(quality.waiting_figure(), go.Figure)
    assert "50 of each are needed" in text_of(quality.drift_of_alerts())
    record_verdict(database, 1, "suspicious", "ana")  # says neither
    again = Quality(database, group="distance")
    assert NO_VERDICTS in text_of(again.precision_by_week())
    record_verdict(database, 2, "false_positive", "ana")
    once = Quality(database, group="distance")
    assert isinstance(once.precision_by_week(), go.Figure)
    assert isinstance(once.group_precision(), go.Figure | HTML)
    assert isinstance(once.what_if(), WhatIfPanel)


def test_costs_are_set_in_the_panel(quality: Quality) -> None:
    panel = WhatIfPanel(quality.flags, AlertConfig())
    assert "set what a review costs" in panel.text.value
    panel.fields["review_cost"].value = 40
    panel.fields["recovered"].value = 0.5
    expected = what_if(quality.flags, AlertConfig(review_cost=40, recovered=0.5))
    assert expected is not None
    best = expected.table["saved"].max()
    assert f"{best:,.2f} saved a day" in panel.text.value
    ((name, drawn),) = panel.picture.outputs[0]["data"].items()
    assert name == "application/vnd.plotly.v1+json"
    (saved,) = [trace for trace in drawn["data"] if str(trace.get("name")).startswith("saved")]
    assert saved["hovertemplate"].startswith("saved")
    panel.fields["review_cost"].value = -3  # the field keeps to its range
    assert panel.fields["review_cost"].value == 0


def test_all_transactions_are_compared_with_the_scores_of_the_training(
    quality: Quality, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    count = 2000
    trained = Scores(
        np.arange(count), np.zeros(count, np.int32), rng.integers(0, DAY_US, count),
        rng.lognormal(3, 0.5, count), np.zeros(count, np.int8),
        rng.uniform(0, 0.2, count).astype(np.float32),
        (10 + rng.gamma(9, 0.5, count)).astype(np.float32), "f", "p", 0.3,
    )  # fmt: skip
    write_scores(trained, tmp_path / "scores.parquet")
    scores = read_scores(tmp_path / "scores.parquet")
    again = Quality(quality.database, stores=quality.stores, scores=scores)
    figure = again.drift_of_all()
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text.startswith("All transactions of the training against")
    rows = text_of(again.drift_of_all_table()).split("<tr")
    assert "<td>distance</td>" in rows[2].replace("\n", "")
    assert "<td>shifted</td>" in rows[2]


def test_command_passes_on_what_it_is_told(
    team: CaseDatabase, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(
        "fraudnet.review.notebook.execute_notebook", lambda *all_: told.extend(all_)
    )
    monkeypatch.chdir(ROOT / "tests")
    page = tmp_path / "quality.html"
    command = f"review quality --store {team.place} --html {page} --device-store {store} --budget 7"
    assert main(command.split()) == 0
    notebook, written, environment = told
    assert (notebook, written) == (NOTEBOOK, page)
    assert environment == {
        "FRAUDNET_CASES": team.place, "FRAUDNET_DEVICE_STORES": str(store),
        "FRAUDNET_BUDGET": "7.0",
    }  # fmt: skip
    assert open_quality(environment).budget == 7
    assert main([*command.split(), "--artifact", "none.tflite"]) == 2


def test_environment_names_what_there_is(
    team: CaseDatabase, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"FRAUDNET_CASES": team.place, "FRAUDNET_DEVICE_STORES": f"{store}:{store}"}
    quality = open_quality({**given, "FRAUDNET_BUDGET": "7.5", "FRAUDNET_GROUP": ""})
    assert (quality.budget, quality.group, quality.contract) == (7.5, None, None)
    assert len(quality.transactions) == 250
    for name, value, problem in (
        ("FRAUDNET_BUDGET", "many", "FRAUDNET_BUDGET is 'many'; expected alerts a day"),
        ("FRAUDNET_ARTIFACT", "no.tflite", "no.tflite: no such file .* FRAUDNET_ARTIFACT"),
        ("FRAUDNET_ARTIFACT", str(store), "cases.sqlite: "),
        ("FRAUDNET_SCORES", str(store), "no scores can be read"),
        ("FRAUDNET_DEVICE_STORES", "none.sqlite", "none.sqlite: no such file"),
        ("FRAUDNET_CASES", "none.sqlite", "none.sqlite: no such file"),
    ):
        with pytest.raises(InputError, match=problem):
            open_quality({**given, name: value})


def test_without_variables_it_opens_the_demo_s(
    team: CaseDatabase, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "build" / "demo").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    with pytest.raises(InputError, match=r"build/demo/reviews\.sqlite: no such file"):
        open_quality({})
    shutil.copy(team.place, tmp_path / "build/demo/reviews.sqlite")
    assert open_quality({}).stores == ()
    shutil.copy(store, tmp_path / "build/demo/cases.sqlite")
    assert len(open_quality({}).transactions) == 250
    assert open_quality({"FRAUDNET_CASES": team.place}).stores == ()


def test_page_shows_every_part_and_its_texts_as_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "250 alerts and 50 transactions chosen for learning" in text
    assert "Precision of the alerts so far: 66% (59% to 73%)" in text
    assert text.count("Plotly.newPlot") >= 9
    assert text.count("plotly.js v") == 1
    assert "widget-view" not in text
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]*\s(?:src|href)="(?!data:)', text)
    for hostile in (*HOSTILE[:4], "<b>ben</b>"):
        assert hostile not in text


def test_page_in_a_browser(page: Path, tmp_path: Path) -> None:
    drawn = drawn_page(page, tmp_path, wait_ms=5000)
    assert "<title>Quality of the alerts</title>" in drawn  # hostile scripts would change it
    titles = re.findall(r'<text class="gtitle".*?>(.*?)</text>', drawn)
    assert titles == [
        "Precision of alerts by week", "Precision of parts of the alerts", "Flags that both judged",
        "Alerts a day", "Time to verdict",
        "Alerts until 2024-06-28 against those from 2024-06-29 on",
        "All transactions until 2024-06-17 against those from 2024-06-17 on",
        "What another threshold would bring", "Precision by group",
    ]  # fmt: skip
    assert "verdict of &lt;b&gt;ben&lt;/b&gt;" in drawn
    buttons = set(re.findall('data-title="(.*?)"', drawn))
    assert "Zoom" in buttons
    assert not any("loud" in button for button in buttons)


@pytest.mark.slow
def test_no_cell_takes_five_seconds(team: CaseDatabase, store: Path) -> None:
    content: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    named = {"FRAUDNET_CASES": team.place, "FRAUDNET_DEVICE_STORES": str(store)}
    run_cells(content, NOTEBOOK, named)
    seconds = [
        (
            datetime.fromisoformat(cell.metadata.execution["shell.execute_reply"])
            - datetime.fromisoformat(cell.metadata.execution["iopub.execute_input"])
        ).total_seconds()
        for cell in content.cells
        if cell.cell_type == "code"
    ]
    assert len(seconds) > 15
    assert max(seconds) < 5


def test_committed_notebook_is_clean_and_holds_no_logic() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    nbformat.validate(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        for statement in ast.parse("".join(cell["source"])).body:
            assert isinstance(statement, ast.ImportFrom | ast.Assign | ast.Expr)
