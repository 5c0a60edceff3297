"""One training step: the gradient of a batch's loss in all weights, and the optimizer's answer."""

from itertools import pairwise
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fraudnet.training.batches import Batch

PARTS = 2
"""Of a batch, whose gradients are found at the same time. As many on every machine: sums of floats
depend on how they are divided."""


class TrainingStep:
    """A step over a model's weights as one vector, compiled by XLA for batches of a static shape.

    One vector, since every variable that a compiled function takes costs it microseconds, and the
    optimizer has three more of each. Parts, since XLA's code uses a second core for products of
    matrices alone. And not `Model.fit`, which compiles twice as long, and whose data pipeline has
    the memory given back to the system, and taken again, at every step.

    Args:
        model: whose trainable variables are learnt; they change at `put_back` alone, and of what
            its layers keep besides, only what dropout draws from is minded.
        optimizer: not yet built.
        seed: of dropout.
        focal_gamma: how much less what is classified well counts in the loss.

    Attributes:
        weights: [P] all of them, as they are now.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
        focal_gamma: float,
    ) -> None:
        self._model, self._optimizer = model, optimizer
        self._seed, self._focal_gamma = seed, focal_gamma
        self._variables = model.trainable_variables
        self._shapes = [tuple(variable.shape) for variable in self._variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._draws = [
            layer.seed_generator.state
            for layer in model.layers
            if getattr(layer, "seed_generator", None) is not None
        ]
        initial = np.concatenate([v.numpy().reshape(-1) for v in self._variables])
        self.weights = keras.Variable(initial, name="weights")
        optimizer.build([self.weights])
        self._gradient: Any = tf.function(self._loss_and_gradient, jit_compile=True)
        self._update: Any = tf.function(self._apply, jit_compile=True)
        self._whole: Any = tf.function(self._parts)

    def __call__(self, batch: Batch) -> tf.Tensor:
        """Learn from a batch; returns its loss."""
        return self._whole(batch.inputs, batch.label, batch.weight)

    def put_back(self) -> None:
        """Give the model's variables what was learnt."""
        for variable, values in zip(self._variables, self._split(self.weights), strict=True):
            variable.assign(values)

    def _split(self, weights: tf.Tensor) -> list[tf.Tensor]:
        pieces = tf.split(tf.convert_to_tensor(weights), self._sizes)
        return [tf.reshape(p, shape) for p, shape in zip(pieces, self._shapes, strict=True)]

    def _parts(
        self, inputs: dict[str, tf.Tensor], label: tf.Tensor, weight: tf.Tensor
    ) -> tf.Tensor:
        count = label.shape[0]
        ends = np.linspace(0, count, min(PARTS, count) + 1).astype(int).tolist()
        found = []
        for number, (begin, end) in enumerate(pairwise(ends)):
            part = {name: values[begin:end] for name, values in inputs.items()}
            share = (end - begin) / count
            draw = tf.constant(number, tf.int64)
            found.append(self._gradient(part, label[begin:end], share * weight[begin:end], draw))
        self._update([gradient for _, gradient in found])
        return tf.add_n([loss for loss, _ in found])

    def _loss_and_gradient(
        self, inputs: dict[str, tf.Tensor], label: tf.Tensor, weight: tf.Tensor, part: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            weights = tf.convert_to_tensor(self.weights)
            tape.watch(weights)
            # Of the step and the part: parts that drew from one state would wait for each other.
            steps = tf.cast(self._optimizer.iterations.value, tf.int64)
            draw = tf.stack([tf.constant(self._seed, tf.int64), PARTS * steps + part])
            state = [*zip(self._variables, self._split(weights), strict=True)]
            with keras.StatelessScope([*state, *((each, draw) for each in self._draws)]):
                logit = self._model(inputs, training=True)
            loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=label, logits=logit)
            if self._focal_gamma:
                # The cross-entropy is -log of the probability given to the truth; at 1, the power's
                # slope may be infinite.
                loss *= tf.pow(tf.maximum(1.0 - tf.exp(-loss), 1e-7), self._focal_gamma)
            loss = tf.reduce_mean(weight * loss)
        return loss, tape.gradient(loss, weights)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        self._optimizer.apply([tf.add_n(gradients)], [self.weights])
