import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server that lives as long as the tests, reached by a socket in `folder`."""

    folder: Path
    user: str = "owner"
    password: str = "s3cret:/@word"

    def url(self, database: str = "postgres", *, password: str | None = None) -> str:
        secret = quote(password or self.password, safe="")
        return f"postgresql://{self.user}:{secret}@/{database}?host={self.folder}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A throw-away cluster; the tests that ask for it make up one xdist group."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or below /usr/lib/postgresql")
    as_user: list[str | Path] = []
    # Not below pytest's own folder: others may not enter it, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="fraudnet-postgres-"))
    data, secret = folder / "data", folder / "secret"
    server = Server(folder)
    try:
        secret.write_text(server.password)
        secret.chmod(0o644)  # nobody but the server's user enters the folder
        if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
            try:
                shutil.chown(folder, "postgres")
            except LookupError:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            as_user = ["runuser", "-u", "postgres", "--"]
        access = ["-U", server.user, f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        _run([*as_user, programs / "initdb", "-D", data, "--locale=C", "-E", "UTF8", *access])
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=10"
        control = [*as_user, programs / "pg_ctl", "-D", data, "-w"]
        try:
            _run([*control, "-l", folder / "log", "-o", options, "start"])
            yield server
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs; that on PATH, or else the newest."""
    found = shutil.which("pg_ctl")
    beside = [Path(found).resolve().parent] if found else []
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    folders = [*beside, *sorted(installed, key=lambda path: float(path.parent.name), reverse=True)]
    return next((each for each in folders if (each / "initdb").exists()), None)


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
