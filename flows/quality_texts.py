"""Texts to train a quality classifier on: read from files, and parted into what trains and what evaluates."""

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from glob import escape, glob
from pathlib import Path
from typing import Literal

import polars as pl

from miners.text.quality import write_as_words
from schemas.errors import InputError, nearest
from schemas.identity import below_share, hash64
from schemas.quality import QualityRecipe, Texts

_BLANK_LINES = re.compile(r"\n\s*\n")
_PLAIN = (".txt", ".md", ".tex")
_TABLES: Mapping[str, Callable[[str], pl.LazyFrame]] = {
    ".jsonl": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
    ".ndjson": lambda path: pl.scan_ndjson(path, infer_schema_length=None),
    ".parquet": pl.scan_parquet,
    ".arrow": pl.scan_ipc,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Of which kind an input's texts are, and its files: {path relative to the recipe: sha256}."""

    positive: bool
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """texts: one row a text, `input, positive, words, part`; part: train, held_out, or why it is neither."""

    texts: pl.DataFrame
    origins: Mapping[str, Origin]

    def take(self, part: Literal["train", "held_out"]) -> pl.DataFrame:
        """Take the texts of one part, shuffled by hash: fastText learns in the order that it is given."""
        return self.texts.filter(pl.col("part") == part)


def read_corpus(recipe: QualityRecipe, folder: Path) -> Corpus:
    """Read all examples; `folder` is the recipe's. Raises InputError for what is not there or not as it is said."""
    frames: list[pl.DataFrame] = []
    origins: dict[str, Origin] = {}
    for positive, inputs in ((True, recipe.positives), (False, recipe.negatives)):
        for texts in inputs:
            title = texts.title if texts.title not in origins else f"{texts.title} ({len(origins) + 1})"
            paths = _find(texts, folder)
            files = {Path(os.path.relpath(path, folder)).as_posix(): _hash(path) for path in paths}
            origins[title] = Origin(positive, files)
            read = pl.concat([_read(path, texts) for path in paths]).alias("text").drop_nulls().to_frame()
            frames.append(read.with_columns(input=pl.lit(title), positive=pl.lit(positive), use=pl.lit(texts.use)))
    return Corpus(_part(pl.concat(frames), recipe), origins)


def _part(texts: pl.DataFrame, recipe: QualityRecipe) -> pl.DataFrame:
    """Say of each text what it is for. Chance is a hash of its words, so no text stands on both sides."""
    words = write_as_words(texts["text"], recipe.classifier.max_chars)
    frame = texts.with_columns(words=words).with_columns(key=hash64(pl.lit(f"quality {recipe.seed}"), "words"))
    short = (pl.col("text").str.len_chars() < recipe.min_chars) | (pl.col("words") == "")
    drawn = below_share(hash64(pl.lit("held out"), "key"), recipe.held_out)
    held = (pl.col("use") == "evaluate") | ((pl.col("use") == "both") & drawn)
    frame = _give(frame.with_columns(part=pl.lit(None, pl.String)), "too_short", short)
    left = pl.col("part").is_null()  # a text that is refused makes no other one a copy
    frame = _give(frame, "in_both", pl.col("positive").n_unique().over("key", left) > 1)
    frame = _give(frame, "copy", ~pl.struct("key", left).is_first_distinct())
    frame = _give(frame, "held_out", held).sort("key", maintain_order=True)
    fewer = frame.filter(pl.col("part").is_null()).group_by("positive").len()["len"].min() or 0
    frame = _give(frame, "not_drawn", pl.col("part").is_null().cum_sum().over("positive") > fewer)
    return _give(frame, "train", pl.lit(value=True)).select("input", "positive", "words", "part")


def _give(frame: pl.DataFrame, part: str, condition: pl.Expr) -> pl.DataFrame:
    """Give a part to the texts that have none yet and meet the condition."""
    return frame.with_columns(part=pl.when(pl.col("part").is_null() & condition).then(pl.lit(part)).otherwise("part"))


def _find(texts: Texts, folder: Path) -> list[Path]:
    """List the files of an input, in the order of their names."""
    pattern = folder / texts.path
    found = [pattern] if pattern.is_file() else sorted(folder / path for path in _expand(texts.path, folder))
    found = [path for path in found if path.is_file()]
    if not found:
        raise InputError(str(pattern), "is not there", "a file, or a glob that some files match")
    return found


def _expand(pattern: str, folder: Path) -> list[str]:
    """List what a glob matches; it may be absolute. Only the pattern is one, whatever the folder is called."""
    return glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 (of a path that may be absolute)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path, texts: Texts) -> pl.Series:
    """Read the texts of one file."""
    ending = path.suffix.lower()
    try:
        if ending in _PLAIN:
            return pl.Series(_cut(path.read_text(encoding="utf-8"), texts.unit), dtype=pl.String)
        if ending in _TABLES:
            return _take_column(_TABLES[ending](escape(str(path))), texts.column, path)
    except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise InputError(str(path), f"cannot be read ({str(error).splitlines()[0]})", f"a {ending} file") from None
    raise InputError(str(path), "is of an unknown kind", f"one of {', '.join((*_PLAIN, *_TABLES))}")


def _cut(text: str, unit: Literal["lines", "paragraphs", "file"]) -> list[str]:
    if unit == "file":
        return [text]
    return text.splitlines() if unit == "lines" else _BLANK_LINES.split(text)


def _take_column(table: pl.LazyFrame, column: str, path: Path) -> pl.Series:
    """Take a column, or a field within it; lists on the way are laid out, an item a text."""
    known = table.collect_schema()
    root, *fields = column.split(".")
    if root not in known:
        raise InputError(str(path), f"has no column `{root}`", f"`column` to be one of its own; {nearest(root, known)}")
    texts = _lay_out(table.select(root).collect()[root])
    for field in fields:
        if not isinstance(texts.dtype, pl.Struct) or field not in texts.struct.fields:
            raise InputError(str(path), f"has no `{column}`", f"`{field}` to be a field of {texts.dtype}")
        texts = _lay_out(texts.struct.field(field))
    if texts.dtype != pl.String:
        raise InputError(str(path), f"holds {texts.dtype} in `{column}`", "texts")
    return texts


def _lay_out(values: pl.Series) -> pl.Series:
    while isinstance(values.dtype, pl.List):
        values = values.explode(empty_as_null=False, keep_nulls=False)
    return values
