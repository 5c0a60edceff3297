"""Signals that end a service, in a form that threads can wait for."""

import os
import select
import signal
from types import FrameType


class Stop:
    """Set once, by SIGTERM, SIGINT or the program; `fd` is readable from then on."""

    def __init__(self) -> None:
        self.fd, self._write_fd = os.pipe()
        self.is_set = False
        self.signal: int | None = None

    def catch_signals(self) -> None:
        """From now on SIGTERM and SIGINT set it, and end nothing else."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._caught)

    def set(self) -> None:
        """Sets it; no lock, so that a signal's handler may."""
        if not self.is_set:
            self.is_set = True
            os.write(self._write_fd, b"\0")

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is set; returns whether it is."""
        waiting = select.poll()
        waiting.register(self.fd, select.POLLIN)
        waiting.poll(None if seconds is None else 1000 * seconds)
        return self.is_set

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
        self.set()
