"""The work of one operator: how many multiply-accumulates, how many element operations.

Shapes follow the TensorFlow Lite schema: activations are channels-last, convolution filters are
`[out, height, width, in]` (`in` is that of one group), depthwise filters
`[1, height, width, out]`, those in three dimensions `[depth, height, width, in, out]`, fully
connected and recurrent weights `[out, in]`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """What counting needs of a tensor; `size_bytes` is None where the type has no fixed size."""

    index: int
    shape: tuple[int, ...]
    size_bytes: int | None
    is_constant: bool
    type: str = ""

    @property
    def elements(self) -> int:
        """Number of elements; a scalar has one."""
        return prod(self.shape)


@dataclass(frozen=True)
class Call:
    """One operator with its tensors; an optional input that is absent is None."""

    name: str
    inputs: Sequence[Tensor | None]
    outputs: Sequence[Tensor]
    options: Any

    def input(self, position: int) -> Tensor:
        """The input at a position.

        Raises:
            ValueError: that input is absent, so the file is damaged.
        """
        tensor = self.inputs[position]
        if tensor is None:
            raise ValueError(f"{self.name} lacks its input {position}")
        return tensor


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates and element operations of one operator."""

    macs: int
    elementwise: int


def work_of(call: Call) -> Work | None:
    """The work of a call, or None where this module has no rule for the operator."""
    if call.name in _MACS:
        return Work(macs=_MACS[call.name](call), elementwise=0)
    if call.name in _POOLS:
        window = call.options.filterHeight * call.options.filterWidth
        return Work(macs=0, elementwise=call.outputs[0].elements * window)
    if call.name in _VIEWS:
        return Work(macs=0, elementwise=0)
    if call.name in _ELEMENTWISE:
        return Work(macs=0, elementwise=_largest_activation(call))
    return None


def _convolution(call: Call) -> int:
    return call.outputs[0].elements * prod(call.input(1).shape[1:])


def _depthwise(call: Call) -> int:
    return call.outputs[0].elements * prod(call.input(1).shape[1:3])


def _transpose_convolution(call: Call) -> int:
    """Every input element meets the whole filter, also where the output is cropped afterwards."""
    weights, features = call.input(1), call.input(2)
    return features.elements * prod(weights.shape[:3])


def _fully_connected(call: Call) -> int:
    return call.outputs[0].elements * call.input(1).shape[-1]


def _batch_matmul(call: Call) -> int:
    return call.outputs[0].elements * call.input(0).shape[-2 if call.options.adjX else -1]


def _convolution_3d(call: Call) -> int:
    return call.outputs[0].elements * prod(call.input(1).shape[:4])


def _recurrent(call: Call) -> int:
    """Each step's vector meets every matrix of the cell once: gates, recurrence, projection."""
    sequence = call.input(0)
    steps = sequence.elements // max(sequence.shape[-1], 1)
    matrices = [t for t in call.inputs[1:] if t and t.is_constant and len(t.shape) == 2]
    return steps * sum(matrix.elements for matrix in matrices)


def _largest_activation(call: Call) -> int:
    """Elements of the largest tensor passed over: a table that is looked up in is not."""
    read = [tensor.elements for tensor in call.inputs if tensor and not tensor.is_constant]
    return max(read + [tensor.elements for tensor in call.outputs])


_MACS: dict[str, Callable[[Call], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transpose_convolution,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_3D": _convolution_3d,
    "SVDF": _recurrent,
    "RNN": _recurrent,
    "LSTM": _recurrent,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
    "BIDIRECTIONAL_SEQUENCE_RNN": _recurrent,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
}
_POOLS = {"AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"}
_VIEWS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE", "RANK", "BITCAST"}
_ELEMENTWISE = set(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ATAN2 BATCH_TO_SPACE_ND BITWISE_XOR BROADCAST_ARGS
    BROADCAST_TO BUCKETIZE CAST CEIL CONCATENATION COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE DILATE
    DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP FAKE_QUANT FILL FLOOR FLOOR_DIV
    FLOOR_MOD GATHER GATHER_ND GELU GREATER GREATER_EQUAL HARD_SWISH L2_NORMALIZATION LEAKY_RELU
    LESS LESS_EQUAL LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC
    LOG_SOFTMAX MATRIX_DIAG MATRIX_SET_DIAG MAXIMUM MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL
    ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE RANGE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN
    REDUCE_PROD RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
    REVERSE_SEQUENCE REVERSE_V2 RIGHT_SHIFT ROUND RSQRT SCATTER_ND SEGMENT_SUM SELECT SELECT_V2
    SIGN SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPARSE_TO_DENSE SPLIT SPLIT_V SQRT
    SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE UNPACK
    UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM WHERE
    ZEROS_LIKE
    """.split()  # noqa: SIM905  (as a list it would be a page)
)
