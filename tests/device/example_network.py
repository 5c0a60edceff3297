"""A small network with every kind of input, whose answer shows any mistake in the window.

Run as a program it writes the .tflite: TensorFlow stays out of the process of the tests.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 16
FIRST_DAY = 20_000  # 2024-10-04
VOCABULARY = ("food", "fuel", "travel")
FLOATS = ("amount", "valid", "distance", "counterparty_count_7d", "counterparty_fraud_7d")
INTEGERS = ("day", "second", "category")


def reference(window: Mapping[str, NDArray[np.generic]]) -> tuple[float, float]:
    """The network's answer in plain numpy, float64: (fraud_probability, ood_distance)."""
    w = {name: np.asarray(values, np.float64).reshape(LENGTH) for name, values in window.items()}
    place = np.arange(1, LENGTH + 1) / LENGTH
    count, fraud = w["counterparty_count_7d"], w["counterparty_fraud_7d"]
    x = 0.2 * np.log1p(np.abs(w["amount"])) + 0.15 * w["category"] + 0.1 * w["distance"]
    x += (w["day"] - FIRST_DAY * w["valid"]) / 128 + w["second"] / 86_400
    x += 0.1 * np.maximum(count, 0) - 0.3 * np.maximum(-count, 0)
    x += 0.2 * np.maximum(fraud, 0) - 0.1 * np.maximum(-fraud, 0)
    x = place * (x + 0.1 * (1 - w["valid"]))
    return float(1 / (1 + np.exp(1.5 - x.sum() / 4))), float(np.sqrt((x * x).sum()))


