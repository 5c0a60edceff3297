"""What is measured of compression, and the figures of one network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fraudnet.errors import InputError

SIZES = ("nano", "micro", "small", "base", "large")  # of the family
OF_A_NETWORK = ("whole",)
OF_A_SHARE = ("plain", "whitened", "searched", "tuned", "smaller")
METHODS = (*OF_A_NETWORK, *OF_A_SHARE)


@dataclass(frozen=True)
class Plan:
    """What is measured; seeds are 0 to `seeds` - 1.

    Raises:
        InputError: a name or number is not one that can be measured.
    """

    sizes: Sequence[str] = ("base", "large")
    shares: Sequence[float] = (0.25, 0.5)
    folds: Sequence[int] = (1,)
    seeds: int = 1
    training_days: int = 28
    every: int = 4
    batch_chunks: int = 8
    epochs: int = 8
    fine_tune: int = 4

    def __post_init__(self) -> None:
        if wrong := [name for name in self.sizes if name not in SIZES]:
            raise InputError(f"sizes: there is no {wrong[0]!r}; choose among {', '.join(SIZES)}")
        if odd := [share for share in self.shares if not 0 < share < 1]:
            raise InputError(f"shares: {odd[0]:g}; give shares between 0 and 1")
        for name in ("seeds", "training_days", "every", "batch_chunks", "epochs", "fine_tune"):
            if getattr(self, name) < 1:
                raise InputError(f"{name.replace('_', ' ')}: give at least 1")

    @property
    def rows_of_a_network(self) -> int:
        """How many rows are measured of one size, fold and seed."""
        return len(OF_A_NETWORK) + len(OF_A_SHARE) * len(self.shares)


@dataclass(frozen=True)
class Row:
    """One network on one fold.

    Attributes:
        size: of the family, that is compressed.
        fold: 1 the latest.
        seed: of weights, order and dropout.
        method: whole (as trained); plain, whitened (ranks by energy); searched (whitened, ranks by
            measured damage); tuned (the searched, fitted to what the whole one answers); smaller
            (of the family at about the tuned one's work, trained from scratch in as many epochs as
            the tuned has had).
        share: of the 1x1 layers' multiply-accumulates.
        macs: of one score, all layers.
        parameters: of the logit.
        validation_average_precision: of the days that choices are made by.
        average_precision: of the test.
        roc_auc: of the test.
        seconds: that it took, after the whole network's training and spectra.
        ranks: by layer.
        code: version of the sources that decide the figures.
    """

    size: str
    fold: int
    seed: int
    method: str
    share: float
    macs: int
    parameters: int
    validation_average_precision: float
    average_precision: float
    roc_auc: float
    seconds: float
    ranks: Mapping[str, int]
    code: str

    @property
    def network(self) -> tuple[str, int, int]:
        """Which whole network it was made of."""
        return self.size, self.fold, self.seed
