"""One inference of any .tflite, to be made over and over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fraudnet.device.artifact import open_artifact
from fraudnet.device.tail import CONTRACT
from fraudnet.energy.counting import count_file
from fraudnet.errors import InputError
from fraudnet.latency.bench import open_with_windows


def is_artifact(path: Path) -> bool:
    """Whether a file has, or once had, an artifact's documents; TFLite's metadata is a zip too.

    Args:
        path: a file that can be read.
    """
    return CONTRACT.encode() in path.read_bytes()


def inference_of(path: Path, threads: int = 1) -> Callable[[], object]:
    """A function that makes an inference: of an artifact's first test vector, else of noise.

    Args:
        path: an artifact, which is checked first, or any other .tflite.
        threads: that the runtime may use.

    Raises:
        ArtifactError: an artifact is damaged, or does not answer as it says.
        InputError: another .tflite is damaged, or the runtime does not load it.
        DeviceInputError: no TFLite runtime is installed.
    """
    count_file(path)  # a damaged file crashes the runtime
    if is_artifact(path):
        windows = open_with_windows(path).windows
        network = open_artifact(path, threads=threads).network
        first = {name: values[:1] for name, values in windows.items()}
        return lambda: network.run(first)
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
        interpreter.allocate_tensors()
        rng = np.random.default_rng(0)
        for detail in interpreter.get_input_details():
            dtype, shape = np.dtype(detail["dtype"]), tuple(detail["shape"])
            # An integer may be an index: 0 and 1 are the ones that most tables have.
            is_float = dtype.kind == "f"
            drawn: Any = rng.normal(size=shape) if is_float else rng.integers(0, 2, shape)
            interpreter.set_tensor(detail["index"], drawn.astype(dtype))
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: the runtime does not load it: {reason}") from error
    invoke: Callable[[], object] = interpreter.invoke
    return invoke
