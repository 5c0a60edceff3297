"""What explains a case beyond the device's reasons: the artifact that decided it, and the network.

Both are optional, and opened when they are first asked for. TensorFlow takes seconds to load, and
is imported no sooner.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fraudnet.device.artifact import Artifact, open_artifact
from fraudnet.device.contract import Contract, Input, ReputationTerms
from fraudnet.device.errors import DeviceInputError
from fraudnet.errors import InputError
from fraudnet.review.cases import Case
from fraudnet.review.explanations.case_sequence import (
    CaseSequence,
    case_sequence,
    occlusion_table,
)

if TYPE_CHECKING:
    from fraudnet.review.explanations.integrated_gradients import Attribution, IntegratedGradients
    from fraudnet.training.trained import Trained

_ERRORS = 2  # the file descriptor

ARTIFACT, MODEL = "FRAUDNET_ARTIFACT", "FRAUDNET_MODEL"


@dataclass(frozen=True)
class Explainers:
    """An artifact and a trained network, either of which may be missing.

    Attributes:
        artifact_path: of the .tflite; None: none is given.
        model_path: directory that `fraudnet train --output` wrote; None: none is given.
        on_page: whether a page without a kernel shows what the network says, too, for which it is
            loaded at once.
    """

    artifact_path: Path | None = None
    model_path: Path | None = None
    on_page: bool = False

    @cached_property
    def artifact_sha256(self) -> str | None:
        """Of the artifact's file; None: there is none."""
        if self.artifact_path is None:
            return None
        try:
            return hashlib.sha256(self.artifact_path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{self.artifact_path}: {error.strerror}; see {ARTIFACT}") from error

    @cached_property
    def artifact(self) -> Artifact:
        """The artifact, checked.

        Raises:
            InputError: none is given, or it cannot be used.
        """
        if self.artifact_path is None:
            raise InputError(
                f"no artifact is given: name the .tflite that scored in the environment variable "
                f"{ARTIFACT}, restart the kernel and run the notebook again"
            )
        try:
            with _quiet():
                return open_artifact(self.artifact_path)
        except DeviceInputError as error:
            raise InputError(str(error)) from error

    @cached_property
    def trained(self) -> "Trained":
        """The trained network.

        Raises:
            InputError: none is given, it cannot be used, or TensorFlow is not installed.
        """
        if self.model_path is None:
            raise InputError(
                "no trained network is given: name the directory that `fraudnet train --output` "
                f"wrote in the environment variable {MODEL}, restart the kernel and run the "
                "notebook again"
            )
        try:
            from fraudnet.training.trained import load_trained
        except ModuleNotFoundError as error:
            raise InputError(
                f"{error.name} is not installed; the network needs pip install 'fraudnet[train]'"
            ) from error
        return load_trained(self.model_path)

    @cached_property
    def gradients(self) -> "IntegratedGradients":
        """Of the trained network; the first window takes seconds, others do not."""
        network = self.trained.network
        from fraudnet.review.explanations.integrated_gradients import IntegratedGradients

        return IntegratedGradients(network)

    def occluded(self, case: Case) -> tuple[pd.DataFrame, bool]:
        """What the artifact says of a case without each part of its window.

        Returns:
            What `occlusion_table` does, and whether the case holds the counts that are read.

        Raises:
            InputError: there is no artifact, or another one decided the case.
        """
        artifact = self.artifact
        decided = str(case.flags["artifact_sha256"].iloc[-1])
        if decided != artifact.sha256:
            raise InputError(
                f"{self.artifact_path} (sha256 {artifact.sha256[:12]}...) did not decide case "
                f"{case.case_id}, {decided[:12]}... did; name that one in {ARTIFACT}"
            )
        sequence = case_sequence(case, artifact.contract, artifact.contract.window_length)
        return occlusion_table(artifact, sequence), sequence.knows_reputation

    def sequence(self, case: Case, windows: int = 1) -> CaseSequence:
        """What the trained network reads of a case.

        Args:
            case: open.
            windows: ending at how many of the newest transactions, as far as the case reaches.

        Raises:
            InputError: there is no network, or it cannot read the case's transactions.
        """
        length = self.trained.network.receptive_field
        return case_sequence(case, self._contract, length - 1 + windows)

    def attributed(self, case: Case) -> "tuple[Attribution, float, bool]":
        """Integrated gradients of a case's newest transaction.

        Returns:
            They, the network's probability, and whether the case holds the counts that are read.

        Raises:
            InputError: there is no network, or it cannot read the case's transactions.
        """
        sequence = self.sequence(case)
        inputs = {name: values[None] for name, values in sequence.inputs.items()}
        probability = self.trained.network.scores(inputs)["fraud_probability"]
        found = self.gradients.attribute(sequence.inputs)
        return found, float(probability[0, 0, 0]), sequence.knows_reputation

    @cached_property
    def _contract(self) -> Contract:
        """What an artifact of the trained network would say of its inputs."""
        network, length = self.trained.network, self.trained.network.receptive_field
        entries = network.specification.inputs
        inputs = tuple(
            Input(
                name=entry.name, dtype=entry.dtype, shape=(1, length), kind=entry.kind,
                column=entry.column or "", vocabulary=entry.vocabulary or (),
                statistic=f"{entry.statistic}_{entry.days}d" if entry.statistic else "",
            )
            for entry in entries
        )  # fmt: skip
        columns = tuple(entry.statistic for entry in inputs if entry.statistic)
        return Contract(
            signature="", window_length=length, inputs=inputs, outputs={},
            threshold=self.trained.facts.threshold.probability, tolerance=0.0,
            reputation=ReputationTerms(columns, 0.0) if columns else None,
            distance_threshold=None,
        )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the TFLite runtime writes of itself, from C, into the cell that loads it."""
    kept = os.dup(_ERRORS)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  (a device, no path of ours)
            os.dup2(nowhere.fileno(), _ERRORS)
        yield
    finally:
        os.dup2(kept, _ERRORS)
        os.close(kept)
