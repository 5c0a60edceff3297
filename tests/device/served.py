"""`fraudnet serve` as a process of its own, and clients of it, for the tests."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

PROGRAM = """
import argparse, sys
from fraudnet.device.errors import DeviceInputError
from fraudnet.device.serve.command import add_arguments, run
parser = argparse.ArgumentParser(prog="fraudnet serve")
add_arguments(parser)
try:
    sys.exit(run(parser.parse_args()))
except DeviceInputError as error:
    sys.exit(f"fraudnet serve: {error}")
"""
Answers = list[dict[str, Any]]
PATIENT = ("--budget-ms", "30000")


class Served:
    """One service, as a process of its own."""

    def __init__(self, artifact: Path, folder: Path) -> None:
        self.store = folder / "store"
        self.socket = folder / "socket"
        self.metrics_file = folder / "metrics.prom"
        self._base = ["--artifact", artifact, "--store", self.store]

    def command(self, *arguments: object, before: str = "") -> list[str]:
        return [sys.executable, "-c", before + PROGRAM, *map(str, (*self._base, *arguments))]

    def run(
        self, text: str, *arguments: object, before: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """On standard input, to its end."""
        return subprocess.run(
            self.command(*arguments, before=before), input=text, env=os.environ | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    @contextmanager
    def running(
        self, *arguments: object, before: str = "", **environment: str
    ) -> Iterator["Running"]:
        with subprocess.Popen(
            self.command(*arguments, before=before), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env=os.environ | environment,
        ) as process:  # fmt: skip
            try:
                yield Running(process)
            finally:
                if process.poll() is None:
                    process.kill()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process writes to the store, so that every commit waits."""
        with closing(sqlite3.connect(self.store, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def stored(self) -> dict[str, float | None]:
        """Probability by transaction."""
        with closing(sqlite3.connect(self.store)) as connection:
            query = "SELECT transaction_id, fraud_probability FROM transactions"
            rows = connection.execute(query).fetchall()
        assert len(dict(rows)) == len(rows)
        return dict(rows)


class Running:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stderr: list[str] = []

    def log_until(self, part: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr.append(line)
            if part in line:
                return line
        raise AssertionError(f"{part!r} never came: {self.stderr}")

    def ask(self, *rows: Mapping[str, object]) -> dict[str, Any]:
        """On standard input; the next answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("".join(f"{json.dumps(row)}\n" for row in rows))
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ended(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit status and what else was written, after the signal."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, "".join(self.stderr) + err

    def port(self) -> int:
        return int(self.log_until("listening on http").rsplit(":", 1)[1])

    def post(self, port: int, body: str, **headers: str) -> tuple[int, Answers]:
        headers = {"Content-Type": "application/x-ndjson"} | headers
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", "/score", body, headers)
            response = connection.getresponse()
            return response.status, parsed(response.read().decode())


def parsed(text: str) -> Answers:
    return [json.loads(line) for line in text.splitlines()]


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


def probabilities(answers: Answers) -> dict[str, float]:
    return {answer["transaction_id"]: answer["probability"] for answer in answers}
