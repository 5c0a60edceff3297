"""TensorFlow Lite files written field by field, for graphs that no converter would make."""

from collections.abc import Sequence
from dataclasses import dataclass

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


@dataclass(frozen=True)
class Made:
    """A tensor (constant if it has data) of a handmade graph."""

    shape: tuple[int, ...]
    type: int = schema.TensorType.FLOAT32
    data: bytes = b""


@dataclass(frozen=True)
class Step:
    """An operator: its builtin code, and the positions of its tensors."""

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: str = ""
    options: object = None
    options_type: int = 0


def make_file(
    tensors: Sequence[Made],
    steps: Sequence[Step],
    inputs: Sequence[int] = (0,),
    outputs: Sequence[int] = (),
) -> bytes:
    """The bytes of a model with one subgraph."""
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    graph.tensors = [_tensor(made, model.buffers) for made in tensors]
    model.operatorCodes = [_code(step) for step in steps]
    graph.operators = [_operator(step, index) for index, step in enumerate(steps)]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(made: Made, buffers: list[schema.BufferT]) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = list(made.shape), made.type, 0
    if made.data:
        tensor.buffer = len(buffers)
        buffer = schema.BufferT()
        buffer.data = list(made.data)
        buffers.append(buffer)
    return tensor


def _code(step: Step) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = step.code
    # As the converter writes it: the one-byte field saturates at 127.
    code.deprecatedBuiltinCode = min(step.code, 127)
    code.customCode = step.custom or None
    return code


def _operator(step: Step, index: int) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex = index
    operator.inputs, operator.outputs = list(step.inputs), list(step.outputs)
    operator.builtinOptions, operator.builtinOptionsType = step.options, step.options_type
    return operator
