"""`fraudnet sweep`: Optuna over the settings of an experiment."""

import argparse
import json
import re
import sys
from pathlib import Path

from fraudnet.errors import InputError
from fraudnet.training.command import add_experiment_arguments
from fraudnet.transactions.place import parse_source

_DESCRIPTION = """\
Search for better settings of an experiment. Each trial is a training, in an MLflow run of its own
under the sweep's; what it is worth is the average precision of the validation period. The test
period is never scored. Trials that look worse than the median of the others, as far on in their
fits, are pruned. The experiment as it is comes first, where the space holds it. The best is written
to DIR/STUDY.toml, which fraudnet train --config reads.

The same command goes on where it ended, was interrupted or killed: with more --trials, or for
another --minutes; a trial that was cut off is begun anew.

The space is a TOML file with one table a key of [network] or [training]:

  [training.learning_rate]      [network.width]      [network.dilations]
  low = 1e-3                    low = 16             choices = [[1, 2, 4], [1, 2, 4, 8]]
  high = 1e-2                   high = 48
  log = true                    step = 8"""

_EPILOG = """\
exit status: 0 done, 1 no trial was completed, 2 wrong input

example:
  fraudnet sweep --data data/sample_transactions.csv.gz --trials 20 --minutes 30 --output build"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet sweep`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE", help="labelled transactions"
    )
    add_experiment_arguments(parser)
    parser.add_argument(
        "--space", default="default", metavar="NAME|FILE.toml",
        help="what is varied: a shipped space, or a TOML file (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=int, default=20, metavar="N",
        help="trials to finish, those of earlier calls included (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="time for this call (default: no limit)"
    )
    parser.add_argument(
        "--study", default="sweep", metavar="NAME", help="name of the sweep (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N",
        help="of the sampler, and of weights, order and dropout (default: 0 and the experiment's)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR",
        help="directory of Optuna's storage and of the best experiment",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Sweep.

    Raises:
        InputError: the data, the experiment, the space or an option cannot be used.
        CheckFailed: no trial was completed.
    """
    from fraudnet.training.command import experiment_of, quarantine_in

    if arguments.trials < 1:
        raise InputError(f"--trials must be at least 1, got {arguments.trials}")
    if arguments.minutes is not None and not arguments.minutes > 0:
        raise InputError(f"--minutes must be above 0, got {arguments.minutes:g}")
    if arguments.seed is not None and arguments.seed < 0:
        raise InputError(f"--seed must be at least 0, got {arguments.seed}")
    if not re.fullmatch(r"\w[\w.-]*", arguments.study):
        raise InputError(
            f"--study {arguments.study!r}: expected letters, digits, '_', '.' and '-', for it "
            "names a file"
        )
    experiment = experiment_of(arguments)

    from fraudnet.search.space import load_space
    from fraudnet.search.sweep import SweepConfig, sweep
    from fraudnet.training.prepare import prepare

    space = load_space(arguments.space)
    quarantine = quarantine_in(arguments.output)
    prepared = prepare(arguments.data, experiment, quarantine)
    print(prepared.line(quarantine), file=sys.stderr)
    config = SweepConfig(arguments.study, arguments.trials, arguments.minutes, arguments.seed or 0)
    found = sweep(prepared, experiment, space, config, arguments.output)
    if arguments.json:
        said = {**vars(found), "experiment": str(found.experiment)}
        print(json.dumps(said))
        return 0
    counted = ", ".join(f"{count} {state}" for state, count in found.states.items())
    print(f"{arguments.study}: trials: {counted}")
    print(f"best: trial {found.best_trial}, average precision {found.average_precision:.4f}")
    for key, value in found.values.items():
        print(f"  {key} = {value}")
    print(f"{found.experiment}: next: fraudnet train --config {found.experiment}")
    return 0
