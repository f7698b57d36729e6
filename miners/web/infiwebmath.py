"""InfiWebMath 3+ and 4+ (HuggingFaceTB/finemath): the English texts of InfiMM-WebMath, scored as FineMath's are.

A row knows neither its crawl nor its time. Its language stands in the metadata.
"""

from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from miners.columns import decimal, number, text
from miners.documents import Corpus, blank_to_null, name_document, read_label
from miners.lessons import address_of, write_lesson, write_table

_URL, _TEXT = pl.col("url"), pl.col("text")

CORPUS = Corpus(
    name="infiwebmath",
    schema=pa.schema(
        [
            pa.field("url", pa.string()),
            pa.field("metadata", pa.string()),  # JSON
            pa.field("score", pa.float64()),  # of the classifier, 0 to 5
            pa.field("int_score", pa.int64()),
            pa.field("token_count", pa.int64()),
            pa.field("char_count", pa.int64()),
            pa.field("text", pa.string()),
        ]
    ),
    columns={
        "doc_id": name_document(_URL, _TEXT),
        "url": blank_to_null(_URL),
        "text": text("text"),
        "language": read_label(pl.col("metadata")),
        "quality": decimal("score"),
        "token_count": number("token_count"),
    },
)


def sample(folder: Path, documents: int) -> Path:
    """Write so many pages as InfiWebMath publishes them."""
    return write_table(folder, CORPUS.schema, map(_invent, range(documents)))


def _invent(page: int) -> dict[str, object]:
    lesson = write_lesson(page)
    metadata = {"ft_lang_label": "__label__en", "ft_lang_prob": 0.93, "math_prob": 0.98, "size": len(lesson)}
    return {
        "url": address_of(page),
        "metadata": orjson.dumps(metadata).decode(),
        "score": 3 + page % 20 / 10,
        "int_score": 3 + page % 20 // 10,
        "token_count": len(lesson) // 4,
        "char_count": len(lesson),
        "text": lesson,
    }


SOURCE = CORPUS.source("InfiWebMath 3+ and 4+: Parquet as published, or hub://HuggingFaceTB/finemath?config=..", sample)
