import pytest

from fraudnet.energy.profiles import Quantity
from fraudnet.energy.radio import Radio, load_radio


def quantity(low: float, typical: float, high: float) -> Quantity:
    return Quantity(low=low, typical=typical, high=high, source="a round number")


def test_a_call_by_hand() -> None:
    radio = Radio(
        name="radio",
        promotion_mw=quantity(1000, 1200, 1300), promotion_ms=quantity(100, 250, 300),
        transfer_mw=quantity(1000, 1000, 2000), transfer_ms=quantity(50, 100, 200),
        tail_mw=quantity(500, 1000, 1000), tail_ms=quantity(0, 10_000, 12_000),
    )  # fmt: skip
    # 1.2 W for 250 ms, 1 W for 100 ms, 1 W for 10 s.
    assert radio.call_alone_uj.typical == pytest.approx(300e3 + 100e3 + 10e6)
    assert radio.call_alone_uj.low == pytest.approx(100e3 + 50e3)
    assert radio.transfer_uj.high == pytest.approx(400e3)
    # An hour apart; then each second, where the radio stays up for the 900 ms between exchanges.
    assert radio.day_j(24).typical == pytest.approx(24 * 10.4)
    assert radio.day_j(86_400).typical == pytest.approx(86_400 * (0.1 + 0.9))
    assert radio.day_j(0).high == 0


def test_the_packaged_radio_says_where_each_figure_is_from() -> None:
    radio = load_radio()
    phases = [value for _, value in radio if isinstance(value, Quantity)]
    assert len(phases) == 6
    assert all("MobiSys" in each.source or "Assumption" in each.source for each in phases)
    # A tail of 1,060 mW for 11,576 ms takes 12.3 J.
    assert radio.call_alone_uj.low < 12.3e6 < radio.call_alone_uj.high
