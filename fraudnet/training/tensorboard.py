"""What TensorBoard shows of a fit: its curves, and where the time of some steps goes."""

from pathlib import Path

import tensorflow as tf

from fraudnet.errors import InputError

FIRST_STEP, STEPS = 5, 20
"""The steps that are profiled: the first ones compile, and each makes the trace longer."""
# What `tf.summary.scalar` writes, but that asks for the tensorboard package, which only reads it.
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


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
        figures = {"training_loss": loss}
        if average_precision is not None:
            # A fit that is watched for its best epoch may be made again on all rows.
            figures = {
                "stopping_training_loss": loss, "stopping_average_precision": average_precision
            }  # fmt: skip
        with self._writer.as_default(step=number):
            for name, value in figures.items():
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=_SCALAR)

    def end(self) -> None:
        """Write what is left."""
        self._stop()
        self._writer.flush()

    def _stop(self) -> None:
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling = False
