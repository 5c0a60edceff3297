import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.postgresql import postgres as postgres

if TYPE_CHECKING:
    from tests.training.world import World

# Each of the two workers has a core of its own; with more threads than cores, OpenMP's wait for
# each other busily, and a fit of five seconds takes minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a small world's transactions, bad lines at its end."""
    from tests.training.world import write_world

    return write_world(tmp_path_factory.mktemp("payments"))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """A network trained on that world, evaluated and exported, once for all workers."""
    from tests.training.world import make_world, open_world

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "world.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "world" / "said.json").exists():
            make_world(shared / "world")
    return open_world(shared / "world")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An MLflow store for tests that log."""
    from tests.training.world import make_store

    return make_store(tmp_path_factory.mktemp("scratch"))


@pytest.fixture(autouse=True)
def mlflow_forgets_its_store() -> Iterator[None]:
    """A command that is called without a store sets one for the whole process."""
    yield
    if "mlflow" in sys.modules:
        import mlflow

        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # back to the environment's
