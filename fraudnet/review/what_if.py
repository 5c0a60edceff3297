"""What another threshold would bring: alerts a day, precision, recall and money."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudnet.evaluation.bootstrap import interval_of, resampled
from fraudnet.evaluation.metrics import Scored
from fraudnet.evaluation.thresholds import AlertConfig, Decided, consequences
from fraudnet.review.quality import ends
from fraudnet.review.sampled import Reviewed, sampled_figures

_CUTS = 60  # thresholds that are looked at
_RESAMPLES = 100
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class WhatIf:
    """Thresholds with what follows from them.

    Attributes:
        table: one row a threshold, ascending: threshold, alerts_per_day, precision with
            precision_low and precision_high, recall with recall_low and recall_high (NaN where
            nothing was drawn at random), saved (money a day) with saved_low and saved_high, gain
            (of that over the present threshold) with gain_low and gain_high.
        present: the threshold of the newest flag.
        at_present: the row of `table` that flags what it flags.
        artifact: of the newest flag; other artifacts' scores mean something else.
        left_out: flags of other artifacts.
        decided: transactions with a label.
        drawn: of these, those below the present threshold that were drawn at random.
    """

    table: pd.DataFrame
    present: float
    at_present: int
    artifact: str
    left_out: int
    decided: int
    drawn: int


def what_if(flags: pd.DataFrame, terms: AlertConfig) -> WhatIf | None:
    """What follows from each threshold, estimated from the verdicts.

    Each transaction counts for as many as it stands for; one without a label hands its weight to
    those of its kind (see `sampled_figures`, whose intervals these are; those of the money are of
    accounts drawn anew). Below the present threshold only those that were drawn at random say
    something of all; without any, thresholds below it, and recall, are not estimated.

    Args:
        flags: of `flags_with_verdicts`.
        terms: what alerts cost and save.

    Returns:
        None where no alert of the newest artifact has a label.
    """
    if flags.empty:
        return None
    newest = flags.iloc[-1]
    own = flags[flags["artifact"] == newest["artifact"]]
    present = float(newest["threshold"])
    decided = _weighed(own)
    if not decided["is_alert"].any():
        return None
    below = ~decided["is_alert"]
    drawn = int((below & (decided["reason"] == "random")).sum())
    if not drawn:
        decided = decided[~below]
    given = _decided(decided, own["timestamp"])
    found = consequences(given, terms)
    # Flagging all that was drawn would say nothing of what lies below the last of it.
    last = max(1, len(found.probability) - (2 if drawn else 1))
    now = min(decided.loc[decided["is_alert"], "fraud_probability"].nunique(), last)
    cuts = np.unique([*np.linspace(1, last, _CUTS).round().astype(int), now])[::-1]
    table = pd.DataFrame(
        {
            "threshold": found.probability[cuts],
            "alerts_per_day": found.alerts_per_day[cuts],
            "saved": found.money_saved_per_day[cuts],
        }
    )
    at_present = int(np.flatnonzero(cuts == now)[0])
    table["gain"] = table["saved"] - table["saved"][at_present]
    table = table.join(_money_intervals(given, terms, cuts, at_present))
    table = table.join(_rates(given, table["threshold"], estimable=bool(drawn)))
    return WhatIf(
        table, present, at_present, str(newest["artifact"]), len(flags) - len(own), len(decided),
        drawn,
    )  # fmt: skip


def _decided(flags: pd.DataFrame, timestamps: "pd.Series[pd.Timestamp]") -> Decided:
    """Flags with a label, on the days that the timestamps span."""
    scored = Scored(
        flags["fraud_probability"].to_numpy(float),
        flags["is_fraud"].to_numpy(np.int8),
        np.zeros(len(flags), np.int64),  # no figure here is of single days
        pd.factorize(flags["account_id"])[0].astype(np.int64),
        flags["amount"].to_numpy(float),
    )
    days = float((timestamps.max().ceil("D") - timestamps.min().floor("D")) / _DAY)
    return Decided(scored, flags["weight"].to_numpy(float), max(days, 1.0))


def _weighed(flags: pd.DataFrame) -> pd.DataFrame:
    """Those with a label; each hands on the weight of those of its kind that have none."""
    kinds = [flags["is_alert"], flags["reason"]]
    labelled = flags["is_fraud"] >= 0
    whole = flags["weight"].groupby(kinds).transform("sum")
    known = flags["weight"].where(labelled, 0.0).groupby(kinds).transform("sum")
    decided = flags[labelled]
    return decided.assign(weight=(flags["weight"] * whole / known.where(known > 0))[labelled])


def _money_intervals(
    given: Decided, terms: AlertConfig, cuts: npt.NDArray[np.int64], at_present: int
) -> pd.DataFrame:
    """Of what is saved at each cut, and of the gain over the present one in the same draws."""
    account = given.scored.account
    saved = np.array(
        [
            consequences(replace(given, weight=given.weight * times[account]), terms)
            .money_saved_per_day[cuts]
            for times in resampled(int(account.max()) + 1, _RESAMPLES, seed=0)
        ]
    )  # fmt: skip
    spans = {}
    for name, again in (("saved", saved), ("gain", saved - saved[:, [at_present]])):
        ends_of = [interval_of(column) for column in again.T]
        spans[f"{name}_low"] = [each.low if each else np.nan for each in ends_of]
        spans[f"{name}_high"] = [each.high if each else np.nan for each in ends_of]
    return pd.DataFrame(spans)


def _rates(given: Decided, thresholds: "pd.Series[float]", *, estimable: bool) -> pd.DataFrame:
    scored, weight = given.scored, given.weight
    rows = []
    for threshold in thresholds:
        alerted = scored.score >= threshold
        included = np.minimum(1 / weight, 1.0)
        population = max(len(weight), round(float(weight.sum())))
        figures = sampled_figures(Reviewed(scored.is_fraud, included, alerted, population))
        recall = ends(figures.recall if estimable else None)
        rows.append([*ends(figures.precision), *recall])
    names = [f"{name}{end}" for name in ("precision", "recall") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=names)
