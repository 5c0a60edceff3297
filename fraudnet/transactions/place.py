"""Where transactions are, as a command's argument names it: a path, or a database's table."""

import re
from pathlib import Path

Source = Path | str
"""A file or folder; or a database, as `URL#TABLE` with an SQLAlchemy URL."""


def parse_source(text: str) -> Source:
    """What an argument of a command names: a database where it has a scheme, else a path."""
    return text if "://" in text else Path(text)


def place_of(source: Source) -> str:
    """The source as it may be printed: a database's password is masked."""
    if isinstance(source, Path):
        return str(source)
    shown = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", source)
    return re.sub(
        r"(?i)([?&;][^=&;#]*(?:password|passwd|pwd|secret|token)[^=&;#]*)=[^&;#]*", r"\1=***", shown
    )


def name_of(source: Source) -> str:
    """A short name to log: a file's own, or a database's and its table's, without user or host."""
    return source.name if isinstance(source, Path) else place_of(source).rpartition("/")[2]
