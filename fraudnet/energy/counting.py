"""What one inference does, counted from a TensorFlow Lite file: operations, bytes, peak memory.

No interpreter and no TensorFlow: the flatbuffer is read with the schema's own classes. Counts are
exact for the static shapes in the file (a dynamic dimension counts as the 1 that the file holds).
A zip that is appended to the file is ignored, as every interpreter does.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from fraudnet.energy.operators import Call, Tensor, work_of
from fraudnet.errors import InputError

_BITS = {
    **dict.fromkeys(["INT2"], 2),
    **dict.fromkeys(["INT4", "UINT4"], 4),
    **dict.fromkeys(["INT8", "UINT8", "BOOL", "FLOAT8_E4M3FN", "FLOAT8_E5M2"], 8),
    **dict.fromkeys(["INT16", "UINT16", "FLOAT16", "BFLOAT16"], 16),
    **dict.fromkeys(["INT32", "UINT32", "FLOAT32"], 32),
    **dict.fromkeys(["INT64", "UINT64", "FLOAT64", "COMPLEX64"], 64),
    **dict.fromkeys(["COMPLEX128"], 128),
}
# A tensor of more would not fit into any memory that it is meant for: the shape is damaged.
_MOST_ELEMENTS = 2**40


def _names(enumeration: type) -> dict[int, str]:
    return {code: name for name, code in vars(enumeration).items() if isinstance(code, int)}


_OPERATOR_NAMES = _names(schema.BuiltinOperator)
_TYPE_NAMES = _names(schema.TensorType)


@dataclass(frozen=True)
class OperatorCount:
    """One operator of the graph, in the order of execution.

    `counted` is False where the operator is unknown, or moves data of no fixed size: its bytes are
    then those that are known, and its operations are missing from every total.
    """

    name: str
    output_shape: tuple[int, ...]
    macs: int
    elementwise: int
    parameter_bytes: int
    activation_bytes_read: int
    activation_bytes_written: int
    counted: bool
    output_type: str = ""

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written: parameters and activations."""
        return self.parameter_bytes + self.activation_bytes_read + self.activation_bytes_written


@dataclass(frozen=True)
class ModelCount:
    """One subgraph, counted.

    Attributes:
        operators: in the order of execution.
        parameter_bytes: constant tensors that the subgraph uses, each once (two that share one
            buffer in the file are two).
        activation_bytes: all other tensors, each once.
        peak_live_activation_bytes: most activation bytes alive at once, where a tensor lives from
            the operator that writes it to the last that reads it, inputs from the start and
            outputs to the end. Padding and scratch memory of the runtime come on top.
    """

    operators: tuple[OperatorCount, ...]
    parameter_bytes: int
    activation_bytes: int
    peak_live_activation_bytes: int

    @property
    def arithmetic_types(self) -> tuple[str, ...]:
        """Types, as INT8, that multiply-accumulates come out as."""
        return tuple(sorted({one.output_type for one in self.operators if one.macs}))

    @property
    def peak_memory_bytes(self) -> int:
        """Parameters and the most activations that live at once: what must be in memory."""
        return self.parameter_bytes + self.peak_live_activation_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(operator.macs for operator in self.operators)

    @property
    def macs_by_operator(self) -> Counter[str]:
        """Multiply-accumulates by the operator's name; 0 for a name that is not there."""
        macs: Counter[str] = Counter()
        for operator in self.operators:
            macs[operator.name] += operator.macs
        return macs

    @property
    def elementwise(self) -> int:
        """Element operations of the operators without multiply-accumulates."""
        return sum(operator.elementwise for operator in self.operators)

    @property
    def parameter_bytes_read(self) -> int:
        """Constant bytes that operators read: a shared constant counts at each."""
        return sum(operator.parameter_bytes for operator in self.operators)

    @property
    def activation_bytes_read(self) -> int:
        """Activation bytes that operators read."""
        return sum(operator.activation_bytes_read for operator in self.operators)

    @property
    def activation_bytes_written(self) -> int:
        """Activation bytes that operators write."""
        return sum(operator.activation_bytes_written for operator in self.operators)

    @property
    def bytes_moved(self) -> int:
        """Parameter and activation bytes that operators read and write."""
        return sum(operator.bytes_moved for operator in self.operators)

    @property
    def uncounted(self) -> tuple[OperatorCount, ...]:
        """Operators whose work is in no total."""
        return tuple(operator for operator in self.operators if not operator.counted)

    @property
    def uncounted_operator_share(self) -> float:
        """Share of the operators that are not counted, 0 to 1."""
        return len(self.uncounted) / max(len(self.operators), 1)

    @property
    def uncounted_byte_share(self) -> float:
        """Share of the bytes that operators which are not counted move, 0 to 1."""
        uncounted_bytes = sum(operator.bytes_moved for operator in self.uncounted)
        return uncounted_bytes / max(self.bytes_moved, 1)


