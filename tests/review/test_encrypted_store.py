"""Stores that a device encrypts, each read in a process of its own: TensorFlow's SQLite would
answer for SQLCipher in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fraudnet.cli import main
from fraudnet.errors import InputError
from fraudnet.review.database import CaseDatabase
from fraudnet.review.device_store import DeviceStore

KEY = bytes(range(32))
# Not by our own code: the shell of SQLCipher's manual, "sqlcipher_export()".
ENCRYPT = """
import sys
from sqlcipher3 import dbapi2
plain, encrypted, key = sys.argv[1:]
connection = dbapi2.connect(plain)
connection.execute(f"ATTACH DATABASE ? AS encrypted KEY \\"x'{key}'\\"", (encrypted,))
connection.execute("SELECT sqlcipher_export('encrypted')")
"""
COUNT = """
import sys
from fraudnet.review.quality_sources import open_quality
quality = open_quality()
print(len(quality.transactions), file=sys.stderr)
"""


def python(*arguments: object, key: bytes | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"FRAUDNET_ENCRYPTION_KEY": key.hex()} if key else {})
    command = [sys.executable, *(str(each) for each in arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def encrypted(device_path: Path, tmp_path: Path) -> Path:
    pytest.importorskip("sqlcipher3")
    made = tmp_path / "encrypted.sqlite"
    done = python("-c", ENCRYPT, device_path, made, KEY.hex())
    assert done.returncode == 0, done.stderr
    assert b"SQLite" not in made.read_bytes()
    return made


def test_an_encrypted_store_is_imported_with_its_key(
    encrypted: Path, device_path: Path, tmp_path: Path
) -> None:
    team, key = tmp_path / "reviews.sqlite", tmp_path / "key"
    key.write_bytes(KEY)
    command = ["-m", "fraudnet", "cases", "import", "--into", team, "--json"]
    done = python(*command, "--encryption-key", key, encrypted)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["flags"] == 30
    again = python(
        *command, encrypted, device_path, key=KEY
    )  # a plain one beside it is read without
    assert [json.loads(line)["known"] for line in again.stdout.splitlines()] == [30, 30]
    days = ["--since", "2024-06-01", "--until", "2025-06-01", "--budget", "60", "--random", "0.5"]
    chosen = python("-m", "fraudnet", "cases", "choose", encrypted, "--into", team, *days, key=KEY)
    assert "30 random; of 220 scored transactions" in chosen.stdout
    assert len(list(tmp_path.glob("encrypted.sqlite*"))) == 1


def test_the_team_lead_s_page_reads_it_with_the_variable(
    encrypted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = tmp_path / "reviews.sqlite"
    CaseDatabase(team, create=True)
    monkeypatch.setenv("FRAUDNET_CASES", str(team))
    monkeypatch.setenv("FRAUDNET_DEVICE_STORES", str(encrypted))
    assert python("-c", COUNT, key=KEY).stderr == "250\n"


def test_without_its_key_it_is_refused_in_one_line(
    encrypted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    team = tmp_path / "reviews.sqlite"
    command = ["cases", "import", str(encrypted), "--into", str(team)]
    assert main(command) == 2
    assert "give an encrypted one's key in FRAUDNET_ENCRYPTION_KEY" in capsys.readouterr().err
    assert main([*command, "--encryption-key", KEY.hex()]) == 2  # a file, never the key itself
    assert "give the file of a key" in capsys.readouterr().err
    other = python("-m", "fraudnet", *command, key=bytes(32))
    assert other.returncode == 2
    assert "(file is not a database); is the key another store's?" in other.stderr
    assert other.stderr.count("\n") == 1
    assert not team.exists()


def test_without_sqlcipher_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").write_bytes(bytes(range(256)) * 32)
    monkeypatch.setenv("FRAUDNET_ENCRYPTION_KEY", KEY.hex())
    monkeypatch.setitem(sys.modules, "sqlcipher3", None)
    command = ["cases", "import", str(tmp_path / "store"), "--into", str(tmp_path / "team")]
    assert main(command) == 2
    assert "pip install 'fraudnet[encrypted]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [b"", b"text\n" * 300, bytes(range(256)) * 32], ids=["empty", "text", "bytes"]
)
def test_what_is_no_sqlite_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(InputError, match="odd: is encrypted, or no SQLite file; expected the fil"):
        DeviceStore(tmp_path / "odd")
    with pytest.raises(InputError, match="none: No such file or directory; give the file"):
        DeviceStore(tmp_path / "none")
