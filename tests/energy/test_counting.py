import csv
import io
import zipfile
from ast import literal_eval
from collections import Counter
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudnet.energy.counting import ModelCount, count_bytes, count_file
from fraudnet.errors import InputError
from tests.energy.handmade import Made, Step, make_file

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "energy"
OP = schema.BuiltinOperator


def small_file() -> bytes:
    """x [1, 4] -> fully connected 4 to 3 -> x + x."""
    return make_file(
        [
            Made((1, 4)),
            Made((3, 4), data=bytes(48)),
            Made((3,), data=bytes(12)),
            Made((1, 3)),
            Made((1, 3)),
        ],
        [Step(OP.FULLY_CONNECTED, (0, 1, 2), (3,)), Step(OP.ADD, (3, 3), (4,))],
        outputs=[4],
    )


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published counts are not beside the clone")
@pytest.mark.parametrize("task", ["ad", "ic", "kws", "vww", "sww"])
def test_published_counts_are_reproduced(task: str) -> None:
    with (PUBLISHED / "mlperf_models.csv").open(encoding="utf-8") as table:
        row = next(row for row in csv.DictReader(table) if row["task"] == task)
    count = count_file(PUBLISHED / "models" / row["file"])
    macs = count.macs_by_operator
    counted = {
        "macs": count.macs,
        "macs_conv": macs["CONV_2D"],
        "macs_depthwise": macs["DEPTHWISE_CONV_2D"],
        "macs_fc": macs["FULLY_CONNECTED"],
        "param_bytes": count.parameter_bytes,
        "weight_bytes_read": count.parameter_bytes_read,
        "act_bytes_read": count.activation_bytes_read,
        "act_bytes_written": count.activation_bytes_written,
        "act_bytes_sum_outputs": count.activation_bytes,
        "peak_live_act_bytes": count.peak_live_activation_bytes,
        "n_ops": len(count.operators),
    }
    assert counted == {name: int(row[name]) for name in counted}
    assert Counter(operator.name for operator in count.operators) == literal_eval(row["ops"])
    assert count.uncounted == ()


def test_small_file_by_hand() -> None:
    count = count_bytes(small_file(), "small")
    dense, add = count.operators
    assert (dense.macs, dense.elementwise, dense.output_shape) == (12, 0, (1, 3))
    assert (dense.parameter_bytes, dense.activation_bytes_read) == (60, 16)
    assert (add.macs, add.elementwise, add.activation_bytes_read) == (0, 3, 24)
    assert count.activation_bytes_written == 24
    assert count.activation_bytes == 16 + 12 + 12
    assert count.bytes_moved == 60 + 16 + 12 + 24 + 12
    assert count.peak_live_activation_bytes == 16 + 12
    assert count.peak_memory_bytes == 16 + 12 + 60


def test_zip_tail_is_ignored() -> None:
    tail = io.BytesIO(small_file())
    with zipfile.ZipFile(tail, "a") as archive:
        archive.writestr("contract.json", "{}")
    assert count_bytes(tail.getvalue(), "with tail") == count_bytes(small_file(), "without")


def test_transpose_convolution_reads_its_third_input() -> None:
    # Filter [out 5, height 3, width 2, in 4] over 6 x 7 x 4 inputs: each meets 5 x 3 x 2 weights.
    tensors = [
        Made((1, 6, 7, 4)),
        Made((4,), schema.TensorType.INT32, bytes(16)),
        Made((5, 3, 2, 4), data=bytes(480)),
        Made((1, 12, 14, 5)),
    ]
    count = count_bytes(make_file(tensors, [Step(OP.TRANSPOSE_CONV, (1, 2, 0), (3,))]), "made")
    assert count.macs == 6 * 7 * 4 * 5 * 3 * 2


@pytest.mark.parametrize(("transposed", "shape"), [(False, (2, 3, 5)), (True, (2, 5, 3))])
def test_batch_matmul_with_either_layout(transposed: bool, shape: tuple[int, ...]) -> None:
    options = schema.BatchMatMulOptionsT()
    options.adjX = transposed
    step = Step(
        OP.BATCH_MATMUL, (0, 1), (2,), options=options,
        options_type=schema.BuiltinOptions.BatchMatMulOptions,
    )  # fmt: skip
    made = make_file([Made(shape), Made((2, 5, 7)), Made((2, 3, 7))], [step], inputs=[0, 1])
    assert count_bytes(made, "made").macs == 2 * 3 * 5 * 7


@pytest.mark.parametrize(
    ("code", "matrices", "states"),
    [
        (OP.SVDF, [(6, 5), (6, 3)], [(6,), (2, 18)]),
        (OP.UNIDIRECTIONAL_SEQUENCE_RNN, [(4, 5), (4, 4)], [(4,), (2, 4)]),
        (OP.UNIDIRECTIONAL_SEQUENCE_LSTM, [*[(4, 5)] * 4, *[(4, 3)] * 4, (3, 4)], [(4,)] * 4),
    ],
)
def test_a_cell_meets_its_matrices_at_each_step(
    code: int, matrices: list[tuple[int, ...]], states: list[tuple[int, ...]]
) -> None:
    """Vectors and what is no constant are no matrix of the cell."""
    constants = [Made(shape, data=bytes(4 * shape[0] * shape[1])) for shape in matrices]
    others = [Made(s, data=bytes(4 * s[0]) if len(s) == 1 else b"") for s in states]
    tensors = [Made((2, 7, 5)), *constants, *others, Made((2, 7, 4))]
    step = Step(code, tuple(range(len(tensors) - 1)), (len(tensors) - 1,))
    count = count_bytes(make_file(tensors, [step]), "made")
    assert count.macs == 2 * 7 * sum(rows * columns for rows, columns in matrices)
    assert count.uncounted == ()


