"""Costs of layers against the papers' formulas, Keras's weights, and the converted file."""

from fractions import Fraction

import keras
import pytest

from fraudnet.artifact.convert import convert
from fraudnet.energy.counting import count_bytes
from fraudnet.network.describe import Description, describe
from fraudnet.network.network import Network, NetworkConfig, build_network
from tests.network.examples import LOW_RANK, SMALL, SPECIFICATION, random_network

CONFIGS = {
    "default": NetworkConfig(),
    "small": SMALL,
    "odd": NetworkConfig(
        width=12, expansion=3, kernel_size=4, dilations=(3, 1, 5), squeeze_window=2,
        squeeze_reduction=5, normal_window=2, embedding=2, head=20,
    ),
}  # fmt: skip


@pytest.fixture(params=CONFIGS, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[Network, Description]:
    network = random_network(CONFIGS[request.param], seed=5)
    return network, describe(network)


Case = tuple[Network, Description]


def test_every_weight_is_in_one_row(case: Case) -> None:
    network, found = case
    assert found.parameters == network.logit.count_params()
    assert found.parameters + found.fitted_parameters == network.scores.count_params()
    by_layer = {layer.name: layer.parameters for layer in found.layers}
    for layer in network.scores.layers:
        assert by_layer.get(layer.name, 0) == sum(weight.numpy().size for weight in layer.weights)


def test_a_block_costs_what_the_papers_say(case: Case) -> None:
    network, found = case
    config = network.config
    c, k, t = config.width, config.kernel_size, config.expansion
    reduced = t * c // config.squeeze_reduction
    rows = {layer.name: layer for layer in found.layers}
    for number in range(len(config.dilations)):
        expand, depthwise, squeeze, project = (
            rows[f"block{number}_{part}"] for part in ("expand", "depthwise", "squeeze", "project")
        )
        # MobileNetV2, section 3.3: h w d' t (d' + k^2 + d''); one dimension has k taps.
        bottleneck = (expand, depthwise, project)
        assert sum(x.macs_per_position for x in bottleneck) == c * t * (c + k + c)
        # MobileNets, section 3.1: (D_K D_K M + M N) / (D_K D_K M N) = 1/N + 1/D_K^2.
        taken = depthwise.macs_per_position + project.macs_per_position
        replaced = depthwise.standard_macs_per_position + project.standard_macs_per_position
        assert replaced == k * (t * c) * c
        assert Fraction(taken, replaced) == Fraction(1, c) + Fraction(1, k)
        assert found.filters[f"block{number}_depthwise"] == (depthwise, project)
        assert (
            squeeze.macs_per_position == squeeze.standard_macs_per_position == 2 * t * c * reduced
        )


def test_two_factors_cost_their_rank_times_both_ends() -> None:
    whole, found = (describe(random_network(config)) for config in (SMALL, LOW_RANK))
    saved = {
        # 51 features, 8 channels, 16 expanded, 4 in the excitation.
        "stem": 51 * 8 - 5 * (51 + 8),
        "block0_expand": 8 * 16 - 3 * (8 + 16),
        "block0_squeeze": 2 * 4 * 16 - (2 + 1) * (4 + 16),
        "block1_project": 16 * 8 - 4 * (16 + 8),
        "head": 8 * 8 - 2 * (8 + 8),
    }
    for one, other in zip(whole.layers, found.layers, strict=True):
        less = saved.get(one.name, 0)
        assert (other.name, other.positions, other.channels) == (
            (one.name, one.positions, one.channels)
        )
        assert one.macs_per_position - other.macs_per_position == less
        assert one.parameters - other.parameters == less
        assert other.macs == other.positions * other.macs_per_position
    # A filter and the whole projection after it still replace the same standard convolution.
    for name, (depthwise, _) in whole.filters.items():
        assert found.filters[name][0].standard_macs == depthwise.standard_macs


def test_totals_are_sums_of_products(case: Case) -> None:
    _, found = case
    assert found.macs == sum(x.positions * x.macs_per_position for x in found.layers)
    assert found.standard_macs - found.macs == sum(
        x.positions * (x.standard_macs_per_position - x.macs_per_position) for x in found.layers
    )
    assert found.macs_per_position < found.standard_macs_per_position


def test_positions_and_channels_are_those_that_keras_computes(case: Case) -> None:
    network, found = case
    inputs = {name: keras.ops.zeros((1, network.receptive_field), tensor.dtype)
              for name, tensor in network.scores.input.items()}  # fmt: skip
    for layer in found.layers:
        part = keras.Model(network.scores.input, network.scores.get_layer(layer.name).output)
        output = part(inputs)
        shape = (output[0] if isinstance(output, list | tuple) else output).shape
        assert tuple(shape) == (1, layer.positions, layer.channels)
    assert found.receptive_field == network.receptive_field


def test_macs_are_those_that_are_counted_in_the_converted_file(case: Case) -> None:
    assert_counted(*case)


def test_macs_of_two_factors_are_those_that_are_counted() -> None:
    network = random_network(LOW_RANK)
    assert_counted(network, describe(network))


def assert_counted(network: Network, found: Description) -> None:
    count = count_bytes(convert(network), "converted")
    products = [x for x in found.layers if not x.name.endswith("_depthwise")]
    assert count.macs == sum(layer.macs for layer in products)
    # A tap of a filter is a product with one constant a channel.
    for name, (depthwise, _) in found.filters.items():
        shape = (1, depthwise.positions, depthwise.channels)
        taps = [
            operator for operator in count.operators
            if operator.name == "MUL" and operator.output_shape == shape
            and operator.parameter_bytes == 4 * depthwise.channels
        ]  # fmt: skip
        assert sum(tap.elementwise for tap in taps) == depthwise.macs, name


def test_a_layer_without_a_formula_is_not_left_out_in_silence() -> None:
    network = build_network(SMALL, SPECIFICATION)
    doubled = keras.layers.Dense(1, name="unheard")(network.logit.output)
    scores = keras.Model(network.scores.input, doubled)
    changed = Network(**{**vars(network), "scores": scores})
    with pytest.raises(ValueError, match=r"no formula .* unheard"):
        describe(changed)
