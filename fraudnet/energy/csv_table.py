"""A delimited file of numbers, read with a place for every mistake."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fraudnet.errors import InputError

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class CsvTable:
    """Columns as text, [N] each."""

    place: str
    columns: dict[str, "pd.Series[str]"]

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """A column of finite numbers, [N].

        Raises:
            InputError: one is none; the message names the row.
        """
        text = self.columns[column]
        found = pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(found)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{self.place}: row {row + 2}: {column} is {text.iloc[row]!r}; expected a number"
            )
        return found


def read_table(path: Path) -> CsvTable:
    """Read a file with a header, delimited by commas, semicolons or tabs.

    Raises:
        InputError: it cannot be read, or holds no rows.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        delimiter = max(_DELIMITERS, key=header.count)
        frame = pd.read_csv(
            path, sep=delimiter, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give a CSV file") from error
    except (ValueError, pd.errors.EmptyDataError) as error:  # ParserError, UnicodeDecodeError too
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: not a CSV file: {reason}") from error
    if frame.empty:
        raise InputError(f"{path}: no rows; expected a header and samples")
    columns = {str(name).strip(): frame[name] for name in frame}
    return CsvTable(str(path), columns)
