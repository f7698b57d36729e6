"""OpenWebMath (Paster et al. 2023, arXiv 2310.06786): pages of Common Crawl with their formulas.

The score of its mathematics classifier, 0 to 1, stands in the metadata; it is the document's quality. All of it is said
to be English, but no row says so: the language is left for whoever looks.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import polars as pl
import pyarrow as pa

from miners.columns import decimal, iso_time, text
from miners.documents import Corpus, blank_to_null, name_document
from miners.lessons import address_of, write_lesson, write_table

_URL, _TEXT = pl.col("url"), pl.col("text")
_FIRST_CRAWL = datetime(2013, 5, 18, 5, 19, 59, tzinfo=UTC)

CORPUS = Corpus(
    name="openwebmath",
    schema=pa.schema(
        [
            pa.field("url", pa.string()),
            pa.field("text", pa.string()),
            pa.field("date", pa.timestamp("us")),  # of the crawl, UTC
            pa.field("metadata", pa.string()),  # JSON
        ]
    ),
    columns={
        "doc_id": name_document(_URL, _TEXT),
        "url": blank_to_null(_URL),
        "text": text("text"),
        "quality": decimal(pl.col("metadata").str.json_path_match("$.extraction_info.math_score")),
        "crawled_at": iso_time("date"),
    },
)


def sample(folder: Path, documents: int) -> Path:
    """Write so many pages as OpenWebMath publishes them."""
    return write_table(folder, CORPUS.schema, map(_invent, range(documents)))


def _invent(page: int) -> dict[str, object]:
    extraction = {
        "found_math": True,
        "mathjax_inline_tex": 1,
        "math_score": 0.5 + page % 50 / 100,
        "perplexity": 1843.7,
    }
    metadata = {"extraction_info": extraction, "config": {"markdown_headings": True, "extract_latex": True}}
    return {
        "url": address_of(page),
        "text": write_lesson(page),
        "date": (_FIRST_CRAWL + timedelta(hours=page)).replace(tzinfo=None),
        "metadata": orjson.dumps(metadata).decode(),
    }


SOURCE = CORPUS.source("OpenWebMath: Parquet as published, or hub://open-web-math/open-web-math", sample)
