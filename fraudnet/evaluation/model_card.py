"""The model card: what a network is, for whom, and how well it does, in one Markdown file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined

from fraudnet.evaluation.report import Report
from fraudnet.evaluation.slices import FEWEST_ACCOUNTS
from fraudnet.evaluation.tables import (
    figures_table,
    findings,
    group_tables,
    kinds_table,
    reputation_tables,
    slice_tables,
    unlike,
)
from fraudnet.profile.tables import Table


@dataclass(frozen=True)
class Card:
    """What is known of a network besides its figures.

    Attributes:
        name: of the network.
        version: of fraudnet.
        run_id: of the MLflow run that trained it.
        parameters: how many.
        window_length: transactions that it reads.
        inputs: their names.
        training_period: that the weights were fitted on.
        validation_period: that calibration and threshold were fitted on.
        test_period: that the figures are of.
        label_delay_days: until a label is known.
        recipe: by which the data were read.
        description: of that data set, or nothing.
        licence: likewise.
        traps: what has misled others in it.
        training_rows: of the data set that it was trained on, all periods together.
        training_fingerprint: of that.
        source: name of the data set that it was evaluated on.
        fingerprint: of that.
        left_out: which of its rows were left out, in a sentence.
        shares: how its share of fraud differs from that in use, in sentences.
    """

    name: str
    version: str
    run_id: str
    parameters: int
    window_length: int
    inputs: Sequence[str]
    training_period: str
    validation_period: str
    test_period: str
    label_delay_days: float
    recipe: str
    description: str
    licence: str
    traps: Sequence[str]
    training_rows: int
    training_fingerprint: str
    source: str
    fingerprint: str
    left_out: str
    shares: str


def model_card(report: Report, card: Card) -> str:
    """The card as Markdown; every text of the data is escaped.

    Mitchell, Wu, Zaldivar, Barnes, Vasserman, Hutchinson, Spitzer, Raji and Gebru 2019, "Model
    Cards for Model Reporting", section 4, gives its sections.
    """
    environment = Environment(
        autoescape=False,  # noqa: S701  (Markdown; `cell` escapes)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    template = resources.files(__package__).joinpath("model_card.md.jinja").read_text("utf-8")
    scored, threshold = report.sample.scored, report.sample.threshold
    genuine = scored.is_fraud == 0
    text = environment.from_string(template).render(
        card=card,
        report=report,
        threshold=threshold,
        transactions=len(scored.score),
        frauds=int((~genuine).sum()),
        false_positive_rate=float((scored.score >= threshold)[genuine].mean()),
        figures=figures_table(report),
        tables=[
            *([kinds_table(report)] if report.sample.kinds else []),
            *slice_tables(report),
            *reputation_tables(report),
            *group_tables(report),
        ],
        findings=findings(report),
        unlike=unlike(report),
        fewest_accounts=FEWEST_ACCOUNTS,
        table=_table,
    )
    return re.sub(r"\n{3,}", "\n\n", text.rstrip()) + "\n"


def cell(text: object) -> str:
    """A text that Markdown shows as it is, on one line."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", line)


def _table(table: Table) -> str:
    head = [cell(each) for each in table.head]
    rule = ["---" if at < table.words else "---:" for at in range(len(head))]
    rows = [[cell(each) for each in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
