import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import energy
from fraudnet.energy.profiles import (
    Range,
    load_profile,
    operate,
    profile_names,
)
from fraudnet.errors import InputError

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "energy"

BOARD = """\
name = "board"
based_on = "phone"
description = "a board of one core"
default_cluster = "core"

[battery]
capacity_mah = 1000
voltage_v = 4.0
source = "a label"

[clusters.core]
core = "Cortex-M7"
supply_voltage_v = 1.8
source = "a bench"
operating_points = [
  { clock_mhz = 100, active_power_mw = 20 },
  { clock_mhz = 200, active_power_mw = 50 },
  { clock_mhz = 400, active_power_mw = 160 },
]

[power_ratio_to_benchmark]
low = 1
typical = 1
high = 2
source = "a guess"
"""


def board(tmp_path: Path, old: str = "", new: str = "") -> str:
    """The path of a profile, after one replacement in its text."""
    path = tmp_path / "board.toml"
    assert old in BOARD
    path.write_text(BOARD.replace(old, new, 1), encoding="utf-8")
    return str(path)


def test_phones_are_named() -> None:
    assert {"pixel-6", "pixel-7", "pixel-8", "pixel-9"} <= set(profile_names())


@pytest.mark.parametrize("name", profile_names())
def test_packaged_profiles_load_and_give_a_source_for_every_number(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert name.startswith("pixel") <= (profile.battery is not None)
    sources = sources_in(profile.model_dump())
    assert len(sources) >= 6
    assert all(len(source) > 20 for source in sources)
    for _, cost in profile.fixed:
        assert cost.source.startswith("Assumption")


def sources_in(values: object) -> list[str]:
    """Every `source` of a profile: a quantity without one does not load."""
    found: list[str] = []
    for name, value in values.items() if isinstance(values, dict) else []:
        found += [value] if name == "source" else sources_in(value)
    return found


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
@pytest.mark.parametrize(
    ("name", "measured", "phone"),
    [
        ("pixel-6", "Pixel 6", "Google Pixel 6"),
        ("pixel-7", "Pixel 7 Pro", "Google Pixel 7"),
        ("pixel-8", "Pixel 8 Pro", "Google Pixel 8"),
        ("pixel-9", "Pixel 9 Pro", "Google Pixel 9"),
    ],
)
def test_packaged_numbers_are_the_published_rows(name: str, measured: str, phone: str) -> None:
    profile = load_profile(name)
    assert measured in profile.description
    published = [
        (row["cpu"], int(row["freq_khz"]) // 1000, float(row["active_power_mW"]), row["source"])
        for row in rows("phone_cpu_power.csv")
        if row["device"] == measured
    ]
    packaged = []
    for cluster in profile.clusters.values():
        cited = re.fullmatch(r"(\S+), rows of cpu (\d): .*", cluster.source)
        assert cited is not None
        packaged += [
            (cited[2], point.clock_mhz, point.active_power_mw, cited[1])
            for point in cluster.operating_points
        ]
    assert packaged == published
    battery = next(row for row in rows("batteries.csv") if row["device"] == phone)
    assert profile.battery is not None
    assert profile.battery.capacity_mah == float(battery["capacity_mAh"])
    assert profile.battery.energy_j == pytest.approx(float(battery["energy_J"]), rel=1e-4)
    assert profile.battery.source.startswith(battery["source"])


def rows(name: str) -> list[dict[str, str]]:
    with (PUBLISHED / name).open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_the_profile_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "energy.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```\n(name = .*?)^```", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "documented.toml"
    path.write_text(block, encoding="utf-8")
    profile = load_profile(str(path))
    assert profile.fitted is not None
    assert profile.battery is not None


def test_operation_by_hand(tmp_path: Path) -> None:
    operation = operate(load_profile(board(tmp_path)))
    assert operation.clock_mhz == Range(low=100, typical=200, high=400)
    assert operation.active_power_mw == Range(low=20, typical=50, high=320)
    # 20 mW / 100 MHz = 200 pJ, 250 pJ, 400 pJ a cycle; the high end doubled by the ratio.
    assert operation.energy_per_cycle_pj == Range(low=200, typical=250, high=800)


def test_a_known_clock_leaves_only_the_ratio(tmp_path: Path) -> None:
    operation = operate(load_profile(board(tmp_path)), "core", 200)
    assert operation.clock_mhz == Range.exactly(200)
    assert operation.active_power_mw == Range(low=50, typical=50, high=100)


def test_own_tables_win_over_those_taken_over(tmp_path: Path) -> None:
    profile = load_profile(board(tmp_path))
    assert profile.power_ratio_to_benchmark.high == 2
    assert profile.software == load_profile("pixel-8").software


def test_a_profile_may_have_no_battery(tmp_path: Path) -> None:
    battery = BOARD[BOARD.index("[battery]") : BOARD.index("[clusters.core]")]
    assert load_profile(board(tmp_path, battery)).battery is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("capacity_mah = 1000", "capacity_mah = 0", "battery.capacity_mah"),
        ("capacity_mah = 1000", "capacity_mah = nan", "battery.capacity_mah"),
        ("capacity_mah = 1000", 'capacity_mah = "large"', "battery.capacity_mah"),
        ("capacity_mah = 1000", "", "battery.capacity_mah"),
        ("capacity_mah", "capacity_ma", "battery.capacity_mah"),
        ("capacity_mah = 1000", "capacity_mah = 1000\ncapacity = 1", "'capacity_mah'"),
        ("clock_mhz = 100", "clock_ghz = 0.1", "clock_mhz"),
        ("operating_points = [", "operating_points = []\nunused = [", "operating_points"),
        ("low = 1", "low = 3", "low <= typical <= high"),
        ('default_cluster = "core"', 'default_cluster = "big"', "one of core"),
        ('source = "a bench"\n', "", "clusters.core.source"),
        ('based_on = "phone"\n', "", "'runtime'"),
        ('based_on = "phone"', 'based_on = "fridge"', "one of microcontroller, phone"),
        ('"core"\n', '"core"\naccelerator = "NPU"\n', "exactly one of accelerator"),
        ("[battery]", "[battery", "not a TOML file"),
    ],
)
def test_a_wrong_profile_is_refused_by_key(
    tmp_path: Path, old: str, new: str, says: str
) -> None:  # fmt: skip
    path = board(tmp_path, old, new)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        load_profile(path)
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_device_lists_the_names() -> None:
    with pytest.raises(InputError, match="pixel-6, pixel-7, pixel-8, pixel-9"):
        load_profile("pixel-5000")


