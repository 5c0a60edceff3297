"""What is reviewed and learnt, month after month, by each policy."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.feedback_world import MONTH_DAYS, Ints, Mask, Year
from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.review.learning import Shares, choose
from fraudnet.training.batches import Batches
from fraudnet.training.checkpoint import assign, values_of
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import RowScorer
from fraudnet.training.sentinel import fit_full, fit_limits
from fraudnet.training.step import TrainingStep
from fraudnet.windows.chunks import chunks_over
from fraudnet.windows.labels import KnownRows

ROUND_DAYS = 5  # that the queue is filled for at once
SHRINKAGE = 0.01
GENUINE_ROWS = 5_000  # that the distance is fitted on, at most

NO_LEARNING = Shares()

NETWORK = NetworkConfig(
    width=16, dilations=(1, 4), squeeze_window=8, normal_window=32, head=32, dropout=0.1
)
LAUNCH = TrainingConfig(epochs=20, chunk_length=128, learning_rate=6e-3)
MONTHLY = TrainingConfig(epochs=3, chunk_length=128, learning_rate=2e-3)


@dataclass(frozen=True)
class Policy:
    """Which labels there are, and what is made of them.

    Attributes:
        retrained: whether the network learns, every month.
        everything: whether the label of every transaction arrives, after the delay.
        shares: of the alert budget that go to learning.
        dissected: whether it is there to show what one of the reasons does alone, which is measured
            where the fewest frauds are reported.
    """

    retrained: bool = True
    everything: bool = False
    shares: Shares = NO_LEARNING
    dissected: bool = False

    @property
    def reads_reports(self) -> bool:
        """Whether it matters which frauds are reported."""
        return self.retrained and not self.everything


POLICIES = {
    "never_retrained": Policy(retrained=False),
    "verdicts": Policy(),
    "verdicts_and_learning": Policy(shares=Shares(uncertain=0.04, unfamiliar=0.12, random=0.04)),
    "uncertain_alone": Policy(shares=Shares(uncertain=0.2), dissected=True),
    "unfamiliar_alone": Policy(shares=Shares(unfamiliar=0.2), dissected=True),
    "random_alone": Policy(shares=Shares(random=0.2), dissected=True),
    "all_labels": Policy(everything=True),
}


@dataclass(frozen=True)
class Row:
    """A month of one policy in one world; shares are 0..1.

    Attributes:
        policy: its name.
        reported_share: of the frauds that customers report; None where that does not matter.
        seed: of the world.
        month: from 1.
        recall_at_budget: of the month's frauds, those looked at.
        precision: of those looked at, the frauds.
        recall_of_ranking: of the month's frauds, those among the highest scores, as many as the
            budget: what the network would find with nothing left for learning.
    """

    policy: str
    reported_share: float | None
    seed: int
    month: int
    recall_at_budget: float
    precision: float
    recall_of_ranking: float


class Learner:
    """A network that goes on learning by a step that is compiled once, and scores likewise."""

    def __init__(self, year: Year) -> None:
        keras.utils.clear_session()
        keras.utils.set_random_seed(year.seed)
        self._network: Network = build_network(NETWORK, year.histories.specification)
        self._seed = year.seed
        known = year.known(np.zeros(0, np.int64), year.month(0).end, reported_share=0.0)
        config = LAUNCH.model_copy(update={"seed": year.seed})
        fit_network(self._network, known, config)
        self._optimizer = keras.optimizers.AdamW(
            MONTHLY.learning_rate,
            weight_decay=MONTHLY.weight_decay,
            global_clipnorm=1.0,
            use_ema=True,
            ema_momentum=MONTHLY.weight_averaging,
        )
        self._step = TrainingStep(
            self._network.logit, self._optimizer, year.seed, MONTHLY.focal_gamma
        )
        self._launched = values_of([self._step.weights])
        self._unused = values_of(self._optimizer.variables)
        field, none = self._network.receptive_field, np.zeros(len(year.histories), bool)
        self._scores = RowScorer(self._network.scores, field, year.histories, none)
        self._hidden = RowScorer(self._network.fingerprint, field, year.histories, none)

    def start(self) -> None:
        """Be as at the launch."""
        assign([self._step.weights], self._launched)
        self._step.put_back()

    def learn(self, known: KnownRows, month: int) -> None:
        """Some more epochs over all that is known, from the present weights on."""
        assign(self._optimizer.variables, self._unused)
        chunks = chunks_over(
            known.histories, known.rows, self._network.receptive_field, MONTHLY.chunk_length
        )
        seed = 1_000 * self._seed + month
        batches = Batches(chunks, known, MONTHLY.batch_chunks, seed, 1.0, 0.0)
        for epoch in range(MONTHLY.epochs):
            for batch in batches.epoch(epoch):
                self._step(batch)
        self._optimizer.finalize_variable_values([self._step.weights])
        self._step.put_back()

    def fit_distance(self, known: KnownRows) -> None:
        """Fit the distance on genuine transactions that are known."""
        genuine = np.flatnonzero(known.rows & (known.histories.is_fraud == 0))
        rng = np.random.default_rng(self._seed)
        wanted = np.zeros(len(known.histories), bool)
        wanted[rng.choice(genuine, min(len(genuine), GENUINE_ROWS), replace=False)] = True
        (hidden,) = self._hidden.over(known.histories, wanted)().values()
        layer = self._network.distance
        fit_limits(hidden, fit_full(hidden, hidden.shape[1], SHRINKAGE)).put_into(layer)

    def scores(self, year: Year, wanted: Mask) -> tuple[npt.NDArray[np.float32], ...]:
        """Probability and distance of the wanted rows, [W] each."""
        found = self._scores.over(year.histories, wanted)()
        return found["fraud_probability"][:, 0], found["ood_distance"][:, 0]


def live(name: str, reported_share: float | None, year: Year, learner: Learner) -> Iterator[Row]:
    """A year by a policy: every month scored, reviewed and, if it is retrained, learnt from.

    Args:
        name: out of POLICIES.
        reported_share: of the frauds; None: all labels arrive, or none matters.
        year: the world.
        learner: of that world.
    """
    policy = POLICIES[name]
    learner.start()
    reviewed = np.zeros(0, np.int64)
    for month in range(1, year.conditions.months + 1):
        if month == 1 or policy.retrained:
            known = year.known(reviewed, year.month(month).begin, reported_share)
            if month > 1:
                learner.learn(known, month)
            if policy.shares.unfamiliar:
                learner.fit_distance(known)
        rows = np.flatnonzero(year.month(month).contains(year.histories.timestamp_us))
        wanted = np.zeros(len(year.histories), bool)
        wanted[rows] = True
        probability, distance = learner.scores(year, wanted)
        chosen = _reviewed(year, month, rows, probability, distance, policy.shares)
        ranked = _reviewed(year, month, rows, probability, distance, NO_LEARNING)
        reviewed = np.concatenate([reviewed, chosen])
        frauds = int(year.is_fraud[rows].sum())
        yield Row(
            policy=name,
            reported_share=reported_share,
            seed=year.seed,
            month=month,
            recall_at_budget=float(year.is_fraud[chosen].sum() / frauds),
            precision=float(year.is_fraud[chosen].mean()),
            recall_of_ranking=float(year.is_fraud[ranked].sum() / frauds),
        )


def _reviewed(
    year: Year,
    month: int,
    rows: Ints,
    probability: npt.NDArray[np.float32],
    distance: npt.NDArray[np.float32],
    shares: Shares,
) -> Ints:
    """Rows that are looked at: in each round as many as the budget, the flagged the highest."""
    begin = int(year.month(month).begin.timestamp() * 1e6)
    since = (year.histories.timestamp_us[rows] - begin) // (ROUND_DAYS * 86_400_000_000)
    budget = year.conditions.budget_per_day * ROUND_DAYS
    parts = []
    for number in range(MONTH_DAYS // ROUND_DAYS):
        own = np.flatnonzero(since == number)
        scores = probability[own].astype(np.float64)
        flagged = shares.counts(budget)["flagged"]
        threshold = float(np.sort(scores)[-min(flagged, len(scores))])
        seed = int(year.seed * 1_000 + month * 10 + number)
        chosen = choose(scores, distance[own], threshold, budget, shares, seed)
        parts.append(rows[own[chosen.rows]])
    return np.concatenate(parts)
