"""What differs between two artifacts: what they say of themselves, what they are, what they say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudnet.device.artifact import Artifact, open_artifact, read_documents
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.energy.counting import count_file


@dataclass(frozen=True)
class Difference:
    """Of two artifacts, the first's value before the second's.

    Attributes:
        contract: by key, as in `threshold.probability`; None where one has no such key.
        sizes: bytes of the file, parameters, multiply-accumulates.
        operators: how many of each kind, where the numbers differ.
        answers: largest difference on the test vectors of both, by output; None where their
            inputs are not the same.
        different_decisions: how many of those windows the two decide differently, each by its own
            threshold; None likewise.
        windows: how many there are.
    """

    contract: dict[str, tuple[Any, Any]]
    sizes: dict[str, tuple[int, int]]
    operators: dict[str, tuple[int, int]]
    answers: dict[str, float] | None
    different_decisions: int | None
    windows: int

    def as_dict(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def difference(first: Path, second: Path) -> Difference:
    """Compare two artifacts.

    Raises:
        ArtifactError: one of them is no whole artifact.
        DeviceInputError: no TFLite runtime is installed.
        InputError: an operator cannot be counted.
    """
    paths = first, second
    opened = [open_artifact(path) for path in paths]
    documents = [read_documents(path) for path in paths]
    flat = [dict(_flat(each["contract.json"], "")) for each in documents]
    counts = [count_file(path) for path in paths]
    sizes = {
        "bytes": (first.stat().st_size, second.stat().st_size),
        "parameter_bytes": (counts[0].parameter_bytes, counts[1].parameter_bytes),
        "macs": (counts[0].macs, counts[1].macs),
    }
    kinds = [Counter(operator.name for operator in each.operators) for each in counts]
    vectors = [vector["inputs"] for each in documents for vector in each["vectors.json"]]
    same = opened[0].contract.inputs == opened[1].contract.inputs
    answers, different = _compared(opened, vectors) if same else (None, None)
    return Difference(
        contract={
            key: (flat[0].get(key), flat[1].get(key))
            for key in sorted(flat[0].keys() | flat[1].keys())
            if flat[0].get(key) != flat[1].get(key)
        },
        sizes=sizes,
        operators={
            name: (kinds[0][name], kinds[1][name])
            for name in sorted(kinds[0] | kinds[1])
            if kinds[0][name] != kinds[1][name]
        },
        answers=answers,
        different_decisions=different,
        windows=len(vectors) if same else 0,
    )


def _flat(value: Any, place: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  (JSON)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{place}.{key}" if place else key)
    else:
        yield place, value


def _compared(
    opened: list[Artifact], vectors: list[dict[str, Any]]
) -> tuple[dict[str, float], int]:
    largest, different = dict.fromkeys((PROBABILITY, DISTANCE), 0.0), 0
    for vector in vectors:
        given = {
            i.name: np.array(vector[i.name], i.dtype).reshape(i.shape)
            for i in opened[0].contract.inputs
        }
        found = [each.network.run(given) for each in opened]
        for name in largest:
            largest[name] = max(largest[name], abs(found[0][name] - found[1][name]))
        decisions = [
            answer[PROBABILITY] >= each.contract.threshold
            for answer, each in zip(found, opened, strict=True)
        ]
        different += decisions[0] != decisions[1]
    return largest, different
