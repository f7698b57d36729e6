"""Benchmarks by name: which columns of their files hold questions and answers, and how to read them.

The user downloads the files: a recipe names a preset and the file, or the folder of files, that it stands for.
Questions and answers are matched by different rules (`matching.py`).
"""

import gzip
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import polars as pl
import pyarrow as pa

from schemas.errors import InputError, RecipeError, nearest
from schemas.recipe import Benchmark
from warehouse.decontamination.index import ITEMS

Names = tuple[str, ...]
"""Names that one column goes by in the files about, of which the first that is there is read; `a.b` for nested ones."""

CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Preset:
    """What a benchmark's files look like.

    questions, answers: the columns with texts; of those that go by several names each tuple names one column.
    optional: columns that only some of its files have.
    origin: where the files are published. verified: whether these columns were read from real files, rather than taken
        from the publisher's description.
    """

    title: str
    questions: tuple[Names, ...]
    answers: tuple[Names, ...]
    origin: str
    optional: tuple[Names, ...] = ()
    verified: bool = False


PRESETS = {
    "rewardbench": Preset(
        "RewardBench", (("prompt",),), (("chosen",), ("rejected",)), "huggingface.co/datasets/allenai/reward-bench"
    ),
    "rewardbench2": Preset(
        "RewardBench 2", (("prompt",),), (("chosen",), ("rejected",)), "huggingface.co/datasets/allenai/reward-bench-2"
    ),
    "rm-bench": Preset(
        "RM-Bench", (("prompt",),), (("chosen",), ("rejected",)), "huggingface.co/datasets/THU-KEG/RM-Bench"
    ),
    "ppe": Preset(
        "PPE",
        (("prompt", "question"),),
        (("response_1",), ("response_2",)),
        "huggingface.co/lmarena-ai (PPE-Human-Preference-V1, PPE-*-Best-of-K)",
        optional=tuple((f"response_{number}",) for number in range(3, 33)),
    ),
    "judgebench": Preset(
        "JudgeBench",
        (("question",),),
        (("response_A",), ("response_B",)),
        "huggingface.co/datasets/ScalerLab/JudgeBench",
        verified=True,
    ),
    "rmb": Preset(
        "RMB",
        (("conversation_input",),),
        (),
        "github.com/Zhou-Zoey/RMB-Reward-Model-Benchmark",
        optional=(("chosen.answer",), ("reject.answer",), ("bon_best.answer",), ("loser_list.answer",)),
    ),
    "gsm8k": Preset("GSM8K", (("question",),), (("answer",),), "huggingface.co/datasets/openai/gsm8k", verified=True),
    "math": Preset(
        "MATH",
        (("problem", "question"),),
        (("solution", "answer"),),
        "huggingface.co/datasets/hendrycks/competition_math",
    ),
    "math-500": Preset(
        "MATH-500",
        (("problem", "question"),),
        (("solution", "answer"),),
        "huggingface.co/datasets/HuggingFaceH4/MATH-500",
        verified=True,
    ),
    "llmbar": Preset(
        "LLMBar", (("input",),), (("output_1",), ("output_2",)), "github.com/princeton-nlp/LLMBar", verified=True
    ),
    "xstest": Preset("XSTest", (("prompt",),), (), "github.com/paul-rottger/xstest", verified=True),
    "helpsteer2": Preset(
        "HelpSteer2",
        (("prompt",),),
        (("response", "response_1"),),
        "huggingface.co/datasets/nvidia/HelpSteer2",
        optional=(("response_2",),),
    ),
    "helpsteer3": Preset(
        "HelpSteer3", (("context",),), (("response1",), ("response2",)), "huggingface.co/datasets/nvidia/HelpSteer3"
    ),
}
"""Columns as the publishers' files or dataset cards give them; read in November 2026."""

_FORMATS = ("parquet", "jsonl", "ndjson", "json", "csv", "tsv")
_ZIPPED = ("", ".gz", ".zst")
_EXPECTED = f"a file (or a folder of files) of the kinds {', '.join(_FORMATS)}, as they are or as .gz or .zst"


def find_preset(benchmark: Benchmark) -> Preset:
    """Find what a recipe's benchmark is; raises RecipeError for an unknown name, or columns where none belong."""
    if benchmark.preset == CUSTOM:
        if not benchmark.columns:
            raise RecipeError(f"benchmark {benchmark.path}: `preset: custom` needs `columns`, the names to read")
        return Preset(CUSTOM, tuple((name,) for name in benchmark.columns), (), benchmark.path)
    if benchmark.columns:
        raise RecipeError(f"benchmark {benchmark.path}: `columns` goes with `preset: custom`, not with a preset's name")
    if benchmark.preset not in PRESETS:
        raise RecipeError(f"unknown benchmark `{benchmark.preset}`; {nearest(benchmark.preset, [*PRESETS, CUSTOM])}")
    return PRESETS[benchmark.preset]


def find_files(benchmark: Benchmark, folder: Path) -> list[str]:
    """Find the files of a benchmark, sorted; InputError where there are none. Other files in a folder are left."""
    path = benchmark.path if "://" in benchmark.path else str(folder / benchmark.path)
    store, inner = fsspec.core.url_to_fs(path)
    if store.isdir(inner):
        files = [name for name in sorted(store.find(inner)) if _format(name)]
    elif store.isfile(inner) and not _format(inner):
        raise InputError(path, "is of no kind that is read", _EXPECTED)
    else:
        files = [inner] if store.isfile(inner) else []
    if not files:
        raise InputError(path, f"no file of the benchmark `{benchmark.preset}` is there", _EXPECTED)
    return [store.unstrip_protocol(name) if "://" in path else name for name in files]


