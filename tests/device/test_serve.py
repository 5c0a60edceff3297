"""`fraudnet serve` on standard input and a Unix socket, through overload, locks and signals."""

import json
import socket
import sqlite3
import threading
import time
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from fraudnet.device.runtime import RUNTIMES
from tests.device.served import PATIENT, Answers, Served, parsed, probabilities
from tests.device.test_alone import BLOCK
from tests.device.test_command import STREAM, as_lines


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


@pytest.mark.parametrize("budget", ["0", "nan", "inf", "1e12"])
def test_a_budget_that_no_clock_counts_is_refused(served: Served, budget: str) -> None:
    done = served.run("", "--budget-ms", budget)
    assert done.returncode == 1  # the exit of PROGRAM
    assert "expected --budget-ms above 0 and at most 3,600,000" in done.stderr


def test_a_store_that_cannot_be_read_at_the_end_is_a_notice(served: Served) -> None:
    with served.running(*PATIENT) as service:
        service.ask(STREAM[0])
        with closing(sqlite3.connect(served.store)) as other:
            other.execute("DROP TABLE cases")
        status, _, err = service.ended()
    assert status == 0
    assert "notice: " in err
    assert "no such table: cases" in err
    assert "Traceback" not in err


def test_the_reader_of_the_answers_goes_away(served: Served) -> None:
    # By the whole command line, which sees to this for every command.
    whole = 'import sys; from fraudnet.cli import main; sys.exit(main(["serve", *sys.argv[1:]]))\n'
    with served.running(*PATIENT, before=whole) as service:
        service.ask(STREAM[0])
        assert service.process.stdin is not None
        assert service.process.stdout is not None
        service.process.stdout.close()
        with suppress(BrokenPipeError):  # it may have ended after the second
            for row in STREAM[1:4]:
                service.process.stdin.write(as_lines([row]))
                service.process.stdin.flush()
                time.sleep(0.05)
        with suppress(BrokenPipeError):
            service.process.stdin.close()
        assert service.process.stderr is not None
        err = service.process.stderr.read()
        service.process.wait(30)
    assert service.process.returncode == 141
    assert "Traceback" not in err
