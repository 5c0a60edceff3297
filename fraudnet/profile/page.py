"""The profile as one HTML page: its sections in the order in which a practitioner reads them."""

from fraudnet.profile import sections
from fraudnet.profile.drift import SHIFTED, Drift
from fraudnet.profile.html import html
from fraudnet.profile.leaks import ARTEFACT, GIVEN_AWAY, Evidence, LeakReport
from fraudnet.profile.statistics import Statistics
from fraudnet.profile.tables import Section, Table, or_none, share, short


def page(statistics: Statistics, drift: Drift, leaks: LeakReport) -> str:
    """The page as HTML that needs no other file; every text of the data is escaped."""
    parts = [
        sections.source(statistics, _findings(statistics, drift, leaks)),
        sections.overview(statistics),
        sections.over_time(statistics),
        sections.accounts(statistics),
        sections.amounts(statistics),
        sections.gaps(statistics),
        sections.label_delay(statistics),
        _drift(drift),
        _leaks(leaks),
    ]
    return html(f"Data profile: {statistics.origin.report.source}", parts)


def _findings(statistics: Statistics, drift: Drift, leaks: LeakReport) -> list[str]:
    found = [
        f"Leak? {short(each.column)}, {each.what}: {'; '.join(each.reasons)}."
        for each in _most_telling(leaks.flagged)
        if not each.never_feature
    ]
    found += [
        f"{short(each.column)} has shifted between training and test period (PSI {each.index:.2f})."
        for each in drift.columns
        if each.index >= SHIFTED
    ]
    if drift.note:
        found.append(drift.note)
    report = statistics.origin.report
    if report.rows_quarantined:
        of_all = share(report.rows_quarantined / report.rows_in)
        found.append(
            f"Rows that cannot be used, set aside: {report.rows_quarantined:,} ({of_all})."
        )
    if not statistics.overview.labelled:
        found.append("No transaction is labelled.")
    if statistics.gaps.repeated:
        found.append(
            "Rows that repeat the one before of their account in time, amount and counterparty: "
            f"{statistics.gaps.repeated:,}."
        )
    return found


def _drift(drift: Drift) -> Section:
    title = "Drift from training to test"
    if drift.training is None:
        return Section("drift", title, [drift.note])
    texts = [
        f"Training {drift.training}, {drift.training_rows:,} rows; test {drift.test}, "
        f"{drift.test_rows:,} rows.",
        "PSI is the population stability index over tenths of the training rows, or over "
        f"categories; below 0.1 is held to be stable, from {SHIFTED} on a shift. Without any drift "
        "95 of 100 samples of this size stay below 'by chance'. KS is the largest distance between "
        "the two distribution functions. Weekdays are compared where both periods last a week, "
        "gaps without each account's first row.",
    ]
    rows = [
        (
            short(each.column),
            f"{each.index:.4f}",
            f"{each.index_by_chance:.4f}",
            or_none(each.ks, "{:.3f}"),
            or_none(each.unseen_share, "{:.2%}"),
            share(each.null_training),
            share(each.null_test),
        )
        for each in drift.columns
    ]
    head = ("column", "PSI", "by chance", "KS", "unseen category", "null, training", "null, test")
    flagged = frozenset(i for i, each in enumerate(drift.columns) if each.index >= SHIFTED)
    new = [
        (
            each.of,
            f"{each.seen:,}",
            f"{each.new:,}",
            share(each.new / each.seen) if each.seen else "-",
            share(each.row_share),
        )
        for each in drift.newcomers
    ]
    new_head = ("", "in the test period", "new", "share new", "share of rows")
    return Section(
        "drift",
        title,
        [*filter(None, [drift.note]), *texts],
        tables=[
            Table("Columns. Shares are of the period's rows.", head, rows, flagged=flagged),
            Table("New: without any transaction before the test period.", new_head, new),
        ],
    )


def _leaks(leaks: LeakReport) -> Section:
    title = "Leaks: columns that give the label away alone"
    if not leaks.evidence:
        return Section("leaks", title, [leaks.note])
    flagged = [
        (short(each.column), each.role, each.what, "; ".join(each.reasons))
        for each in leaks.flagged
    ]
    best = _most_telling(leaks.evidence)
    rows = [
        (
            short(each.column),
            each.role,
            each.what,
            or_none(each.roc_auc, "{:.3f}"),
            or_none(each.average_precision, "{:.4f}"),
            share(each.pure_share),
        )
        for each in best
    ]
    base = leaks.test_frauds / leaks.test_rows if leaks.test_rows else 0.0
    texts = [
        *filter(None, [leaks.note]),
        f"Each column is scored alone, fitted on {leaks.training_rows:,} labelled rows "
        f"({leaks.training_frauds:,} frauds) and measured on {leaks.test_rows:,} later ones "
        f"({leaks.test_frauds:,} frauds). A score that tells nothing has a ROC AUC of 0.5 and an "
        f"average precision of the base rate, {base:.4f}.",
        f"Flagged is a ROC AUC from {GIVEN_AWAY} on; from {ARTEFACT} on where it should tell "
        "nothing at all: the order of rows, spelling and order of transaction ids, decimals, "
        "seconds; and a value, or a top of the score, of at least 20 rows that are nearly all "
        "fraud and hold half of the frauds. A flag says look, not guilty.",
        "Report columns and the label's time are never features: no model here reads them, "
        "whatever they give away. Leave them out of any other model too.",
    ]
    found = Table("Flagged.", ("column", "role", "read", "finding"), flagged, words=4)
    head = ("column", "role", "read", "ROC AUC", "average precision", "frauds in pure rows")
    return Section(
        "leaks",
        title,
        [*texts, *([] if flagged else ["No column is flagged."])],
        tables=[
            *([found] if flagged else []),
            Table(
                "Every column by its most telling reading.",
                head,
                rows,
                words=3,
                flagged=frozenset(i for i, each in enumerate(best) if each.reasons),
            ),
        ],
    )


def _most_telling(evidence: list[Evidence]) -> list[Evidence]:
    """Of each column the reading that tells most, the most telling column first."""
    ranked = sorted(
        evidence,
        key=lambda each: (bool(each.reasons), each.roc_auc or 0.0, each.pure_share),
        reverse=True,
    )
    first = {each.column: each for each in reversed(ranked)}
    return [each for each in ranked if first[each.column] is each]
