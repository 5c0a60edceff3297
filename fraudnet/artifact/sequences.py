"""Many transactions scored by a flatbuffer, by its `score_sequence`: as fast as by Keras."""

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from fraudnet.artifact.signatures import SEQUENCE
from fraudnet.device.contract import DISTANCE, PROBABILITY
from fraudnet.windows.chunks import chunks_over
from fraudnet.windows.histories import Histories

CHUNK_LENGTH = 256


def score_rows(
    model: bytes,
    receptive_field: int,
    histories: Histories,
    wanted: npt.NDArray[np.bool_],
) -> dict[str, npt.NDArray[np.float32]]:
    """`fraud_probability` and `ood_distance` of the wanted rows, [W] each.

    Args:
        model: a flatbuffer, or an artifact, whose tail no runtime reads.
        receptive_field: R of the network.
        histories: N rows.
        wanted: [N] rows to score.
    """
    chunks = chunks_over(histories, wanted, receptive_field, CHUNK_LENGTH)
    interpreter = Interpreter(model_content=model, num_threads=1)
    runner = interpreter.get_signature_runner(SEQUENCE)
    inputs = {name: detail["index"] for name, detail in runner.get_input_details().items()}
    outputs = {name: detail["index"] for name, detail in runner.get_output_details().items()}
    del runner  # the interpreter does not run while it is referenced
    for index in inputs.values():
        interpreter.resize_tensor_input(index, [1, receptive_field - 1 + CHUNK_LENGTH])
    interpreter.allocate_tensors()
    rank = np.cumsum(wanted) - 1
    answers = {name: np.empty(wanted.sum(), np.float32) for name in (PROBABILITY, DISTANCE)}
    for chosen in chunks.batches(1):
        for name, values in chunks.gather(chosen).items():
            if name in inputs:
                interpreter.set_tensor(inputs[name], values)
        interpreter.invoke()
        rows = chunks.rows(chosen)[0]
        asked = (rows >= 0) & wanted[rows]
        for name, answer in answers.items():
            answer[rank[rows[asked]]] = interpreter.get_tensor(outputs[name])[0][asked]
    return answers
