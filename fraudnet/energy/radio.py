"""What one call over the mobile radio costs a phone, beside scoring on it.

The radio leaves idle (promotion), sends and receives, and stays in its connected state until a
timer of the network ends it (tail): Huang et al., A Close Examination of Performance and Power
Characteristics of 4G LTE Networks, MobiSys 2012, section 5.
"""

from pathlib import Path

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.energy.profiles import Quantity, Range

_LTE = Path(__file__).parent / "radios" / "lte.toml"


class Radio(Section):
    """A radio: power and duration of each phase of a call, and what an exchange transfers."""

    name: str
    promotion_mw: Quantity
    promotion_ms: Quantity
    transfer_mw: Quantity
    transfer_ms: Quantity
    tail_mw: Quantity
    tail_ms: Quantity

    @property
    def call_alone_uj(self) -> Range:
        """A call that finds the radio idle and leaves it to fall idle again: all three phases."""
        return (
            self.transfer_uj + self.promotion_mw * self.promotion_ms + self.tail_mw * self.tail_ms
        )

    @property
    def transfer_uj(self) -> Range:
        """A call while something else keeps the radio awake: the exchange alone."""
        return self.transfer_mw * self.transfer_ms


def load_radio() -> Radio:
    """The radio of an LTE phone.

    Raises:
        InputError: the package's file was changed and does not fit.
    """
    return parse_section(Radio, read_toml(_LTE), str(_LTE))
