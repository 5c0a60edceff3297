"""What the Handbook protocol compares: the project's network, and its peers."""

import time
from dataclasses import dataclass

from benchmarks.handbook_features import handbook_features, with_reputation
from benchmarks.handbook_oracle import Oracle
from benchmarks.handbook_sequences import SequenceNetwork, build_cnn, build_lstm
from benchmarks.handbook_task import Answer, Floats, Model, Remembered, Task
from benchmarks.handbook_trees import LIGHTGBM, XGBOOST, Boosting, HandbookForest
from fraudnet.windows.histories import Histories

# A limit that genuine amounts keep to is no smooth function of them.
AMOUNT_PIECES = 64
# Few rows of many accounts a step: longer chunks, of fewer accounts, learnt less in as many passes.
CHUNK_LENGTH, BATCH_CHUNKS = 32, 16
# A week is soon learnt by heart, and 90 days meet each account often enough in half of the passes.
EPOCHS, EPOCHS_OF_SOME_WEEKS, SOME_WEEKS_DAYS = 6, 12, range(8, 29)


def fit_fraudnet(task: Task) -> Answer:
    """The project's network; nothing of it depends on the fold.

    Raises:
        InputError: the training rows hold no fraud or no genuine transaction.
    """
    # TensorFlow takes seconds to load, and the forest does without.
    import keras

    from fraudnet.network.network import NetworkConfig, build_network
    from fraudnet.training.fitting import TrainingConfig, fit_network
    from fraudnet.training.scoring import predict_rows

    keras.utils.clear_session()
    keras.utils.set_random_seed(task.seed)
    network = build_network(
        NetworkConfig(amount_pieces=AMOUNT_PIECES), task.histories.specification
    )
    begin = time.perf_counter()
    config = TrainingConfig(
        seed=task.seed,
        epochs=EPOCHS_OF_SOME_WEEKS if task.training_days in SOME_WEEKS_DAYS else EPOCHS,
        chunk_length=CHUNK_LENGTH,
        batch_chunks=BATCH_CHUNKS,
    )
    fit_network(network, task.training, config)
    seconds = time.perf_counter() - begin
    answers = predict_rows(network.logit, network.receptive_field, task.histories, task.test)
    return Answer(answers["logit"][:, 0], seconds, network.logit.count_params())


@dataclass(frozen=True)
class Contestant:
    """A model, and what decides its scores.

    Attributes:
        model: fits and scores.
        sources: files and folders of the repository; the protocol's own need no mention.
        tuned: whether it needs trials.
    """

    model: Model
    sources: tuple[str, ...]
    tuned: bool = False


def contestants() -> dict[str, Contestant]:
    """The models by name; the project's own begin with `fraudnet`.

    Features are computed once for all models that read them, while these are asked about the same
    histories.
    """
    features = Remembered(handbook_features)

    def with_ours(histories: Histories) -> Floats:
        return with_reputation(histories, features(histories))

    ours = Remembered(with_ours)
    trees = ("benchmarks/handbook_features.py", "benchmarks/handbook_trees.py")
    sequences = ("benchmarks/handbook_features.py", "benchmarks/handbook_sequences.py")
    reading = (*trees, "fraudnet/windows")
    return {
        "fraudnet": Contestant(
            fit_fraudnet,
            (
                *("benchmarks/handbook_models.py", "fraudnet/network"),
                *("fraudnet/training", "fraudnet/windows"),
            ),
        ),
        "random_forest": Contestant(HandbookForest(features), trees),
        "xgboost": Contestant(Boosting(XGBOOST, features), trees, tuned=True),
        "lightgbm": Contestant(Boosting(LIGHTGBM, features), trees, tuned=True),
        "xgboost_reputation": Contestant(Boosting(XGBOOST, ours), reading, tuned=True),
        "lightgbm_reputation": Contestant(Boosting(LIGHTGBM, ours), reading, tuned=True),
        "lstm": Contestant(SequenceNetwork(build_lstm, features), sequences, tuned=True),
        "cnn": Contestant(SequenceNetwork(build_cnn, features), sequences, tuned=True),
        "oracle": Contestant(Oracle(), ("benchmarks/handbook_oracle.py", "fraudnet/windows")),
    }
