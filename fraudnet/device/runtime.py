"""One network in whichever TFLite runtime is installed."""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudnet.device.errors import ArtifactError, DeviceInputError

RUNTIMES = ("ai_edge_litert", "tflite_runtime")
TENSORFLOW = "tensorflow"
"""Its own runtime, which only those ask for who compare; never chosen by itself."""
_MODULES = {name: f"{name}.interpreter" for name in RUNTIMES} | {
    TENSORFLOW: "tensorflow.lite.python.interpreter"
}
CHOICE = "FRAUDNET_TFLITE_RUNTIME"
_STANDARD_ERROR = 2


@dataclass(frozen=True)
class Tensor:
    """What the runtime says of an input or output."""

    index: int
    shape: tuple[int, ...]
    dtype: str


class Network:
    """A TFLite model, called through one of its signatures.

    Args:
        model: the flatbuffer.
        signature: its name.
        threads: that the runtime may use, at least 1.
        positions: how many each input, [1, positions], is resized to; None: as in the file.

    Raises:
        DeviceInputError: no TFLite runtime is installed, or not the one asked for.
        ArtifactError: the runtime cannot load the model.
    """

    def __init__(
        self, model: bytes, signature: str, threads: int = 1, positions: int | None = None
    ) -> None:
        try:
            self._interpreter = load(model, threads)
            if positions is not None:
                for detail in self._interpreter.get_input_details():
                    self._interpreter.resize_tensor_input(detail["index"], [1, positions])
            self._interpreter.allocate_tensors()
            # Held no longer than this: the interpreter refuses to run while it is referenced.
            runner = self._interpreter.get_signature_runner(signature)
            inputs = runner.get_input_details()
            self.inputs = _tensors(inputs)
            self.outputs = _tensors(runner.get_output_details())
            del runner
        # MemoryError: tflite-runtime beside TensorFlow, which has symbols of the same names.
        except (ValueError, RuntimeError, KeyError, MemoryError) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"{_import_runtime().__name__.split('.')[0]} cannot load signature {signature!r} "
                f"({reason}); "
                f"export the artifact again, or try another runtime with {CHOICE}"
            ) from error
        # Tensors are set by index, twice as fast as by signature, and that reaches the first alone.
        first = {detail["name"] for detail in self._interpreter.get_input_details()}
        if first != {detail["name"] for detail in inputs.values()}:
            raise ArtifactError(
                f"signature {signature!r} is not the first of the file; name the others so that "
                "they sort after it, and export the artifact again"
            )

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, float]:
        """Returns the first value of every output; `inputs` has the model's shapes and types."""
        self._invoke(inputs)
        return {
            name: self._interpreter.get_tensor(tensor.index).item(0)
            for name, tensor in self.outputs.items()
        }

    def run_sequence(
        self, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.float32]]:
        """Returns every output whole, [n]; `inputs` has the resized shape."""
        self._invoke(inputs)
        return {
            name: self._interpreter.get_tensor(tensor.index)[0]
            for name, tensor in self.outputs.items()
        }

    def _invoke(self, inputs: Mapping[str, NDArray[np.generic]]) -> None:
        for name, tensor in self.inputs.items():
            self._interpreter.set_tensor(tensor.index, inputs[name])
        self._interpreter.invoke()


def load(model: bytes, threads: int = 1) -> Any:  # noqa: ANN401  (the runtime's own class)
    """An interpreter of the model, of the runtime that is installed.

    Raises:
        DeviceInputError: none is installed, or not the one asked for.
        ValueError, RuntimeError, MemoryError: the runtime cannot load the model.
    """
    return _import_runtime().Interpreter(model_content=model, num_threads=threads)


@contextmanager
def quiet_runtime() -> Iterator[None]:
    """Leaves out what the runtime tells on standard error when it loads; its warnings are shown.

    It has no setting for that, so the stream of the whole process is set aside meanwhile: for
    programs that own their process, before they begin.
    """
    if sys.stderr is None:  # closed by whoever started the program
        yield
        return
    sys.stderr.flush()
    kept = os.dup(_STANDARD_ERROR)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, _STANDARD_ERROR)
            os.close(kept)
            aside.seek(0)
            for line in aside:
                if not line.startswith(b"INFO: "):
                    os.write(_STANDARD_ERROR, line)


def _tensors(details: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    return {
        name: Tensor(
            detail["index"], tuple(detail["shape"].tolist()), np.dtype(detail["dtype"]).name
        )
        for name, detail in details.items()
    }


def _import_runtime() -> ModuleType:
    asked = os.environ.get(CHOICE)
    if asked and asked not in _MODULES:
        raise DeviceInputError(f"{CHOICE} is {asked!r}; expected {' or '.join(RUNTIMES)}")
    for name in [asked] if asked else RUNTIMES:
        try:
            return importlib.import_module(_MODULES[name])
        except ImportError:
            continue
    missing = asked or " or ".join(RUNTIMES)
    package = (asked or RUNTIMES[0]).replace("_", "-")
    raise DeviceInputError(
        f"the TFLite runtime {missing} cannot be imported; install it with: pip install {package}"
    )
