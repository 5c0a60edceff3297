"""`fraudnet threshold`: another threshold for a trained network, without training again."""

import argparse
import sys
from pathlib import Path

from fraudnet.transactions.place import parse_source

_EPILOG = """\
The validation period is the training's, so the data must be, too. Figures of the test period are
dropped, since they were measured at the former threshold, and an artifact keeps the threshold that
it was exported with: evaluate and export again.

exit status: 0 done, 2 wrong input

example:
  fraudnet threshold --model model --data data/sample_transactions.csv.gz --policy cost \
--review-cost 5 --recovered 0.8"""

_NUMBERS = {
    "per_day": ("--alerts-per-day", "alert budget"),
    "review_cost": ("--review-cost", "of a flagged transaction, in the amounts' currency"),
    "customer_cost": ("--customer-cost", "of a genuine transaction that is flagged, besides"),
    "loss_given_fraud": ("--loss-given-fraud", "share of a fraud's amount that is lost"),
    "recovered": ("--recovered", "share of that loss which an alert saves"),
    "precision": ("--precision", "wanted share of frauds among flagged transactions"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fraudnet threshold`."""
    parser.description = (
        "Choose a trained network's threshold again, from the alert budget, the costs or the "
        "wanted precision; show what follows from each on the validation period, and keep the "
        "choice with the network. What is not given stays as it was."
    )
    parser.epilog = _EPILOG
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="what `fraudnet train` wrote"
    )
    parser.add_argument(
        "--data", type=parse_source, required=True, metavar="SOURCE",
        help="what it was trained with",
    )  # fmt: skip
    parser.add_argument("--policy", choices=["alert_budget", "cost", "precision"])
    for key, (flag, text) in _NUMBERS.items():
        parser.add_argument(flag, dest=key, type=float, metavar="N", help=text)
    parser.add_argument(
        "--precision-alerts", type=int, metavar="N",
        help="labelled alerts that the precision must at least be measured on",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the threshold as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Choose, show and keep.

    Raises:
        InputError: the data, the network or an option cannot be used.
    """
    from fraudnet.configuration import parse_section
    from fraudnet.evaluation.thresholds import AlertConfig
    from fraudnet.training.prepare import prepare
    from fraudnet.training.thresholds import print_threshold
    from fraudnet.training.train import choose_again
    from fraudnet.training.trained import load_facts, load_trained, save_trained

    given = {key: getattr(arguments, key) for key in ("policy", "precision_alerts", *_NUMBERS)}
    before = load_facts(arguments.model).experiment.alerts.model_dump()
    changed = {key: value for key, value in given.items() if value is not None}
    alerts = parse_section(AlertConfig, before | changed, "fraudnet threshold")
    trained = load_trained(arguments.model)
    prepared = prepare(arguments.data, trained.facts.experiment)
    print(prepared.line(), file=sys.stderr)
    trained = choose_again(prepared, trained, alerts)
    save_trained(trained, arguments.model)
    if arguments.json:
        print(trained.facts.threshold.model_dump_json())
        return 0
    print_threshold(trained.facts.threshold)
    print(f"{arguments.model}: kept; next: fraudnet evaluate, fraudnet export")
    return 0
