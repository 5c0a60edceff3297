"""What one call over the mobile radio costs a phone, beside scoring on it.

The radio leaves idle (promotion), sends and receives, and stays in its connected state until a
timer of the network ends it (tail): Huang et al., A Close Examination of Performance and Power
Characteristics of 4G LTE Networks, MobiSys 2012, section 5.
"""

from pathlib import Path

from fraudnet.configuration import Section, parse_section, read_toml
from fraudnet.energy.profiles import Quantity, Range

_MS_PER_DAY = 86_400_000
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

    def day_j(self, calls: float) -> Range:
        """Energy in joules of calls that are spread evenly over a day.

        Where they follow each other within a tail the radio does not fall idle: a tail then lasts
        until the next call, and nothing is promoted.
        """
        if not calls:
            return Range.exactly(0)
        gap_ms = _MS_PER_DAY / calls
        ends = [self._call_uj(end, gap_ms) * calls * 1e-6 for end in ("low", "typical", "high")]
        return Range(low=ends[0], typical=ends[1], high=max(ends))

    def _call_uj(self, end: str, gap_ms: float) -> float:
        """One of many calls, with every quantity at its low, typical or high end."""
        value = {name: getattr(each, end) for name, each in self if isinstance(each, Quantity)}
        transfer = value["transfer_mw"] * value["transfer_ms"]
        tail_ms = min(value["tail_ms"], max(gap_ms - value["transfer_ms"], 0))
        idle_between = tail_ms == value["tail_ms"]
        promotion = value["promotion_mw"] * value["promotion_ms"] if idle_between else 0
        return float(transfer + promotion + value["tail_mw"] * tail_ms)


def load_radio() -> Radio:
    """The radio of an LTE phone.

    Raises:
        InputError: the package's file was changed and does not fit.
    """
    return parse_section(Radio, read_toml(_LTE), str(_LTE))
