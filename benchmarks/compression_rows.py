"""Networks of the family whole and compressed, beside smaller ones of as much work."""

import math
import time
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import product

import keras
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.code_version import code_version
from benchmarks.compression_data import Fold, Source, fold_of
from benchmarks.compression_plan import Plan, Row
from fraudnet.compression.compress import spectra_of
from fraudnet.compression.factoring import approximated, factored, fine_tune
from fraudnet.compression.ranks import Ranks, lost_energy, macs_of, within_budget
from fraudnet.compression.sensitivity import measured_damage
from fraudnet.compression.spectra import Spectrum
from fraudnet.network.describe import describe
from fraudnet.network.network import Network, NetworkConfig, build_network
from fraudnet.network.scaling import COEFFICIENTS, SIZES, scaled
from fraudnet.training.fitting import TrainingConfig, fit_network
from fraudnet.training.scoring import RowScorer
from fraudnet.windows.specification import FeatureSpecification

CHUNK_LENGTH = 64  # scored positions
PHIS = np.arange(-6, 5.25, 0.25).tolist()
# What decides the figures.
SOURCES = (
    *("benchmarks/compression_rows.py", "benchmarks/compression_data.py"),
    *("fraudnet/compression", "fraudnet/network", "fraudnet/training", "fraudnet/windows"),
)


def measure(source: Source, plan: Plan, done: Collection[Row] = ()) -> Iterator[Row]:
    """Every network of the plan, whole, compressed and smaller; each row as it is measured.

    Args:
        source: the transactions.
        plan: what is measured.
        done: rows that need not be measured again; all of a network's, or it is measured anew.

    Raises:
        InputError: the folds are not in the transactions.
    """
    folds = {n: fold_of(source, n, plan.training_days, plan.every) for n in plan.folds}
    have = {row.network for row in done}
    for number, seed, size in product(folds, range(plan.seeds), plan.sizes):
        if (size, number, seed) not in have:
            keras.utils.clear_session()
            yield from _Contest(folds[number], plan, size, number, seed).rows()


class _Contest:
    """One size on one fold with one seed."""

    def __init__(self, fold: Fold, plan: Plan, size: str, number: int, seed: int) -> None:
        self._fold, self._plan = fold, plan
        self._size, self._number, self._seed = size, number, seed
        self._training = TrainingConfig(
            epochs=plan.epochs,
            batch_chunks=plan.batch_chunks,
            chunk_length=CHUNK_LENGTH,
            seed=seed,
        )
        self._code = code_version(SOURCES)

    def rows(self) -> Iterator[Row]:
        """All of them."""
        begin = time.perf_counter()
        config = scaled(NetworkConfig(), SIZES[self._size], COEFFICIENTS)
        network = self._trained(config, self._plan.epochs)
        scored = _Scored(network, self._fold)
        yield self._row("whole", 1.0, network, scored, begin)
        both = spectra_of(network, self._fold.training)
        plain, whitened = both["plain"], both["whitened"]
        begin = time.perf_counter()
        damage = measured_damage(network, whitened, self._fold.validation, self._seed)
        search_seconds = time.perf_counter() - begin
        energy = lost_energy(whitened)
        for share in self._plan.shares:
            searched = within_budget(whitened, damage, share)
            for method, spectra, ranks in (
                ("plain", plain, within_budget(plain, lost_energy(plain), share)),
                ("whitened", whitened, within_budget(whitened, energy, share)),
                ("searched", whitened, searched),
            ):
                begin = time.perf_counter() - (search_seconds if method == "searched" else 0)
                yield self._approximated(method, share, network, scored, spectra, ranks, begin)
            begin = time.perf_counter()
            tuned = factored(network, whitened, searched)
            keras.utils.set_random_seed(self._seed)
            fine_tune(tuned, network, self._fold.training, self._training, self._plan.fine_tune)
            yield self._row("tuned", share, tuned, _Scored(tuned, self._fold), begin)
            begin = time.perf_counter()
            smaller = self._trained(
                _of_work(describe(tuned).macs, network.specification),
                self._plan.epochs + self._plan.fine_tune,
            )
            yield self._row("smaller", share, smaller, _Scored(smaller, self._fold), begin)

    def _trained(self, config: NetworkConfig, epochs: int) -> Network:
        keras.utils.set_random_seed(self._seed)
        network = build_network(config, self._fold.histories.specification)
        fit_network(
            network, self._fold.training, self._training.model_copy(update={"epochs": epochs})
        )
        return network

    def _approximated(
        self,
        method: str,
        share: float,
        network: Network,
        scored: "_Scored",
        spectra: Mapping[str, Spectrum],
        ranks: Ranks,
        begin: float,
    ) -> Row:
        """Of factors that are multiplied out again: the same answers, nothing compiled anew."""
        saved = macs_of(spectra, {}) - macs_of(spectra, ranks)
        costs = {name: spectra[name].cost for name in ranks}
        weights = sum(
            (cost.whole_macs - cost.macs(ranks[name])) // cost.positions
            for name, cost in costs.items()
        )
        with approximated(network, spectra, ranks):
            whole = self._row(method, share, network, scored, begin)
        return replace(
            whole, macs=whole.macs - saved, parameters=whole.parameters - weights, ranks=ranks
        )

    def _row(
        self, method: str, share: float, network: Network, scored: "_Scored", begin: float
    ) -> Row:
        validation, precision, area = scored.figures()
        cost = describe(network)
        return Row(
            size=self._size,
            fold=self._number,
            seed=self._seed,
            method=method,
            share=share,
            macs=cost.macs,
            parameters=cost.parameters,
            validation_average_precision=validation,
            average_precision=precision,
            roc_auc=area,
            seconds=time.perf_counter() - begin,
            ranks=network.config.ranks,
            code=self._code,
        )


class _Scored:
    """Figures of a network's present weights; the step is compiled once."""

    def __init__(self, network: Network, fold: Fold) -> None:
        reach, validation = network.receptive_field, fold.validation
        self._labels = validation.is_fraud, fold.histories.is_fraud[fold.test]
        self._scorers = (
            RowScorer(network.logit, reach, validation.histories, validation.rows),
            RowScorer(network.logit, reach, fold.histories, fold.test),
        )

    def figures(self) -> tuple[float, float, float]:
        """Average precision of validation and test, area under the ROC curve of the test."""
        validation, test = (score()["logit"][:, 0] for score in self._scorers)
        known, labels = self._labels
        return (
            float(average_precision_score(known, validation)),
            float(average_precision_score(labels, test)),
            float(roc_auc_score(labels, test)),
        )


def _of_work(macs: int, specification: FeatureSpecification) -> NetworkConfig:
    """The network of the family whose work is nearest: phi in quarters of a step."""

    def work(phi: float) -> int:
        config = scaled(NetworkConfig(), phi, COEFFICIENTS)
        return describe(build_network(config, specification)).macs

    place = bisect_left(PHIS, macs, key=work)
    near = PHIS[max(0, place - 1) : place + 1]
    chosen = min(near, key=lambda phi: abs(math.log(work(phi) / macs)))
    return scaled(NetworkConfig(), chosen, COEFFICIENTS)
