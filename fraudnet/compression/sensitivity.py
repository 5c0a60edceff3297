"""Where low rank hurts: each layer alone at a few ranks, measured on rows that are watched."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit
from sklearn.metrics import average_precision_score
from tqdm import tqdm

from fraudnet.compression.factoring import approximated
from fraudnet.compression.ranks import interpolated, ranks_to_try
from fraudnet.compression.spectra import Spectrum
from fraudnet.network.network import Network
from fraudnet.training.scoring import RowScorer
from fraudnet.windows.labels import KnownRows

TRIED = (0.125, 0.25, 0.5)
"""Shares of a layer's highest rank at which it is measured; what lies between is interpolated, up
to full rank, which does no damage."""

ACCOUNTS = 300
"""So many are watched at each of them, those with a fraud first."""


class Watch:
    """Watched rows, scored by a network's present weights; the step is compiled once.

    Args:
        network: whose weights may change from one call to the next.
        known: W rows that were not trained on, of a validation period.
    """

    def __init__(self, network: Network, known: KnownRows) -> None:
        self._is_fraud = known.is_fraud
        self._score = RowScorer(network.logit, network.receptive_field, known.histories, known.rows)

    def average_precision(self) -> float:
        """Of the logits."""
        return float(average_precision_score(self._is_fraud, self.logits()))

    def logits(self) -> npt.NDArray[np.float64]:
        """[W] of the watched rows."""
        return self._score()["logit"][:, 0].astype(np.float64)


def measured_damage(
    network: Network, spectra: Mapping[str, Spectrum], known: KnownRows, seed: int
) -> dict[str, dict[int, float]]:
    """What each layer's rank does to the answers when all other layers stay whole.

    The mean Kullback-Leibler divergence of the probabilities from those of the whole network, which
    a fine-tuning lowers, too. Labels would say less: a few frauds decide how much their loss rises,
    and at some ranks it falls.

    Args:
        network: of whole layers.
        spectra: of its layers.
        known: rows that were not trained on; those of some accounts are watched.
        seed: of the choice of accounts.

    Returns:
        By layer and rank, the divergence in nats; layers without a rank that saves something are
        left out.
    """
    watch = Watch(network, _some_accounts(known, seed))
    whole = watch.logits()
    tried = {name: ranks_to_try(each, TRIED) for name, each in spectra.items()}
    found: dict[str, dict[int, float]] = {name: {} for name, ranks in tried.items() if ranks}
    pairs = [(name, rank) for name, ranks in tried.items() for rank in ranks]
    for name, rank in tqdm(pairs, desc="sensitivity", unit=" ranks", disable=None, leave=False):
        with approximated(network, spectra, {name: rank}):
            found[name][rank] = _divergence(whole, watch.logits())
    return {
        name: interpolated(
            by_rank | {len(spectra[name].energy): 0.0},
            range(min(by_rank), spectra[name].cost.highest_rank + 1),
        )
        for name, by_rank in found.items()
    }


def _divergence(whole: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """Mean over logits [W] of what probabilities diverge from those of the whole network."""
    fraud = expit(whole) * (log_expit(whole) - log_expit(other))
    genuine = expit(-whole) * (log_expit(-whole) - log_expit(-other))
    return float(np.mean(fraud + genuine))


def _some_accounts(known: KnownRows, seed: int) -> KnownRows:
    account = known.histories.account
    present, position = np.unique(account[known.rows], return_inverse=True)
    frauds = np.bincount(position, known.is_fraud == 1)
    order = np.lexsort((np.random.default_rng(seed).random(len(present)), frauds == 0))
    return replace(known, rows=known.rows & np.isin(account, present[order[:ACCOUNTS]]))