def count_file(path: Path, signature: str | None = None) -> ModelCount:
    """Count one inference of a .tflite file.

    Args:
        path: the file; a zip appended to it is ignored.
        signature: count the subgraph of this signature; default: the file's first subgraph.

    Raises:
        InputError: the file cannot be read, is not a whole TensorFlow Lite file, or has no such
            signature.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot read it: {error.strerror}; name a .tflite file"
        ) from error
    return count_bytes(content, str(path), signature)


def count_bytes(content: bytes, place: str, signature: str | None = None) -> ModelCount:
    """Count one inference of a model that is held in memory.

    Args:
        content: the flatbuffer, with or without a zip appended.
        place: what the model is called in errors.
        signature: as for `count_file`.

    Raises:
        InputError: as for `count_file`.
    """
    if content[4:8] != b"TFL3":
        what = "is empty" if not content else "is not a TensorFlow Lite file"
        raise InputError(f"{place}: {what}; name a .tflite file, as `fraudnet export` writes it")
    # The schema's classes check nothing: a damaged file surfaces as whatever they stumble over.
    try:
        model = schema.ModelT.InitFromPackedBuf(content)
        names = [_operator_name(code) for code in model.operatorCodes]
        graph = model.subgraphs[_subgraph_index(model, place, signature)]
        tensors = [_tensor(i, raw, model.buffers) for i, raw in enumerate(graph.tensors)]
        calls = [_call(raw, names, tensors) for raw in graph.operators]
        return _count(graph, tensors, calls)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{place}: damaged or cut short; copy or export it again") from error


def _subgraph_index(model: schema.ModelT, place: str, signature: str | None) -> int:
    if signature is None:
        return 0
    indices = {
        definition.signatureKey.decode(): int(definition.subgraphIndex)
        for definition in model.signatureDefs or ()
    }
    if signature not in indices:
        known = ", ".join(sorted(indices)) or "none"
        raise InputError(f"{place}: no signature {signature!r}; it has: {known}")
    return indices[signature]


def _operator_name(code: schema.OperatorCodeT) -> str:
    # Files from before operator 127 fill only the older, one-byte field.
    builtin = _OPERATOR_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")
    if builtin != "CUSTOM":
        return builtin
    return f"CUSTOM {(code.customCode or b'').decode()}"


def _tensor(index: int, raw: schema.TensorT, buffers: list[schema.BufferT]) -> Tensor:
    shape = tuple(int(size) for size in raw.shape) if raw.shape is not None else ()
    if min(shape, default=0) < 0 or prod(shape) > _MOST_ELEMENTS:
        raise ValueError(f"tensor {index} has shape {shape}")
    buffer = buffers[raw.buffer]
    # Buffers of files over 2 GB lie behind the flatbuffer and leave only their size here.
    constant_bytes = len(buffer.data) if buffer.data is not None else int(buffer.size)
    type_name = _TYPE_NAMES[raw.type]
    bits = _BITS.get(type_name)
    activation_bytes = None if bits is None else (prod(shape) * bits + 7) // 8
    size_bytes = constant_bytes or activation_bytes
    return Tensor(index, shape, size_bytes, constant_bytes > 0, type_name)


def _call(raw: schema.OperatorT, names: list[str], tensors: list[Tensor]) -> Call:
    return Call(
        name=names[raw.opcodeIndex],
        inputs=[None if i < 0 else tensors[i] for i in _indices(raw.inputs)],
        outputs=[tensors[i] for i in _indices(raw.outputs)],
        options=raw.builtinOptions,
    )


def _indices(vector: Iterable[int] | None) -> list[int]:
    return [] if vector is None else [int(index) for index in vector]


def _count(graph: schema.SubGraphT, tensors: list[Tensor], calls: list[Call]) -> ModelCount:
    touched = {tensor.index for call in calls for tensor in (*call.inputs, *call.outputs) if tensor}
    touched |= {*_indices(graph.inputs), *_indices(graph.outputs)}
    used = [tensors[index] for index in sorted(touched)]
    activations = [tensor for tensor in used if not tensor.is_constant]
    return ModelCount(
        operators=tuple(_count_operator(call) for call in calls),
        parameter_bytes=_bytes(tensor for tensor in used if tensor.is_constant),
        activation_bytes=_bytes(activations),
        peak_live_activation_bytes=_peak_live_bytes(activations, calls, _indices(graph.outputs)),
    )


def _count_operator(call: Call) -> OperatorCount:
    inputs = [tensor for tensor in call.inputs if tensor]
    work = work_of(call)
    sized = all(tensor.size_bytes is not None for tensor in (*inputs, *call.outputs))
    return OperatorCount(
        name=call.name,
        output_shape=call.outputs[0].shape if call.outputs else (),
        macs=work.macs if work else 0,
        elementwise=work.elementwise if work else 0,
        parameter_bytes=_bytes(tensor for tensor in inputs if tensor.is_constant),
        activation_bytes_read=_bytes(tensor for tensor in inputs if not tensor.is_constant),
        activation_bytes_written=_bytes(call.outputs),
        counted=work is not None and sized,
        output_type=call.outputs[0].type if call.outputs else "",
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.size_bytes or 0 for tensor in tensors)


def _peak_live_bytes(activations: list[Tensor], calls: list[Call], outputs: list[int]) -> int:
    end = len(calls)
    written = {tensor.index: step for step, call in enumerate(calls) for tensor in call.outputs}
    read = {t.index: step for step, call in enumerate(calls) for t in call.inputs if t}
    # One entry a step: what comes alive there, less what died at the step before.
    change = [0] * (end + 2)
    for tensor in activations:
        first = written.get(tensor.index, 0)
        last = end if tensor.index in outputs else max(read.get(tensor.index, first), first)
        change[first] += tensor.size_bytes or 0
        change[last + 1] -= tensor.size_bytes or 0
    live = peak = 0
    for step in change:
        live += step
        peak = max(peak, live)
    return peak
