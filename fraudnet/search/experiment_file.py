"""An experiment as the TOML file that `fraudnet train --config` reads."""

import json
from pathlib import Path
from typing import Any

from fraudnet.errors import InputError
from fraudnet.training.experiment import Experiment


def write_experiment(experiment: Experiment, path: Path, comment: str) -> None:
    """Write all keys of an experiment, defaults too, so that a later version means the same.

    Args:
        experiment: any.
        path: the .toml file.
        comment: one line at its head.

    Raises:
        InputError: the file cannot be written.
    """
    sections = experiment.model_dump(mode="json", exclude_none=True)
    if experiment.features.reputation is None:
        sections["features"]["reputation"] = "none"  # TOML has no null
    lines = [f"# {comment}"]
    for name, keys in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _toml(value: Any) -> str:  # noqa: ANN401  (whatever a section holds)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON's text is TOML's, but for a delete that JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
