"""`fraudnet serve` over HTTP: statuses, metrics, overload, a token."""

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.device.served import PATIENT, Answers, Served, get
from tests.device.test_alone import BLOCK
from tests.device.test_command import STREAM, as_lines


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
            ("", {"Content-Type": "Application/JSON; charset=utf-8"}, 400),
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
