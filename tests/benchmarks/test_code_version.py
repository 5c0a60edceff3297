from pathlib import Path

import pytest

from benchmarks.code_version import code_version

SOURCE = '''"""A module."""
def twice(value: int) -> int:
    """Two times."""
    return 2 * value
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "one.py").write_text(SOURCE)
    (tmp_path / "two.py").write_text("ONE = 1\n")
    return tmp_path


SOURCES = ("part", "two.py")


@pytest.mark.parametrize(
    "rewritten",
    [
        SOURCE.replace("Two times.", "Doubled."),
        SOURCE.replace('    """Two times."""\n', ""),
        SOURCE.replace("return 2 * value", "return (2   * value)  # why"),
        "\n\n" + SOURCE,
    ],
)
def test_words_and_layout_are_no_version(root: Path, rewritten: str) -> None:
    before = code_version(SOURCES, root)
    (root / "part" / "one.py").write_text(rewritten)
    assert code_version(SOURCES, root) == before


def test_any_change_of_code_is(root: Path) -> None:
    seen = {code_version(SOURCES, root)}
    for path, text in (
        ("part/one.py", SOURCE.replace("2 * value", "3 * value")),
        ("part/one.py", SOURCE.replace('"""Two times."""\n', '"""Two times."""\n    "more"\n')),
        ("two.py", "ONE = 2\n"),
        ("part/three.py", ""),
    ):
        (root / path).write_text(text)
        seen.add(code_version(SOURCES, root))
    assert len(seen) == 5


def test_only_the_named_sources_count(root: Path) -> None:
    before = code_version(["two.py"], root)
    (root / "part" / "one.py").write_text("")
    assert code_version(["two.py"], root) == before
