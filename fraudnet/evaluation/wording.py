"""How figures are written on the page and in the card."""

from collections.abc import Mapping

from fraudnet.evaluation.bootstrap import Estimate, Interval

_COUNTS = (
    "transactions", "compromised_accounts", "genuine_cases", "genuine_unfamiliar_cases",
    "fraud_cases", "fraud_unfamiliar_cases",
)  # fmt: skip
_SPELT = {
    "brier": "Brier",
    "roc auc": "ROC AUC",
    "partial auc": "partial AUC",
    "fpr 1pct": "1 % false positives",
    "fpr 5pct": "5 % false positives",
    "AUC 1 %": "AUC up to 1 %",
    "AUC 5 %": "AUC up to 5 %",
}
_PARTS = ("_low", "_high", "_without_reputation")
DASH = "-"


def label(name: str) -> str:
    """A figure's name as words."""
    words = name.replace("_", " ")
    for before, after in _SPELT.items():
        words = words.replace(before, after)
    return words


def whole_names(figures: Mapping[str, float]) -> list[str]:
    """The figures that are no bound of an interval and no figure without reputation."""
    return [name for name in figures if not name.endswith(_PARTS)]


def value_of(figures: Mapping[str, float], name: str) -> str:
    """A figure of a period; a dash where it is not among them."""
    if name not in figures:
        return DASH
    return f"{figures[name]:,.0f}" if name in _COUNTS else _number(figures[name])


def interval_in(figures: Mapping[str, float], name: str) -> str:
    """The interval of a figure of a period; a dash where there is none."""
    if f"{name}_low" not in figures:
        return DASH
    low, high = (figures[f"{name}_{end}"] for end in ("low", "high"))
    if not 0.1 <= high < 10:  # hours and money, or small shares
        return f"{_number(low)} to {_number(high)}"
    return _interval(Interval(low, high), "{:.3f}")


def estimate(figures: Mapping[str, Estimate], name: str, form: str = "{:.3f}") -> str:
    """A figure of a slice with its interval, both where they are defined."""
    if name not in figures:
        return DASH
    found = figures[name]
    bounds = f" ({_interval(found.interval, form)})" if found.interval else ""
    return form.format(found.value) + bounds


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 9_999.5 else f"{value:,.0f}"


def _interval(given: Interval, form: str) -> str:
    return f"{form.format(given.low)} to {form.format(given.high)}"
