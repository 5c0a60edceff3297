"""What an artifact says of itself, as far as scoring needs it: `contract.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from fraudnet.device.errors import ArtifactError
from fraudnet.device.transactions import REQUIRED

FORMAT = "fraudnet-artifact"
FORMAT_VERSION = 2
VERSIONS = (1, FORMAT_VERSION)
"""That are read."""
VERSION_1_TOLERANCE = 2e-3
MOST_STATE = 1_000_000
MOST_DAYS = 3650
MOST_TOLERANCE = 0.1  # with more the test vectors would check nothing
T = TypeVar("T")
PROBABILITY = "fraud_probability"
SEQUENCE = "score_sequence"  # signature: a longer window in, an answer for each whole one out
DISTANCE = "ood_distance"
COUNTERPARTY = "counterparty_id"
# What each kind of input must say besides its name, dtype and shape.
KEYS_OF_KIND: dict[str, dict[str, type]] = {
    "amount": {},
    "day": {},
    "second": {},
    "valid": {},
    "categorical": {"column": str, "vocabulary": list},
    "numeric": {"column": str},
    "reputation": {"statistic": str, "days": int},
}


@dataclass(frozen=True)
class Input:
    """One input tensor, [1, window_length], and what fills it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    kind: str  # a key of KEYS_OF_KIND
    column: str = ""  # categorical, numeric
    vocabulary: tuple[str, ...] = ()  # categorical
    statistic: str = ""  # reputation: the snapshot's column, such as count_7d


@dataclass(frozen=True)
class ReputationTerms:
    """Which snapshot columns the network reads and how long a snapshot serves."""

    columns: tuple[str, ...]
    max_age_days: float
    key: str = COUNTERPARTY  # whose counts they are: or a categorical column's values


@dataclass(frozen=True)
class StepTerms:
    """The signature that takes one transaction and a state, [1, length], and gives the next."""

    signature: str
    length: int


@dataclass(frozen=True)
class Contract:
    """The part of `contract.json` that the scorer acts on."""

    signature: str
    window_length: int
    inputs: tuple[Input, ...]
    outputs: Mapping[str, tuple[tuple[int, ...], str]]  # name -> shape and dtype
    threshold: float
    tolerance: float  # of the answers to its test vectors, absolute or relative
    reputation: ReputationTerms | None  # None: the network reads none
    distance_threshold: float | None  # above it a transaction is unfamiliar; None: not judged
    step: StepTerms | None = None  # None: there is none
    signatures: tuple[str, ...] = ()  # that the file has besides
    # Of the validation period, share -> value that so many do not exceed; {}: not told.
    score_quantiles: Mapping[float, float] = field(default_factory=dict)
    distance_quantiles: Mapping[float, float] = field(default_factory=dict)  # genuine ones

    @property
    def columns(self) -> dict[str, str]:
        """Columns beyond the canonical ones that the network reads, with their kind."""
        return {entry.column: entry.kind for entry in self.inputs if entry.column}


