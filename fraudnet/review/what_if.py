"""What another threshold would bring: alerts a day, precision, recall and money."""

from dataclasses import dataclass

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
            nothing was drawn at random), saved (money a day) with saved_low and saved_high.
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
    weight = decided["weight"].to_numpy(float)
    score = decided["fraud_probability"].to_numpy(float)
    days = float((own["timestamp"].max().ceil("D") - own["timestamp"].min().floor("D")) / _DAY)
    account = pd.factorize(decided["account_id"])[0].astype(np.int64)
    scored = Scored(
        score,
        decided["is_fraud"].to_numpy(np.int8),
        np.zeros(len(decided), np.int64),  # no figure below is of single days
        account,
        decided["amount"].to_numpy(float),
    )
    found = consequences(Decided(scored, weight, max(days, 1.0)), terms)
    at_present = int(np.unique(score[decided["is_alert"].to_numpy(bool)]).size)
    # Flagging all that was drawn would say nothing of what lies below the last of it.
    last = max(1, len(found.probability) - (2 if drawn else 1))
    cuts = np.unique([*np.linspace(1, last, _CUTS).round().astype(int), min(at_present, last)])
    table = pd.DataFrame(
        {
            "threshold": found.probability[cuts],
            "alerts_per_day": found.alerts_per_day[cuts],
            "saved": found.money_saved_per_day[cuts],
        }
    )
    again = np.array(
        [
            consequences(Decided(scored, weight * times[account], max(days, 1.0)), terms)
            .money_saved_per_day[cuts]
            for times in resampled(int(account.max()) + 1, _RESAMPLES, seed=0)
        ]
    )  # fmt: skip
    spans = [interval_of(column) for column in again.T]
    table["saved_low"] = [span.low if span else np.nan for span in spans]
    table["saved_high"] = [span.high if span else np.nan for span in spans]
    table = table.join(_rates(scored, weight, found.probability[cuts], estimable=bool(drawn)))
    order = np.argsort(table["threshold"].to_numpy(), kind="stable")
    place = int(np.flatnonzero(cuts[order] == min(at_present, last))[0])
    return WhatIf(
        table.iloc[order].reset_index(drop=True), present, place, str(newest["artifact"]),
        len(flags) - len(own), len(decided), drawn,
    )  # fmt: skip


def _weighed(flags: pd.DataFrame) -> pd.DataFrame:
    """Those with a label; each hands on the weight of those of its kind that have none."""
    kinds = [flags["is_alert"], flags["reason"]]
    labelled = flags["is_fraud"] >= 0
    whole = flags["weight"].groupby(kinds).transform("sum")
    known = flags["weight"].where(labelled, 0.0).groupby(kinds).transform("sum")
    decided = flags[labelled]
    return decided.assign(weight=(flags["weight"] * whole / known.where(known > 0))[labelled])


def _rates(
    scored: Scored,
    weight: npt.NDArray[np.float64],
    thresholds: npt.NDArray[np.float64],
    *,
    estimable: bool,
) -> pd.DataFrame:
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
