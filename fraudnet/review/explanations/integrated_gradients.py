"""What drove a score: integrated gradients through the Keras network."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf

from fraudnet.network.gated import Ends, Gated, Window
from fraudnet.network.network import Network

STEPS, MOST_STEPS = 32, 2048
TOLERANCE = 0.01
"""Of the difference in the logit: what an attribution may miss of it."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attribution:
    """What each field of each transaction adds to the logit, beside the usual.

    Attributes:
        fields: names, F.
        values: [L, F] logits, the newest transaction last; 0 where padded.
        logit: of the window.
        usual_logit: of the baseline, the window with what is usual in it everywhere.
        steps: of the integral.
    """

    fields: tuple[str, ...]
    values: Floats
    logit: float
    usual_logit: float
    steps: int

    @property
    def missed(self) -> float:
        """Logits between the attributions' sum and the difference that they are to explain."""
        return abs(float(self.values.sum()) - (self.logit - self.usual_logit))

    @property
    def by_transaction(self) -> Floats:
        """[L] logits, over all fields."""
        summed: Floats = self.values.sum(axis=1)
        return summed

    @property
    def top_place(self) -> int:
        """The position that adds most."""
        return int(self.by_transaction.argmax())

    def ranked(self) -> pd.DataFrame:
        """Rows places_before (0: the newest), field, logits; what adds most first."""
        length = len(self.values)
        place, field = np.indices(self.values.shape)
        rows = pd.DataFrame(
            {
                "places_before": length - 1 - place.ravel(),
                "field": np.array(self.fields)[field.ravel()],
                "logits": self.values.ravel(),
            }
        )
        return rows.sort_values("logits", ascending=False, kind="stable", ignore_index=True)


class IntegratedGradients:
    """Integrated gradients of one network's logit.

    The attribution of a field is the integral of its gate's gradient while all gates open together
    (Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks", section 3, along
    the path of `fraudnet.network.gated`), by the midpoint rule. The attributions add up to the
    difference between the logits of window and baseline (section 3, completeness), but for the
    rule's error; steps are tripled until that is within `TOLERANCE`.

    Args:
        network: trained.
    """

    def __init__(self, network: Network) -> None:
        self._gated = Gated(network)
        self._shape = (self._gated.length, len(self._gated.fields))
        self._logit = network.logit
        self._gradient_of = tf.function(self._gradient)

    def attribute(self, window: Window) -> Attribution:
        """The attribution of the newest transaction's logit.

        Args:
            window: raw inputs by name, [R] each, the newest last.

        Raises:
            ValueError: the window is of another length than the network's receptive field.
        """
        ends = self._gated.ends(window)
        logit, usual = self._logits(window, ends)
        steps, total, at = STEPS, np.zeros(self._shape), _midpoints(STEPS)
        while True:
            total = total + self._sum(at, ends)
            found = Attribution(self._gated.fields, total / steps, logit, usual, steps)
            if found.missed <= TOLERANCE * abs(logit - usual) or steps >= MOST_STEPS:
                return found
            # A midpoint of thirds stays one: the points so far are kept.
            steps, at = 3 * steps, _between_midpoints(steps)

    def gradient_x_input(self, window: Window) -> Attribution:
        """The same by the gradient at the window alone, times the way from the usual to it.

        Its sum need not be the difference (Shrikumar et al. 2017, "Learning Important Features
        Through Propagating Activation Differences", section 2).
        """
        ends = self._gated.ends(window)
        logit, usual = self._logits(window, ends)
        values = self._sum(np.ones(1, np.float32), ends)
        return Attribution(self._gated.fields, values, logit, usual, 1)

    def _logits(self, window: Window, ends: Ends) -> tuple[float, float]:
        """Of the window and of the baseline."""
        inputs = {name: tf.constant(values[None]) for name, values in window.items()}
        usual = self._gated(tf.zeros((1, *self._shape)), ends)
        return float(self._logit(inputs)[0, 0, 0]), float(usual[0])

    def _sum(self, at: npt.NDArray[np.float32], ends: Ends) -> Floats:
        total = np.zeros(self._shape)
        for begin in range(0, len(at), STEPS):
            part = tf.constant(at[begin : begin + STEPS])
            total += self._gradient_of(part, ends).numpy()
        return total

    def _gradient(self, at: tf.Tensor, ends: Ends) -> tf.Tensor:
        """Summed gradients [L, F] of the gates where all are open by `at`, [S]."""
        opened = at[:, None, None] * tf.ones((1, *self._shape))
        with tf.GradientTape() as tape:
            tape.watch(opened)
            logits = self._gated(opened, ends)
        return tf.reduce_sum(tape.gradient(logits, opened), axis=0)


def _midpoints(steps: int) -> npt.NDArray[np.float32]:
    return ((np.arange(steps) + 0.5) / steps).astype(np.float32)


def _between_midpoints(steps: int) -> npt.NDArray[np.float32]:
    """Of a rule of three times as many steps, the midpoints that one of `steps` lacks."""
    finer = _midpoints(3 * steps)
    return np.delete(finer, np.arange(1, 3 * steps, 3))