def test_missing_profile_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml"):
        load_profile("nowhere.toml")


@pytest.mark.data
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published rows are not beside the clone")
def test_packaged_fits_are_what_the_command_makes(tmp_path: Path) -> None:
    words = ["--train", str(PUBLISHED / "mlperf_tiny_train.csv"), "--profiles", str(tmp_path)]
    assert energy.main(words) == 0
    for path in tmp_path.iterdir():
        made, packaged = load_profile(str(path)), load_profile(path.stem)
        assert made.description == packaged.description
        power, expected = operate(made).active_power_mw, operate(packaged).active_power_mw
        assert power.typical == pytest.approx(expected.typical, rel=1e-2)
        assert power.high == pytest.approx(expected.high, rel=1e-2)
        assert (made.fitted is None) == (packaged.fitted is None)
        if made.fitted and packaged.fitted:
            costs, packaged_costs = made.fitted.model_dump(), packaged.fitted.model_dump()
            del costs["source"], packaged_costs["source"]
            assert costs == pytest.approx(packaged_costs, rel=1e-2)


@pytest.mark.parametrize(
    ("cluster", "clock", "says"), [("huge", None, "little, middle, big"), ("big", 1.0, "2914")]
)
def test_unknown_cluster_or_clock_lists_what_there_is(
    cluster: str, clock: float | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        operate(load_profile("pixel-8"), cluster, clock)


ranges = st.lists(st.floats(0, 1e6), min_size=3, max_size=3).map(
    lambda values: Range(**dict(zip(("low", "typical", "high"), sorted(values), strict=True)))
)


@given(ranges, ranges, st.floats(0, 1), st.floats(0, 1))
def test_sums_and_products_hold_every_combination(
    first: Range, second: Range, one: float, other: float
) -> None:
    a = first.low + one * (first.high - first.low)
    b = second.low + other * (second.high - second.low)
    slack = 1e-9 * (1 + first.high) * (1 + second.high)
    assert (first + second).low - slack <= a + b <= (first + second).high + slack
    assert (first * second).low - slack <= a * b <= (first * second).high + slack


def test_profiles_do_not_change_under_the_reader() -> None:
    profile = load_profile("pixel-8")
    with pytest.raises(ValueError, match="frozen"):
        setattr(profile, "name", "other")  # noqa: B010  (the type checker refuses it too)
