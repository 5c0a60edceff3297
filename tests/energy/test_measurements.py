from pathlib import Path

import pytest

from fraudnet.energy.counting import count_file
from fraudnet.energy.measurements import read_measurements
from fraudnet.errors import InputError
from tests.energy.measured import counts, made_measurements, write_table

HEADER = (
    "round,org,system,board,processor,clock,accel,software,task,energy_uJ,energy_windows,"
    "power_mW_energy_mode,latency_ms_energy_mode,latency_ms_perf_mode,log_voltage"
)
LINE = (
    "v1.0,ST,NUCLEO_L4R5ZI,NUCLEO-L4R5ZI,Cortex-M4,120 MHz,STM32L4R5ZIT6U,X-CUBE-AI v7.3.0,"
    "small,320,5,40,8,9,1800"
)


def table(tmp_path: Path, *lines: str, header: str = HEADER) -> Path:
    path = tmp_path / "results.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_published_row(tmp_path: Path) -> None:
    (row,) = read_measurements(table(tmp_path, LINE), counts()).rows
    assert (row.system, row.board) == ("v1.0 ST NUCLEO_L4R5ZI", "NUCLEOL4R5ZI")
    assert (row.clock, row.supply_mv, row.runtime_family) == ("120MHz", "1800", "x-cube-ai")
    assert (row.energy_uj, row.latency_us, row.complete) == (320, 8000, True)
    assert row.count == counts()["small"]
    # The chip's own name in the accelerator's column is no accelerator.
    assert row.accelerator is None


@pytest.mark.parametrize(
    ("old", "new", "accelerator"),
    [
        ("STM32L4R5ZIT6U", "", None),
        ("STM32L4R5ZIT6U", "N/A", None),
        ("STM32L4R5ZIT6U", "Arm Cortex-M4", None),
        ("STM32L4R5ZIT6U", "NE16", "NE16"),
        ("STM32L4R5ZIT6U", "Syntiant Core 2", "Syntiant Core 2"),
        ("STM32L4R5ZIT6U", "NUCLEO Core", "NUCLEO Core"),
        ("STM32L4R5ZIT6U", "STM32L4R5ZIT6U CNN", "STM32L4R5ZIT6U CNN"),
    ],
)
def test_accelerators_are_told_from_chips(
    tmp_path: Path, old: str, new: str, accelerator: str | None
) -> None:
    (row,) = read_measurements(table(tmp_path, LINE.replace(old, new)), counts()).rows
    assert row.accelerator == accelerator


def test_rows_to_be_careful_with(tmp_path: Path) -> None:
    lacking = "v1.0,OctoML,microtvm_native/NUCLEO_L4R5ZI,,,,,,small,320,4,,,,"
    streaming = LINE.replace("small", "sww")
    unknown = LINE.replace("small", "llm")
    nothing = LINE.replace(",320,", ",,")
    read = read_measurements(table(tmp_path, lacking, streaming, unknown, nothing), counts())
    (row,) = read.rows
    assert (row.board, row.runtime_family) == ("NUCLEOL4R5ZI", "microtvm")
    assert (row.latency_us, row.complete) == (None, False)
    assert [line for line, _ in read.left_out] == [3, 4, 5]
    assert "no model file of 'llm'" in read.left_out[1][1]


def test_a_table_of_ones_own_names_files(tmp_path: Path) -> None:
    rows = made_measurements()
    read = read_measurements(write_table(tmp_path, rows))
    assert [row.energy_uj for row in read.rows] == [row.energy_uj for row in rows]
    assert read.rows[0].count == count_file(tmp_path / "small.tflite")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (",320,", ",320 uJ,", "energy_uj must be a number above 0, got '320 uJ'"),
        (",320,", ",-3,", "energy_uj must be a number above 0"),
        (",320,", ",nan,", "energy_uj must be a number above 0"),
        (",320,", ",0.32,", "power x latency is 320 uJ, the energy 0.32 uJ; check their units"),
        (",8,9", ",0,9", "latency_ms_energy_mode must be a number above 0"),
    ],
)
def test_wrong_figures_are_refused_by_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(InputError, match="line 3: ") as caught:
        read_measurements(table(tmp_path, LINE, LINE.replace(old, new)), counts())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_columns_and_rows_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'energy_uJ'; its columns are: .*energy_mJ"):
        read_measurements(
            table(tmp_path, LINE, header=HEADER.replace("energy_uJ", "energy_mJ")), counts()
        )
    with pytest.raises(InputError, match="no rows below its header"):
        read_measurements(table(tmp_path), counts())
    with pytest.raises(InputError, match="no row can be used"):
        read_measurements(table(tmp_path, LINE.replace("small", "sww")), counts())
    with pytest.raises(InputError, match="No such file"):
        read_measurements(tmp_path / "none.csv", counts())
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_measurements(tmp_path / "binary.csv", counts())
