"""The desk in JupyterLab, in a browser, by the keyboard alone, in its light and dark themes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudnet.review.cases import QueueFilter, list_cases
from fraudnet.review.verdicts import audit_trail
from tests.browser import Page, browser
from tests.review.many_cases import make_many_cases
from tests.review.test_notebook import NOTEBOOK, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_DESK = "document.querySelector('.fraudnet-review')"
_SESSION = "[...jupyterapp.shell.widgets('main')][0]?.sessionContext"
# Until the session has its kernel it says idle too, and what is run asks for a kernel in a dialog.
_IDLE = f"!!{_SESSION}?.session?.kernel && {_SESSION}.kernelDisplayStatus === 'idle'"
_FOCUS = "(document.activeElement.innerText || document.activeElement.placeholder || '').trim()"
# Contrast of a text with what is behind it (WCAG 2.2), of every element of the desk that has text.
_CONTRASTS = """
(() => {
  const share = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const luminance = c => 0.2126 * share(c[0]) + 0.7152 * share(c[1]) + 0.0722 * share(c[2]);
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement)
      layers.unshift(parts(getComputedStyle(e).backgroundColor));
    return layers.reduce((under, [r, g, b, alpha = 1]) =>
      [r, g, b].map((c, i) => alpha * c + (1 - alpha) * under[i]), [255, 255, 255]);
  };
  const found = [];
  for (const e of DESK.querySelectorAll('button, select, input, label, div, strong, p, td, th')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const hasText = own || (e.tagName === 'SELECT' || e.tagName === 'INPUT');
    if (!hasText || !e.offsetHeight || e.disabled || e.closest('.plot-container')) continue;
    const text = luminance(parts(getComputedStyle(e).color)), back = luminance(behind(e));
    const contrast = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    found.push([e.tagName + ' ' + (e.innerText || '').slice(0, 30), contrast]);
  }
  return found;
})()""".replace("DESK", _DESK)


@contextmanager
def lab(folder: Path, database: str, theme: str) -> Iterator[str]:
    """A JupyterLab of its own; gives the address of the review notebook in it."""
    root, settings = folder / "root", folder / "settings" / "@jupyterlab"
    root.mkdir()
    shutil.copy(NOTEBOOK, root / "review.ipynb")
    for name, values in {
        "apputils-extension/themes": {"theme": f"JupyterLab {theme}"},
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }.items():
        path = settings / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_CONFIG_DIR": "config", "IPYTHONDIR": "ipython",
        "JUPYTER_DATA_DIR": "data",
    }  # fmt: skip
    variables = {
        **os.environ, **{name: str(folder / place) for name, place in own.items()},
        "FRAUDNET_CASES": database, "FRAUDNET_REVIEWER": "ana", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=t", f"--ServerApp.root_dir={root}",
        "--expose-app-in-browser",
    ]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for_server(f"{address}/api?token=t", process)
            yield f"{address}/doc/tree/review.ipynb?token=t"
        finally:
            process.terminate()
            process.wait()


def _wait_for_server(address: str, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address).close()
        except OSError:
            assert process.poll() is None, "JupyterLab does not start"
            assert time.monotonic() < end, "JupyterLab does not answer"
            time.sleep(0.2)
        else:
            return


def run_all(page: Page, seconds: float = 60) -> None:
    """Runs the notebook; what is asked for before the notebook is ready is not done."""
    end = time.monotonic() + seconds
    while not page.evaluate("!!document.querySelector('.fraudnet-queue option')"):
        assert time.monotonic() < end, "the notebook does not run"
        if page.evaluate(_IDLE):
            page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        time.sleep(2)


def focus(page: Page, place: str, seconds: float = 60) -> None:
    """Focuses the element until it keeps the focus, which JupyterLab takes when cells have run."""
    end = time.monotonic() + seconds
    kept = 0
    while kept < 10:
        assert time.monotonic() < end, f"{place} does not keep the focus"
        kept = kept + 1 if page.evaluate(f"document.activeElement === {place}") else 0
        page.evaluate(f"{place}.focus()")
        time.sleep(0.1)


def tab_to(page: Page, text: str, backwards: bool = False) -> None:
    """Presses Tab until a control of this text has the focus."""
    seen = []
    for _ in range(40):
        page.press("Tab", modifiers=8 if backwards else 0)
        seen.append(page.evaluate(_FOCUS))
        if seen[-1] == text:
            return
    raise AssertionError(f"Tab does not reach {text!r}, but {seen}")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_review_by_the_keyboard(tmp_path: Path, theme: str) -> None:
    database = make_many_cases(tmp_path / "reviews.sqlite")
    _, second, third = list_cases(database, QueueFilter(verdict="undecided"))["case_id"][:3]
    before = len(audit_trail(database))
    with lab(tmp_path, database.place, theme) as address, browser(tmp_path / "profile") as page:
        page.open(address)
        page.wait_for("!!(window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell'))")
        run_all(page)
        page.wait_for("document.querySelectorAll('.fraudnet-queue option').length === 240")
        page.wait_for(f"!!{_DESK}.querySelector('.plot-container')")
        page.wait_for(_IDLE)
        focus(page, "document.querySelector('.fraudnet-queue select')")

        tab_to(page, "Line down")
        page.press(" ")
        page.wait_for(f"{_DESK}.innerText.includes('Case {second}, account')")
        tab_to(page, "Open case")
        page.press(" ")
        page.wait_for(f"{_DESK}.innerText.includes('Yours to decide')")
        time.sleep(0.6)  # a verdict sooner would be a double click
        tab_to(page, "why (optional)")
        page.write("typed")
        tab_to(page, "Suspicious, worth the alert")
        page.press(" ")
        page.wait_for(f"{_DESK}.innerText.includes('Case {third} is open.')")
        tab_to(page, "Reasons")
        page.press(" ")
        page.wait_for(f"{_DESK}.innerText.includes('The device found')")
        tab_to(page, f"Undo: case {second}, suspicious, worth the alert", backwards=True)
        page.press("Enter")
        page.wait_for(f"{_DESK}.innerText.includes('undone, undecided again')")

        low = [each for each in page.evaluate(_CONTRASTS) if each[1] < 4.5]
        assert not low
        assert page.evaluate("document.title").startswith("review")  # no hostile script ran
        page.picture(tmp_path / "desk.png")
    trail = audit_trail(database)[before:].to_dict("records")
    assert [row["case_id"] for row in trail] == [second, second]
    assert (trail[0]["verdict"], trail[0]["note"]) == ("suspicious", "typed")
    assert (trail[1]["verdict"], trail[1]["undoes"]) == ("undecided", trail[0]["verdict_id"])
