"""Pages: one's own documents, as files of text or as rows of a table.

    inputs:
      - source: pages
        path: notes                    # a folder tree or a file: .tex, .md, .txt and .html, each file a document;
        options: {license: CC-BY-4.0}  # .jsonl and .parquet, each row one; or hub://owner/name?config=..

Texts are taken to the letter; HTML becomes Markdown with its formulas as LaTeX (`miners.text.pages`). A file is named
by its path in the folder, a row by its `id`, or else its address, or its text. The first two are names within one
community: each of two inputs may have a `notes/1.tex`.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import cast

from fsspec.core import url_to_fs
from pydantic import BaseModel

from miners.documents import TABLE, find_tables, has_ending, list_tables
from miners.formats import hub
from miners.lessons import write_lesson
from miners.source import Reading, Slice, Source
from miners.web.pages import files, tables
from miners.web.pages.options import ENDINGS, NAME, TEXTS, Options
from schemas.errors import InputError
from schemas.inputs import DOCUMENT, Route
from schemas.outcome import Outcome


def find(path: str) -> dict[str, str]:
    """Name an input by its file, folder or data set: {name: path}. Raises InputError where there is none."""
    return find_tables(path, ENDINGS)


def plan(path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:
    """Cut tables as their formats are cut, and the files of a folder into runs of about `slice_bytes`.

    Raises InputError where there is nothing to read, or a table's column is missing or of another type.
    """
    given = cast("Options", options)
    if path.startswith(hub.PREFIX):
        return tables.cut(path, given, slice_bytes)
    fs, root = url_to_fs(path)
    if not fs.isdir(root) and not has_ending(path, ENDINGS):
        raise InputError(path, "its name does not say what it is", f"a name that ends in {', '.join(ENDINGS)}")
    slices = files.cut(path, slice_bytes)
    for file in list_tables(path, ENDINGS):
        if not has_ending(file, TEXTS):
            slices += tables.cut(file, given, slice_bytes)
    return slices


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the documents of a slice, about `chunk_bytes` at a time."""
    is_text = part.member is not None or (not part.path.startswith(hub.PREFIX) and has_ending(part.path, TEXTS))
    return files.read(part, reading) if is_text else tables.read(part, reading)


def sample(folder: Path, documents: int) -> Path:
    """Write so many pages: HTML, Markdown and TeX in turn."""
    for number in range(documents):
        lesson = write_lesson(number)
        if number % 3 == 0:
            paragraphs = "".join(f"<p>{escape(part, quote=False)}</p>\n" for part in lesson.split("\n\n"))
            whole = f"<html><head><title>Sheet {number}</title></head><body><nav>Home</nav>\n{paragraphs}</body></html>"
            folder.joinpath(f"{number:05}.html").write_text(whole, encoding="utf-8")
        else:
            folder.joinpath(f"{number:05}.{'md' if number % 3 == 1 else 'tex'}").write_text(lesson, encoding="utf-8")
    return folder


SOURCE = Source(
    name=NAME,
    route=Route.WEB,
    summary="one's own documents: .tex, .md, .txt and .html files, or rows of JSON Lines, Parquet or the Hub",
    tables={TABLE: DOCUMENT},
    plan=plan,
    read=read,
    find=find,
    sample=sample,
    options=Options,
    version=2,
)