def parse_contract(document: object) -> Contract:
    """Checks and reads the parsed `contract.json`.

    Raises:
        ArtifactError: another format or version, a missing key, or a value of another type.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ArtifactError(f"contract.json is not of format {FORMAT!r}; export the artifact again")
    version = document.get("format_version")
    if isinstance(version, bool) or version not in VERSIONS:
        raise ArtifactError(
            f"the artifact has format version {version}, this fraudnet reads "
            f"{' and '.join(map(str, VERSIONS))}; "
            "export it again, or install the fraudnet that made it"
        )
    inputs = tuple(_input(entry, place) for entry, place in _listed(document, "inputs"))
    outputs = {
        _get(entry, "name", str, place): (
            tuple(_get(entry, "shape", list, place)),
            _get(entry, "dtype", str, place),
        )
        for entry, place in _listed(document, "outputs")
    }
    for name in (PROBABILITY, DISTANCE):
        if outputs.get(name) != ((1, 1), "float32"):
            raise ArtifactError(f"contract.json has no output {name!r}, float32 of shape [1, 1]")
    threshold = _get(_get(document, "threshold", dict), "probability", float, "threshold")
    tolerance = VERSION_1_TOLERANCE if version == 1 else _get(document, "tolerance", float)
    if not 0 < tolerance <= MOST_TOLERANCE:
        raise ArtifactError(
            f"contract.json: tolerance is {tolerance:g}; expected more than 0, at most "
            f"{MOST_TOLERANCE}"
        )
    return Contract(
        signature=_get(document, "signature", str),
        window_length=_get(document, "window_length", int),
        inputs=inputs,
        outputs=outputs,
        threshold=threshold,
        tolerance=tolerance,
        reputation=_reputation(document, inputs),
        distance_threshold=_distance_threshold(document),
        step=_step(document),
        signatures=_signatures(document),
        score_quantiles=_quantiles(document, "score_quantiles"),
        distance_quantiles=_quantiles(document, "ood_quantiles"),
    )


def _input(entry: object, place: str) -> Input:
    kind = _get(entry, "kind", str, place)
    if kind not in KEYS_OF_KIND:
        raise ArtifactError(
            f"contract.json: {place} is of kind {kind!r}, which this fraudnet does not know; "
            "install the fraudnet that made the artifact"
        )
    own: dict[str, Any] = {
        key: _get(entry, key, type_, place) for key, type_ in KEYS_OF_KIND[kind].items()
    }
    if own.get("column") in REQUIRED:
        raise ArtifactError(
            f"contract.json: {place} reads column {own['column']!r}; expected a further column"
        )
    return Input(
        name=_get(entry, "name", str, place),
        dtype=_get(entry, "dtype", str, place),
        shape=tuple(_get(entry, "shape", list, place)),
        kind=kind,
        column=own.get("column", ""),
        vocabulary=tuple(own.get("vocabulary", ())),
        statistic=f"{own['statistic']}_{own['days']}d" if kind == "reputation" else "",
    )


def _reputation(document: Mapping[str, Any], inputs: tuple[Input, ...]) -> ReputationTerms | None:
    columns = tuple(entry.statistic for entry in inputs if entry.statistic)
    if not columns:
        return None
    terms = _get(document, "reputation", dict)
    keys = [COUNTERPARTY, *(entry.column for entry in inputs if entry.kind == "categorical")]
    if (key := _get(terms, "key", str, "reputation")) not in keys:
        raise ArtifactError(
            f"contract.json: reputation.key is {key!r}; expected one of {', '.join(keys)}"
        )
    days = _get(terms, "max_age_days", float, "reputation")
    if not 0 < days <= MOST_DAYS:
        raise ArtifactError(
            f"contract.json: reputation.max_age_days is {days:g}; expected more than 0, at most "
            f"{MOST_DAYS}"
        )
    return ReputationTerms(columns, days, key)


def _step(document: Mapping[str, Any]) -> StepTerms | None:
    if "step" not in document:
        return None
    terms = _get(document, "step", dict)
    length = _get(terms, "length", int, "step")
    if not 1 <= length <= MOST_STATE:
        raise ArtifactError(f"contract.json: step.length is {length}; expected 1 to {MOST_STATE:,}")
    return StepTerms(_get(terms, "signature", str, "step"), length)


def _distance_threshold(document: Mapping[str, Any]) -> float | None:
    if "sentinel" not in document:  # of an artifact from before there was one
        return None
    return _get(_get(document, "sentinel", dict), "distance_threshold", float, "sentinel")


def _signatures(document: Mapping[str, Any]) -> tuple[str, ...]:
    if "signatures" not in document:  # of version 1
        return ()
    return tuple(
        _get(entry, "name", str, place) for entry, place in _listed(document, "signatures")
    )


def _quantiles(document: Mapping[str, Any], key: str) -> dict[float, float]:
    """Share to value, of rising shares; {} where the artifact tells none."""
    if key not in document:
        return {}
    told = _get(document, key, dict)
    try:
        found = dict(sorted((float(share), _get(told, share, float, key)) for share in told))
    except ValueError:
        found = {0.0: 0.0}
    values = list(found.values())
    if not all(0 < share < 1 for share in found) or values != sorted(values):
        raise ArtifactError(
            f"contract.json: {key} is {ascii(told)[:60]}; expected shares between 0 and 1, and "
            "values that do not fall; export the artifact again"
        )
    return found


def _listed(document: Mapping[str, Any], key: str) -> list[tuple[Any, str]]:
    return [(entry, f"{key}[{i}]") for i, entry in enumerate(_get(document, key, list))]


def _get(mapping: object, key: str, type_: type[T], place: str = "") -> T:
    """Returns `mapping[key]`, or says which key is missing or of another type."""
    name = f"{place}.{key}" if place else key
    if not isinstance(mapping, dict) or key not in mapping:
        raise ArtifactError(f"contract.json has no key {name!r}; export the artifact again")
    value = mapping[key]
    expected = (int, float) if type_ is float else type_
    is_nan = value != value
    if not isinstance(value, expected) or isinstance(value, bool) or is_nan:
        raise ArtifactError(
            f"contract.json: {name} is {value!r}; expected {type_.__name__}; "
            "export the artifact again"
        )
    return cast(T, value)
