"""The artifact as an MLflow model: any number of windows in, the answers of Keras out."""

from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pytest

from fraudnet.artifact.verify import with_edge_cases
from fraudnet.training.trained import Windows
from tests.training.world import World, logging_to

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

pytestmark = pytest.mark.xdist_group("trained")


@pytest.fixture(scope="module")
def model(world: World) -> Any:  # noqa: ANN401  (what MLflow loads)
    run = mlflow.MlflowClient(world.store).get_run(world.trained.facts.mlflow_run_id)
    assert run.outputs is not None
    with logging_to(world.store):
        return mlflow.pyfunc.load_model(f"models:/{run.outputs.model_outputs[0].model_id}")


@pytest.fixture(scope="module")
def windows(world: World) -> Windows:
    some = {name: values[:120] for name, values in world.trained.windows.items()}
    return with_edge_cases(some, world.trained.network.specification.inputs)


@pytest.mark.parametrize("count", [1, 127])
def test_windows_are_scored_as_by_keras(
    world: World, model: "PyFuncModel", windows: Windows, count: int
) -> None:
    given = {name: values[-count:] for name, values in windows.items()}
    found, expected = model.predict(given), world.trained.network.scores(given)
    assert isinstance(found, dict)
    assert found.keys() == {"fraud_probability", "ood_distance"}
    for name, values in found.items():
        assert values.shape == (count,)
        assert values.dtype == np.float32
        assert values == pytest.approx(expected[name].numpy()[:, 0, 0], rel=1e-3, abs=1e-5)


def test_the_signature_names_the_tensors(world: World, model: "PyFuncModel") -> None:
    signature = model.metadata.signature
    length = world.trained.facts.receptive_field
    assert [(each.name, each.type, each.shape) for each in signature.inputs] == [
        (each.name, np.dtype(each.dtype), (-1, length))
        for each in world.trained.facts.experiment.features.inputs
    ]
    assert [(each.name, each.type, each.shape) for each in signature.outputs] == [
        (name, np.dtype("float32"), (-1,)) for name in ("fraud_probability", "ood_distance")
    ]


def test_windows_of_another_length_are_refused(model: "PyFuncModel", windows: Windows) -> None:
    short = {name: values[:, 1:] for name, values in windows.items()}
    with pytest.raises(mlflow.MlflowException, match="shape"):
        model.predict(short)


def test_nothing_is_pickled(world: World) -> None:
    files = [path for path in world.logged.rglob("*") if path.is_file()]
    assert any(path.name == "MLmodel" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")]
    (held,) = (path for path in files if path.match("models/*/artifacts/data/*"))
    assert held.read_bytes() == world.artifact.read_bytes()
