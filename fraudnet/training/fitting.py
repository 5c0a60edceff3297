"""Fit the network's weights: dense supervision over chunks of account histories."""

import math
from collections.abc import Sequence
from typing import Protocol

import keras
import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.metrics import average_precision_score

from fraudnet.configuration import Section
from fraudnet.network.network import Network
from fraudnet.training.batches import Batches
from fraudnet.training.checkpoint import Checkpoint, State, assign, values_of
from fraudnet.training.scoring import RowScorer
from fraudnet.training.step import TrainingStep
from fraudnet.training.watched import divide, refuse_one_class
from fraudnet.windows.chunks import Chunks, chunks_over
from fraudnet.windows.labels import KnownRows


class TrainingConfig(Section):
    """How the weights are fitted."""

    seed: int = Field(default=0, ge=0, lt=2**32, description="of weights, shuffling and dropout")
    epochs: int = Field(default=12, ge=1, description="passes over the training period, at most")
    # Few rows of many accounts a step: longer chunks, of fewer accounts, learn less in as many
    # passes, and small data would be learnt in too few steps.
    batch_chunks: int = Field(default=16, ge=1, description="chunks a step")
    chunk_length: int = Field(
        default=32, ge=1, description="scored positions a chunk, after its context"
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="peak, reached after the warm-up")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, description="share of all steps in which the rate rises"
    )
    weight_decay: float = Field(default=1e-4, ge=0, description="of AdamW, decoupled")
    fraud_weight: float = Field(
        default=1.0,
        gt=0,
        description="weight of a fraud in the loss, of a genuine transaction 1; calibration is on "
        "natural shares, so it corrects for it",
    )
    focal_gamma: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="how much less what is classified well counts in the loss; 0: cross-entropy",
    )
    unknown_reputation: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="share of chunks without reputation, for devices that have no snapshot",
    )
    weight_averaging: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="momentum of the weights' running mean a step; 0: none",
    )
    stopping_days: float = Field(
        default=0.0,
        ge=0,
        le=3650,
        description="last days of the training period, on whose average precision the number of "
        "epochs is chosen; nothing is learnt from them and the label delay before; 0: no choice",
    )
    patience: int = Field(
        default=3, ge=1, description="epochs without a better average precision before stopping"
    )
    refit: bool = Field(
        default=True,
        description="fit again, on the whole training period, for the epochs that were chosen",
    )


class Progress(Protocol):
    """What is told of a fit as it goes on. What it raises ends the fit."""

    def begin(self, epochs: int, transactions: int, first: int) -> None:
        """A fit begins: so many epochs of so many transactions; from epoch `first`, from 0, on."""

    def step(self, transactions: int) -> None:
        """A step is done."""

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        """An epoch, from 0, is done; mean loss of its steps, and average precision if watched.

        The network's weights are those after the epoch's last step, not yet averaged.
        """

    def end(self) -> None:
        """The fit is over, or was given up."""


def fit_network(
    network: Network,
    known: KnownRows,
    config: TrainingConfig,
    progress: Sequence[Progress] = (),
    checkpoint: Checkpoint | None = None,
    taught: npt.NDArray[np.float32] | None = None,
) -> Chunks:
    """Fit standardisation and weights on known rows; the rows before them are context.

    Cross-entropy, or focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection",
    equation 4), at every such position of every chunk; AdamW (Loshchilov and Hutter 2019,
    "Decoupled Weight Decay Regularization", algorithm 2) on gradients of norm 1 at most (Pascanu et
    al. 2013, "On the difficulty of training recurrent neural networks", algorithm 1), the rate
    rising linearly and falling as a cosine (Loshchilov and Hutter 2017, "SGDR", equation 5); the
    weights averaged over the last steps (Polyak and Juditsky 1992, as an exponential mean).

    With `stopping_days`, the fit is first made without those days and the label delay before
    them, watched on them after each epoch, and stopped when it gets no better; its best epoch is
    kept or, with `refit`, made again on all known rows.

    Args:
        network: changed in place.
        known: the training period's rows, with the labels that had arrived.
        config: how.
        progress: who is told.
        checkpoint: where the state is kept after each epoch; one of the same identity is taken up
            there, and gives the weights of a fit that was never interrupted.
        taught: [N] of the histories' rows, the probability that is learnt instead of their labels
            (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network",
            section 2, at temperature 1); None: the labels.

    Returns:
        The chunks that were trained on.

    Raises:
        InputError: no row is a fraud, or none is genuine; the state cannot be written.
    """
    refuse_one_class(known, "the training period")
    if not config.stopping_days:
        return _Fit(network, known, None, config, progress, checkpoint, taught).run("fit").chunks
    parts = divide(known, config.stopping_days)
    initial = values_of(network.logit.variables)
    state = checkpoint.load() if checkpoint else None
    if state is not None and state.facts["stage"] == "refit":
        best = int(state.facts["epochs"])
    else:
        watched = _Fit(network, parts.learnt, parts.watched, config, progress, checkpoint, taught)
        watched.run("watched")
        best = watched.best_epoch + 1
        if not config.refit:
            return watched.chunks
        assign(network.logit.variables, initial)
    again = config.model_copy(update={"epochs": best})
    return _Fit(network, known, None, again, progress, checkpoint, taught).run("refit").chunks


