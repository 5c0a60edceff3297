"""Windows that copies of a network are compared on."""

import numpy as np
import numpy.typing as npt

from fraudnet.training.trained import Windows
from fraudnet.windows.chunks import windows_of
from fraudnet.windows.histories import Histories

CHECK_WINDOWS = 2_000


def check_windows(
    histories: Histories, among: npt.NDArray[np.bool_], receptive_field: int, seed: int
) -> Windows:
    """Windows to compare copies of the network on, and to take ranges of activations from.

    Drawn by stratum, since what is rare is what a copy gets wrong: a quarter frauds, an eighth the
    largest amounts, an eighth the rarest categories, the rest at random.

    Args:
        histories: N rows.
        among: [N] rows that windows may end with.
        receptive_field: length of a window.
        seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.flatnonzero(among))
    rarity = np.full(len(rows), len(rows))
    for column in histories.specification.categorical:
        values = histories.columns[column.column][rows]
        rarity = np.minimum(rarity, np.bincount(values)[values])
    strata = (
        (rows[histories.is_fraud[rows] == 1], CHECK_WINDOWS // 4),
        (rows[np.argsort(-np.abs(histories.amount[rows]), kind="stable")], CHECK_WINDOWS // 8),
        (rows[np.argsort(rarity, kind="stable")], CHECK_WINDOWS // 8),
    )
    chosen = np.unique(np.concatenate([some[:count] for some, count in strata]))
    rest = rows[~np.isin(rows, chosen)][: CHECK_WINDOWS - len(chosen)]
    windows = windows_of(histories, np.sort(np.concatenate([chosen, rest])), receptive_field)
    return windows.gather(np.arange(len(windows)))
