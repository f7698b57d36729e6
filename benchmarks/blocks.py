"""Documents to blocks, MB of text a second of one core's time: beside the same tokenizer alone, and the paper's way.

The text is real LaTeX and real Stack Exchange posts where there are some, in documents of 20,000 characters; the
tokenizer a byte-level BPE, as Llama's, trained on it. Ours gives whole rows: texts, places, ids of rows, keys. The
tokenizer alone gives token ids, with offsets (`encode_batch`) or without (`encode_batch_fast`). The paper's way is two
`datasets.map`s: tokenize, then cut the stream of all documents' ids into blocks and decode them.
"""

from benchmarks import report  # isort: skip  # first: it limits the threads that the others start

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from benchmarks.signatures import REAL, posts
from miners.web.mining.blocks import cut_blocks
from miners.web.mining.tokens import Tokenizer, open_tokenizer
from schemas.inputs import DOCUMENT
from schemas.recipe import Blocks

MB = 1_000_000
DOCUMENT_CHARS = 20_000  # some three blocks
VOCABULARY = 32_000
PREFIX, SUFFIX = 512, 1024
UNIT = "MB/s"
NOTHING_DECIDED = pa.table({"group_id": [""], "cluster_id": [""], "kept": [True]})
WAYS: Mapping[str, Mapping[str, Any]] = {
    "fixed": {},
    "random": {"mode": "random", "prefix_range": (256, 1280)},
    "sentence": {"mode": "sentence"},
    "fixed, formulas avoided": {"formulas": "avoid"},
    "fixed, ids stored": {"store_ids": True},
}


def texts(size: int) -> tuple[list[str], str]:
    """Documents of so many characters together, and where they are from."""
    known, origin = posts(4000)
    written = [path.read_text(encoding="utf-8") for path in sorted(REAL.glob("math/*.tex"))]
    whole = "\n\n".join([*written, *known.to_pylist()])
    origin = f"LaTeX of {len(written)} files, {origin}" if written else origin
    whole *= -(-size // len(whole))
    return [whole[at : at + DOCUMENT_CHARS] for at in range(0, size, DOCUMENT_CHARS)], origin


def train(documents: list[str], path: Path) -> None:
    """Train a byte-level BPE, and write it as a `tokenizer.json`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    level = pre_tokenizers.ByteLevel
    encoder = Tokenizer(models.BPE())
    encoder.pre_tokenizer = level(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=level.alphabet(), show_progress=False)
    encoder.train_from_iterator(documents, trainer)
    encoder.save(str(path))


def table(documents: list[str]) -> pa.Table:
    columns = {"source": "web", "url": "https://math.example.org/questions/1", "license": "ODC-By-1.0"}
    frame = pl.DataFrame({"text": documents}).with_row_index("at").with_columns(doc_id=pl.col("at").cast(pl.String))
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in columns.items()})
    missing = [pl.lit(None).alias(name) for name in DOCUMENT.names if name not in frame.columns]
    return frame.with_columns(missing).select(DOCUMENT.names).to_arrow().cast(DOCUMENT)


def ours(documents: pa.Table, tokenizer: Tokenizer, **options: Any) -> pa.Table:
    blocks = Blocks(prefix=PREFIX, suffix=SUFFIX, **options)
    return cut_blocks(documents, NOTHING_DECIDED, blocks, tokenizer=tokenizer).kept


def peers(documents: list[str], path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(path))
    yield "tokenizers, encode_batch", lambda: len(encoder.encode_batch(documents, add_special_tokens=False))
    yield "tokenizers, encode_batch_fast", lambda: len(encoder.encode_batch_fast(documents, add_special_tokens=False))
    try:
        yield "datasets.map, the paper's way", papers_way(documents, encoder)
    except ImportError as error:
        report.absent("datasets", error)


def papers_way(documents: list[str], encoder: Any) -> Callable[[], object]:
    """Cut one stream of ids, as the paper's code does: tokenize, append an end, join, cut, decode."""
    import datasets

    datasets.disable_progress_bars()
    datasets.disable_caching()
    length = PREFIX + SUFFIX

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found = encoder.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"input_ids": [[*one.ids, 0] for one in found]}

    def group(batch: dict[str, list[list[int]]]) -> dict[str, list[str]]:
        stream = list(chain.from_iterable(batch["input_ids"]))
        starts = range(0, len(stream) - length + 1, length)
        return {
            "prefix": encoder.decode_batch([stream[at : at + PREFIX] for at in starts]),
            "suffix": encoder.decode_batch([stream[at + PREFIX : at + length] for at in starts]),
        }

    def run() -> object:
        rows = datasets.Dataset.from_dict({"text": documents})
        tokens = rows.map(tokenize, batched=True, remove_columns=["text"])
        return tokens.map(group, batched=True, remove_columns=["input_ids"])

    return run


def main() -> None:
    given = report.arguments(__doc__ or "", [500])
    documents, origin = texts(given.sizes[0] * DOCUMENT_CHARS)
    size = sum(len(text.encode()) for text in documents)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "tokenizer.json"
        train(documents[:250], path)
        rows, tokenizer = table(documents), open_tokenizer(str(path))
        tokens = int(tokenizer.tokenize(pl.Series(documents)).counts.sum())
        others = dict(peers(documents, path))
        ways: dict[str, Callable[[], object]] = {
            name: partial(ours, rows, tokenizer, **way) for name, way in WAYS.items()
        }
        ways["no tokenizer"] = partial(ours, rows, open_tokenizer(None))
        rates = {name: size / MB / seconds for name, seconds in report.spend({**ways, **others}).items()}
        details: dict[str, float | int | str] = {
            "text": origin,
            "size_mb": round(size / MB, 1),
            "tokens": tokens,
            "blocks": ours(rows, tokenizer).num_rows,
            "tokens a second": round(rates["fixed"] * MB * tokens / size),
            **{f"{name}, {UNIT}": round(rates[name], 2) for name in ways},
        }
    figures = {name: rates[name] for name in others}
    report.show(report.Report(rates["fixed"], figures, UNIT, details), as_json=given.json)


if __name__ == "__main__":
    main()
