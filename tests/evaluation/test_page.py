"""The page and the card: whole, escaped, and with the figures that they were given."""

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from fraudnet.evaluation.calibration import Predicted
from fraudnet.evaluation.comparison import Difference
from fraudnet.evaluation.further import figures_with_intervals, without_reputation
from fraudnet.evaluation.model_card import Card, cell, model_card
from fraudnet.evaluation.page import Made, page
from fraudnet.evaluation.report import Beside, Report, Sample, report_of
from fraudnet.evaluation.slices import Grouping, pooled
from fraudnet.evaluation.tables import findings
from fraudnet.evaluation.wording import interval_in
from tests.evaluation.made import scored
from tests.profile.test_page import Page

NASTY = "<script>alert(1)</script> $x_1$ | *b*"
THRESHOLD = 0.7
SECTIONS = [
    "Model details", "Intended use", "Factors", "Metrics", "Training data", "Evaluation data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
]  # fmt: skip


def made_report(*, bare: bool = False, beside: Beside | None = None) -> Report:
    rows = scored(count=3_000, accounts=300)
    rng = np.random.default_rng(1)
    group = rng.integers(0, 3, 300)[rows.account]
    kind = np.where(rows.is_fraud == 1, rng.integers(0, 2, 3_000), -1)
    groups = [pooled("band", ["young", "old", NASTY], group, rows.account)]
    figures = figures_with_intervals(rows, THRESHOLD, 30, 10, 40, 0)
    if not bare:
        worse = replace(rows, score=rows.score / 2)
        figures |= without_reputation(worse, THRESHOLD, 40, 0)
    sample = Sample(
        scored=rows,
        predicted=Predicted(rows.is_fraud, np.ones(3_000), rows.score, rows.score),
        threshold=THRESHOLD,
        distance=rng.gamma(9, 0.5 + rows.is_fraud, 3_000),
        distance_threshold=8.0,
        chosen_by="alert budget",
        alerts_per_day=30,
        earlier=rng.integers(0, 50, 3_000),
        features=[] if bare else [pooled("category", ["food", "fuel"], group - 1, rows.account)],
        kinds=None if bare else Grouping("kind of fraud", ("stolen", NASTY), kind),
        groups=[] if bare else groups,
        resamples=40,
        seed=0,
    )
    return report_of(sample, figures, beside)


