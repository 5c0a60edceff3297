"""The methods that say why: through the artifact, and through the Keras network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fraudnet.device.answers import Answers
from fraudnet.device.artifact import open_artifact
from fraudnet.device.reasons import WHOLE, Occlusion
from fraudnet.device.transactions import Transaction
from fraudnet.device.window import Window
from fraudnet.errors import InputError
from fraudnet.network.gated import fields_of
from fraudnet.review.explanations.integrated_gradients import Attribution, IntegratedGradients
from fraudnet.training.trained import Trained

Inputs = Mapping[str, npt.NDArray[Any]]
TOP = 3


class Reasons(NamedTuple):
    """Of one case.

    Attributes:
        top: position in the window of the transaction that moved the answer most; -1: none did.
        fields: positions and fields, the strongest first, at most `TOP`.
    """

    top: int
    fields: list[tuple[int, str]]


@dataclass(frozen=True)
class Method:
    """A way to explain a window.

    Attributes:
        name: as the table has it.
        reasons: of a window's raw inputs, [R] each.
        field_count: fields of a transaction.
        missed: of integrated gradients: what each case's attributions lack of the difference in the
            logit, as a share of it.
    """

    name: str
    reasons: Callable[[Inputs], Reasons]
    field_count: int
    missed: list[float] = field(default_factory=list)


def methods_of(trained: Trained, artifact: Path) -> list[Method]:
    """Occlusion as the device does it and of everything, and two by gradients.

    Raises:
        DeviceInputError: the artifact cannot be used.
        InputError: it is not of this network.
    """
    opened = open_artifact(artifact)
    if opened.contract.window_length != trained.network.receptive_field:
        raise InputError(f"{artifact}: is not of the model; export it again")
    window = Window(opened.contract)
    answers = Answers(opened, window)
    occlusion = Occlusion(opened.contract, window, lambda m: answers.of_matrix(m).probability)

    def by_device(inputs: Inputs) -> Reasons:
        matrix = packed(window, inputs)
        last = matrix.shape[1] - 1
        found = occlusion.reasons(matrix, answers.of_matrix(matrix).probability, _numbered)
        fields = [(last - int(each.transaction_id), each.field) for each in found]
        return Reasons(fields[0][0] if fields else -1, fields)

    def of_everything(inputs: Inputs) -> Reasons:
        found = sorted(occlusion.every(packed(window, inputs)))
        top = next(place for _, place, name in found if name == WHOLE)
        return Reasons(top, [(place, name) for _, place, name in found if name != WHOLE][:TOP])

    gradients = IntegratedGradients(trained.network)
    missed: list[float] = []

    def integrated(inputs: Inputs) -> Reasons:
        found = gradients.attribute(inputs)
        missed.append(found.missed / abs(found.logit - found.usual_logit))
        return _of(found)

    count = len(fields_of(trained.network.specification))
    return [
        Method("reasons of the device", by_device, count),
        Method("occlusion through the artifact", of_everything, count),
        Method("integrated gradients", integrated, count, missed),
        Method(
            "gradient x input",
            lambda inputs: _of(gradients.gradient_x_input(inputs)),
            count,
        ),
    ]


def packed(window: Window, inputs: Inputs) -> npt.NDArray[np.int32]:
    """Raw inputs as the device holds them, [inputs, R]."""
    return np.stack([inputs[name].view(np.int32) for name in window.names])


def _numbered(places_before: int) -> Transaction:
    """A transaction that is named by its place, which is all that is asked of it."""
    return Transaction(str(places_before), "", 0, None, 0.0, {})


def _of(found: Attribution) -> Reasons:
    ranked = found.ranked().head(TOP)
    places = len(found.values) - 1 - ranked["places_before"]
    return Reasons(found.top_place, list(zip(places, ranked["field"], strict=True)))
