"""Headless Chromium, driven over its DevTools protocol, for tests that look and press keys."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import websocket

_QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
_DRIVEN = [
    "--hide-scrollbars", "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--window-size=1400,1000",
]  # fmt: skip
_KEYS = {
    "Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, ""), "Escape": (27, ""),
}  # fmt: skip


class Page:
    """One page of a browser.

    Args:
        address: of its DevTools socket.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60)
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401  (JSON)
        """Calls a method of the protocol."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, script: str) -> Any:  # noqa: ANN401  (JSON)
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = 60) -> Any:  # noqa: ANN401  (JSON)
        """The value of an expression, once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.1)
        return value

    def open(self, address: str) -> None:
        """Goes to an address and waits until it is loaded."""
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def press(self, key: str, modifiers: int = 0) -> None:
        """Presses and releases a key on whatever has the focus; modifiers 8: with Shift."""
        code, text = _KEYS[key]
        event = {
            "key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code,
            "modifiers": modifiers,
        }  # fmt: skip
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        """Types a text into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """Writes what is seen as PNG."""
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser's first page; the test is skipped where there is none.

    Args:
        profile: directory of the browser's own files.
    """
    command = [_chromium(), *_QUIET, *_DRIVEN, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with Page(_first_page(profile / "DevToolsActivePort")) as page:
                yield page
        finally:
            process.terminate()


def _chromium() -> str:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    return program


def _first_page(port_file: Path, seconds: float = 60) -> str:
    end = time.monotonic() + seconds
    while True:
        try:
            port = port_file.read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [each for each in json.load(answer) if each["type"] == "page"]
                return str(pages[0]["webSocketDebuggerUrl"])
        except (OSError, IndexError):
            assert time.monotonic() < end, "the browser does not start"
            time.sleep(0.1)


def drawn_page(path: Path, folder: Path, wait_ms: int) -> str:
    """The document that a page has become once its scripts have run; skips as `browser` does.

    Args:
        path: of the page.
        folder: for the browser's profile.
        wait_ms: of the browser's own time.
    """
    command = [
        _chromium(), *_QUIET, f"--user-data-dir={folder / 'profile'}",
        f"--virtual-time-budget={wait_ms}", "--dump-dom", path.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