def test_convolution_in_three_dimensions() -> None:
    # Filter [depth 2, height 3, width 4, in 5, out 6].
    tensors = [
        Made((1, 4, 5, 6, 5)),
        Made((2, 3, 4, 5, 6), data=bytes(2880)),
        Made((1, 3, 3, 3, 6)),
    ]
    count = count_bytes(make_file(tensors, [Step(OP.CONV_3D, (0, 1), (2,))]), "made")
    assert count.macs == 27 * 6 * (2 * 3 * 4 * 5)


def test_pooling_counts_its_window() -> None:
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = 3, 2
    step = Step(
        OP.AVERAGE_POOL_2D, (0,), (1,), options=options,
        options_type=schema.BuiltinOptions.Pool2DOptions,
    )  # fmt: skip
    count = count_bytes(make_file([Made((1, 6, 4, 8)), Made((1, 2, 2, 8))], [step]), "made")
    assert (count.macs, count.elementwise) == (0, 2 * 2 * 8 * 3 * 2)


def test_reduction_counts_what_it_reads_and_lookup_what_it_writes() -> None:
    tensors = [
        Made((1, 10, 8)),
        Made((1, 8)),
        Made((100, 8), data=bytes(3200)),
        Made((1, 5), schema.TensorType.INT32),
        Made((1, 5, 8)),
    ]
    steps = [Step(OP.SUM, (0,), (1,)), Step(OP.GATHER, (2, 3), (4,))]
    reduction, lookup = count_bytes(make_file(tensors, steps, inputs=[0, 3]), "made").operators
    assert reduction.elementwise == 80
    assert lookup.elementwise == 40


def test_unknown_operators_are_listed_with_their_shares() -> None:
    tensors = [Made((1, 4)), Made((1, 4)), Made((1, 12)), Made((1,), schema.TensorType.STRING)]
    steps = [
        Step(OP.ADD, (0, 0), (1,)),
        Step(OP.CUSTOM, (1,), (2,), custom="Attention"),
        Step(OP.CAST, (2,), (3,)),
    ]
    count = count_bytes(make_file(tensors, steps), "made")
    assert [operator.name for operator in count.uncounted] == ["CUSTOM Attention", "CAST"]
    assert count.uncounted_operator_share == pytest.approx(2 / 3)
    assert count.uncounted_byte_share == pytest.approx((16 + 48 + 48) / (48 + 16 + 48 + 48))


def test_packed_types_and_absent_inputs() -> None:
    tensors = [
        Made((1, 3), schema.TensorType.INT8),
        Made((5, 3), schema.TensorType.INT4, bytes(8)),
        Made((1, 5), schema.TensorType.INT4),
    ]
    (dense,) = count_bytes(
        make_file(tensors, [Step(OP.FULLY_CONNECTED, (0, 1, -1), (2,))]), "made"
    ).operators
    assert (dense.macs, dense.parameter_bytes) == (15, 8)
    assert (dense.activation_bytes_read, dense.activation_bytes_written) == (3, 3)


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Sizes of tensors, which two earlier ones each further tensor adds, and the outputs."""
    sizes = draw(st.lists(st.integers(1, 50), min_size=2, max_size=12))
    pairs = [
        (draw(st.integers(0, i)), draw(st.integers(0, i))) for i in range(len(sizes) - 1)
    ]  # fmt: skip
    outputs = draw(st.lists(st.integers(1, len(sizes) - 1), min_size=1, unique=True))
    return sizes, pairs, outputs


@given(chains())
def test_peak_is_the_largest_set_that_is_still_needed(
    chain: tuple[list[int], list[tuple[int, int]], list[int]],
) -> None:
    sizes, pairs, outputs = chain
    steps = [Step(OP.ADD, pair, (i + 1,)) for i, pair in enumerate(pairs)]
    made = make_file([Made((size,)) for size in sizes], steps, outputs=outputs)
    live = []
    for step in range(len(pairs)):
        needed = {*pairs[step], step + 1, *(out for out in outputs if out <= step)}
        needed |= {t for pair in pairs[step:] for t in pair if t <= step}
        live.append(sum(4 * sizes[tensor] for tensor in needed))
    # An input that nothing reads is held while the first operator runs.
    if not any(0 in pair for pair in pairs):
        live[0] += 4 * sizes[0]
    assert count_bytes(made, "made").peak_live_activation_bytes == max(live)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(100), "not a TensorFlow Lite file"),
        (b"\x1c\x00\x00\x00TFL3", "damaged or cut short"),
        (small_file()[:-40], "damaged or cut short"),
    ],
)
def test_what_is_no_whole_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        count_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.tflite", "."])
def test_unreadable_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"name a \.tflite file"):
        count_file(tmp_path / name)


def test_unknown_signature_is_refused() -> None:
    with pytest.raises(InputError, match="no signature 'step'; it has: none"):
        count_bytes(small_file(), "small", signature="step")


WHOLE = small_file()


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_short_never_counts_otherwise(length: int) -> None:
    assert counted_or_refused(WHOLE[:length]) in (None, count_bytes(WHOLE, "whole"))


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(8, len(WHOLE) - 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_counts_or_is_refused(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(WHOLE)
    for position, value in changes:
        damaged[position] = value
    counted_or_refused(bytes(damaged))


def counted_or_refused(content: bytes) -> ModelCount | None:
    try:
        return count_bytes(content, "damaged")
    except InputError:
        return None