def made_card() -> Card:
    return Card(
        name="fraudnet, mine",
        version="1.2.3",
        run_id="abc",
        parameters=12_345,
        window_length=77,
        inputs=["amount", "day"],
        training_period="2025-01-01 00:00 .. 2025-02-01 00:00",
        validation_period="2025-02-08 00:00 .. 2025-02-15 00:00",
        test_period="2025-02-22 00:00 .. 2025-03-01 00:00",
        label_delay_days=7.0,
        recipe="mine",
        description=f"Mine. {NASTY}",
        licence="CC0",
        traps=["labels are late", NASTY],
        training_rows=99_999,
        training_fingerprint="sha256:aa",
        source=NASTY,
        fingerprint="sha256:bb",
        left_out="",
        shares="",
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return made_report()


@pytest.fixture(scope="module")
def shown(report: Report) -> Page:
    return Page(page(report, Made(NASTY, [("inputs", NASTY)])))


@pytest.fixture(scope="module")
def card(report: Report) -> str:
    return model_card(report, made_card())


def test_the_page_needs_no_other_file(shown: Page) -> None:
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "link", "iframe"})
    images = shown.all("img")
    assert len(images) >= 9
    for image in images:
        assert image["alt"]
        head, data = str(image["src"]).split(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    links = {str(link["href"]) for link in shown.all("a")}
    assert links == {f"#{section['id']}" for section in shown.all("section")}


def test_the_page_shows_every_figure_once(report: Report, shown: Page) -> None:
    cells = [text.strip() for text in shown.cells]
    for name in ("average_precision", "recall_at_alert_budget"):
        at = cells.index(name.replace("_", " "))
        assert cells[at + 1] == f"{report.figures[name]:,.4g}"
        low, high = (report.figures[f"{name}_{end}"] for end in ("low", "high"))
        assert cells[at + 2] == f"{low:.3f} to {high:.3f}"
    assert "ROC AUC" in cells
    for value in ("young", "old", NASTY, "food", "stolen", "2024-10"):
        assert any(value in text for text in cells), value
    assert "partial AUC up to 1 % false positives" in cells


def test_distances_of_frauds_and_of_the_genuine_are_told_apart(report: Report, shown: Page) -> None:
    sample = report.sample
    (alt,) = [str(i["alt"]) for i in shown.all("img") if str(i["alt"]).startswith("Distances")]
    for name, value in (("genuine", 0), ("fraud", 1)):
        above = sample.distance[sample.scored.is_fraud == value] > 8
        assert 0 < above.mean() < 1
        assert f"{above.mean():.2%} of {name}" in alt
    assert "familiar" in {str(section["id"]) for section in shown.all("section")}


def test_bad_slices_and_unlike_groups_are_found(report: Report) -> None:
    given = report
    rows = given.sample.scored
    young = given.sample.groups[0].code == 0
    blind = replace(rows, score=np.where(young & (rows.is_fraud == 1), 0.0, rows.score))
    figures = figures_with_intervals(blind, THRESHOLD, 30, 10, 40, 0)
    found = findings(report_of(replace(given.sample, scored=blind), figures))
    assert "Recall is low where band is young: 0.000 (0.000 to 0.000)" in " ".join(found)
    assert re.search(r"Treated unlike the largest group: band young, recall 0\.00", " ".join(found))


@pytest.fixture(scope="module")
def bare() -> Report:
    """Nothing is declared, and another network stands beside."""
    figures = {"average_precision": 0.25, "roc_auc": 0.5}
    found = Difference(0.25, 0.5, -0.125, 0.75)
    return made_report(bare=True, beside=Beside("champion", figures, {"roc_auc": found}))


@pytest.fixture(scope="module")
def bare_page(bare: Report) -> Page:
    return Page(page(bare, Made("", [])))


def test_another_networks_figures_stand_beside(bare: Report, bare_page: Page) -> None:
    cells = [text.strip() for text in bare_page.cells]
    at = cells.index("average precision")
    assert cells[at + 3] == "0.25"
    assert cells[at + 4] == f"{bare.figures['average_precision'] - 0.25:+.4g}"
    assert cells[cells.index("ROC AUC") + 4].endswith(" (-0.125 to +0.75)")
    at = cells.index("recall at alert budget")
    assert cells[at + 3 : at + 5] == ["-", "-"]
    assert "champion" in cells
    assert "| champion |" in model_card(bare, made_card())


def test_what_is_not_declared_is_not_shown(bare: Report, bare_page: Page) -> None:
    sections = {section["id"] for section in bare_page.all("section")}
    assert sections.isdisjoint({"kinds", "fairness", "reputation"})
    text = model_card(bare, made_card())
    assert "No group of customers was declared" in text
    assert "without reputation" not in text


def test_few_defrauded_accounts_are_warned_of(bare: Report) -> None:
    rows = bare.sample.scored
    kept = np.unique(rows.account[rows.is_fraud == 1])[:4]
    few = replace(rows, is_fraud=np.where(np.isin(rows.account, kept), rows.is_fraud, 0))
    figures = figures_with_intervals(few, THRESHOLD, 30, 10, 40, 0)
    found = report_of(replace(bare.sample, scored=few), figures)
    assert any("Only 4 accounts have a fraud in the period" in each for each in findings(found))
    assert "Only 4 accounts have a fraud" in model_card(found, made_card())


def test_findings_come_first_on_the_page(report: Report, shown: Page) -> None:
    first = [*findings(report), "labelled transactions"]
    assert [shown.text.index(each) for each in first] == sorted(map(shown.text.index, first))


def test_the_card_has_the_sections_of_the_paper(card: str) -> None:
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == SECTIONS
    assert card.startswith("# Model card: fraudnet, mine\n")
    assert card.endswith("flagged.\n")
    assert "12,345 parameters" in card
    assert "99,999 transactions" in card


def test_the_card_has_the_figures_of_the_report(report: Report, card: str) -> None:
    for name in ("average_precision", "recall_at_alert_budget"):
        assert f"| {name.replace('_', ' ')} | {report.figures[name]:,.4g} |" in card
    genuine = report.sample.scored.is_fraud == 0
    false_alarms = (report.sample.scored.score >= THRESHOLD)[genuine].mean()
    assert f"Here {false_alarms:.4g} of the genuine" in card


def test_the_cards_tables_are_whole_and_its_texts_are_escaped(card: str) -> None:
    assert "<script>" not in card
    assert card.count(cell(NASTY)) >= 5
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(columns) == 1


def test_a_cell_stays_on_its_line() -> None:
    assert cell("a\nb | c_d") == "a b \\| c\\_d"


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.25, 0.5, "0.250 to 0.500"),
        (0.0016, 0.00214, "0.0016 to 0.00214"),
        (9.5, 9_999.7, "9.5 to 10,000"),
        (1_234.56, 1_234_567.8, "1,235 to 1,234,568"),
    ],
)
def test_an_interval_is_told_to_as_many_digits_as_it_needs(
    low: float, high: float, shown: str
) -> None:
    assert interval_in({"it_low": low, "it_high": high}, "it") == shown
