"""Tables and findings of a report, for the page and for the card."""

from fraudnet.evaluation.bootstrap import Estimate
from fraudnet.evaluation.fairness import COMPARED, Group
from fraudnet.evaluation.further import WITHOUT_REPUTATION
from fraudnet.evaluation.report import Report
from fraudnet.evaluation.slices import FEWEST_DEFRAUDED, Slice
from fraudnet.evaluation.wording import (
    DASH,
    estimate,
    interval_in,
    label,
    value_of,
    whole_names,
)
from fraudnet.profile.tables import Table, short


def figures_table(report: Report) -> Table:
    """Every figure of the period with its interval, beside another network's where given."""
    head = ["", "value", "95 % interval"]
    beside = report.beside
    if beside:
        head += [short(beside.name), "difference"]
    rows = []
    for name in whole_names(report.figures):
        row = [label(name), value_of(report.figures, name), interval_in(report.figures, name)]
        if beside:
            known = name in beside.figures
            more = f"{report.figures[name] - beside.figures[name]:+.4g}" if known else DASH
            if name in beside.differences:
                found = beside.differences[name]
                more += f" ({found.low:+.4g} to {found.high:+.4g})"
            row += [value_of(beside.figures, name), more]
        rows.append(row)
    return Table("The whole period. Shares are 0 to 1; money is in major units.", head, rows)


def detection_table(report: Report) -> Table:
    """Time to first detection."""
    names = report.detections.figures()
    rows = [
        (label(name), value_of(report.figures, name), interval_in(report.figures, name))
        for name in names
    ]
    return Table("Of the compromised accounts.", ("", "value", "95 % interval"), rows)


def kinds_table(report: Report) -> Table:
    """Recall of each kind of fraud."""
    rows = [
        (
            short(each.value),
            f"{each.frauds:,}",
            f"{each.accounts:,}",
            estimate(each.figures, "recall"),
            estimate(each.figures, "value_recall"),
        )
        for each in report.kinds
    ]
    head = ("kind of fraud", "frauds", "accounts", "recall", "value recall")
    return Table("By kind of fraud, at the threshold.", head, rows)


def slice_tables(report: Report) -> list[Table]:
    """One table a grouping; the slices that are served badly are marked."""
    bad = {(each.slice.grouping, each.slice.value) for each in report.shortfalls}
    return [
        Table(
            f"By {short(name)}, at the threshold.",
            (short(name), "transactions", "frauds", "recall", "precision", "average precision"),
            [_slice_row(each) for each in slices],
            flagged=frozenset(
                at for at, each in enumerate(slices) if (each.grouping, each.value) in bad
            ),
        )
        for name, slices in report.slices
    ]


def _slice_row(each: Slice) -> list[str]:
    names = ("recall", "precision", "average_precision")
    return [
        short(each.value),
        f"{each.transactions:,}",
        f"{each.frauds:,}",
        *(estimate(each.figures, name) for name in names),
    ]


def reputation_tables(report: Report) -> list[Table]:
    """With and without the reputation of counterparties; none where it was not measured."""
    if not any(f"{name}_without_reputation" in report.figures for name in WITHOUT_REPUTATION):
        return []
    rows = [
        (
            label(name),
            *(
                form(report.figures, f"{name}{end}")
                for end in ("", "_without_reputation")
                for form in (value_of, interval_in)
            ),
        )
        for name in WITHOUT_REPUTATION
    ]
    head = ("", "with", "95 % interval", "without", "95 % interval")
    return [Table("With and without the reputation of counterparties.", head, rows)]


def group_tables(report: Report) -> list[Table]:
    """One table a group column; groups that are treated unlike the largest one are marked."""
    return [_group_table(name, groups) for name, groups in report.fairness.items()]


def _group_table(name: str, groups: list[Group]) -> Table:
    head = [short(name), "transactions", "frauds"]
    for rate in COMPARED:
        head += [label(rate), "ratio"]
    rows = []
    for group in groups:
        row = [short(group.value), f"{group.transactions:,}", f"{group.frauds:,}"]
        for rate in COMPARED:
            row.append(f"{group.rates[rate]:.4g}" if rate in group.rates else DASH)
            row.append(_ratio(group.ratios, rate))
        rows.append(row)
    flagged = frozenset(at for at, group in enumerate(groups) if group.unlike)
    caption = f"By {short(name)}, the largest group first; ratios are to it."
    return Table(caption, head, rows, flagged=flagged)


def _ratio(ratios: dict[str, Estimate], rate: str) -> str:
    return estimate(ratios, rate, "{:.2f}")


def unlike(report: Report) -> list[str]:
    """Groups of customers that are treated unlike the largest one, each with its ratio."""
    return [
        f"{short(name)} {short(group.value)}, {label(rate)} {_ratio(group.ratios, rate)} times"
        for name, groups in report.fairness.items()
        for group in groups
        for rate in group.unlike
    ]


def findings(report: Report) -> list[str]:
    """What is to be looked at first, a sentence each."""
    found = [
        f"{label(each.figure).capitalize()} is low where {short(each.slice.grouping)} is "
        f"{short(each.slice.value)}: {estimate(each.slice.figures, each.figure)}, over all "
        f"{each.overall:.3f}."
        for each in report.shortfalls
    ]
    found += [f"Treated unlike the largest group: {each}." for each in unlike(report)]
    if report.defrauded < FEWEST_DEFRAUDED:
        found.append(
            f"Only {report.defrauded} accounts have a fraud in the period: all figures, and their "
            "intervals, are rough. Bring a longer period (split.test_days)."
        )
    return found
