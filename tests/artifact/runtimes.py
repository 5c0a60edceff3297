"""Both TFLite runtimes, each in a process of its own: one of them cannot be beside TensorFlow."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fraudnet.training.trained import Windows

ROOT = Path(__file__).parents[2]
PROGRAM = """
import importlib, sys
import numpy as np
runtime, model, given, found = sys.argv[1:]
interpreter = importlib.import_module(f"{runtime}.interpreter").Interpreter(model)
interpreter.allocate_tensors()
names = list(interpreter.get_signature_list())
run = interpreter.get_signature_runner(names[0])
windows = dict(np.load(given))
count = len(windows["valid"])
answers = [run(**{n: v[at : at + 1] for n, v in windows.items()}) for at in range(count)]
stacked = {name: np.array([each[name].item() for each in answers]) for name in answers[0]}
np.savez(found, signatures=names, **stacked)
"""


def answers_of(runtime: str, model: Path, windows: "Windows") -> dict[str, NDArray[np.generic]]:
    """What the file answers window by window, [W] by output, and its `signatures`."""
    need(runtime)
    given, found = model.with_suffix(".given.npz"), model.with_suffix(".found.npz")
    np.savez(given, **windows)
    in_a_process("-c", PROGRAM, runtime, model, given, found)
    with np.load(found) as stored:
        return dict(stored)


def need(runtime: str) -> None:
    if find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed")


def in_a_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, which must end well."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done
