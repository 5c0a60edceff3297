"""The converter's flatbuffer made small: the same graph in fewer bytes, under two signatures."""

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

IDENTIFIER = b"TFL3"


def slim(model: bytes, also: str, step: bytes | None = None) -> bytes:
    """The same graph without what no runtime reads, and called by a second name too.

    Gone are the names of inner tensors, metadata, empty quantisation, and all but one of equal
    constants, shapes and options. Tensors of signatures keep their names.

    Args:
        model: a flatbuffer with one signature.
        also: a second signature of the same graph, for inputs of other lengths: a runtime resizes
            them, and as the graph holds no fixed length but theirs, it answers at as many
            positions.
        step: a flatbuffer of another graph with one signature, which shares the constants.
    """
    root = _read(model)
    root.description = root.metadata = root.metadataBuffer = None
    (signature,) = root.signatureDefs
    root.signatureDefs = [signature, _renamed(signature, also)]
    _open_lengths(root)
    if step is not None:
        _append(root, _read(step))
    named: dict[int, set[int]] = {}
    for each in root.signatureDefs:
        own = {t.tensorIndex for t in (*each.inputs, *each.outputs)}
        named.setdefault(each.subgraphIndex, set()).update(own)
    for number, graph in enumerate(root.subgraphs):
        for index, tensor in enumerate(graph.tensors):
            if index not in named[number]:
                tensor.name = None
            if tensor.quantization is not None and not _any(tensor.quantization.scale):
                tensor.quantization = None
            tensor.shapeSignature = None
        graph.name = None
        for operator in graph.operators:
            operator.builtinOptions = _Shared.of(operator.builtinOptions)
    _share_buffers(root)
    builder = _SharingBuilder(len(model))
    builder.Finish(root.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def _read(model: bytes) -> Any:  # noqa: ANN401  (generated classes have no types)
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(model), 0))


def _open_lengths(root: Any) -> None:  # noqa: ANN401
    """Take the number of positions out of reshapes to [1, positions, channels].

    The converter leaves one after two 1x1 layers in a row, the factors of a low-rank one.
    """
    reshape = schema.BuiltinOperator.RESHAPE
    for graph in root.subgraphs:
        for operator in graph.operators:
            if root.operatorCodes[operator.opcodeIndex].builtinCode != reshape:
                continue
            shape = graph.tensors[operator.inputs[1]]
            constant = root.buffers[shape.buffer].data
            if constant is not None and shape.shape.tolist() == [3]:
                sizes = np.frombuffer(bytes(constant), np.int32).copy()
                sizes[1] = -1
                shape.buffer = len(root.buffers)  # equal constants may be shared
                root.buffers.append(schema.BufferT())
                root.buffers[-1].data = np.frombuffer(sizes.tobytes(), np.uint8)


def _append(root: Any, other: Any) -> None:  # noqa: ANN401
    """Add the one graph of another model, with its signature, operators' codes and constants."""
    (graph,), (signature,) = other.subgraphs, other.signatureDefs
    codes = [_code(each) for each in root.operatorCodes]
    for each in other.operatorCodes:
        if _code(each) not in codes:
            codes.append(_code(each))
            root.operatorCodes.append(each)
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(_code(other.operatorCodes[operator.opcodeIndex]))
    for tensor in graph.tensors:
        tensor.buffer += len(root.buffers)
    root.buffers += other.buffers
    signature.subgraphIndex = len(root.subgraphs)
    root.subgraphs.append(graph)
    root.signatureDefs.append(signature)


def _code(code: Any) -> tuple[int, int]:  # noqa: ANN401
    return code.builtinCode, code.version


def _any(values: npt.NDArray[np.float32] | None) -> bool:
    return values is not None and len(values) > 0


def _share_buffers(root: Any) -> None:  # noqa: ANN401
    """Equal constants once; the first buffer, which is empty, for tensors that are computed."""
    kept = [root.buffers[0]]
    places: dict[bytes, int] = {}
    for tensor in (tensor for graph in root.subgraphs for tensor in graph.tensors):
        data = root.buffers[tensor.buffer].data
        content = b"" if data is None else bytes(data)
        if content and content not in places:
            places[content] = len(kept)
            kept.append(root.buffers[tensor.buffer])
        tensor.buffer = places.get(content, 0)
    root.buffers = kept


def _renamed(signature: Any, name: str) -> Any:  # noqa: ANN401
    other = schema.SignatureDefT()
    other.inputs, other.outputs = signature.inputs, signature.outputs
    other.subgraphIndex, other.signatureKey = signature.subgraphIndex, name.encode()
    return other


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers has no types
    """Writes equal vectors once: whatever refers to one may refer to the other."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}
        self.shared: dict[bytes, int] = {}

    def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802  (flatbuffers' name)
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


class _Shared:
    """Options of an operator, written once however many operators have them."""

    def __init__(self, options: Any) -> None:  # noqa: ANN401
        self._options = options
        alone = flatbuffers.Builder(64)
        alone.Finish(options.Pack(alone))
        self._key = type(options).__name__.encode() + bytes(alone.Output())

    @classmethod
    def of(cls, options: Any) -> "_Shared | None":  # noqa: ANN401
        return None if options is None else cls(options)

    def Pack(self, builder: _SharingBuilder) -> int:  # noqa: N802
        if self._key not in builder.shared:
            builder.shared[self._key] = self._options.Pack(builder)
        return builder.shared[self._key]
