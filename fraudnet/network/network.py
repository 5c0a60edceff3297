"""The network: features, stem, inverted residual blocks, head; probability and distance."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops
from pydantic import Field, ValidationInfo, field_validator

from fraudnet.configuration import Section
from fraudnet.network.features import TransactionFeatures
from fraudnet.network.layers import (
    Calibration,
    CausalDepthwise,
    CausalSqueezeExcitation,
    Conv1x1,
    MahalanobisDistance,
    PartOfValid,
    Pointwise,
    Shortcut,
    newest,
    pointwise,
)
from fraudnet.transactions.recipe import nearest
from fraudnet.windows.specification import FeatureSpecification


class NetworkConfig(Section):
    """The architecture."""

    width: int = Field(default=40, ge=4, description="channels between blocks")
    expansion: int = Field(default=2, ge=1, description="expansion ratio of a block")
    kernel_size: int = Field(default=3, ge=2, description="taps of the depthwise filter")
    dilations: tuple[int, ...] = Field(
        default=(1, 2, 4, 8), description="dilation of each block's filter; as many blocks"
    )
    squeeze_window: int = Field(
        default=16, ge=2, description="positions in the causal squeeze's mean, a power of two"
    )
    squeeze_reduction: int = Field(
        default=4, ge=1, description="expanded channels divided by those of the excitation"
    )
    normal_window: int = Field(
        default=64, ge=2, description="positions in the account's own normal, a power of two"
    )
    embedding: int = Field(
        default=6, ge=1, description="channels a categorical column, and of amounts read in pieces"
    )
    amount_pieces: int = Field(
        default=0,
        ge=0,
        description="pieces of what the amount says within each category, or at all where there "
        "are none (linear in each, even in the logarithm); 0: the logarithm is read alone",
    )
    smooth_amounts: bool = Field(
        default=False,
        description="learn how far what an amount says rises from piece to piece, not each piece "
        "alone: few frauds teach it more, and a sharp limit takes longer; needs amount_pieces",
    )
    head: int = Field(default=64, ge=4, description="channels of the head's 1x1 layer")
    dropout: float = Field(
        default=0.3, ge=0, lt=1, description="share of channels dropped before the last layer"
    )
    ranks: dict[str, int] = Field(
        default={},
        description="ranks of the 1x1 layers that are two factors, by name: stem, head and of each "
        "block block0_expand, block0_squeeze_reduce, block0_squeeze_excite, block0_project; "
        "`fraudnet compress` chooses them",
    )

    def __hash__(self) -> int:
        # The ranks are a dictionary, which has no hash of its own.
        return hash(self.model_dump_json())

    @field_validator("squeeze_window", "normal_window")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value

    @field_validator("squeeze_reduction")
    @classmethod
    def _leaves_a_channel(cls, value: int, info: ValidationInfo) -> int:
        expanded = info.data.get("width", value) * info.data.get("expansion", 1)
        if value > expanded:
            raise ValueError(f"must be at most width x expansion ({expanded})")
        return value

    @field_validator("dilations")
    @classmethod
    def _at_least_one(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("must name at least one block, dilations from 1")
        return value

    @field_validator("ranks")
    @classmethod
    def _of_layers_that_are_there(
        cls, value: dict[str, int], info: ValidationInfo
    ) -> dict[str, int]:
        known = pointwise_names(len(info.data.get("dilations", ())))
        for name, rank in value.items():
            if name not in known:
                raise ValueError(f"there is no 1x1 layer {name!r}{nearest(name, known)}")
            if rank < 1:
                raise ValueError(f"the rank of {name} must be at least 1")
        return value


def pointwise_names(blocks: int) -> list[str]:
    """The 1x1 layers of a network of so many blocks, in the order of computation.

    The one that makes the logit is not among them: it has one filter.
    """
    parts = ("expand", "squeeze_reduce", "squeeze_excite", "project")
    own = [f"block{number}_{part}" for number in range(blocks) for part in parts]
    return ["stem", *own, "head"]


@dataclass(frozen=True)
class Sentinel:
    """Where the distance is taken of, and by how many directions (`MahalanobisDistance`).

    Attributes:
        layer: "features", "stem", "block0" ... or "head"; empty: the last block.
        rank: directions; None: as many as the layer has channels.
    """

    layer: str = ""
    rank: int | None = None


@dataclass(frozen=True)
class Network:
    """The Keras models that share one set of weights, and the parts that are fitted afterwards.

    Attributes:
        config: the architecture.
        specification: the inputs.
        logit: raw inputs [B, L] by name to the logit [B, L - R + 1, 1]; what is trained.
        scores: the same inputs to `fraud_probability` and `ood_distance`, [B, L - R + 1, 1] each.
        fingerprint: the same inputs to the activations that the distance is taken of.
        hidden: the same inputs to the activations that it could be taken of, by layer: "features",
            "stem", "block0" ... and "head".
        sentinel_layer: of `hidden`, that the distance is taken of.
        receptive_field: R, positions that one score depends on, its own included.
    """

    config: NetworkConfig
    specification: FeatureSpecification
    logit: keras.Model
    scores: keras.Model
    fingerprint: keras.Model
    hidden: keras.Model
    sentinel_layer: str
    receptive_field: int

    @property
    def pointwise(self) -> dict[str, Pointwise]:
        """Its 1x1 layers by name (`pointwise_names`)."""
        found = {}
        for name in pointwise_names(len(self.config.dilations)):
            owner, _, part = name.rpartition("_")
            inner = part in ("reduce", "excite")
            layer = self.scores.get_layer(owner if inner else name)
            found[name] = getattr(layer, part) if inner else layer
        return found

    @property
    def features(self) -> TransactionFeatures:
        """The layer of the features, whose standardisation is fitted."""
        layer: TransactionFeatures = self.scores.get_layer("features")
        return layer

    @property
    def calibration(self) -> Calibration:
        """The layer of the calibration."""
        layer: Calibration = self.scores.get_layer("calibration")
        return layer

    @property
    def distance(self) -> MahalanobisDistance:
        """The layer of the distance."""
        layer: MahalanobisDistance = self.scores.get_layer("distance")
        return layer


def build_network(
    config: NetworkConfig,
    specification: FeatureSpecification,
    calibration_knots: int = 0,
    sentinel: Sentinel = Sentinel(),
) -> Network:
    """Build the network; weights are initialised from Keras's global seed.

    Sandler et al. 2018, "MobileNetV2", section 3, in one dimension; the squeeze-and-excitation
    stands between depthwise filter and projection as in Howard et al. 2019, "MobileNetV3",
    section 5.3. Without their batch normalisation: frauds and the counts that show them are so rare
    that statistics of a batch are noise, and computing them takes as long as all the rest.

    Activations are ReLU, which a layer of int8 does by clipping what it says anyway (Jacob et al.
    2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2.4).

    A layer that `config.ranks` names is built of two factors.
    """
    # The layer of an input is not named as its column is, which may be named as any other layer.
    inputs = {
        i.name: keras.Input(
            tensor=keras.KerasTensor((None, None), i.dtype, name=i.name), name=f"input{number}"
        )
        for number, i in enumerate(specification.inputs)
    }
    features = TransactionFeatures(
        specification,
        config.normal_window,
        config.embedding,
        config.amount_pieces,
        config.smooth_amounts,
        name="features",
    )
    x, valid = features(inputs)
    receptive_field = features.span
    fields = {"features": (x, receptive_field)}
    x = pointwise(config.width, config.ranks.get("stem"), "relu", name="stem")(x)
    fields["stem"] = x, receptive_field
    part = PartOfValid(config.squeeze_window, name="part_of_valid")(valid)
    for number, dilation in enumerate(config.dilations):
        x, valid, part, span = _inverted_residual(
            x, valid, part, config, dilation, f"block{number}"
        )
        receptive_field += span - 1
        fields[f"block{number}"] = x, receptive_field
    x = pointwise(config.head, config.ranks.get("head"), "relu", name="head")(x)
    fields["head"] = x, receptive_field
    # An earlier layer has a position more for each that the later ones look back over.
    hidden = {name: newest(each, receptive_field - field) for name, (each, field) in fields.items()}
    sentinel_layer = sentinel.layer or f"block{len(config.dilations) - 1}"
    fingerprint = hidden[sentinel_layer]
    x = keras.layers.SpatialDropout1D(config.dropout, name="dropout")(x)
    logit = Conv1x1(1, name="logit")(x)
    outputs = {
        "fraud_probability": Calibration(calibration_knots, name="calibration")(logit),
        "ood_distance": MahalanobisDistance(sentinel.rank, name="distance")(fingerprint),
    }
    return Network(
        config=config,
        specification=specification,
        logit=keras.Model(inputs, logit, name="logit"),
        scores=keras.Model(inputs, outputs, name="scores"),
        fingerprint=keras.Model(inputs, fingerprint, name="fingerprint"),
        hidden=keras.Model(inputs, hidden, name="hidden"),
        sentinel_layer=sentinel_layer,
        receptive_field=receptive_field,
    )


def _inverted_residual(
    x: Any, valid: Any, part: Any, config: NetworkConfig, dilation: int, name: str
) -> tuple[Any, Any, Any, int]:
    """Expand, filter, squeeze and excite, project linearly, add the input.

    Sandler et al. 2018, "MobileNetV2", section 3.3: from C channels over t C back to C, at
    t C (C + k + C) multiply-accumulates a position in one dimension, those of the squeeze apart.
    """
    expanded = config.width * config.expansion
    depthwise = CausalDepthwise(config.kernel_size, dilation, name=f"{name}_depthwise")
    squeeze = CausalSqueezeExcitation(
        config.squeeze_window,
        expanded // config.squeeze_reduction,
        config.ranks.get(f"{name}_squeeze_reduce"),
        config.ranks.get(f"{name}_squeeze_excite"),
        name=f"{name}_squeeze",
    )
    expand, project = (config.ranks.get(f"{name}_{part}") for part in ("expand", "project"))
    span = depthwise.span + config.squeeze_window - 1

    shortcut = x
    x = pointwise(expanded, expand, "relu", name=f"{name}_expand")(x)
    x = ops.relu(depthwise(x * valid))
    # `part` has lost the squeeze's positions already.
    part = newest(part, depthwise.span - 1)
    x = squeeze(x, newest(valid, depthwise.span - 1), part)
    x = pointwise(config.width, project, name=f"{name}_project")(x)
    valid, part = newest(valid, span - 1), newest(part, config.squeeze_window - 1)
    x = Shortcut(span - 1, name=f"{name}_shortcut")(shortcut, x)
    return x, valid, part, span
