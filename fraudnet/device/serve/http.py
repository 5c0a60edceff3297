"""The same over HTTP/1.1, by Starlette and uvicorn.

Asynchronous, so that a deadline counts from a transaction's arrival and not from when a thread of a
pool is free for it.
"""

import asyncio
import hmac
import json
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fraudnet.device.errors import DeviceInputError
from fraudnet.device.serve import service as core
from fraudnet.device.serve.metrics import CONTENT_TYPE
from fraudnet.device.serve.stop import Stop

MOST_BODY = 2**20
MOST_LINES = 256  # of a body
MOST_CONNECTIONS = 256
TYPES = ("application/json", "application/x-ndjson")
STATUS = {
    "decision": 200, "late": 202, "error": 400, "conflict": 409, "failure": 503, "busy": 503
}  # fmt: skip
_SOURCE = Path("http")
_GRACE_S = 10  # for what is in flight when the signal comes
_BODY_S = 10  # for a body to arrive

Handler = Callable[[Request], Awaitable[Response]]


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches the host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve_http(service: core.Service, host: str, port: int, token: str | None, stop: Stop) -> None:
    """Answers until a signal comes, then what is in flight.

    Args:
        service: that decides.
        host: to bind to.
        port: 0: any that is free, which is logged.
        token: that every request must bear; None: none, on loopback alone.
        stop: set when the signal came.

    Raises:
        DeviceInputError: the address cannot be had.
    """
    assert token or is_loopback(host)
    listener = _listening(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            application(service, token),
            http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None,
            access_log=False, proxy_headers=False, server_header=False,
            limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=16_384,
        )
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    core.log(f"listening on http://{shown}:{listener.getsockname()[1]}")
    with listener:
        asyncio.run(_run(server, listener, stop))


async def _run(server: uvicorn.Server, listener: socket.socket, stop: Stop) -> None:
    """Serves; uvicorn catches signals from when it has begun, `stop` those that came before."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True
        loop.remove_reader(stop.fd)

    loop.add_reader(stop.fd, end)
    await server.serve(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol by its number: asyncio sends at once (TCP_NODELAY) only where it sees it, else
    # an answer waits some 40 ms for the client's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise DeviceInputError(
            f"{host}:{port}: {error.strerror or error}; give --http another address"
        ) from error
    return listener


def application(service: core.Service, token: str | None) -> Starlette:
    """The ASGI application."""
    guard = _Guard(token)

    async def score(request: Request) -> Response:
        given = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if given not in TYPES:
            return _error(415, f"expected content-type {' or '.join(TYPES)}")
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _body(request)
        except TimeoutError:
            return _error(408, f"expected the body within {_BODY_S} s")
        if body is None:
            return _error(413, f"expected at most {MOST_BODY:,} bytes")
        lines = [line for line in enumerate(body.split(b"\n"), start=1) if line[1].strip()]
        if not 1 <= len(lines) <= MOST_LINES:
            return _error(400, f"expected 1 to {MOST_LINES} transactions as JSON, one a line")
        answers = await _answers(service, lines)
        status = STATUS[answers[0].kind] if len(answers) == 1 else 200
        return Response(
            "".join(f"{answer.line}\n" for answer in answers), status,
            {"Retry-After": "1"} if status == 503 else None, TYPES[len(answers) > 1],
        )  # fmt: skip

    async def health(_: Request) -> Response:
        told = service.health()
        return JSONResponse(told, 200 if told["status"] == "ok" else 503)

    async def metrics(_: Request) -> Response:
        return Response(service.metrics_text(), headers={"Content-Type": CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/score", guard(score), methods=["POST"]),
            Route("/health", guard(health)),
            Route("/metrics", guard(metrics)),
        ],
        exception_handlers={404: _not_found, 405: _not_found},
    )


class _Guard:
    """Lets through who bears the token, or, without one, what no page of a browser sends.

    A page can send requests to loopback; they bear an `Origin`, or, where its name was pointed at
    127.0.0.1 (DNS rebinding), that name as their host.
    """

    def __init__(self, token: str | None) -> None:
        self._expected = token and f"Bearer {token}".encode()

    def __call__(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if self._expected:
                given = request.headers.get("authorization", "").encode()
                if not hmac.compare_digest(given, self._expected):
                    refused = _error(401, "expected the header Authorization: Bearer TOKEN")
                    refused.headers["WWW-Authenticate"] = "Bearer"
                    return refused
            elif "origin" in request.headers or not is_loopback(request.url.hostname or ""):
                return _error(403, "expected a program of this computer; a page needs a token")
            return await handler(request)

        return guarded


async def _answers(service: core.Service, lines: Iterable[tuple[int, bytes]]) -> list[core.Answer]:
    """Of numbered lines, in their order; they fill no more of the queue than is free."""
    waiting: deque[core.Request] = deque()
    answers = []
    for number, line in lines:
        request = service.read(line, number, _SOURCE)
        while not service.enqueue(request, wait=False):
            if not waiting:  # all that wait are others'
                service.turn_away(request)
                break
            answers.append(await _answer(service, waiting.popleft()))
        waiting.append(request)
    return answers + [await _answer(service, request) for request in waiting]


async def _answer(service: core.Service, request: core.Request) -> core.Answer:
    found = asyncio.wrap_future(request.outcome)
    await asyncio.wait([found], timeout=service.remaining_s(request))
    found.cancel()  # who is late finds nobody waiting, and no loop that has ended
    return service.answer(request)


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too long, of which no more is read."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return None
    except ClientDisconnect:
        return b""
    return body


def _error(status: int, message: str) -> Response:
    return Response(json.dumps({"error": message}) + "\n", status, media_type=TYPES[0])


async def _not_found(_: Request, __: Exception) -> Response:
    return _error(404, "expected POST /score, GET /health or GET /metrics")
