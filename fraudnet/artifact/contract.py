"""What an artifact says of itself: `contract.json`, built from the trained network's facts."""

from collections.abc import Mapping
from typing import Any

import fraudnet
from fraudnet.artifact.quantise import Variant
from fraudnet.artifact.signatures import SEQUENCE, STEP, WINDOW
from fraudnet.artifact.verify import Parity
from fraudnet.device.contract import DISTANCE, FORMAT, FORMAT_VERSION, PROBABILITY
from fraudnet.network.step import Step
from fraudnet.training.trained import Facts

TOLERANCE: dict[Variant, float] = {
    "float32": 1e-4, "float16": 1e-4, "int8_weights": 1e-4, "int8": 2e-2
}  # fmt: skip
"""Of the answers to the test vectors in another runtime: kernels of integers round differently."""
SENTINEL_KEYS = {"layer", "form", "shrinkage", "false_alarm_rate", "distance_threshold"}


def contract_of(
    facts: Facts,
    costs: dict[str, Any],
    variant: Variant,
    parity: Mapping[str, Parity],
    step: Step | None,
) -> dict[str, Any]:
    """The contract of an artifact made of a trained network.

    Args:
        facts: of the trained network.
        costs: what the model takes (MACs, bytes, energy), to be stored as it is.
        variant: type of the 1x1 layers.
        parity: with Keras, by runtime that was seen to run it, with its version.
        step: of the network, where the artifact has that signature.
    """
    window = [1, facts.receptive_field]
    features = facts.experiment.features
    contract: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "created_by": f"fraudnet {fraudnet.__version__}",
        "signature": WINDOW,
        "signatures": [
            {"name": WINDOW, "answers": "the newest transaction of a window"},
            {"name": SEQUENCE, "answers": "each transaction of a longer one from the window on"},
        ],
        "tolerance": TOLERANCE[variant],
        "variant": variant,
        "runtimes": list(parity),
        "parity": {
            runtime: {"windows": each.windows, "different_decisions": each.different_decisions}
            for runtime, each in parity.items()
        },
        "window_length": facts.receptive_field,
        "inputs": [
            {**entry.model_dump(exclude_none=True, mode="json"), "shape": window}
            for entry in features.inputs
        ],
        "outputs": [
            {"name": name, "dtype": "float32", "shape": [1, 1]} for name in (PROBABILITY, DISTANCE)
        ],
        "threshold": facts.threshold.model_dump(),
        "calibration": facts.calibration,
        "ood_quantiles": facts.ood_quantiles,
        "score_quantiles": facts.score_quantiles,
        "sentinel": facts.sentinel.model_dump(include=SENTINEL_KEYS),
        "experiment": facts.experiment.model_dump(mode="json"),
        "training_data": facts.training_data,
        "periods": facts.periods,
        "metrics": facts.metrics,
        "mlflow_run_id": facts.mlflow_run_id,
        "costs": costs,
    }
    if features.reputation is not None:
        contract["reputation"] = features.reputation.model_dump(mode="json")
    if step is not None:
        contract["signatures"].append({"name": STEP, "answers": "one transaction, and a state"})
        contract["step"] = {"signature": STEP, "length": step.length}
    return contract
