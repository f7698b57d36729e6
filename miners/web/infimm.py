"""InfiMM-WebMath-40B (Han et al. 2024, arXiv 2409.12568): pages in English and Chinese, texts and images in turn.

`text_list` and `image_list` are equally long, and at each place one of the two has something. The texts are joined in
their order, a blank line between two. Images are left out, and counted in the document's metadata: what a text says of
a picture is kept, and its address would be learnt as if it were text.
"""

from pathlib import Path

import polars as pl
import pyarrow as pa

from miners.columns import Column
from miners.documents import Corpus, blank_to_null, name_document, read_label
from miners.lessons import address_of, write_lesson, write_table

_URL = pl.col("URL")
_TEXT = pl.col("text_list").list.eval(pl.element().filter(pl.element().str.len_bytes() > 0)).list.join("\n\n")
_IMAGES = pl.col("image_list").list.drop_nulls().list.len()

CORPUS = Corpus(
    name="infimm",
    schema=pa.schema(
        [
            pa.field("URL", pa.string()),
            pa.field("text_list", pa.list_(pa.string())),
            pa.field("image_list", pa.list_(pa.string())),
            pa.field(
                "metadata",
                pa.struct(
                    [
                        pa.field("ft_lang_label", pa.string()),
                        pa.field("ft_lang_prob", pa.float64()),
                        pa.field("math_prob", pa.float64()),
                        pa.field("size", pa.int64()),
                    ]
                ),
            ),
        ]
    ),
    columns={
        "doc_id": name_document(_URL, _TEXT),
        "url": blank_to_null(_URL),
        "text": Column(_TEXT),
        "language": read_label(pl.col("metadata")),
        "metadata": pl.struct(images=_IMAGES.fill_null(0)).struct.json_encode(),
    },
)


def sample(folder: Path, documents: int) -> Path:
    """Write so many pages as InfiMM-WebMath publishes them."""
    return write_table(folder, CORPUS.schema, map(_invent, range(documents)))


def _invent(page: int) -> dict[str, object]:
    lesson = write_lesson(page)
    halves = [lesson[: len(lesson) // 2], None, lesson[len(lesson) // 2 :]]
    return {
        "URL": address_of(page),
        "text_list": halves,
        "image_list": [None, f"https://img.lessons.example/{page}.png", None],
        "metadata": {"ft_lang_label": "__label__en", "ft_lang_prob": 0.93, "math_prob": 0.98, "size": len(lesson)},
    }


SOURCE = CORPUS.source("InfiMM-WebMath-40B: Parquet as published, or hub://Infi-MM/InfiMM-WebMath-40B", sample)
