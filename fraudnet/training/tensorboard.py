"""What TensorBoard shows of a fit: its curves, and where the time of some steps goes."""

from pathlib import Path

import tensorflow as tf

from fraudnet.errors import InputError

FIRST_STEP, STEPS = 5, 20
"""The steps that are profiled: the first ones compile, and each makes the trace longer."""


class TensorBoardProgress:
    """Writes a fit's curves, and a profile of a few of its steps, for TensorBoard.

    Args:
        folder: made if it is not there.

    Raises:
        InputError: it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made: {error.strerror}") from error
        self._folder = folder
        self._writer = tf.summary.create_file_writer(str(folder))
        self._steps = 0
        self._profiling = False

    def begin(self, epochs: int, transactions: int, first: int) -> None:  # noqa: ARG002
        """Nothing to write yet."""
        self._steps = 0

    def step(self, transactions: int) -> None:  # noqa: ARG002
        """Begin or end the profile."""
        self._steps += 1
        if self._steps == FIRST_STEP:
            tf.profiler.experimental.start(str(self._folder))
            self._profiling = True
        elif self._steps == FIRST_STEP + STEPS:
            self._stop()

    def epoch(self, number: int, loss: float, average_precision: float | None) -> None:
        """Write the figures."""
        with self._writer.as_default(step=number):
            tf.summary.scalar("training_loss", loss)
            if average_precision is not None:
                tf.summary.scalar("stopping_average_precision", average_precision)

    def end(self) -> None:
        """Write what is left."""
        self._stop()
        self._writer.flush()

    def _stop(self) -> None:
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling = False
