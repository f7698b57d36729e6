"""The model: multinomial logistic regression on the features of a follow-up, and the folder in which it is kept.

Training is exact and draws nothing by chance: the same rows give the same weights.
"""

import hashlib
import io
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize, minimize_scalar
from scipy.sparse import csr_matrix

from miners.chats.embedded.features import BUCKETS, NAMES, VERSION, describe
from miners.chats.mining.texts import join_texts
from schemas.errors import InputError
from schemas.judging import VERDICT, State

WEIGHTS, MANIFEST, CARD = "weights.npz", "manifest.json", "CARD.md"
"""Names in a model's folder."""

_EXPECTED = "a folder that `revealed judge train` or `revealed judge distill` wrote"
_ARRAYS = {"weights", "bias", "temperature"}
_LOGIT_DIGITS, _PROBABILITY_DIGITS = 4, 5  # coarser than what the order of a sum can change
_WEIGHT_STEP = 1 / 4096  # weights are multiples of it: few bytes, and far finer than they are known
_RIDGE_GRAMS, _RIDGE_CUES = 1.0, 4.0  # of n-grams, and of cues, which fit what they were written for too well
_AT_ONCE = 1 << 14  # turns described at a time: bounds memory, changes no row

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]


class Manifest(BaseModel):
    """What stands beside the weights.

    name: as verdicts carry it (`judge_model`). rubric: whose answers the labels are. features: the version of the
    features that the weights fit. labels: how many there are. sha256: of the weights' file; the judge's fingerprint.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rubric: str
    features: int
    labels: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Model:
    """weights: features x labels; bias: of each label; temperature: by which logits are divided."""

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    temperature: float = 1.0

    def predict(self, texts: pl.DataFrame) -> Probabilities:
        """Give the probability of each label of turns, by their `query, reply, feedback`: rows x labels."""
        parts = [self._predict(describe(texts[begin : begin + _AT_ONCE])) for begin in range(0, texts.height, _AT_ONCE)]
        return np.concatenate([np.empty((0, len(self.bias))), *parts])

    def _predict(self, features: csr_matrix) -> Probabilities:
        return _soften(self.score(features) / self.temperature)

    def score(self, features: csr_matrix) -> Probabilities:
        """Give the logits, rounded: the same in every batch."""
        logits = features @ self.weights.astype(np.float64) + self.bias.astype(np.float64)
        rounded: Probabilities = np.round(logits, _LOGIT_DIGITS)
        return rounded


@dataclass(frozen=True, slots=True)
class EmbeddedJudge:
    """A model that can give verdicts. manifest: says which one it is."""

    model: Model
    manifest: Manifest


def train_model(
    texts: pl.DataFrame,
    labels: Labels,
    *,
    count: int = 5,
    weights: Probabilities | None = None,
    iterations: int = 400,
) -> Model:
    """Train a model on turns (`query, reply, feedback`) and their labels, 1 to count.

    weights: how much each turn counts; by default all the same. Their scale does not matter.
    """
    if texts.height != len(labels) or not len(labels) or labels.min() < 1 or labels.max() > count:
        raise ValueError(f"{texts.height} turns and {len(labels)} labels; one is needed for each, from 1 to {count}")
    features = describe(texts)
    share = np.ones(len(labels)) if weights is None else weights
    share = share / share.sum() * len(labels)
    wanted = np.eye(count)[labels - 1]
    ridge = np.r_[np.full(BUCKETS, _RIDGE_GRAMS), np.full(len(NAMES), _RIDGE_CUES)][:, None]

    def lose(flat: Probabilities) -> tuple[float, Probabilities]:
        matrix = flat.reshape(-1, count)
        inner, bias = matrix[:-1], matrix[-1]
        probs = _soften(features @ inner + bias, digits=None)
        gap = (probs - wanted) * share[:, None]
        loss = -(share * np.log(np.maximum((probs * wanted).sum(axis=1), 1e-300))).sum()
        slope = np.vstack([features.T @ gap + ridge * inner, gap.sum(axis=0)])
        return loss + (ridge * inner**2).sum() / 2, slope.ravel()

    start = np.zeros((features.shape[1] + 1) * count)
    found = minimize(lose, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations, "maxcor": 20})
    matrix = (np.round(found.x / _WEIGHT_STEP) * _WEIGHT_STEP).astype(np.float32).reshape(-1, count)
    return Model(matrix[:-1], matrix[-1])


def fit_temperature(model: Model, texts: pl.DataFrame, labels: Labels) -> Model:
    """Give the model the temperature that makes these labels likeliest (Guo et al. 2017, arXiv 1706.04599)."""
    logits = model.score(describe(texts))

    def lose(log_temperature: float) -> float:
        probs = _soften(logits / np.exp(log_temperature), digits=None)
        return float(-np.log(probs[np.arange(len(labels)), labels - 1]).mean())

    found = minimize_scalar(lose, bounds=(-2, 2), method="bounded")
    return replace(model, temperature=round(float(np.exp(found.x)), 3))


def choose_labels(probs: Probabilities) -> Labels:
    """Choose the likeliest label, from 1; of equal ones that nearer to the middle."""
    count = probs.shape[1]
    order = np.argsort(np.abs(np.arange(count) - (count - 1) / 2), kind="stable")
    chosen: Labels = order[np.argmax(probs[:, order], axis=1)] + 1
    return chosen


def judge_turns(chats: pa.Table, turns: pa.Table, judge: EmbeddedJudge) -> pa.Table:
    """Judge the turns (TURN) of chats (CHAT): a VERDICT for each, in their order; its state is always ok."""
    probs = judge.model.predict(join_texts(chats, turns))
    count = turns.num_rows
    said = {
        "uid": turns["uid"],
        "state": pa.repeat(State.OK.value, count),
        "label": choose_labels(probs).astype(np.int8),
        "label_probs": pl.Series(probs.astype(np.float32)).to_arrow() if count else [],
        "agreement": np.ones(count, np.float32),
        "judge": pa.repeat(judge.manifest.sha256, count),
        "judge_model": pa.repeat(judge.manifest.name, count),
        "rubric": pa.repeat(judge.manifest.rubric, count),
    }
    return pa.table({name: _cast(said[name], VERDICT.field(name).type) for name in VERDICT.names}, schema=VERDICT)


def _cast(column: object, kind: pa.DataType) -> pa.Array:
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return column.cast(kind)
    return pa.array(column, kind)


def open_model(path: str | None = None) -> EmbeddedJudge:
    """Open the model in a folder; by default the one that is shipped. Raises InputError where there is none."""
    if path is not None:
        return _open(Path(path))
    with as_file(files("miners.chats.embedded").joinpath("shipped")) as folder:
        return _open(folder)


def save_model(model: Model, folder: Path, *, name: str, rubric: str) -> EmbeddedJudge:
    """Write a model's folder, without its card. name: as verdicts carry it; rubric: whose answers the labels are."""
    written = io.BytesIO()
    temperature = np.array(model.temperature, np.float32)
    np.savez_compressed(written, weights=model.weights, bias=model.bias, temperature=temperature)
    sha256 = hashlib.sha256(written.getvalue()).hexdigest()
    manifest = Manifest(name=name, rubric=rubric, features=VERSION, labels=len(model.bias), sha256=sha256)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(written.getvalue())
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return _open(folder)


