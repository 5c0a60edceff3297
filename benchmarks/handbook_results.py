"""The results file of the Handbook protocol: complete after every row, and gone on with."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.handbook import Row, code_versions, place
from benchmarks.results_file import write_results
from fraudnet.errors import InputError


@dataclass(frozen=True)
class Circumstances:
    """What all rows of a file have in common.

    Attributes:
        data_fingerprint: of the transactions.
        recipe: they were read with.
        latest_test_end: where the latest test ends.
        refresh: of the reputation counts.
        versions: of Python and the packages that decide the scores.
    """

    data_fingerprint: str
    recipe: str
    latest_test_end: str
    refresh: str
    versions: Mapping[str, str | None]


def write(path: Path, command: str, shared: Circumstances, rows: Iterable[Row]) -> None:
    """Write all rows, by training days, fold, seed and model.

    Raises:
        InputError: the file cannot be written.
    """
    report = {"protocol": "handbook", "command": command, **asdict(shared)}
    ordered = sorted(rows, key=place)
    write_results(path, report | {"rows": [asdict(row) for row in ordered]})


def resume(path: Path, shared: Circumstances) -> tuple[list[Row], list[Row]]:
    """Rows of an earlier run.

    Args:
        path: its file; none is there: no row.
        shared: what the rows to come have in common.

    Returns:
        Rows of the present code, and rows that an older one measured.

    Raises:
        InputError: the file is no such file, or its rows were measured under other circumstances.
    """
    if not path.exists():
        return [], []
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        found = {name: report[name] for name in (field.name for field in fields(Circumstances))}
        rows = [Row(**row) for row in report["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: cannot be gone on with, it is no results file of this command "
            f"({type(error).__name__}: {error}); leave out --resume, or name another file"
        ) from None
    for name, value in asdict(shared).items():
        if found[name] != value:
            raise InputError(
                f"{path}: its {name} is {found[name]!r}, that of this run {value!r}; leave out "
                "--resume to measure all anew, or name another file"
            )
    present = code_versions()
    kept = [row for row in rows if row.code == present.get(row.model)]
    return kept, [row for row in rows if row not in kept]
