"""Export: a trained network becomes one verified file, or no file at all."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudnet.artifact.contract import contract_of
from fraudnet.artifact.convert import convert
from fraudnet.artifact.package import package, vector, write_atomically
from fraudnet.artifact.verify import Parity, check_parity, keras_answers, with_edge_cases
from fraudnet.device.artifact import open_artifact
from fraudnet.training.trained import Trained

VECTORS = 12


@dataclass(frozen=True)
class Exported:
    """An artifact that was written."""

    path: Path
    bytes: int
    parity: Parity


def export(trained: Trained, path: Path, costs_of: Callable[[bytes], dict[str, Any]]) -> Exported:
    """Convert, compare with Keras, describe, write, and open what was written as a device would.

    Args:
        trained: the network and its windows.
        path: the .tflite to write.
        costs_of: what a flatbuffer takes, for the contract.

    Raises:
        CheckFailed: the flatbuffer is not the same function as the Keras network.
        InputError: the file cannot be written.
    """
    network, facts = trained.network, trained.facts
    model = convert(network)
    windows = with_edge_cases(trained.windows, network.specification.inputs)
    expected = keras_answers(network, windows)
    parity = check_parity(model, windows, expected, facts.threshold.probability)
    content = package(model, contract_of(facts, costs_of(model)), _vectors(windows, expected))
    write_atomically(path, content)
    open_artifact(path)
    return Exported(path, len(content), parity)


def _vectors(windows: dict[str, Any], expected: dict[str, Any]) -> list[dict[str, Any]]:
    """The edge cases, which are the last, and windows from the whole range of probabilities."""
    ranked = np.argsort(expected["fraud_probability"], kind="stable")
    spread = ranked[np.linspace(0, len(ranked) - 1, VECTORS).astype(int)]
    edges = np.arange(len(ranked) - 7, len(ranked))
    return [
        vector(
            {name: values[i] for name, values in windows.items()},
            {name: float(values[i]) for name, values in expected.items()},
        )
        for i in dict.fromkeys([*spread.tolist(), *edges.tolist()])
    ]