def _open(folder: Path) -> EmbeddedJudge:
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        data = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise InputError(str(folder), f"holds no model ({error.strerror})", _EXPECTED) from None
    except ValueError as error:
        raise InputError(str(folder / MANIFEST), f"is none ({str(error).splitlines()[0]})", _EXPECTED) from None
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise InputError(str(folder / WEIGHTS), "differs from its manifest", _EXPECTED)
    if manifest.features != VERSION:
        problem = f"fits features of version {manifest.features}, and these are {VERSION}"
        raise InputError(str(folder), problem, "a model of this version: train it again")
    return EmbeddedJudge(_read(data, folder / WEIGHTS, manifest.labels), manifest)


def _read(data: bytes, path: Path, labels: int) -> Model:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise InputError(str(path), f"cannot be read ({error})", _EXPECTED) from None
    if set(arrays) != _ARRAYS or arrays["weights"].shape != (BUCKETS + len(NAMES), labels):
        raise InputError(str(path), "holds other arrays", _EXPECTED)
    return Model(arrays["weights"], arrays["bias"], float(arrays["temperature"]))


def _soften(logits: Probabilities, digits: int | None = _PROBABILITY_DIGITS) -> Probabilities:
    """Turn logits into probabilities."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs: Probabilities = powers / powers.sum(axis=1, keepdims=True)
    return probs if digits is None else np.round(probs, digits)