class _Fit:
    """One fit, from the first epoch or from a state on."""

    def __init__(
        self,
        network: Network,
        known: KnownRows,
        watched: KnownRows | None,
        config: TrainingConfig,
        progress: Sequence[Progress],
        checkpoint: Checkpoint | None,
        taught: npt.NDArray[np.float32] | None,
    ) -> None:
        standardise(network, known)
        self.chunks = chunks_over(
            known.histories, known.rows, network.receptive_field, config.chunk_length
        )
        self._known, self._watched, self._config = known, watched, config
        self._taught = taught
        self._progress, self._checkpoint = progress, checkpoint
        self._model = network.logit
        steps = math.ceil(len(self.chunks) / config.batch_chunks)
        self._optimizer = scheduled_optimizer(config, steps * config.epochs)
        self._step = TrainingStep(self._model, self._optimizer, config.seed, config.focal_gamma)
        self._found: list[float] = []
        self._best = self._step.weights.numpy()
        self._score = None
        if watched is not None:
            self._score = RowScorer(
                self._model, network.receptive_field, watched.histories, watched.rows
            )

    @property
    def best_epoch(self) -> int:
        """The first epoch, from 0, that no other was better than."""
        return int(np.argmax(self._found))

    def run(self, stage: str) -> "_Fit":
        config = self._config
        first = self._taken_up(stage)
        batches = Batches(
            self.chunks,
            self._known,
            config.batch_chunks,
            config.seed,
            config.fraud_weight,
            config.unknown_reputation,
            self._taught,
        )
        try:
            for told in self._progress:
                told.begin(config.epochs, int(self._known.rows.sum()), first)
            for epoch in range(first, config.epochs):
                if self._found and epoch - self.best_epoch > config.patience:
                    break
                self._epoch(epoch, batches)
                self._save(stage, epoch)
        finally:
            for told in self._progress:
                told.end()
        if self._watched is None:
            self._optimizer.finalize_variable_values([self._step.weights])
        else:
            self._step.weights.assign(self._best)
        self._step.put_back()
        return self

    def _epoch(self, number: int, batches: Batches) -> None:
        losses = []
        for batch in batches.epoch(number):
            losses.append(self._step(batch))
            for told in self._progress:
                told.step(batch.transactions)
        found = self._average_precision()
        if found is not None:
            self._found.append(found)
        self._step.put_back()
        for told in self._progress:
            told.epoch(number, float(np.mean(losses)), found)

    def _average_precision(self) -> float | None:
        """Of the watched rows by the averaged weights, which are kept where they are the best."""
        if self._score is None or self._watched is None:
            return None
        weights = self._step.weights
        own = weights.numpy()
        self._optimizer.finalize_variable_values([weights])
        self._step.put_back()
        logit = self._score()["logit"][:, 0]
        found = float(average_precision_score(self._watched.is_fraud, logit))
        if not self._found or found > max(self._found):
            self._best = weights.numpy()
        weights.assign(own)
        return found

    def _taken_up(self, stage: str) -> int:
        """The epoch to go on with."""
        state = self._checkpoint.load() if self._checkpoint else None
        if state is None or state.facts["stage"] != stage:
            return 0
        assign([self._step.weights], state.arrays["weights"])
        assign(self._optimizer.variables, state.arrays["optimizer"])
        (self._best,), self._found = state.arrays["best"], list(state.facts["found"])
        return int(state.facts["epoch"]) + 1

    def _save(self, stage: str, epoch: int) -> None:
        if self._checkpoint is None:
            return
        facts = {
            "stage": stage,
            "epoch": epoch,
            "epochs": self._config.epochs,
            "found": self._found,
        }
        arrays = {
            "weights": values_of([self._step.weights]),
            "optimizer": values_of(self._optimizer.variables),
            "best": [self._best],
        }
        self._checkpoint.save(State(facts, arrays))


def standardise(network: Network, known: KnownRows) -> None:
    """Fit the network's standardisation of its features on the known rows."""
    histories, wanted = known.histories, known.rows
    columns = {name: values[wanted] for name, values in histories.columns.items()}
    second = histories.timestamp_us // 1_000_000
    gap = np.diff(second, prepend=second[:1])
    follows = np.diff(histories.account, prepend=-1) == 0
    gaps = gap[wanted & follows]
    network.features.fit(columns, np.log1p(gaps) if len(gaps) else np.zeros(1))


def scheduled_optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of a fit of so many steps, not yet built."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, round(steps * (1 - config.warmup_share))),
        warmup_target=config.learning_rate,
        warmup_steps=round(steps * config.warmup_share),
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
        use_ema=config.weight_averaging > 0,
        ema_momentum=config.weight_averaging,
    )
