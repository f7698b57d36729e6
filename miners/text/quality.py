"""The quality of a text by a fastText classifier that `revealed quality train` made (Joulin et al. 2016).

Words are what fastText takes for features, so texts are written as words: small letters, numbers as 0, each sign and
each character of a script without spaces a word of its own, TeX commands whole. Training and scoring share that.
"""

import hashlib
import string
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.errors import InputError
from schemas.quality import MANIFEST, Metrics, Point, QualityManifest

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

POSITIVE, NEGATIVE = "__label__positive", "__label__negative"

_TYPESET = "\u201c\u201d\u2018\u2019\u201e\xab\xbb\u2013\u2014\u2026\xb7\u2022\xd7\xb0\xa7"  # quotes, dashes, dots
_SIGNS = [*(sign for sign in string.punctuation if sign != "\\"), *_TYPESET]
_SPACES = [sign for sign in map(chr, range(0x3001)) if sign.isspace() or sign < " " or "\x7f" <= sign < "\u00a0"]
_FOUND = [*_SIGNS, *_SPACES, "\\"]
_PUT = [*(f" {sign} " for sign in _SIGNS), *(" " for _ in _SPACES), " \\"]  # a TeX command's name follows
_RARE = (  # dearer to find, and in few texts: other signs and spaces, and scripts in which one sign can be a word
    r"[^\p{L}\p{M}\p{N}\s\p{Cc}\x00-\x7f" + _TYPESET + r"]"
    r"|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)
_THRESHOLDS = (*(step / 20 for step in range(1, 20)), 0.99)
_Scores = npt.NDArray[np.float32]
_EXPECTED = "a folder that `revealed quality train` wrote"


def write_as_words(texts: pl.Series, max_chars: int) -> pl.Series:
    r"""Write the beginning of each text as words with single spaces between them, on one line.

    >>> write_as_words(pl.Series([r"Let $\alpha_1 = 42$."]), 100).item()
    'let $ \\alpha _ 0 = 0 $ .'
    """
    words = texts.cast(pl.String).str.head(max_chars).str.to_lowercase().str.replace_all(r"\p{N}+", " 0 ")
    words = words.str.replace_many(_FOUND, _PUT)
    rare = words.str.contains(_RARE).arg_true()
    if rare.len():
        words = words.scatter(rare, words.gather(rare).str.replace_all(_RARE, " $0 "))
    return words.str.replace_all(" {2,}", " ").str.strip_chars(" ")


def score_quality(texts: pl.Series, folder: str | Path) -> pl.Series:
    """Score each text by the model in `folder`: the probability (Float32) that it is of the positive kind.

    Null for null and for texts without a word. Raises InputError where the folder holds no model, or not the one that
    was trained.
    """
    manifest = read_manifest(folder)
    words = write_as_words(texts, manifest.max_chars)
    judged = (words != "").fill_null(value=False)
    scores = predict(load_model(str(folder), manifest.model_sha256), words.filter(judged))
    rows = pl.DataFrame({"at": judged.arg_true(), "score": scores})
    every = pl.DataFrame({"at": pl.arange(0, texts.len(), dtype=pl.UInt32, eager=True)})
    return every.join(rows, on="at", how="left", maintain_order="left")["score"].alias(texts.name)


def read_manifest(folder: str | Path) -> QualityManifest:
    """Read how a model came to be; raises InputError where there is none."""
    try:
        return QualityManifest.model_validate_json((Path(folder) / MANIFEST).read_bytes())
    except OSError as error:
        raise InputError(str(folder), f"holds no model ({error.strerror})", _EXPECTED) from None
    except ValueError as error:
        raise InputError(f"{folder}/{MANIFEST}", f"is none ({str(error).splitlines()[0]})", _EXPECTED) from None


@cache
def load_model(folder: str, sha256: str) -> "_FastText":
    """Load the model in `folder`, once a process, and check that it is the one that was trained."""
    import fasttext  # noqa: PLC0415 (what is slow to import is imported where it is used)

    path = Path(folder) / read_manifest(folder).model
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})", _EXPECTED) from None
    if found != sha256:
        raise InputError(str(path), "differs from its manifest", "the model as it was trained: train it again")
    return fasttext.load_model(str(path))


def predict(model: "_FastText", words: pl.Series) -> pl.Series:
    """Score texts that are written as words."""
    labels, scores = model.predict(words.to_list()) if words.len() else ([], [])
    likelier = np.clip(np.ravel(scores).astype(np.float32), 0, 1)  # 1.00002 is met
    return pl.Series("score", np.where(np.ravel(labels) == POSITIVE, likelier, 1 - likelier), dtype=pl.Float32)


def evaluate(scores: pl.Series, positive: pl.Series) -> Metrics:
    """Say how scores tell the positive texts from the others; there must be some of both."""
    yes, no = (np.sort(scores.filter(kind).to_numpy()) for kind in (positive, ~positive))
    ranks = float(scores.rank("average").filter(positive).to_numpy().sum())  # Mann and Whitney's U gives the area
    return Metrics(
        positives=yes.size,
        negatives=no.size,
        at_half=_measure(yes, no, 0.5),
        auc=(ranks - yes.size * (yes.size + 1) / 2) / (yes.size * no.size),
        curve=tuple(_measure(yes, no, threshold) for threshold in _THRESHOLDS),
    )


def _measure(yes: _Scores, no: _Scores, threshold: float) -> Point:
    """Measure one threshold; the scores of either kind are sorted."""
    right, wrong = (int(kind.size - np.searchsorted(kind, np.float32(threshold))) for kind in (yes, no))
    return Point(
        threshold=threshold,
        precision=right / (right + wrong) if right + wrong else None,
        recall=right / yes.size,
        f1=2 * right / (right + wrong + yes.size),
        rejected=1 - wrong / no.size,
    )
