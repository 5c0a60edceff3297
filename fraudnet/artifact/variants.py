"""The variants of an artifact beside each other: what each saves, and what it loses."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter
from scipy.special import logit
from sklearn.metrics import average_precision_score

from fraudnet.artifact.convert import convert
from fraudnet.artifact.costs import costs_of
from fraudnet.artifact.export import Exported, converted, export
from fraudnet.artifact.flatbuffer import slim
from fraudnet.artifact.quantise import VARIANTS, Variant, quantise
from fraudnet.artifact.sequences import score_rows
from fraudnet.artifact.signatures import SEQUENCE, WINDOW
from fraudnet.artifact.verify import keras_answers
from fraudnet.device.contract import PROBABILITY
from fraudnet.errors import CheckFailed
from fraudnet.training.experiment import BatteryConfig
from fraudnet.training.prepare import Prepared
from fraudnet.training.scoring import score
from fraudnet.training.trained import Trained
from fraudnet.windows.prequential import rows_to_test

EVERY = 8
"""Windows to one that a layer's error is measured on."""


@dataclass(frozen=True)
class VariantFigures:
    """Of one variant; latencies by runtime, in microseconds an inference on one thread.

    Attributes:
        refused: why the variant was not written; the figures are None then.
        decision_agreement: share of the test's rows that it decides as Keras does.
        energy_joules_per_day: on the configured device, the middle of its range.
    """

    variant: Variant
    refused: str | None = None
    bytes: int | None = None
    macs: int | None = None
    average_precision: float | None = None
    keras_average_precision: float | None = None
    decision_agreement: float | None = None
    latency_p50_us: dict[str, float] | None = None
    latency_p99_us: dict[str, float] | None = None
    energy_joules_per_day: float | None = None

    def row(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def measure_variants(
    trained: Trained,
    prepared: Prepared,
    folder: Path,
    variants: Sequence[Variant] = VARIANTS,
    with_step: bool = True,
) -> tuple[list[VariantFigures], list[Exported]]:
    """Export each variant to `fraud.VARIANT.tflite` and score the test period with it.

    Args:
        trained: the network.
        prepared: the data; its test period is scored.
        folder: where the files are written.
        variants: which.
        with_step: whether they have the signature of one transaction and a state (`converted`).

    Raises:
        InputError: a file cannot be written.
        DeviceInputError: no runtime is installed.
    """
    facts, split = trained.facts, prepared.split
    since = split.training.begin if prepared.experiment.split.without_compromised else None
    rows = rows_to_test(prepared.histories, split.test, since)
    by_keras = score(trained.network, prepared.histories, rows)[PROBABILITY]
    is_fraud, threshold = prepared.histories.is_fraud[rows], facts.threshold.probability
    battery = facts.experiment.battery
    source = converted(trained, with_step)
    found: list[VariantFigures] = []
    written: list[Exported] = []
    for variant in variants:
        path = folder / f"fraud.{variant}.tflite"
        try:
            exported = export(source, path, lambda model: costs_of(model, battery), variant)
        except CheckFailed as error:
            found.append(VariantFigures(variant, refused=str(error)))
            continue
        model = path.read_bytes()
        answers = score_rows(model, facts.receptive_field, prepared.histories, rows)[PROBABILITY]
        written.append(exported)
        found.append(
            replace(
                _costs(exported, battery),
                average_precision=float(average_precision_score(is_fraud, answers)),
                keras_average_precision=float(average_precision_score(is_fraud, by_keras)),
                decision_agreement=float(
                    ((answers >= threshold) == (by_keras >= threshold)).mean()
                ),
            )
        )
    return found, written


def _costs(exported: Exported, battery: BatteryConfig) -> VariantFigures:
    energy = exported.costs["energy"]["energy_per_inference_uj"]
    return VariantFigures(
        variant=exported.variant,
        bytes=exported.bytes,
        macs=exported.costs["macs"],
        latency_p50_us={name: p.latency_p50_us for name, p in exported.parity.items()},
        latency_p99_us={name: p.latency_p99_us for name, p in exported.parity.items()},
        energy_joules_per_day=energy["typical"] * battery.inferences_per_day / 1e6,
    )


def layer_errors(trained: Trained, variant: Variant) -> dict[str, float]:
    """Mean change of the log-odds when one 1x1 layer alone is of the variant's type, by layer.

    On an eighth of the windows, ranges of activations being taken from another; largest first.
    """
    model, windows = convert(trained.network), trained.windows
    representative = {name: values[::EVERY] for name, values in windows.items()}
    checked = {name: values[1::EVERY] for name, values in windows.items()}
    expected = _log_odds(keras_answers(trained.network, checked)[PROBABILITY])
    errors = {}
    for name in trained.network.pointwise:
        changed = quantise(model, variant, WINDOW, representative, rf"/{name}(_\d+)?/")
        found = _log_odds(_answers(slim(changed, SEQUENCE), checked))
        errors[name] = float(np.abs(found - expected).mean())
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _answers(model: bytes, windows: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    interpreter = Interpreter(model_content=model, num_threads=1)
    run = interpreter.get_signature_runner(WINDOW)
    count = len(windows["valid"])
    return np.array(
        [
            run(**{name: values[i : i + 1] for name, values in windows.items()})[PROBABILITY][0, 0]
            for i in range(count)
        ]
    )


def _log_odds(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    odds: npt.NDArray[np.float64] = logit(np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7))
    return odds
