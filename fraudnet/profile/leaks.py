"""Which columns give the label away on their own; most such columns were filled in afterwards."""

from dataclasses import dataclass

import numpy as np

from fraudnet.profile.drift import Compared
from fraudnet.profile.ledger import Bools, Floats, Ints, Ledger, Numbers
from fraudnet.profile.readings import Reading, readings
from fraudnet.transactions.recipe import Recipe

GIVEN_AWAY = 0.98  # ROC AUC of one column from which on it is taken for a leak
ARTEFACT = 0.75  # the same of what should tell nothing, such as the order of rows
_BEYOND_CHANCE = 4.0  # standard deviations above the AUC of a coin
_PURE = 0.95  # share of fraud among the rows of a value that is nearly nothing else
_SUPPORT = 20  # rows that such a value must have
_COVERED = 0.5  # share of all frauds that it must cover
_PRIOR_ROWS = 10.0
_ENOUGH = 20  # frauds of a period; with fewer, chance alone reaches the AUC of an artefact


@dataclass(frozen=True)
class Evidence:
    """How much one reading of one column tells; shares are 0..1.

    Attributes:
        column: of the table, or "row order".
        role: what the column is.
        what: was read off it.
        roc_auc: of the test period; None where either period lacks frauds or genuine rows.
        average_precision: likewise.
        pure_share: of the frauds, those that nearly pure rows of it cover.
        reasons: why it is taken for a leak; none: it is not.
    """

    column: str
    role: str
    what: str
    roc_auc: float | None
    average_precision: float | None
    pure_share: float
    reasons: tuple[str, ...]

    @property
    def never_feature(self) -> bool:
        """Whether no model reads the column anyway."""
        return self.role in ("report", "label time")


@dataclass(frozen=True)
class LeakReport:
    """What every column tells alone; rows are labelled ones."""

    training_rows: int
    training_frauds: int
    test_rows: int
    test_frauds: int
    note: str  # what could not be found out, and why
    evidence: list[Evidence]

    @property
    def flagged(self) -> list[Evidence]:
        """The leaks among them, those that a model may read first."""
        found = [each for each in self.evidence if each.reasons]
        return sorted(found, key=lambda each: each.never_feature)


class Ranking:
    """Rows ranked by a score, the highest first; rows of one score stand or fall together.

    Attributes:
        frauds: [T] frauds among the rows that score at least as high as each different score.
        rows: [T] all rows among them.
    """

    def __init__(self, fraud: Bools, score: Numbers) -> None:
        """Rank.

        Args:
            fraud: [N] with frauds and genuine rows.
            score: [N] finite.
        """
        order = np.argsort(-score, kind="stable")
        last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
        self.frauds: Ints = np.cumsum(fraud[order], dtype=np.int64)[last]
        self.rows: Ints = last + 1

    def roc_auc(self) -> float:
        """Probability that a fraud scores above a genuine row, ties counting half.

        That is the area under the ROC curve (Hanley and McNeil 1982, Radiology 143, 29-36).
        """
        genuine = self.rows - self.frauds
        middle = self.frauds - np.diff(self.frauds, prepend=0) / 2
        area = (np.diff(genuine, prepend=0) * middle).sum()
        return float(area / genuine[-1] / self.frauds[-1])

    def average_precision(self) -> float:
        """Precision at each score, weighted by the recall that it adds."""
        gain = np.diff(self.frauds, prepend=0) / self.frauds[-1]
        return float((gain * self.frauds / self.rows).sum())

    def pure_share(self) -> float:
        """Largest share of the frauds that a threshold finds with hardly a genuine row."""
        base_rate = self.frauds[-1] / self.rows[-1]
        pure = self.frauds >= _nearly_pure(base_rate) * self.rows
        pure &= self.rows >= _SUPPORT
        return float(np.max(self.frauds[pure], initial=0) / self.frauds[-1])


def chance_deviation(fraud: Bools) -> float:
    """Standard deviation of the ROC AUC of a score that tells nothing (Mann and Whitney 1947)."""
    frauds = int(fraud.sum())
    return float(np.sqrt((len(fraud) + 1) / (12 * frauds * (len(fraud) - frauds))))


def target_rate(codes: Ints, fraud: Bools, prior_rows: float = _PRIOR_ROWS) -> Floats:
    """Smoothed fraud share of each value (Micci-Barreca 2001, SIGKDD Explorations 3, 27-32).

    (frauds + m b) / (rows + m), b being the share of all rows and m the weight of the prior.

    Args:
        codes: [N] 0..V-1, all V of them need not occur.
        fraud: [N].
        prior_rows: m.

    Returns:
        [max(codes) + 1] shares.
    """
    rows, frauds = np.bincount(codes), np.bincount(codes, weights=fraud)
    rate: Floats = (frauds + prior_rows * fraud.mean()) / (rows + prior_rows)
    return rate


