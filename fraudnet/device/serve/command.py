"""`fraudnet serve`: decisions for a live stream, each within its latency budget."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from fraudnet.device.command import add_scorer_arguments, open_scorer
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.quarantine import Quarantine
from fraudnet.device.serve.lines import serve_socket, serve_standard_input
from fraudnet.device.serve.service import Fallback, Service, Terms, log
from fraudnet.device.serve.stop import Stop

EPILOG = """\
A line is a transaction, as `fraudnet score` reads it; its answer is a decision, as `fraudnet score`
prints it, {"fallback": ...} past the budget, or {"error": ...}. SIGTERM ends it when what was read
is decided. Exit status: 0 done, 2 nothing could be served, 130 Ctrl-C, 141 the reader of the
decisions went away.

example:
  fraudnet serve --artifact fraud.tflite --store cases.sqlite --http 8711 --fallback block
"""
LOOPBACK = "127.0.0.1"
TOKEN = "FRAUDNET_TOKEN"  # noqa: S105  (the variable's name)
SHORTEST_TOKEN = 16
MOST_BUDGET_MS = 3_600_000  # no thread can wait for ever and be woken by the clock
_EVERY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `fraudnet serve`."""
    parser.description = (
        "Score a live stream: JSON lines on standard input, on a Unix socket, or over HTTP."
    )
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_scorer_arguments(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--socket", type=Path, metavar="PATH",
        help="Unix socket, which this user alone may open (default: standard input)",
    )  # fmt: skip
    where.add_argument(
        "--http", metavar="[HOST:]PORT",
        help=f"HTTP; on another host than {LOOPBACK} it wants a token. "
        "Needs pip install 'fraudnet[serve]'",
    )  # fmt: skip
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE",
        help=f"holds the token that HTTP clients must bear (default: the variable {TOKEN})",
    )  # fmt: skip
    parser.add_argument(
        "--budget-ms", type=float, default=100.0, metavar="MS",
        help="from a transaction's arrival to its answer (default: 100)",
    )  # fmt: skip
    parser.add_argument(
        "--fallback", choices=get_args(Fallback), default="step_up",
        help="the answer past that budget (default: step_up)",
    )  # fmt: skip
    parser.add_argument(
        "--queue", type=int, default=16, metavar="N",
        help="transactions that may wait; then no more is read, and HTTP says 503 (default: 16)",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", type=Path, metavar="FILE",
        help=f"where Prometheus text is written every {_EVERY_S:g} s (HTTP also: GET /metrics)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Serves until the stream ends or a signal comes; returns the exit status.

    Raises:
        DeviceInputError: it cannot serve.
        BrokenPipeError: the reader of the decisions went away.
    """
    if not 0 < arguments.budget_ms <= MOST_BUDGET_MS or arguments.queue < 1:
        raise DeviceInputError(
            f"expected --budget-ms above 0 and at most {MOST_BUDGET_MS:,}, and --queue of at "
            "least 1"
        )
    token = _token(arguments.token_file) if arguments.http else None
    address = _address(arguments.http, token) if arguments.http else None
    stop = Stop()
    stop.catch_signals()
    whole = True
    with Quarantine(
        arguments.quarantine or Path(f"{arguments.store}.quarantine.jsonl")
    ) as quarantine:
        service = Service(
            lambda: open_scorer(arguments),
            arguments.store,
            quarantine,
            Terms(arguments.budget_ms / 1e3, arguments.fallback, arguments.queue),
        )
        with _written_metrics(service, arguments.metrics), _closed(service):
            if address:
                _serve_http(service, *address, token, stop)
            elif arguments.socket:
                serve_socket(service, arguments.socket, stop)
            else:
                whole = serve_standard_input(service, stop)
    if stop.signal == signal.SIGINT:
        return 130
    if not whole:
        raise BrokenPipeError
    return 0


@contextmanager
def _closed(service: Service) -> Iterator[None]:
    try:
        yield
    finally:
        for notice in service.close():
            print(f"notice: {notice}", file=sys.stderr)


@contextmanager
def _written_metrics(service: Service, path: Path | None) -> Iterator[None]:
    """Writes the metrics to a file now and then, and when all is decided."""
    if path is None:
        yield
        return
    _write(path, service.metrics_text())
    ended = threading.Event()

    def write_often() -> None:
        while not ended.wait(_EVERY_S):
            try:
                _write(path, service.metrics_text())
            except DeviceInputError as error:
                log(str(error))

    thread = threading.Thread(target=write_often, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _write(path, service.metrics_text())


def _write(path: Path, text: str) -> None:
    """Whole or not at all: whoever reads it meets no half of it."""
    made = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        made.write_text(text)
        made.replace(path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise DeviceInputError(
            f"{path}: {error.strerror or error}; give --metrics a file in a writable folder"
        ) from error


def _token(path: Path | None) -> str | None:
    if path is None:
        token, place = os.environ.get(TOKEN), TOKEN
    else:
        place = str(path)
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceInputError(f"{path}: {error}; give --token-file a file of text") from error
    if token is not None and not (len(token) >= SHORTEST_TOKEN and token.isascii()):
        raise DeviceInputError(
            f"{place}: expected a token of at least {SHORTEST_TOKEN} ASCII characters; make one "
            "with: openssl rand -hex 32"
        )
    return token


def _address(given: str, token: str | None) -> tuple[str, int]:
    host, _, port = given.rpartition(":")
    host = host.strip("[]") or LOOPBACK
    if not port.isdecimal() or int(port) > 65_535:
        raise DeviceInputError(f"--http {given}: expected PORT or HOST:PORT, such as 8711")
    try:
        from fraudnet.device.serve.http import is_loopback
    except ImportError as error:
        raise DeviceInputError(
            f"--http needs the package {error.name}; pip install 'fraudnet[serve]'"
        ) from error
    if token is None and not is_loopback(host):
        raise DeviceInputError(
            f"--http {given}: others than this computer reach it, so that it needs a token; give "
            f"--token-file, or set {TOKEN}"
        )
    return host, int(port)


def _serve_http(service: Service, host: str, port: int, token: str | None, stop: Stop) -> None:
    from fraudnet.device.serve.http import serve_http

    serve_http(service, host, port, token, stop)
