"""Where transactions are, as a command's argument names it: a path, or a database's table."""

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
    url, _, table = source.partition("#")
    scheme, separator, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    user = user.partition(":")[0] + (":***" if ":" in user else "")
    return f"{scheme}{separator}{user}{at}{host}" + (f"#{table}" if table else "")


def name_of(source: Source) -> str:
    """A short name to log: a file's own, or a database's and its table's, without user or host."""
    return source.name if isinstance(source, Path) else place_of(source).rpartition("/")[2]
