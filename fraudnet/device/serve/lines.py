"""JSON lines in, JSON lines out: on standard input, or for many clients of a Unix socket."""

import json
import os
import queue
import select
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from fraudnet.device.errors import DeviceInputError
from fraudnet.device.reading import STANDARD_INPUT
from fraudnet.device.serve.service import MOST_BYTES, Request, Service, log
from fraudnet.device.serve.stop import Stop

MOST_CLIENTS = 64
GRACE_S = 10.0  # for clients to take their last answers
_CHUNK = 65_536


def serve_standard_input(service: Service, stop: Stop) -> bool:
    """Answers on standard output, until the input ends; returns False if its reader went away."""
    conversation = Conversation(service, STANDARD_INPUT, 0, 1, stop)

    def converse() -> None:
        conversation.run()
        stop.set()

    thread = threading.Thread(target=converse, daemon=True)
    thread.start()
    stop.wait()
    thread.join(GRACE_S)
    if thread.is_alive():
        log(f"answers were not taken within {GRACE_S:g} s")
    return not conversation.gone.is_set()


def serve_socket(service: Service, path: Path, stop: Stop) -> None:
    """Answers clients of a Unix socket that only this user may open, until it is stopped.

    Raises:
        DeviceInputError: the socket cannot be made, or another service listens there.
    """
    threads: list[threading.Thread] = []
    with _listening(path) as listener:
        log(f"listening on {path}")
        ready = select.poll()
        for fd in (listener.fileno(), stop.fd):
            ready.register(fd, select.POLLIN)
        try:
            while not stop.is_set:
                ready.poll()
                if stop.is_set:
                    break
                try:
                    client, _ = listener.accept()
                except OSError as error:
                    log(f"a client was not accepted: {error.strerror or error}")
                    stop.wait(0.1)
                    continue
                threads = [thread for thread in threads if thread.is_alive()]
                if len(threads) >= MOST_CLIENTS:
                    _turn_away(client)
                    continue
                thread = threading.Thread(
                    target=_serve_client, args=(service, path, client, stop), daemon=True
                )
                thread.start()
                threads.append(thread)
        finally:
            path.unlink(missing_ok=True)
    latest = time.monotonic() + GRACE_S
    for thread in threads:
        thread.join(max(0.0, latest - time.monotonic()))
    if slow := sum(thread.is_alive() for thread in threads):
        log(f"{slow} clients did not take their answers within {GRACE_S:g} s")


class Conversation:
    """One client: a thread that reads, and one that answers in the order of the lines.

    Where the queue is full, or the client does not take its answers, no more is read.

    Args:
        service: that decides.
        source: its name in the quarantine.
        read_fd: where lines come from.
        write_fd: where answers go.
        stop: ends it, once what was read is answered.
    """

    def __init__(
        self, service: Service, source: Path, read_fd: int, write_fd: int, stop: Stop
    ) -> None:
        self._service = service
        self._source = source
        self._read_fd, self._write_fd = read_fd, write_fd
        self._stop = stop
        self._unanswered: queue.Queue[Request | None] = queue.Queue(service.terms.queue)
        self.gone = threading.Event()  # the reader of the answers went away

    def run(self) -> None:
        """Converses until the lines end."""
        writer = threading.Thread(target=self._write, daemon=True)
        writer.start()
        for number, line in enumerate(read_lines(self._read_fd, self._stop), start=1):
            if self.gone.is_set():
                break
            if line.strip():
                request = self._service.read(line, number, self._source)
                # First, as its deadline passes while it waits for a place in the queue.
                self._unanswered.put(request)
                self._service.enqueue(request)
        self._unanswered.put(None)
        writer.join()

    def _write(self) -> None:
        while (request := self._unanswered.get()) is not None:
            line = self._service.wait(request).line
            if not self.gone.is_set():
                try:
                    _write_all(self._write_fd, f"{line}\n".encode())
                except OSError:  # what it asked for is decided and stored all the same
                    self.gone.set()


def read_lines(fd: int, stop: Stop) -> Iterator[bytes]:
    """Lines without their ends, until there are no more or it is stopped.

    Yields:
        Each line; of one that is too long the first MOST_BYTES + 1 bytes.
    """
    ready = select.poll()
    for each in (fd, stop.fd):
        ready.register(each, select.POLLIN)
    splitter = Splitter()
    chunk = b"\n"
    while chunk:
        ready.poll()
        if stop.is_set:
            return
        try:
            chunk = os.read(fd, _CHUNK)
        except OSError:  # a client that broke off
            return
        for line in splitter.lines(chunk):
            yield line
            if stop.is_set:
                return


class Splitter:
    """Makes lines of chunks.

    Args:
        most: bytes of a line; of a longer one it gives that and one more, and keeps none.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._rest = b""
        self._skipping = False  # its beginning was given already

    def lines(self, chunk: bytes) -> list[bytes]:
        """The lines that a chunk ends; an empty one is the end of all."""
        *ended, rest = (self._rest + (chunk or b"\n")).split(b"\n")
        lines = [line[: self._most + 1] for line in ended[self._skipping :]]
        self._skipping = self._skipping and not ended
        if self._skipping:
            rest = b""
        elif len(rest) > self._most:
            lines.append(rest[: self._most + 1])
            rest, self._skipping = b"", True
        self._rest = rest
        return lines


def _write_all(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]


def _serve_client(service: Service, path: Path, client: socket.socket, stop: Stop) -> None:
    with client:
        fd = client.fileno()
        Conversation(service, path, fd, fd, stop).run()


def _turn_away(client: socket.socket) -> None:
    with client:
        client.settimeout(1.0)
        error = {"error": f"{MOST_CLIENTS} clients are served already; connect again later"}
        try:
            client.sendall(f"{json.dumps(error)}\n".encode())
        except OSError:
            log("a client was turned away")


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        before = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(before)
        listener.listen()
    except OSError as error:
        listener.close()
        raise DeviceInputError(
            f"{path}: {error.strerror or error}; give --socket a short path in a writable folder"
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Removes the socket of a service that was killed."""
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise DeviceInputError(f"{path}: is there and no socket; give --socket another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise DeviceInputError(f"{path}: another service listens there; give --socket another path")
