"""`fraudnet`: one thin layer that finds the command, runs it, and turns errors into one line."""

import argparse
import errno
import importlib
import os
import re
import sys
from dataclasses import dataclass

import fraudnet
from fraudnet.device.errors import DeviceInputError
from fraudnet.errors import CheckFailed, FraudnetError

INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell reports of a program that SIGPIPE ended


@dataclass(frozen=True)
class Command:
    """Where a command is: a module and two of its functions."""

    summary: str
    module: str
    add_arguments: str = "add_arguments"
    run: str = "run"


COMMANDS = {
    "main": Command("the whole way, from transactions to reviewed cases", "fraudnet.pipeline"),
    "simulate": Command("write simulated transactions", "fraudnet.transactions.command"),
    "data": Command(
        "public data sets; check or profile a source of transactions", "fraudnet.profile.command"
    ),
    "describe": Command(
        "what each layer of a network costs", "fraudnet.training.describe_command"
    ),
    "train": Command(
        "train, calibrate and choose a threshold",
        "fraudnet.training.command", "add_train_arguments", "run_train",
    ),
    "evaluate": Command(
        "measure a trained network on days it has not seen",
        "fraudnet.training.command", "add_evaluate_arguments", "run_evaluate",
    ),
    "threshold": Command(
        "choose a trained network's threshold again", "fraudnet.training.threshold_command"
    ),
    "compress": Command(
        "make a trained network's 1x1 layers of low rank", "fraudnet.compression.command"
    ),
    "sweep": Command("search for better settings", "fraudnet.search.sweep_command"),
    "export": Command(
        "make the .tflite of a trained network", "fraudnet.artifact.command"
    ),
    "variants": Command(
        "compare the types of weights of a .tflite", "fraudnet.artifact.variants_command"
    ),
    "gate": Command(
        "hold a .tflite against all its budgets", "fraudnet.artifact.gate_command"
    ),
    "artifact": Command(
        "inspect, verify, sign or compare a .tflite", "fraudnet.artifact.artifact_command"
    ),
    "scale": Command(
        "search compound scaling, or train the family of sizes", "fraudnet.search.scale_command"
    ),
    "compare": Command("two runs beside each other", "fraudnet.registry.compare_command"),
    "promote": Command(
        "make a run's network the champion, if it is the better one",
        "fraudnet.registry.promote_command",
    ),
    "energy": Command("what a .tflite costs a phone", "fraudnet.energy.command"),
    "measure": Command(
        "the energy of an inference by a meter", "fraudnet.energy.measure_command"
    ),
    "bench": Command(
        "how long an artifact takes here, alone and with its store",
        "fraudnet.latency.bench_command",
    ),
    "feed": Command(
        "write what a device is given: history, reputation, transactions",
        "fraudnet.artifact.feed_command",
    ),
    "reputation": Command(
        "look into a reputation snapshot, or update it", "fraudnet.device.reputation_command"
    ),
    "score": Command("score transactions on the device", "fraudnet.device.command"),
    "serve": Command(
        "score a live stream: standard input, Unix socket, HTTP", "fraudnet.device.serve.command"
    ),
    "device": Command(
        "a device's artifact and store: update, compare, explain, show, erase",
        "fraudnet.device.device_command",
    ),
    "cases": Command(
        "the team's cases: import, list, assign, export, forget", "fraudnet.review.cases_command"
    ),
    "review": Command("the review notebook as a page", "fraudnet.review.command"),
    "tour": Command("the whole way on the sample data, as a page", "fraudnet.review.tour_command"),
}  # fmt: skip


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="fraudnet",
        description="Fraud detection that runs on a phone.",
        epilog="example:\n  fraudnet main --output build/demo",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fraudnet {fraudnet.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = subparsers.add_parser(
            name, help=command.summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        getattr(importlib.import_module(command.module), command.add_arguments)(own)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 1 a gate or check failed, 2 wrong input, 130 interrupted, 141 whoever read the
        output went away.
    """
    _open_closed_streams()
    # Before TensorFlow and MLflow are imported: their chatter hides what we have to say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # no faster here, and it says so each time
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    given = sys.argv[1:] if arguments is None else arguments
    # `mlflow run` passes a parameter that was left empty as `--name=`, which means: not given.
    parsed = build_parser().parse_args([a for a in given if not re.fullmatch(r"--[a-z-]+=", a)])
    command = COMMANDS[parsed.command]
    try:
        status: int = getattr(importlib.import_module(command.module), command.run)(parsed)
        sys.stdout.flush()
    except CheckFailed as error:
        print(f"fraudnet {parsed.command}: {error}", file=sys.stderr)
        return 1
    except (FraudnetError, DeviceInputError) as error:
        print(f"fraudnet {parsed.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "fraudnet").split(".")[0] == "fraudnet":
            raise
        print(
            f"fraudnet {parsed.command}: {error.name} is not installed; this command needs "
            "pip install 'fraudnet[train,review]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"fraudnet {parsed.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _write_no_more()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG):
            raise
        _write_no_more()
        print(
            f"fraudnet {parsed.command}: standard output: {error.strerror}; write it to a disk "
            "with free space",
            file=sys.stderr,
        )
        return 2
    return status


def _open_closed_streams() -> None:
    """Has standard streams that are closed lead nowhere.

    Else the next file that is opened takes their number: a service would read its own pipe as its
    input, or write its answers into another file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _write_no_more() -> None:
    """Nothing more can be written there, not even what Python flushes when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