class _Labelled:
    """The labelled rows of all times, and those that scores are fitted and measured on."""

    def __init__(self, ledger: Ledger, compared: Compared | None) -> None:
        self.fraud = ledger.is_fraud == 1
        labelled = ledger.is_fraud >= 0
        self.all = np.flatnonzero(labelled)
        self.training = self.test = np.arange(0)
        self.note = ""
        if compared is not None:
            self.training = np.flatnonzero(labelled & compared.in_training)
            self.test = np.flatnonzero(labelled & compared.in_test)
        frauds = [int(self.fraud[rows].sum()) for rows in (self.training, self.test)]
        if min(frauds) < _ENOUGH and self.fraud.any():
            self.note = (
                f"The training period has {frauds[0]:,} labelled frauds and the test period "
                f"{frauds[1]:,}; with fewer than {_ENOUGH} in either, the labelled transactions "
                "are here divided at the time that half of the frauds lie before."
            )
            later = ledger.timestamp_us >= np.median(ledger.timestamp_us[self.fraud])
            self.training = np.flatnonzero(labelled & ~later)
            self.test = np.flatnonzero(labelled & later)
        self.scored = self.both(self.training) and self.both(self.test)

    def both(self, rows: Ints) -> bool:
        """Whether there are frauds and genuine rows among these."""
        return 0 < int(self.fraud[rows].sum()) < len(rows)

    def report(self, note: str, evidence: list[Evidence]) -> LeakReport:
        """The evidence, and the rows that it comes from."""
        frauds = [int(self.fraud[rows].sum()) for rows in (self.training, self.test)]
        return LeakReport(len(self.training), frauds[0], len(self.test), frauds[1], note, evidence)

    def score(self, reading: Reading) -> Floats:
        """[test rows] score of one column, fitted on the training rows alone."""
        fraud = self.fraud[self.training]
        if reading.codes is not None:
            codes = reading.codes + 1  # null is a value too
            rate = np.full(int(codes.max()) + 1, fraud.mean())
            seen = target_rate(codes[self.training], fraud)
            rate[: len(seen)] = seen
            looked_up: Floats = rate[codes[self.test]]
            return looked_up
        assert reading.values is not None
        known = reading.values[self.training]
        middle = np.nanmedian(known) if not np.isnan(known).all() else 0.0
        values = np.where(np.isnan(reading.values), middle, reading.values)
        rising = Ranking(fraud, values[self.training]).roc_auc() >= 0.5
        sign = 1.0 if rising else -1.0
        ordered: Floats = sign * values[self.test]
        return ordered


def leaks_of(ledger: Ledger, recipe: Recipe, compared: Compared | None) -> LeakReport:
    """Score every column alone: fitted on the training period, measured on the test period.

    A number is scored by its order, in the direction that it has in training, and by the fraud
    share of its range and of its exact value; a text by the fraud share of its value, and if it
    has many values by order, length and spelling. A value that was not seen in training scores as
    the average, so names that never come again score 0.5.

    Args:
        ledger: the transactions.
        recipe: which columns are categorical, numeric, or for reports alone.
        compared: the periods, None where there are none.
    """
    rows = _Labelled(ledger, compared)
    if not rows.both(rows.all):
        note = "The leak report needs labels: transactions labelled fraud and others genuine."
        return rows.report(note, [])
    note = rows.note
    if not rows.scored:
        note += (
            " Even so one part lacks frauds or genuine transactions, and columns have no ROC AUC; "
            "values that are nearly pure fraud are looked for in all rows."
        )
    in_training = np.zeros(len(rows.fraud), bool)
    in_training[rows.training if rows.scored else rows.all] = True
    found = [_evidence(each, rows) for each in readings(ledger, recipe, in_training)]
    return rows.report(note.strip(), found)


def _evidence(reading: Reading, rows: _Labelled) -> Evidence:
    reasons: list[str] = []
    pure_share = 0.0
    area = precision = None
    if reading.codes is not None:
        pure_share, said = _pure_value(reading, rows)
        reasons += said
    if rows.scored:
        fraud = rows.fraud[rows.test]
        ranking = Ranking(fraud, rows.score(reading))
        area, precision = ranking.roc_auc(), ranking.average_precision()
        limit = ARTEFACT if reading.artefact else GIVEN_AWAY
        if area >= max(limit, 0.5 + _BEYOND_CHANCE * chance_deviation(fraud)):
            reasons.append(f"ROC AUC {area:.3f} on its own")
        top = ranking.pure_share()
        if top >= _COVERED and not reasons:
            reasons.append(f"{top:.0%} of the test period's frauds are told by it almost surely")
        pure_share = max(pure_share, top)
    return Evidence(
        reading.column, reading.role, reading.what, area, precision, pure_share, tuple(reasons)
    )


def _nearly_pure(base_rate: float) -> float:
    """Share of fraud from which on rows count as nearly pure, also where most rows are fraud."""
    return max(_PURE, 1 - (1 - base_rate) / 10)


def _pure_value(reading: Reading, rows: _Labelled) -> tuple[float, list[str]]:
    """Share of all frauds that the largest nearly pure value covers, and the finding in words."""
    assert reading.codes is not None
    fraud = rows.fraud[rows.all]
    codes = reading.codes[rows.all] + 1
    count, frauds = np.bincount(codes), np.bincount(codes, weights=fraud)
    pure = (count >= _SUPPORT) & (frauds >= _nearly_pure(fraud.mean()) * count)
    if not pure.any():
        return 0.0, []
    best = int(np.argmax(np.where(pure, frauds, -1)))
    share = float(frauds[best] / fraud.sum())
    if share < _COVERED:
        return share, []
    name = "one value"
    if best == 0:
        name = "null"
    elif reading.shown is not None:
        name = f"'{str(reading.shown[best - 1])[:60]}'"
    purity = frauds[best] / count[best]
    return share, [f"{name} has {share:.0%} of all frauds; {purity:.1%} of its rows are fraud"]
