"""Quality: a fastText classifier trained from a recipe, measured on texts it has not seen, and written with a record.

One thread and a fixed seed: the same texts, recipe and fastText give the same bytes (several threads would race on the
weights). Across kinds of processors fastText's arithmetic may differ in the last digit.
"""

import hashlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from flows.quality_card import write_card
from flows.quality_texts import Corpus, read_corpus
from miners.text.quality import NEGATIVE, POSITIVE, evaluate, predict
from schemas.errors import InputError, RecipeError
from schemas.quality import MANIFEST, InputReport, QualityManifest, QualityRecipe
from schemas.sections import read_section

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

MIN_TRAIN = 100
"""Texts of either kind to train on; of fewer a model learns their words by heart."""
MIN_HELD_OUT = 20
"""Texts of either kind to evaluate on; of fewer each moves a figure by more than 5 points."""

_MODEL = "model.bin"
_WRITTEN = 50_000  # texts at a time
_OUTCOMES = ("train", "held_out")


def train_quality(path: Path) -> tuple[Path, QualityManifest]:
    """Train what the recipe at `path` describes; answers the model's folder, beside the recipe, and its manifest.

    A model of that name is replaced when the new one is whole. Raises InputError where there are too few texts.
    """
    recipe = read_section(QualityRecipe, path)
    target = path.parent / recipe.name
    if target.exists() and not (target / MANIFEST).is_file():
        raise RecipeError(f"{target}: is there and no model; expected another `name`, or none of that name")
    corpus = read_corpus(recipe, path.parent)
    _refuse_too_few(corpus, path)
    with _replaced(target) as folder:
        model = _train(corpus.take("train"), recipe, folder / _MODEL)
        manifest = _describe(recipe, corpus, model, folder / _MODEL)
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(write_card(manifest), encoding="utf-8")
    return target, manifest


def _refuse_too_few(corpus: Corpus, path: Path) -> None:
    for positive, kind in ((True, "positives"), (False, "negatives")):
        parts = corpus.texts.filter(pl.col("positive") == positive)["part"]
        train, held_out = (int((parts == part).sum()) for part in _OUTCOMES)
        if train < MIN_TRAIN or held_out < MIN_HELD_OUT:
            raise InputError(
                str(path),
                f"`{kind}` give {train} texts to train on and {held_out} to evaluate on, of {parts.len()} read",
                f"at least {MIN_TRAIN} and {MIN_HELD_OUT}, different from each other and of `min_chars` or more",
            )


def _train(texts: pl.DataFrame, recipe: QualityRecipe, path: Path) -> "_FastText":
    """Train on the texts in their order, and write the model."""
    import fasttext  # noqa: PLC0415 (what is slow to import is imported where it is used)

    asked = recipe.classifier
    kind = pl.when("positive").then(pl.lit(POSITIVE)).otherwise(pl.lit(NEGATIVE))
    lines = texts.select(pl.concat_str(kind, "words", separator=" ")).to_series()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="revealed-", suffix=".txt") as file:
        for start in range(0, lines.len(), _WRITTEN):
            file.write("\n".join([*lines.slice(start, _WRITTEN), ""]))
        file.flush()
        model = fasttext.train_supervised(
            input=file.name,
            dim=asked.dim,
            wordNgrams=asked.word_ngrams,
            epoch=asked.epochs,
            lr=asked.rate,
            minCount=asked.min_count,
            bucket=asked.buckets,
            seed=recipe.seed,
            thread=1,
            verbose=0,
        )
    model.save_model(str(path))
    return model


def _describe(recipe: QualityRecipe, corpus: Corpus, model: "_FastText", path: Path) -> QualityManifest:
    """Measure a model on the held-out texts, and put together how it came to be."""
    held_out = corpus.take("held_out")
    held_out = held_out.with_columns(score=predict(model, held_out["words"]))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return QualityManifest(
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        model=path.name,
        model_bytes=path.stat().st_size,
        model_sha256=sha256,
        fasttext=version("fasttext-community"),
        max_chars=recipe.classifier.max_chars,
        inputs={name: _report(corpus, held_out, name) for name in corpus.origins},
        metrics=evaluate(held_out["score"], held_out["positive"]),
    )


def _report(corpus: Corpus, held_out: pl.DataFrame, name: str) -> InputReport:
    """Say what became of one input."""
    texts = corpus.texts.filter(pl.col("input") == name)
    counts = dict(texts.group_by("part").len().sort("part").rows())
    scores = held_out.filter(pl.col("input") == name)["score"]
    return InputReport(
        positive=corpus.origins[name].positive,
        files=corpus.origins[name].files,
        texts=texts.height,
        dropped={part: count for part, count in counts.items() if part not in _OUTCOMES},
        train=counts.get("train", 0),
        held_out=counts.get("held_out", 0),
        accepted=float((scores.to_numpy() >= 0.5).mean()) if scores.len() else None,  # noqa: PLR2004 (as `at_half`)
        mean_score=float(scores.to_numpy().mean()) if scores.len() else None,
    )


@contextmanager
def _replaced(target: Path) -> Iterator[Path]:
    """Give an empty folder that takes the target's place when the block ends well, and vanishes when it does not."""
    folder = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    folder.mkdir(parents=True)
    old = folder.with_name(f"{folder.name}-old")
    try:
        yield folder
        if target.exists():
            target.rename(old)
        folder.rename(target)
    finally:
        if old.exists() and not target.exists():  # the new one could not take its place
            old.rename(target)
        for left in (folder, old):
            shutil.rmtree(left, ignore_errors=True)
