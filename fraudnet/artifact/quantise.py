"""Variants of an artifact: the weights of its 1x1 layers in fewer bits.

Features, depthwise filters, the last layer, calibration and distance stay float32 in all of them:
rounding a feature moves every score, and rounding the last layer moves it for nothing. Done by
ai-edge-quantizer and not by TensorFlow's converter, which picks what to quantise by kind of
operator for the whole graph: `python -m benchmarks.quantisation` shows what either makes of it.
"""

import io
import warnings
from contextlib import redirect_stderr
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from ai_edge_quantizer import qtyping, quantizer
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.calibrator import Calibrator
from ai_edge_quantizer.recipe_manager import RecipeManager
from ai_edge_quantizer.utils.qsv_utils import min_max_update

Variant = Literal["float32", "float16", "int8_weights", "int8"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
Windows = dict[str, npt.NDArray[np.generic]]

BUT_THE_STEM = r"/(head|block\d+_(expand|project|squeeze))(_\d+)?/"
STEM = r"/stem(_\d+)?/"
LAYERS = r"/(stem|head|block\d+_(expand|project|squeeze))(_\d+)?/"
"""Of the operators' names: the 1x1 layers that are quantised.

In float16 all but the stem, which reads features of wide ranges: half to three quarters of what
float16 gets wrong is its doing. In eight bits its bytes are worth more than that, but those of its
weights alone: to round the features, too, made half or more of what int8 got wrong.
"""

MATRIX_PRODUCT = qtyping.TFLOperationName.FULLY_CONNECTED


def quantise(
    model: bytes,
    variant: Variant,
    signature: str,
    windows: Windows,
    layers: str | None = None,
) -> bytes:
    """A float32 flatbuffer with its 1x1 layers in another type.

    float16: weights. int8_weights: weights, one scale an output channel, symmetric; they are
    turned back before each product. int8: weights, one scale a matrix (tflite-runtime 2.14 knows no
    other for a product of matrices in integers), and activations, by their smallest and largest
    over the windows (Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", sections 2.1 and 3); of the stem as in int8_weights.

    Args:
        model: flatbuffer as converted, its operators still named.
        variant: the type; float32 changes nothing.
        signature: that takes a window.
        windows: representative ones, [W, R] by input.
        layers: expression for the names of the layers; None: `LAYERS`, or `BUT_THE_STEM`.
    """
    if variant == "float32":
        return model
    layers = layers or (BUT_THE_STEM if variant == "float16" else LAYERS)
    recipe, content = RecipeManager(), bytearray(model)
    match variant:
        case "float16":
            config = qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(
                    num_bits=16, dtype=qtyping.TensorDataType.FLOAT
                ),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            )
            recipe.add_quantization_config(
                layers, MATRIX_PRODUCT, config, AlgorithmName.FLOAT_CASTING
            )
        case "int8_weights":
            recipe.add_weight_only_config(layers, MATRIX_PRODUCT, num_bits=8)
        case "int8":
            recipe.add_static_config(
                layers, MATRIX_PRODUCT, activation_num_bits=8, weight_num_bits=8,
                weight_granularity=qtyping.QuantGranularity.TENSORWISE,
            )  # fmt: skip
            # Where both match, the later one holds.
            recipe.add_weight_only_config(rf"(?=.*{STEM}).*{layers}", MATRIX_PRODUCT, num_bits=8)
    # It warns that to keep all tensors, for their ranges, takes memory; and draws its own progress.
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", UserWarning)
        ranges = None
        if recipe.need_calibration():
            seen = Calibrator(content, qsv_update_func=min_max_update)
            seen.calibrate({signature: _one_by_one(windows)}, recipe)
            ranges = seen.get_model_qsvs()
        tool = quantizer.Quantizer(content, recipe.get_quantization_recipe())
        made = tool.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(made.quantized_model)


def _one_by_one(windows: Windows) -> list[Windows]:
    count = len(windows["valid"])
    return [{name: values[i : i + 1] for name, values in windows.items()} for i in range(count)]
