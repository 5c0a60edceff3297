"""Tables of measurements, as a user or a round of MLPerf Tiny would write them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fraudnet.energy.counting import ModelCount, count_bytes
from fraudnet.energy.measurements import Measurement
from fraudnet.energy.tiers import rows_of
from tests.energy.handmade import Made, Step, make_file

OP = schema.BuiltinOperator


def dense_file(inputs: int, outputs: int) -> bytes:
    """One fully connected layer."""
    tensors = [
        Made((1, inputs)), Made((outputs, inputs), data=bytes(4 * inputs * outputs)),
        Made((1, outputs)),
    ]  # fmt: skip
    return make_file(tensors, [Step(OP.FULLY_CONNECTED, (0, 1), (2,))], outputs=[2])


def convolution_file(side: int, channels: int) -> bytes:
    """One convolution of 3 x 3."""
    tensors = [
        Made((1, side, side, channels)),
        Made((channels, 3, 3, channels), data=bytes(36 * channels**2)),
        Made((1, side, side, channels)),
    ]
    return make_file(tensors, [Step(OP.CONV_2D, (0, 1), (2,))], outputs=[2])


FILES = {
    "small": dense_file(8, 8),
    "large": dense_file(64, 64),
    "image": convolution_file(8, 4),
}


def counts() -> dict[str, ModelCount]:
    return {name: count_bytes(content, name) for name, content in FILES.items()}


def made_measurements(systems: int = 4, noise: float = 0.05) -> list[Measurement]:
    """Systems on two boards that draw 20 and 60 mW and take 1 ns a byte and multiply-add."""
    rng = np.random.default_rng(0)
    rows = []
    for system in range(systems):
        factor = np.exp(rng.normal(0, 0.3))
        for name, count in counts().items():
            latency_us = factor * (count.macs + count.bytes_moved) * 1e-3
            latency_us *= np.exp(rng.normal(0, noise))
            power_mw = (20, 60)[system % 2] * np.exp(rng.normal(0, noise))
            rows.append(
                Measurement(
                    system=f"system {system}",
                    board="AB"[system % 2],
                    processor="Cortex-M4",
                    clock="120MHz",
                    supply_mv="1800",
                    runtime="TFLM 1",
                    model=name,
                    count=count,
                    energy_uj=power_mw * latency_us * 1e-3,
                    latency_us=latency_us,
                )
            )
    return rows


def busier_where_parameters_are_reused(rows: list[Measurement]) -> list[Measurement]:
    """The same, but a tenth of a logarithm more power for each logarithm of intensity."""
    intensities = rows_of(rows, "measured").intensity
    return [
        replace(row, energy_uj=row.energy_uj * float(np.exp(0.1 * intensity)))
        for row, intensity in zip(rows, intensities, strict=True)
    ]


def accelerated(row: Measurement) -> Measurement:
    return replace(row, accelerator="an NPU")


def write_table(folder: Path, rows: list[Measurement]) -> Path:
    """The table of one's own that these rows make, beside its models."""
    for name, content in FILES.items():
        (folder / f"{name}.tflite").write_bytes(content)
    lines = [
        "system,board,processor,clock,supply_mv,runtime,accelerator,model,energy_uj,latency_us"
    ]
    lines += [
        f"{row.system},{row.board},{row.processor},{row.clock},{row.supply_mv},{row.runtime},"
        f"{row.accelerator or ''},{row.model}.tflite,{row.energy_uj!r},"
        f"{'' if row.latency_us is None else repr(row.latency_us)}"
        for row in rows
    ]
    path = folder / "measurements.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
