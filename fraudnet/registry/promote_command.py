"""`fraudnet promote`: champion and challenger in MLflow's model registry."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fraudnet.errors import CheckFailed, InputError
from fraudnet.registry.compare_command import add_measure_arguments

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DESCRIPTION = """\
Register a run's exported network in MLflow's model registry as candidate, if

1. all its gates are passed: gate.artifact (the .tflite equals Keras) and gate.budgets (it keeps to
   all its budgets), as `fraudnet export` and `fraudnet gate` tag the run; the file is opened once
   more: it is the one that kept to them, and answers its own test vectors;

and make it champion if also

2. it was measured on the period, and there is no champion, or it is better by more than the
   interval: on the same rows of the same data, the lower end of the bootstrap interval (over
   accounts, the same for both) of the difference in average precision, candidate minus champion, is
   above 0.

Without 2 it stays candidate. The champion before is kept as previous_champion; --rollback has the
two change places. RUN is a run's id or its beginning, the directory that `fraudnet train` wrote, or
candidate."""

_EPILOG = """\
exit status: 0 it is champion (or would be: --dry-run), 1 it is not, 2 wrong input

example:
  fraudnet promote build/model --confidence 0.95"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet promote`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("run", nargs="?", metavar="RUN", help="whose network is to be champion")
    parser.add_argument(
        "--rollback", action="store_true", help="make the previous champion champion again"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be decided; change nothing"
    )
    add_measure_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Promote or roll back.

    Raises:
        InputError: the run is not there, was not exported, or cannot be compared.
        CheckFailed: it stays candidate.
    """
    from fraudnet.training.tracking import opened_store

    if arguments.rollback == bool(arguments.run):
        raise InputError("give either a RUN or --rollback")
    if arguments.rollback and arguments.dry_run:
        raise InputError("--rollback knows no --dry-run; a second --rollback undoes the first")
    with opened_store() as client:
        said = _roll_back(arguments, client) if arguments.rollback else _promote(arguments, client)
    if arguments.json:
        print(json.dumps(said))
    else:
        print(f"{arguments.name}: {said['outcome']}")
    if said["promoted"] is False:
        raise CheckFailed(f"{arguments.name}: {said['reason']}")
    return 0


def _promote(arguments: argparse.Namespace, client: "MlflowClient") -> dict[str, Any]:
    from fraudnet.evaluation.comparison import Bootstrap
    from fraudnet.registry.promotion import (
        decide,
        exported_model,
        make_champion,
        model_uri,
        register,
        why_no_candidate,
    )
    from fraudnet.training.runs import CHAMPION, find_run, version_of

    name, period = arguments.name, arguments.period
    bootstrap = Bootstrap(arguments.confidence, arguments.resamples, arguments.seed)
    candidate = find_run(client, arguments.run, name)
    source = model_uri(exported_model(client, candidate))
    champion = version_of(client, name, CHAMPION)
    if champion is not None and champion.source == source:
        outcome = f"version {champion.version} is the champion already"
        return {"promoted": True, "outcome": outcome, "version": champion.version}
    if failed := why_no_candidate(client, candidate):
        return _no_candidate("; ".join(failed), arguments.dry_run)
    version = None if arguments.dry_run else register(client, candidate, name)
    decision = decide(client, candidate, champion, period, bootstrap)
    if version is not None and decision.promote:
        make_champion(client, version, decision)
    return {
        "promoted": decision.promote,
        "outcome": _outcome(decision.promote, version and version.version, decision.reason),
        "reason": decision.reason,
        "version": version and version.version,
        "dry_run": arguments.dry_run,
        "difference": decision.difference
        and {**asdict(decision.difference), "difference": decision.difference.value},
    }


def _no_candidate(reason: str, dry_run: bool) -> dict[str, Any]:
    return {
        "promoted": False,
        "outcome": f"it {'would' if dry_run else 'does'} not become candidate",
        "reason": reason,
        "version": None,
        "dry_run": dry_run,
        "difference": None,
    }


def _outcome(promoted: bool, version: Any, reason: str) -> str:  # noqa: ANN401  (MLflow's)
    if version is None:
        return f"it would {'become champion' if promoted else 'stay candidate'}: {reason}"
    if not promoted:
        return f"version {version} stays candidate"
    return f"version {version} is champion: {reason}"


def _roll_back(arguments: argparse.Namespace, client: "MlflowClient") -> dict[str, Any]:
    from fraudnet.registry.promotion import roll_back

    champion, before = roll_back(client, arguments.name)
    outcome = (
        f"version {champion.version} is champion again, version {before.version} the previous one"
    )
    return {"promoted": None, "outcome": outcome, "version": champion.version}
