"""The sections of the page on what was counted: from the source to the label delay."""

from fraudnet.profile import figures
from fraudnet.profile.statistics import Statistics
from fraudnet.profile.tables import (
    Section,
    Table,
    frequent_table,
    quantile_table,
    share,
    short,
)


def source(statistics: Statistics, findings: list[str]) -> Section:
    """How the file was read, and what to look at first."""
    origin, report = statistics.origin, statistics.origin.report
    rows = [
        ("recipe", ": ".join(filter(None, (origin.recipe, origin.description)))),
        ("licence", origin.licence or "not given"),
        ("fingerprint", origin.fingerprint),
        ("rows in", f"{report.rows_in:,}"),
        ("= rows used", f"{report.rows_used:,}"),
        ("+ rows quarantined", f"{report.rows_quarantined:,}"),
        *((f"of these: {reason}", f"{count:,}") for reason, count in report.reasons.items()),
        ("declared, not in the source", ", ".join(report.absent) or "none"),
        ("in the source, not declared", ", ".join(report.unread) or "none"),
        *(("known trap", trap) for trap in origin.traps),
    ]
    table = Table("How the file was read.", (), rows, words=2)
    return Section("source", "Source", tables=[table], findings=findings)


def overview(statistics: Statistics) -> Section:
    """Span, size, columns and categories."""
    data = statistics.overview
    fraud = f", {data.frauds / data.labelled:.3%} of the labelled" if data.labelled else ""
    rows = [
        ("first", f"{data.first:%Y-%m-%d %H:%M:%S} UTC"),
        ("last", f"{data.last:%Y-%m-%d %H:%M:%S} UTC"),
        ("days", f"{data.days:,.1f}"),
        ("times are whole multiples of a", data.resolution),
        ("transactions", f"{data.rows:,}"),
        ("labelled", f"{data.labelled:,} ({share(data.labelled / data.rows)})"),
        ("frauds", f"{data.frauds:,}{fraud}"),
        ("accounts", f"{data.accounts:,}"),
        ("counterparties", f"{data.counterparties:,}" if data.counterparties else "none"),
        ("categories", f"{data.categories:,}" if data.categories else "none"),
    ]
    columns = [
        (short(each.name), each.role, share(each.null_share), f"{each.distinct:,}")
        for each in data.columns
    ]
    head = ("column", "role", "null", "different values")
    tables = [
        Table("Span and size.", (), rows, words=2),
        Table("Columns.", head, columns, words=2),
    ]
    if data.frequent_categories:
        tables.append(
            frequent_table("The most frequent categories.", data.frequent_categories, data.rows)
        )
    return Section("span", "Span and size", tables=tables)


def over_time(statistics: Statistics) -> Section:
    """Fraud rate, transactions a day and unlabelled share."""
    data = statistics.over_time
    rate = figures.fraud_rate(data)
    return Section(
        "time",
        "Over time",
        [] if rate else ["No transaction is labelled, so there is no fraud rate."],
        [*filter(None, [rate]), figures.transactions(data)],
    )


def accounts(statistics: Statistics) -> Section:
    """How many transactions an account has."""
    data = statistics.activity
    text = f"{share(data.single_share)} of the accounts have a single transaction."
    caption = "Transactions an account."
    picture = figures.counts(data.histogram, "transactions of the account", "accounts", caption)
    return Section(
        "accounts",
        "Transactions an account",
        [text],
        [picture],
        [quantile_table("Quantiles over the accounts.", data.quantiles, "{:,.0f}".format)],
    )


def amounts(statistics: Statistics) -> Section:
    """Genuine and fraudulent amounts."""
    data = statistics.amounts
    pictures = []
    if data.histogram:
        caption = "Amounts other than 0, without their sign."
        pictures = [figures.shares(data.histogram, "amount, major units", caption, log=True)]
    signs = [
        (
            name,
            f"{rows:,}",
            *(f"{n:,} ({share(n / rows)})" for n in (data.negative[name], data.zero[name])),
        )
        for name, rows in data.rows.items()
    ]
    return Section(
        "amounts",
        "Amounts",
        pictures=pictures,
        tables=[
            quantile_table("Amount in major units, with its sign.", data.quantiles),
            Table("Signs.", ("", "rows", "negative", "zero"), signs),
            frequent_table("The most frequent amounts.", data.frequent, statistics.overview.rows),
        ],
    )


def gaps(statistics: Statistics) -> Section:
    """Time since the account's transaction before."""
    data = statistics.gaps
    if not data.quantiles:
        return Section("gaps", "Time between transactions", ["No account has two transactions."])
    longest = data.quantiles["hours"][-1]
    texts = [
        f"{data.simultaneous:,} transactions are at the very time of the account's one before, "
        f"{data.repeated:,} of them with its amount and counterparty too. The longest gap is "
        f"{longest / 24:,.1f} days."
    ]
    pictures = []
    if data.histogram:
        caption = "Time since the account's transaction before, where it is not 0."
        pictures = [figures.shares(data.histogram, "hours", caption, log=True)]
    table = quantile_table("Hours since the account's transaction before.", data.quantiles)
    return Section("gaps", "Time between transactions", texts, pictures, [table])


def label_delay(statistics: Statistics) -> Section:
    """Time from a transaction to its label."""
    data = statistics.label_delay
    constant = f"{data.constant_days:g} days after the transaction"
    if not data.with_time:
        text = f"No label has a time of its own: each is taken to be known {constant}."
        return Section("delay", "Label delay", [text])
    text = (
        f"{data.with_time:,} of {data.labelled:,} labels have a time of their own; the others are "
        f"taken to be known {constant}."
    )
    caption = "Label delay: from the transaction to its label."
    pictures = (
        [figures.shares(data.histogram, "days", caption, log=False)] if data.histogram else []
    )
    table = quantile_table("Label delay in days.", data.quantiles)
    return Section("delay", "Label delay", [text], pictures, [table])
