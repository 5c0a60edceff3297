"""Energy of an Android phone's power rails, as Perfetto records it.

A trace is read with the protobuf classes of the `perfetto` package. Its trace processor is not
needed (it is a program that the package fetches from the network when it is first used); who has it
may give what one of these queries prints as CSV:

    SELECT ts, name, value FROM counter JOIN counter_track ON track_id = counter_track.id
    WHERE name GLOB 'power.*';
    INCLUDE PERFETTO MODULE android.power_rails;
    SELECT ts, power_rail_name, energy_since_boot FROM android_power_rails_counters;

Rails count microwatt-seconds, that is microjoules, since the phone was started.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fraudnet.energy.csv_table import read_table
from fraudnet.energy.measurement import Recording
from fraudnet.errors import InputError

METER = "power rails"
_NAMES = ("name", "power_rail_name", "raw_power_rail")
_VALUES = ("value", "energy_since_boot")
_MOST_NESTED = 2


def read_rails(path: Path) -> Recording:
    """Read a trace, or the CSV of a query of it.

    Args:
        path: a Perfetto trace, or a file that ends in .csv.

    Raises:
        InputError: it cannot be read, or holds no power rails.
    """
    samples = _csv_samples(path) if path.suffix.lower() == ".csv" else _trace_samples(path)
    times, energy = {}, {}
    for rail, values in samples.items():
        # A reading that was polled again before the meter made the next has the same time.
        at = np.array(sorted(dict(values).items()))
        times[rail], energy[rail] = at[:, 0], at[:, 1]
        if len(at) < 2:
            raise InputError(f"{path}: rail {rail} has one sample alone; record longer")
    if not times:
        raise InputError(
            f"{path}: no power rails in it; record with the data source android.power and "
            "collect_power_rails: true, on a phone that has them (Pixel 6 and later)"
        )
    return Recording(str(path), METER, times, energy)


def _csv_samples(path: Path) -> dict[str, list[tuple[float, float]]]:
    table = read_table(path)
    name = next((column for column in _NAMES if column in table.columns), None)
    value = next((column for column in _VALUES if column in table.columns), None)
    if "ts" not in table.columns or name is None or value is None:
        raise InputError(
            f"{path}: columns {', '.join(table.columns)}; expected ts, {' or '.join(_NAMES)}, and "
            f"{' or '.join(_VALUES)}, as a query of the trace processor prints them"
        )
    seconds, joules = table.numbers("ts") / 1e9, table.numbers(value) / 1e6
    frame = pd.DataFrame({"rail": table.columns[name], "s": seconds, "j": joules})
    return {
        str(rail): list(zip(each["s"], each["j"], strict=True))
        for rail, each in frame.groupby("rail", sort=False)
    }


def _trace_samples(path: Path) -> dict[str, list[tuple[float, float]]]:
    from google.protobuf.message import DecodeError
    from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

    trace = Trace()
    try:
        trace.ParseFromString(path.read_bytes())
        packets = list(_packets(trace, Trace))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a Perfetto trace") from error
    except (DecodeError, zlib.error) as error:
        raise InputError(
            f"{path}: not a whole Perfetto trace ({error}); record it again"
        ) from error
    # A rail's number is its writer's own.
    names: dict[tuple[int, int, int], str] = {}
    samples: defaultdict[tuple[int, int, int], list[tuple[float, float]]] = defaultdict(list)
    for packet in packets:
        if not packet.HasField("power_rails"):
            continue
        rails = packet.power_rails
        writer = packet.trusted_packet_sequence_id, rails.session_uuid
        for rail in rails.rail_descriptor:
            names[*writer, rail.index] = rail.rail_name
        for data in rails.energy_data:
            seconds = data.timestamp_ms / 1e3 if data.timestamp_ms else packet.timestamp / 1e9
            samples[*writer, data.index].append((seconds, data.energy / 1e6))
    for key in samples.keys() - names.keys():
        raise InputError(f"{path}: rail {key[-1]} has no name in it; record from the beginning")
    merged: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, values in samples.items():
        merged[names[key]] += values
    return dict(merged)


def _packets(trace: Any, kind: Any, nested: int = 0) -> Iterator[Any]:  # noqa: ANN401  (protobuf's)
    """All packets, those too that were recorded compressed."""
    for packet in trace.packet:
        if packet.zstd_compressed_packets:
            raise zlib.error("its packets are compressed with zstd; record without")
        if not packet.compressed_packets:
            yield packet
        elif nested < _MOST_NESTED:
            inner = kind()
            inner.ParseFromString(zlib.decompress(packet.compressed_packets))
            yield from _packets(inner, kind, nested + 1)
