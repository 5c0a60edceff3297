"""The four cases that a device tells apart: genuine or fraud, familiar or not."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def case_figures(
    is_fraud: npt.NDArray[np.int8], flagged: Mask, unfamiliar: Mask, wanted_rate: float
) -> dict[str, float]:
    """How often the sentinel alarms on genuine transactions, and how many are in each case.

    Args:
        is_fraud: [N] 1 or 0.
        flagged: [N] whether the probability reaches the threshold.
        unfamiliar: [N] whether the distance is above its threshold.
        wanted_rate: share of genuine transactions that the sentinel was to alarm on.

    Returns:
        `unfamiliar_rate_of_genuine`, `unfamiliar_rate_wanted`, and by decision, whatever the label,
        the numbers of `genuine_cases`, `genuine_unfamiliar_cases`, `fraud_cases` and
        `fraud_unfamiliar_cases`.

    Raises:
        ValueError: there is no genuine transaction.
    """
    genuine = is_fraud == 0
    if not genuine.any():
        raise ValueError("there is no genuine transaction to alarm on")
    cases = {
        "genuine_cases": ~flagged & ~unfamiliar,
        "genuine_unfamiliar_cases": ~flagged & unfamiliar,
        "fraud_cases": flagged & ~unfamiliar,
        "fraud_unfamiliar_cases": flagged & unfamiliar,
    }
    return {
        "unfamiliar_rate_of_genuine": float(unfamiliar[genuine].mean()),
        "unfamiliar_rate_wanted": wanted_rate,
        **{name: float(rows.sum()) for name, rows in cases.items()},
    }
