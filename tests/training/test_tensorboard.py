"""What is written for TensorBoard: the curves, and a profile of some steps."""

from pathlib import Path

import pytest
import tensorflow as tf

from fraudnet.errors import InputError
from fraudnet.training.tensorboard import FIRST_STEP, STEPS, TensorBoardProgress


@pytest.mark.parametrize("steps", [FIRST_STEP + STEPS + 3, FIRST_STEP + 3])
def test_curves_and_a_profile_are_written(tmp_path: Path, steps: int) -> None:
    """A fit may be over before the profile is."""
    progress = TensorBoardProgress(tmp_path / "curves")
    progress.begin(2, 100, 0)
    for epoch, found in enumerate((None, 0.75)):
        for _ in range(steps):
            tf.matmul(tf.ones((4, 4)), tf.ones((4, 4)))
            progress.step(10)
        progress.epoch(epoch, 0.5 / (epoch + 1), found)
    progress.end()
    (events,) = (tmp_path / "curves").glob("events.out.tfevents.*")
    told = [
        (value.tag, event.step, float(tf.make_ndarray(value.tensor)))
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    ]
    assert told == [
        ("training_loss", 0, 0.5),
        ("stopping_training_loss", 1, 0.25),
        ("stopping_average_precision", 1, 0.75),
    ]
    assert len([*tmp_path.glob("curves/plugins/profile/*/*.xplane.pb")]) == 1


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/curves: cannot be made: Not a directory"):
        TensorBoardProgress(tmp_path / "file" / "curves")
