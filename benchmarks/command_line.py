"""What every benchmark's command has in common: wrong input is one line and status 2."""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence

from fraudnet.errors import InputError


def run(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace, str], None],
    words: Sequence[str] | None,
) -> int:
    """Run a benchmark's command.

    Args:
        parser: whose program is `python -m benchmarks.NAME`.
        work: is given the arguments, and the command as it is kept beside the figures.
        words: the command line after the program; None: the process's own.

    Returns:
        The exit status: 0 done, 2 wrong input.
    """
    given = sys.argv[1:] if words is None else list(words)
    arguments = parser.parse_args(given)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        work(arguments, f"{parser.prog} {shlex.join(given)}".rstrip())
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0
