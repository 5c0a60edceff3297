import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.csv

from fraudnet.transactions.simulator import SimulatorConfig, simulate
from fraudnet.transactions.writing import write_transactions

DATA = Path(__file__).parents[2] / "data"
README = DATA / "README.md"


def test_the_sample_is_what_the_command_in_its_readme_makes(tmp_path: Path) -> None:
    command = re.search(r"fraudnet simulate (.*) --output data/(\S+)", README.read_text())
    assert command is not None
    flags: dict[str, Any] = {n: int(v) for n, v in re.findall(r"--(\w+) (\d+)", command[1])}
    made = simulate(SimulatorConfig(**flags))
    sample, again = DATA / command[2], tmp_path / command[2]
    write_transactions(made, again)
    assert sample.stat().st_size < 2_000_000
    assert pyarrow.csv.read_csv(sample).equals(pyarrow.csv.read_csv(again))


def test_the_readme_of_the_sample_counts_right() -> None:
    text = README.read_text()
    sample = pyarrow.csv.read_csv(DATA / "sample_transactions.csv.gz")
    assert f"{sample.num_rows:,} transactions" in text
    kinds = Counter(sample["fraud_kind"].to_pylist())
    del kinds[""]
    assert f"{kinds.total()} of them frauds" in text
    assert dict(re.findall(r"\| `(\w+)` \| (\d+) \|", text)) == {
        k: str(n) for k, n in kinds.items()
    }
