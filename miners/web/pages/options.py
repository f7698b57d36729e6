"""Options of the source `pages`, and which files it reads in which way."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from miners.documents import PARQUET
from schemas.licenses import UNKNOWN

NAME = "pages"
"""Of the source."""

HTML = (".html", ".htm", ".xhtml")
TEXTS = (".tex", ".md", ".markdown", ".txt", *HTML)
LINES = (".jsonl", ".ndjson")
ENDINGS = (*TEXTS, *LINES, *PARQUET)
"""Endings of the names of files that are read, each of which one of compression may follow (but for Parquet)."""


class Options(BaseModel):
    """Which columns of a table make a document, and what no file says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    text: str = "text"
    """Column of the text."""
    url: str | None = None
    """Column of the address; default: `url`, where there is one."""
    id: str | None = None
    """Column of an id that no two rows of the input share; default: `id`, where there is one."""
    date: str | None = None
    """Column of the time of the crawl (ISO 8601); default: `date`, where there is one."""
    markup: Literal["text", "html"] = "text"
    """Of the text column. text: as it is. html: pages, of which Markdown is made."""
    license: str = UNKNOWN
    """SPDX id."""
    max_bytes: Annotated[int, Field(gt=0)] = 64 << 20
    """A longer file (uncompressed) or line is quarantined."""
