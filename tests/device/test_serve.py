"""`fraudnet serve` as a process: lines and HTTP in, decisions out, through overload and signals."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fraudnet.device.runtime import RUNTIMES
from tests.device.test_alone import BLOCK
from tests.device.test_command import STREAM, as_lines

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
        self.process.stdin.write(as_lines([dict(row) for row in rows]))
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


@pytest.fixture
def served(artifact: Path, tmp_path: Path) -> Served:
    return Served(artifact, tmp_path)


def test_standard_input_as_score_with_a_line_for_every_line(
    served: Served, artifact: Path, tmp_path: Path
) -> None:
    """Without anything but numpy and a runtime installed."""
    bad = [STREAM[1] | {"amount": "much"}, STREAM[2] | {"distance": 99}]
    text = as_lines([*STREAM[:5], STREAM[3], *bad]) + 'no\n\n{"a": 1}\n' + "x" * 200_000 + "\n"
    text += as_lines(STREAM[5:]).rstrip("\n")
    runtime = next(name for name in RUNTIMES if find_spec(name))
    before = BLOCK.replace("RUNTIME", repr(runtime))
    done = served.run(text, *PATIENT, before=before, FRAUDNET_TFLITE_RUNTIME="")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    answers = parsed(done.stdout)
    # A blank line has none; the others have theirs in the order of the lines.
    errors = {answer["line"]: answer["error"] for answer in answers if "error" in answer}
    assert list(errors) == [7, 8, 9, 11, 12]
    expected = ["'much'", "99.0} received", "not JSON", "missing key", "longer than 65,536 bytes"]
    for message, part in zip(errors.values(), expected, strict=True):
        assert part in message
    decided = [answer for answer in answers if "error" not in answer]
    ids = [row["transaction_id"] for row in [*STREAM[:5], STREAM[3], *STREAM[5:]]]
    assert [answer["transaction_id"] for answer in decided] == ids
    assert [answer["repeated"] for answer in decided] == [i == 5 for i in range(len(decided))]
    assert len(parsed((tmp_path / "store.quarantine.jsonl").read_text())) == 5

    (tmp_path / "again").mkdir()
    other = Served(artifact, tmp_path / "again")
    undisturbed = parsed(other.run(as_lines(STREAM), *PATIENT).stdout)
    assert probabilities(decided) == probabilities(undisturbed) == served.stored()


def test_past_its_deadline_the_fallback_and_the_decision_when_it_comes_again(
    served: Served,
) -> None:
    with served.running(
        "--budget-ms", "200", "--fallback", "block", "--metrics", served.metrics_file
    ) as service:
        service.ask(STREAM[0])
        with served.locked():
            start_s = time.perf_counter()
            late = service.ask(STREAM[1])
            waited_s = time.perf_counter() - start_s
        assert 0.19 < waited_s < 1.5
        told_us = late.pop("latency_us")
        assert 200_000 <= told_us < 1_500_000
        assert late == {
            "transaction_id": "t1", "account_id": "a1", "fallback": "block",
            "because": "deadline", "scored_later": True,
        }  # fmt: skip
        again = service.ask(STREAM[1])
        while again.get("fallback"):  # a busy machine
            again = service.ask(STREAM[1])
        assert again["repeated"]
        status, _, err = service.ended()
    assert status == 0
    assert "transaction 't1' got the fallback block after 2" in err
    assert served.stored()["t1"] == again["probability"]
    text = served.metrics_file.read_text()
    assert 'fraudnet_transactions_total{outcome="scored"} 2\n' in text
    assert 'fraudnet_fallbacks_total{because="deadline"} ' in text


def test_a_store_that_stays_locked_is_said_and_survived(served: Served) -> None:
    before = "import fraudnet.device.database as d; d._TIMEOUT_S = 0.05\n"
    with served.running("--http", "0", *PATIENT, before=before) as service:
        port = service.port()
        service.post(port, as_lines(STREAM[:1]))
        with served.locked():
            status, (failed,) = service.post(port, as_lines(STREAM[1:2]))
        assert (status, failed["fallback"], failed["because"]) == (503, "step_up", "failure")
        assert failed["scored_later"] is False
        assert "t1" not in served.stored()
        status, told = get(port, "/health")
        assert (status, json.loads(told)["status"]) == (503, "failing")
        assert "fraudnet_healthy 0\n" in get(port, "/metrics")[1]
        status, (decided,) = service.post(port, as_lines(STREAM[1:2]))
        assert (status, decided["repeated"]) == (200, False)
        assert get(port, "/health")[0] == 200
        status, _, err = service.ended()
    assert status == 0
    assert "transaction 't1' is NOT stored: StoreError: " in err
    assert served.stored().keys() == {"t0", "t1"}


def converse(path: Path, rows: list[dict[str, object]]) -> Answers:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(as_lines(rows).encode())
        client.shutdown(socket.SHUT_WR)
        with client.makefile() as answers:
            return parsed(answers.read())


def test_clients_of_a_socket_get_their_own_answers(served: Served) -> None:
    """Each sends all: every transaction is decided once, whoever was first."""
    results: list[Answers] = []
    with served.running("--socket", served.socket, *PATIENT, "--queue", 2) as service:
        service.log_until("listening on")
        assert served.socket.stat().st_mode & 0o077 == 0
        threads = [
            threading.Thread(
                target=lambda i=i: results.append(
                    converse(served.socket, STREAM[10 * i :] + STREAM[: 10 * i])
                )
            )
            for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        second = served.run("", "--socket", served.socket)
        assert "another service listens there" in second.stderr
        status, _, err = service.ended()
    assert status == 0, err
    assert "Traceback" not in err
    firsts = [a for answers in results for a in answers if not a["repeated"]]
    assert sorted(a["transaction_id"] for a in firsts) == sorted(served.stored())
    for answers in results:
        assert probabilities(answers) == served.stored()
    assert {answers[0]["transaction_id"] for answers in results} == {"t0", "t10", "t20", "t30"}
    assert not served.socket.exists()


def test_killed_and_started_again(served: Served, artifact: Path, tmp_path: Path) -> None:
    """What was answered is stored; sending all again decides the rest, each once."""
    with served.running("--socket", served.socket, *PATIENT) as service:
        service.log_until("listening on")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.socket))
            client.sendall(as_lines(STREAM).encode())
            with client.makefile() as lines:
                answered = [json.loads(lines.readline()) for _ in range(7)]
                service.process.kill()
                service.process.wait()
    assert served.socket.exists()
    before = served.stored()
    assert probabilities(answered).items() <= before.items()
    with served.running("--socket", served.socket, *PATIENT) as service:
        service.log_until("listening on")
        answers = converse(served.socket, STREAM)
        assert service.ended()[0] == 0
    assert [a["transaction_id"] for a in answers if a["repeated"]] == list(before)
    (tmp_path / "undisturbed").mkdir()
    other = Served(artifact, tmp_path / "undisturbed")
    other.run(as_lines(STREAM), *PATIENT)
    assert probabilities(answers) == served.stored() == other.stored()


def test_back_pressure_and_a_signal_lose_nothing_that_was_answered(served: Served) -> None:
    """The store is locked: the reader stops reading; then all that was read is decided."""
    rows = [STREAM[i % 40] | {"transaction_id": f"n{i}"} for i in range(20_000)]
    with served.running("--socket", served.socket, *PATIENT, "--queue", 4) as service:
        service.log_until("listening on")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(served.socket))
            client.setblocking(False)
            content, sent, still = as_lines(rows).encode(), 0, 0
            with served.locked():
                while still < 10:
                    try:
                        sent += client.send(content[sent : sent + 65_536])
                        still = 0
                    except BlockingIOError:
                        still += 1
                        time.sleep(0.02)
            assert sent < len(content) / 4
            client.setblocking(True)
            answers = client.recv(65_536)
            status, _, err = service.ended()
            with suppress(ConnectionResetError):  # it has not read all that was sent
                while more := client.recv(65_536):
                    answers += more
    assert status == 0, err
    assert "Traceback" not in err
    assert answers.endswith(b"\n")
    answered = parsed(answers.decode())
    assert len(answered) > 4
    assert [a["transaction_id"] for a in answered] == [f"n{i}" for i in range(len(answered))]
    assert probabilities(answered) == served.stored()


def test_http(served: Served) -> None:
    with served.running("--http", "0", *PATIENT) as service:
        port = service.port()
        status, (one,) = service.post(port, as_lines(STREAM[:1]))
        assert (status, one["repeated"]) == (200, False)
        status, several = service.post(port, as_lines(STREAM[:3]) + "no\n")
        assert status == 200
        assert [answer.get("repeated") for answer in several] == [True, False, False, None]
        assert several[3]["line"] == 4
        conflict = STREAM[0] | {"amount": 77.0}
        for body, headers, expected in [
            ("no", {}, 400),
            ("", {}, 400),
            ("no\n" * 257, {}, 400),
            ("[" * 60_000, {}, 400),
            (as_lines([conflict]), {}, 409),
            ("x" * (2**20 + 1), {}, 413),
            (as_lines(STREAM[3:4]), {"Content-Type": "text/plain"}, 415),
            (as_lines(STREAM[3:4]), {"Origin": "http://127.0.0.1"}, 403),
            (as_lines(STREAM[3:4]), {"Host": "rebound.example"}, 403),
        ]:
            status, (answer,) = service.post(port, body, **headers)
            assert (status, next(iter(answer))) == (expected, "error")
        assert get(port, "/else")[0] == get(port, "/score")[0] == 404
        status, told = get(port, "/health")
        assert (status, json.loads(told)["status"]) == (200, "ok")
        assert served.stored().keys() == {"t0", "t1", "t2"}

        status, text = get(port, "/metrics")
        parser = pytest.importorskip("prometheus_client.parser")
        families = {family.name: family for family in parser.text_string_to_metric_families(text)}
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in families.values()
            for sample in family.samples
        }
        assert found["fraudnet_transactions_total", "scored"] == 3
        assert found["fraudnet_transactions_total", "repeated"] == 1
        assert found["fraudnet_transactions_total", "refused"] == 4
        assert found["fraudnet_answers_total", "decision"] == 4
        assert found["fraudnet_answers_total", "error"] == 4
        assert found["fraudnet_latency_seconds_count",] == 8
        assert found["fraudnet_scoring_seconds_bucket", "+Inf"] == 3
        assert found["fraudnet_flagged_total",] == sum(a["flagged"] for a in several[:3])
        assert found["fraudnet_store_bytes",] > 10_000
        status, _, err = service.ended()
    assert status == 0
    assert "Traceback" not in err


def test_http_says_busy_and_late_and_ends_when_all_is_decided(served: Served) -> None:
    results: list[tuple[int, Answers]] = []
    with served.running("--http", "127.0.0.1:0", "--queue", 3, "--budget-ms", 700) as service:
        port = service.port()
        service.post(port, as_lines(STREAM[:1]))
        with served.locked():
            threads = [
                threading.Thread(
                    target=lambda i=i: results.append(service.post(port, as_lines([STREAM[i]])))
                )
                for i in range(1, 13)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            service.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert service.process.poll() is None  # four are not yet decided
        status, _, err = service.ended()
    assert status == 0
    assert "Traceback" not in err
    statuses = [status for status, _ in results]
    assert (statuses.count(202), statuses.count(503)) == (4, 8)  # one at work, three in the queue
    for status, (answer,) in results:
        assert answer["fallback"] == "step_up"
        assert answer["scored_later"] == (status == 202)
        assert (answer["transaction_id"] in served.stored()) == (status == 202)
    assert None not in served.stored().values()


def test_a_token_off_loopback(served: Served, tmp_path: Path) -> None:
    token = "correct-horse-battery"
    refused = served.run("", "--http", "0.0.0.0:0")
    assert refused.returncode != 0
    assert "needs a token" in refused.stderr
    assert "at least 16" in served.run("", "--http", "0", FRAUDNET_TOKEN="short").stderr
    bare = served.run("", "--http", "0", before=BLOCK.replace("RUNTIME", "''"))
    assert "pip install 'fraudnet[serve]'" in bare.stderr
    (tmp_path / "token").write_text(f"{token}\n")
    with served.running("--http", "0.0.0.0:0", "--token-file", tmp_path / "token") as service:
        port = service.port()
        for header in ({}, {"Authorization": f"Bearer {token}x"}, {"Authorization": token}):
            assert service.post(port, as_lines(STREAM[:1]), **header)[0] == 401
            assert get(port, "/metrics", **header)[0] == 401
        bearer = {"Authorization": f"Bearer {token}", "Host": "elsewhere"}
        assert service.post(port, as_lines(STREAM[:1]), **bearer)[0] == 200
        status, _, err = service.ended(signal.SIGINT)
    assert status == 130
    assert token not in err


def test_the_reader_of_the_answers_goes_away(served: Served) -> None:
    with served.running(*PATIENT) as service:
        service.ask(STREAM[0])
        assert service.process.stdin is not None
        assert service.process.stdout is not None
        service.process.stdout.close()
        for row in STREAM[1:4]:
            service.process.stdin.write(as_lines([row]))
            service.process.stdin.flush()
            time.sleep(0.05)
        service.process.stdin.close()
        assert service.process.stderr is not None
        err = service.process.stderr.read()
        service.process.wait(30)
    assert service.process.returncode == 141
    assert "Traceback" not in err
