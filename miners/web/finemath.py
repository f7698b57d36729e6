"""FineMath 3+ and 4+ (HuggingFaceTB/finemath): pages of Common Crawl, scored for mathematical education.

Where one page was crawled several times, each copy is a row; all have one id, and the newest may be kept.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from miners.columns import decimal, epoch_time, number, text
from miners.documents import Corpus, blank_to_null, name_document
from miners.lessons import address_of, write_lesson, write_table

_URL, _TEXT = pl.col("url"), pl.col("text")
_FIRST_CRAWL = 1_558_257_136 * 10**9  # nanoseconds after 1970

CORPUS = Corpus(
    name="finemath",
    schema=pa.schema(
        [
            pa.field("url", pa.string()),
            pa.field("fetch_time", pa.int64()),  # nanoseconds after 1970
            pa.field("content_mime_type", pa.string()),
            pa.field("warc_filename", pa.string()),
            pa.field("warc_record_offset", pa.int32()),
            pa.field("warc_record_length", pa.int32()),
            pa.field("text", pa.string()),
            pa.field("token_count", pa.int32()),
            pa.field("char_count", pa.int32()),
            pa.field("metadata", pa.string()),  # JSON
            pa.field("score", pa.float64()),  # of the classifier, 0 to 5
            pa.field("int_score", pa.int64()),
            pa.field("crawl", pa.string()),
            pa.field("snapshot_type", pa.string()),
            pa.field("language", pa.string()),
            pa.field("language_score", pa.float64()),
        ]
    ),
    columns={
        "doc_id": name_document(_URL, _TEXT),
        "url": blank_to_null(_URL),
        "text": text("text"),
        "language": blank_to_null(pl.col("language")),
        "quality": decimal("score"),
        "token_count": number("token_count"),
        "crawled_at": epoch_time("fetch_time"),
        "metadata": pl.struct("crawl").struct.json_encode(),
    },
)


def sample(folder: Path, documents: int) -> Path:
    """Write so many pages as FineMath publishes them."""
    return write_table(folder, CORPUS.schema, map(_invent, range(documents)))


def _invent(page: int) -> dict[str, object]:
    lesson = write_lesson(page)
    crawl = f"CC-MAIN-2019-{page % 20 + 22:02}"
    return {
        "url": address_of(page),
        "fetch_time": _FIRST_CRAWL + page * 10**12,
        "content_mime_type": "text/html",
        "warc_filename": f"crawl-data/{crawl}/segments/0/warc/{crawl}-{page:05}.warc.gz",
        "warc_record_offset": 1000 * page,
        "warc_record_length": len(lesson) // 3,
        "text": lesson,
        "token_count": len(lesson) // 4,
        "char_count": len(lesson),
        "metadata": '{"found_math": true, "mathjax_inline_tex": 1, "math_score": 0.99, "perplexity": 1843.7}',
        "score": 3 + page % 20 / 10,
        "int_score": 3 + page % 20 // 10,
        "crawl": crawl,
        "snapshot_type": "latest",
        "language": "en",
        "language_score": 0.9 - page % 7 / 100,
    }


SOURCE = CORPUS.source("FineMath 3+ and 4+: Parquet as published, or hub://HuggingFaceTB/finemath?config=..", sample)