def read_benchmark(benchmark: Benchmark, folder: Path) -> pa.Table:
    """Read the texts of a benchmark (ITEMS). folder: where relative paths start.

    Raises RecipeError for an unknown preset; InputError for a missing file, one that is not what its name says, one
    without the preset's columns or with something other than texts in them, and one without any text.
    """
    preset = find_preset(benchmark)
    name = name_benchmark(benchmark)
    tables = [
        table.with_columns(benchmark=pl.lit(name), item=pl.format("{}:{}", pl.lit(label), "item"))
        for label, file in label_files(find_files(benchmark, folder))
        for table in _read_texts(file, preset)
    ]
    items = pl.concat(tables).select(ITEMS.names)
    if not items.height:
        raise InputError(benchmark.path, "holds no text", f"the items of {preset.title} ({preset.origin})")
    return items.to_arrow().cast(ITEMS)


def name_benchmark(benchmark: Benchmark) -> str:
    """Say how a benchmark is called: by its preset, or a custom one by its file or folder."""
    return Path(benchmark.path).name if benchmark.preset == CUSTOM else benchmark.preset


def label_files(files: list[str]) -> list[tuple[str, str]]:
    """Name each file by what tells it from the others: its path below the folder that they share."""
    shared = os.path.commonpath([os.path.dirname(file) for file in files])  # noqa: PTH120 (may be URLs)
    return [(os.path.relpath(file, shared), file) for file in files]


def _read_texts(file: str, preset: Preset) -> Iterator[pl.DataFrame]:
    """Yield the texts of each column of one file: `item` (number of the row), `part`, `text`, `question`."""
    frame = _read_frame(file)
    wanted = [(names, True) for names in preset.questions] + [(names, False) for names in preset.answers]
    for names, question in [*wanted, *((names, False) for names in preset.optional)]:
        found = [column for column in names if _has(frame.schema, column)]
        if found:
            yield _texts(frame, found[0], file).with_columns(part=pl.lit(found[0]), question=pl.lit(question))
        elif names not in preset.optional:
            known = ", ".join(frame.columns) or "none"
            raise InputError(
                file,
                f"has no column `{'` or `'.join(names)}`, but {known}",
                f"the columns of {preset.title} ({preset.origin})",
            )


def _read_frame(file: str) -> pl.DataFrame:
    """Read a file whatever its format; raises InputError where it is not what its name says."""
    kind = _format(file)
    try:
        with fsspec.open(file, compression="infer") as stream:
            data = io.BytesIO(stream.read())
        if kind == "parquet":
            return pl.read_parquet(data)
        if kind in {"csv", "tsv"}:
            return pl.read_csv(data, separator="\t" if kind == "tsv" else ",", infer_schema=False)
        if kind == "json" and data.getvalue()[:64].lstrip().startswith(b"["):
            return pl.read_json(data, infer_schema_length=None)
        return pl.read_ndjson(data, infer_schema_length=None)
    except (OSError, gzip.BadGzipFile, pl.exceptions.PolarsError, ValueError) as error:
        raise InputError(file, f"cannot be read as {kind} ({' '.join(str(error).split())[:200]})", _EXPECTED) from None


def _format(file: str) -> str | None:
    """Tell a file's format by its name."""
    lower = file.lower()
    return next((kind for kind in _FORMATS for zipped in _ZIPPED if lower.endswith(f".{kind}{zipped}")), None)


def _has(schema: pl.Schema, column: str) -> bool:
    """Whether there is such a column, or such a field within lists and structs."""
    kind: object = pl.Struct(dict(schema))
    for name in column.split("."):
        while isinstance(kind, pl.List):
            kind = kind.inner
        fields = {field.name: field.dtype for field in kind.fields} if isinstance(kind, pl.Struct) else {}
        if name not in fields:
            return False
        kind = fields[name]
    return True


def _texts(frame: pl.DataFrame, column: str, file: str) -> pl.DataFrame:
    """List the texts of a column: `item` (number of the row), `text`. Messages of one conversation are one text.

    Raises InputError where the column of the file holds anything else.
    """
    first, *rest = column.split(".")
    values = frame.select(pl.col(first).alias("text")).with_row_index("item")
    for name in rest:
        values = _exploded(values).with_columns(pl.col("text").struct.field(name).alias("text"))
    kind = values.schema["text"]
    if isinstance(kind, pl.List) and _is_messages(kind.inner):
        contents = pl.element().struct.field("content").cast(pl.String)
        values = values.with_columns(pl.col("text").list.eval(contents).list.join("\n\n", ignore_nulls=True))
    values = _exploded(values)
    if values.schema["text"].is_nested():
        raise InputError(file, f"holds {kind} in `{column}`", "texts, lists of texts, or messages with `content`")
    return values.with_columns(pl.col("text").cast(pl.String)).filter(pl.col("text").str.strip_chars() != "")


def _is_messages(kind: object) -> bool:
    fields = {field.name: field.dtype for field in kind.fields} if isinstance(kind, pl.Struct) else {}
    return "content" in fields and not fields["content"].is_nested()


def _exploded(values: pl.DataFrame) -> pl.DataFrame:
    return values.explode("text") if isinstance(values.schema["text"], pl.List) else values