def build(*signatures: str) -> bytes:
    """The same as a .tflite, under each of the signatures."""
    import tensorflow as tf

    def score_window(**w: tf.Tensor) -> dict[str, Any]:
        place = tf.constant(np.arange(1, LENGTH + 1)[None] / LENGTH, tf.float32)
        w |= {name: tf.cast(w[name], tf.float32) for name in INTEGERS}
        count, fraud = w["counterparty_count_7d"], w["counterparty_fraud_7d"]
        x = 0.2 * tf.math.log(1 + tf.abs(w["amount"])) + 0.15 * w["category"] + 0.1 * w["distance"]
        x += (w["day"] - FIRST_DAY * w["valid"]) / 128 + w["second"] / 86_400
        x += 0.1 * tf.nn.relu(count) - 0.3 * tf.nn.relu(-count)
        x += 0.2 * tf.nn.relu(fraud) - 0.1 * tf.nn.relu(-fraud)
        x = place * (x + 0.1 * (1 - w["valid"]))
        total = tf.reduce_sum(x, axis=1, keepdims=True)
        return {
            "fraud_probability": tf.sigmoid(total / 4 - 1.5),
            "ood_distance": tf.sqrt(tf.reduce_sum(x * x, axis=1, keepdims=True)),
        }

    specifications = {
        name: tf.TensorSpec([1, LENGTH], tf.float32 if name in FLOATS else tf.int32, name)
        for name in (*FLOATS, *INTEGERS)
    }
    module = tf.Module()
    module.score_window = tf.function(score_window).get_concrete_function(**specifications)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(
            module, folder, signatures=dict.fromkeys(signatures, module.score_window)
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        return bytes(converter.convert())


def build_sequence() -> bytes:
    """The same as moving sums: of longer inputs, an answer for every whole window."""
    import tensorflow as tf

    from fraudnet.artifact.flatbuffer import slim

    def score_window(**w: tf.Tensor) -> dict[str, Any]:
        place = np.arange(1, LENGTH + 1) / LENGTH
        w |= {name: tf.cast(w[name], tf.float32) for name in INTEGERS}
        count, fraud = w["counterparty_count_7d"], w["counterparty_fraud_7d"]
        x = 0.2 * tf.math.log(1 + tf.abs(w["amount"])) + 0.15 * w["category"] + 0.1 * w["distance"]
        x += (w["day"] - FIRST_DAY * w["valid"]) / 128 + w["second"] / 86_400
        x += 0.1 * tf.nn.relu(count) - 0.3 * tf.nn.relu(-count)
        x += 0.2 * tf.nn.relu(fraud) - 0.1 * tf.nn.relu(-fraud)
        x += 0.1 * (1 - w["valid"])

        def over(values: tf.Tensor, kernel: NDArray[np.float64]) -> tf.Tensor:
            ends = [k - LENGTH + 1 or None for k in range(LENGTH)]
            return tf.add_n([kernel[k] * values[:, k:end] for k, end in enumerate(ends)])

        return {
            "fraud_probability": tf.sigmoid(over(x, place) / 4 - 1.5),
            "ood_distance": tf.sqrt(over(x * x, place * place)),
        }

    module = tf.Module()
    specifications = {
        name: tf.TensorSpec([1, LENGTH], tf.float32 if name in FLOATS else tf.int32, name)
        for name in (*FLOATS, *INTEGERS)
    }
    module.score_window = tf.function(score_window).get_concrete_function(**specifications)
    with tempfile.TemporaryDirectory() as folder:
        signatures = {"score_window": module.score_window}
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        return slim(bytes(converter.convert()), "score_sequence")


# Another network: a longer window, other columns and vocabularies, a further reputation window.
OTHER_LENGTH = 24
OTHER_KINDS: dict[str, dict[str, Any]] = {
    "amount": {"kind": "amount"},
    "day": {"kind": "day"},
    "second": {"kind": "second"},
    "valid": {"kind": "valid"},
    "category": {"kind": "categorical", "column": "category", "vocabulary": ["travel", "fuel"]},
    "zone": {"kind": "categorical", "column": "zone", "vocabulary": ["7", "8"]},
    "tip": {"kind": "numeric", "column": "tip"},
    "counterparty_count_7d": {"kind": "reputation", "statistic": "count", "days": 7},
    "counterparty_count_30d": {"kind": "reputation", "statistic": "count", "days": 30},
}
_OTHER_INTEGERS = ("day", "second", "category", "zone")
_OTHER_WEIGHTS = {"category": 0.3, "zone": 0.2, "tip": 0.1} | dict.fromkeys(
    ("counterparty_count_7d", "counterparty_count_30d"), 0.05
)


def other_type(name: str) -> str:
    return "int32" if name in _OTHER_INTEGERS else "float32"


def other_reference(window: Mapping[str, NDArray[np.generic]]) -> tuple[float, float]:
    """The other network's answer in plain numpy: (fraud_probability, ood_distance)."""
    w = {name: np.asarray(values, np.float64) for name, values in window.items()}
    x = 0.1 * np.log1p(np.abs(w["amount"])) + (w["day"] - FIRST_DAY * w["valid"]) / 128
    x += w["second"] / 86_400 + sum(f * w[name] for name, f in _OTHER_WEIGHTS.items())
    x *= np.arange(1, OTHER_LENGTH + 1) / OTHER_LENGTH
    return float(1 / (1 + np.exp(2 - x.sum() / 5))), float(np.sqrt((x * x).sum()))


def build_other() -> bytes:
    """The same as a .tflite."""
    import tensorflow as tf

    def score_window(**w: tf.Tensor) -> dict[str, Any]:
        w = {name: tf.cast(value, tf.float32) for name, value in w.items()}
        x = 0.1 * tf.math.log(1 + tf.abs(w["amount"])) + (w["day"] - FIRST_DAY * w["valid"]) / 128
        x += w["second"] / 86_400 + tf.add_n([f * w[name] for name, f in _OTHER_WEIGHTS.items()])
        x *= tf.constant(np.arange(1, OTHER_LENGTH + 1)[None] / OTHER_LENGTH, tf.float32)
        return {
            "fraud_probability": tf.sigmoid(tf.reduce_sum(x, axis=1, keepdims=True) / 5 - 2),
            "ood_distance": tf.sqrt(tf.reduce_sum(x * x, axis=1, keepdims=True)),
        }

    module = tf.Module()
    module.score_window = tf.function(score_window).get_concrete_function(
        **{n: tf.TensorSpec([1, OTHER_LENGTH], other_type(n), n) for n in OTHER_KINDS}
    )
    with tempfile.TemporaryDirectory() as folder:
        signatures = {"score_window": module.score_window}
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        return bytes(converter.convert())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "plain.tflite").write_bytes(build("score_window"))
    (folder / "not_first.tflite").write_bytes(build("another", "score_window"))
    (folder / "other.tflite").write_bytes(build_other())
    (folder / "sequence.tflite").write_bytes(build_sequence())
