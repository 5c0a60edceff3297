"""`fraudnet energy profiles`: the devices that there are profiles of."""

import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fraudnet.energy.profiles import Profile, load_profile, profile_names
from fraudnet.errors import InputError


def list_profiles(folder: Path | None, *, as_json: bool) -> None:
    """Print the package's profiles, then those of a folder.

    Raises:
        InputError: the folder is none, or a profile in it cannot be used.
    """
    if folder and not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that holds .toml profiles")
    own = sorted(str(path) for path in folder.glob("*.toml")) if folder else []
    profiles = {name: load_profile(name) for name in [*profile_names(), *own]}
    if as_json:
        print(json.dumps([_dictionary(name, each) for name, each in profiles.items()], indent=2))
        return
    table = Table(box=box.SIMPLE)
    table.add_column("--device", no_wrap=folder is None)  # a path may be longer than the line
    table.add_column("what it is; clocks and supply of its cores; runtime; battery")
    for name, profile in profiles.items():
        table.add_row(name, escape("\n".join(_lines(profile))))
    Console().print(table)


def _lines(profile: Profile) -> list[str]:
    lines = [profile.description]
    for name, cluster in profile.clusters.items():
        clocks = [point.clock_mhz for point in cluster.operating_points]
        ends = " to ".join(f"{clock:g}" for clock in sorted({min(clocks), max(clocks)}))
        supply = "" if cluster.supply_voltage_v is None else f", {cluster.supply_voltage_v:g} V"
        lines.append(f"{name}: {ends} MHz{supply}")
    lines.append(f"runtime: {profile.runtime}")
    if profile.accelerator:
        lines.append(f"on {profile.accelerator}: no counted tier")
    if profile.battery:
        lines.append(f"{profile.battery.capacity_mah:g} mAh, {profile.battery.voltage_v:g} V")
    return lines


def _dictionary(name: str, profile: Profile) -> dict[str, object]:
    return {"device": name, **profile.model_dump()}
