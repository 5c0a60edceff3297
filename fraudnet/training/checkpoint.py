"""The state of a fit after its last whole epoch, so that a killed one goes on where it was."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from fraudnet.device.files import replace_file
from fraudnet.errors import InputError

Arrays = list[npt.NDArray[Any]]
FORMAT = 2
"""Of the state's groups of arrays; a state of another is not taken up."""


@dataclass(frozen=True)
class State:
    """Where a fit stands.

    Attributes:
        facts: numbers and texts by name, as JSON has them.
        arrays: of variables, by the name of their group.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, Arrays] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """One file that always holds the last whole state.

    Attributes:
        path: of the file; its folder is there.
        identity: of configuration and data; a state of others is not taken up.
        run_id: of the MLflow run, which a fit that goes on adds to.
    """

    path: Path
    identity: str
    run_id: str

    def save(self, state: State) -> None:
        """Replace the file.

        Raises:
            InputError: it cannot be written.
        """
        facts = {**state.facts, "identity": self.identity, "run_id": self.run_id, "format": FORMAT}
        names = {name: len(values) for name, values in state.arrays.items()}
        content = BytesIO()
        np.savez(
            content,
            facts=np.array(json.dumps({"facts": facts, "names": names})),
            **{
                f"{name}.{number}": value
                for name, values in state.arrays.items()
                for number, value in enumerate(values)
            },
        )
        try:
            replace_file(self.path, content.getvalue())
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def load(self) -> State | None:
        """The state that was saved last; None if there is no whole one of this identity."""
        try:
            with self.path.open("rb") as file, np.load(file) as stored:
                written = json.loads(str(stored["facts"]))
                arrays = {
                    name: [stored[f"{name}.{number}"] for number in range(count)]
                    for name, count in written["names"].items()
                }
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
        facts = written["facts"]
        same = facts["identity"] == self.identity and facts.get("format") == FORMAT
        return State(facts, arrays) if same else None


def values_of(variables: Sequence[Any]) -> Arrays:
    """Copies of what variables hold."""
    return [np.array(variable.numpy()) for variable in variables]


def assign(variables: Sequence[Any], values: Arrays) -> None:
    """Give variables what `values_of` took from them."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
