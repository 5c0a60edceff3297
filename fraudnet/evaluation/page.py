"""The evaluation as one HTML page, in the order in which it is decided upon."""

from dataclasses import dataclass

from fraudnet.evaluation.pictures import (
    detection_hours,
    distance_histogram,
    period_pictures,
    slice_recall,
)
from fraudnet.evaluation.report import Report
from fraudnet.evaluation.slices import FEWEST_ACCOUNTS, FEWEST_DEFRAUDED
from fraudnet.evaluation.tables import (
    detection_table,
    figures_table,
    findings,
    group_tables,
    kinds_table,
    reputation_tables,
    slice_tables,
)
from fraudnet.profile.html import html
from fraudnet.profile.tables import Section, Table


@dataclass(frozen=True)
class Made:
    """What was evaluated: a title, and rows of a table, a name and a value each."""

    title: str
    rows: list[tuple[str, str]]


def page(report: Report, made: Made) -> str:
    """The page as HTML that needs no other file; every text of the data is escaped."""
    pictures = period_pictures(report.sample)
    parts = [
        Section("summary", "In short", [_protocol(report)], findings=findings(report)),
        Section("figures", "Figures", [_reading(report)], tables=[figures_table(report)]),
        Section("ranking", "Ranking", pictures=[pictures["precision_recall"], pictures["roc"]]),
        Section("alerts", "Alerts", pictures=[pictures["alerts_a_day"]]),
        _detection(report),
        *([_kinds(report)] if report.sample.kinds else []),
        _slices(report),
        *_reputation(report),
        *_fairness(report),
        Section(
            "scores", "Scores", pictures=[pictures["calibration"], pictures["score_histogram"]]
        ),
        _familiar(report),
        Section("made", "What was evaluated", tables=[Table("", ("", "value"), made.rows, 2)]),
    ]
    return html(f"Evaluation: {made.title}", parts)


def _protocol(report: Report) -> str:
    scored = report.sample.scored
    frauds = int((scored.is_fraud == 1).sum())
    return (
        f"{len(scored.score):,} labelled transactions, {frauds:,} of them frauds on "
        f"{report.defrauded:,} accounts, on {scored.days} days that the network has not seen. "
        f"A transaction is flagged from a probability of {report.sample.threshold:.4g} on, chosen "
        f"before by {report.sample.chosen_by}; {report.sample.alerts_per_day:g} alerts a day can "
        "be looked at."
    )


def _reading(report: Report) -> str:
    return (
        f"Intervals hold 95 of 100 of {report.sample.resamples} samples of whole accounts, drawn "
        "with replacement; they do not cover another training, nor another time. Partial AUC is "
        "standardised (McClish 1989): chance is 0.5, the best 1. Recall at 1 % false positives is "
        "the highest that a threshold reaches which flags at most 1 % of the genuine transactions."
    )


def _detection(report: Report) -> Section:
    text = (
        "From an account's first fraud in the period to its first flagged one. Earlier frauds, "
        "and all those of an account that is never detected, are lost."
    )
    picture = detection_hours(report.detections)
    pictures = [picture] if picture else []
    return Section(
        "detection", "Time to first detection", [text], pictures, [detection_table(report)]
    )


def _kinds(report: Report) -> Section:
    text = (
        f"Kinds of fewer than {FEWEST_ACCOUNTS} accounts are put together, or left out where they "
        "are as few together."
    )
    picture = slice_recall(report.kinds, report.figures["recall_at_alert_budget"])
    pictures = [picture] if picture else []
    return Section("kinds", "Kinds of fraud", [text], pictures, [kinds_table(report)])


def _slices(report: Report) -> Section:
    text = (
        "Average precision depends on the share of fraud, so a slice with fewer frauds has a lower "
        f"one. Intervals are given from {FEWEST_DEFRAUDED} defrauded accounts on. A marked slice "
        "has a recall or an average precision whose interval lies below that of the whole period; "
        "about one in forty does by chance. What was before the data begin is not counted as "
        "history."
    )
    overall = report.figures["recall_at_alert_budget"]
    drawn = [slice_recall(each, overall) for _, each in report.slices if len(each) > 1]
    pictures = [picture for picture in drawn if picture]
    title = "Months, histories and other slices"
    return Section("slices", title, [text], pictures, slice_tables(report))


def _reputation(report: Report) -> list[Section]:
    text = (
        "The same transactions, scored as a device scores that has no snapshot of counterparties, "
        "at the same threshold."
    )
    tables = reputation_tables(report)
    title = "With and without reputation"
    return [Section("reputation", title, [text], tables=tables)] if tables else []


def _familiar(report: Report) -> Section:
    text = (
        f"A transaction is unfamiliar above a distance of {report.sample.distance_threshold:.4g}, "
        "chosen before on genuine validation transactions. How many genuine ones of this period "
        "are, and how many transactions are in each of the four cases, is among the figures."
    )
    return Section("familiar", "Familiar or not", [text], [distance_histogram(report.sample)])


def _fairness(report: Report) -> list[Section]:
    text = (
        "The selection rate is the share of transactions that is flagged, which is a burden to the "
        "customer; recall the share of frauds that is caught, the protection; the false positive "
        "rate the share of genuine transactions that is flagged; precision the share of flags that "
        "is right. Where groups differ in their share of fraud, not all four can be equal "
        "(Chouldechova 2017). Marked is a group with a ratio outside 0.8 to 1.25 (the four-fifths "
        "rule, both ways) whose interval excludes 1. The columns are read for this table alone: "
        "the network is not given them."
    )
    tables = group_tables(report)
    return [Section("fairness", "Groups of customers", [text], tables=tables)] if tables else []
