"""From ranks to a network: its layers replaced by their factors, and fitted a little more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from scipy.special import expit

from fraudnet.compression.ranks import Ranks
from fraudnet.compression.spectra import Spectrum
from fraudnet.network.layers import CausalSqueezeExcitation
from fraudnet.network.network import Network, build_network
from fraudnet.training.fitting import Progress, TrainingConfig, fit_network
from fraudnet.training.scoring import predict_rows
from fraudnet.windows.labels import KnownRows

RATE_SHARE = 0.03
"""Of the training's peak rate: the weights are near to what they should be."""


@contextmanager
def approximated(
    network: Network, spectra: Mapping[str, Spectrum], ranks: Ranks
) -> Iterator[Network]:
    """Within, the network answers as with factors of these ranks; what is compiled stays so.

    Args:
        network: of whole layers; its own kernels are put back.
        spectra: of its layers.
        ranks: by layer.
    """
    layers = {name: network.pointwise[name] for name in ranks}
    own = {name: layer.get_weights() for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            factors = spectra[name].factors(ranks[name])
            layer.set_weights([factors.down @ factors.up, factors.bias])
        yield network
    finally:
        for name, layer in layers.items():
            layer.set_weights(own[name])


def factored(network: Network, spectra: Mapping[str, Spectrum], ranks: Ranks) -> Network:
    """A network whose layers are two factors where a rank is given; the rest is copied.

    But for the distance, which is fitted anew to what the factors give; and there is no dropout,
    which would keep it from what the whole network answers.

    Args:
        network: of whole layers; left as it is.
        spectra: of its layers.
        ranks: by layer.
    """
    config = network.config.model_copy(update={"ranks": dict(ranks), "dropout": 0.0})
    made = build_network(config, network.specification, network.calibration.knot_count)
    whole = network.pointwise
    for name, layer in made.pointwise.items():
        if name in ranks:
            factors = spectra[name].factors(ranks[name])
            layer.set_weights([factors.down, factors.up, factors.bias])
        else:
            layer.set_weights(whole[name].get_weights())
    for layer in network.scores.layers:
        done = layer.name in (*whole, "distance") or isinstance(layer, CausalSqueezeExcitation)
        if layer.weights and not done:
            made.scores.get_layer(layer.name).set_weights(layer.get_weights())
    return made


def fine_tune(
    network: Network,
    whole: Network,
    known: KnownRows,
    training: TrainingConfig,
    epochs: int,
    progress: Sequence[Progress] = (),
) -> None:
    """Fit a network of factors to what the whole one answers, at a lower rate than the training's.

    Frauds are few, and more passes over their labels fit them alone; what the whole network answers
    says more of each transaction (`fit_network`).

    Args:
        network: of factors; changed in place.
        whole: that it was made of.
        known: the rows that it was trained on.
        training: how it was trained.
        epochs: passes, at least 1.
        progress: who is told.

    Raises:
        InputError: no row is a fraud, or none is genuine.
    """
    answers = predict_rows(whole.logit, whole.receptive_field, known.histories, known.rows)
    taught = np.zeros(len(known.histories), np.float32)
    taught[known.rows] = expit(answers["logit"][:, 0])
    rate = RATE_SHARE * training.learning_rate
    changed = {"epochs": epochs, "learning_rate": rate, "stopping_days": 0.0}
    fit_network(network, known, training.model_copy(update=changed), progress, taught=taught)
