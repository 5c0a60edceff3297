"""The review notebook, run in a kernel of this very Python and kept as one HTML page."""

import os
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import zmq
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from plotly.offline import get_plotlyjs

import fraudnet
from fraudnet.errors import CheckFailed, InputError
from fraudnet.review.shown import PLOTLY_MIME, static_figure

_CELL_TIMEOUT_S = 120

# nbconvert's page loads scripts from four sites; this one holds its own and may load nothing.
_PAGE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:">
<script>{{ resources.plotly_js }}</script>
{%- endblock -%}
{%- block html_head_css -%}
<style>
main { max-width: 75rem; margin: 0 auto; }
.jp-InputPrompt { display: none; }
</style>
{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
"""


def execute_notebook(
    notebook: Path, output_html: Path, environment: dict[str, str]
) -> dict[str, float]:
    """Run a notebook from its first cell to its last and write what it shows, without its code.

    The page needs neither a kernel nor a network: plots zoom, widgets are replaced by the text
    they offer instead. It is written whole or not at all.

    Args:
        notebook: the .ipynb file; it is not changed. Its directory is the working directory.
        output_html: the page to write; its directory must be there.
        environment: environment variables for the kernel, besides those of this process.

    Returns:
        Seconds that each code cell took, by its id.

    Raises:
        InputError: the file is not a notebook, or the page cannot be written.
        CheckFailed: a cell ends in an error; the message carries it.
    """
    try:
        content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        raise InputError(f"{notebook}: not a notebook; expected the .ipynb of the clone") from error
    run_cells(content, notebook, environment)
    for cell in content.cells:
        for output in cell.get("outputs", []):
            _make_static(output.get("data", {}))
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        raw_template=_PAGE, exclude_input=True, exclude_output_prompt=True
    )
    page, _ = exporter.from_notebook_node(content, {"plotly_js": get_plotlyjs()})
    unfinished = output_html.with_name(f".{output_html.name}.{os.getpid()}")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(output_html)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise InputError(f"{output_html}: cannot be written: {error.strerror or error}") from error
    return {cell.id: _seconds(cell) for cell in content.cells if cell.cell_type == "code"}


def _seconds(cell: nbformat.NotebookNode) -> float:
    moments = cell.metadata.execution
    begin, end = (
        datetime.fromisoformat(moments[name])
        for name in ("iopub.execute_input", "shell.execute_reply")
    )
    return (end - begin).total_seconds()


def run_cells(content: nbformat.NotebookNode, notebook: Path, environment: dict[str, str]) -> None:
    """Run the cells of a notebook, which then hold their outputs and when they ran.

    Args:
        content: of the notebook.
        notebook: its file, whose directory is the working directory.
        environment: as for `execute_notebook`.

    Raises:
        CheckFailed: a cell ends in an error; the message carries it.
    """
    with TemporaryDirectory(prefix="fraudnet-review-") as directory:
        manager = AsyncKernelManager(
            kernel_name=NATIVE_KERNEL_NAME,
            # Without kernel directories, the one kernel left is ipykernel under sys.executable.
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(Path(directory, "kernel.json")),
            transport="ipc" if zmq.has("ipc") else "tcp",  # files of this user, no open port
        )
        client = NotebookClient(
            content,
            km=manager,
            resources={"metadata": {"path": str(notebook.parent)}},
            timeout=_CELL_TIMEOUT_S,
            store_widget_state=False,
        )
        variables = {**os.environ, "PLOTLY_RENDERER": "plotly_mimetype", **environment}
        # The kernel imports this very package, installed or not.
        places = [str(Path(fraudnet.__file__).parents[1]), variables.get("PYTHONPATH", "")]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, places))
        try:
            client.execute(cleanup_kc=True, env=variables)
        except CellExecutionError as error:
            reason = error.evalue.splitlines()[0] if error.evalue else ""
            raise CheckFailed(f"{notebook}: a cell failed with {error.ename}: {reason}") from error


def _make_static(data: dict[str, Any]) -> None:
    data.pop("application/vnd.jupyter.widget-view+json", None)
    if figure := data.pop(PLOTLY_MIME, None):
        data["text/html"] = static_figure(figure)
