"""Which version of the code a figure was measured with."""

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIGITS = 12

_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_version(sources: Iterable[str], root: Path = ROOT) -> str:
    """A digest of Python sources that neither comments, docstrings nor layout change.

    Args:
        sources: files and folders; a folder stands for all modules under it.
        root: that they are relative to.

    Returns:
        12 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in sorted({path for source in sources for path in _modules(root / source)}):
        digest.update(f"{path.relative_to(root).as_posix()}\n{_code_of(path)}\n".encode())
    return digest.hexdigest()[:DIGITS]


def _modules(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _code_of(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
