"""Text -> MinHash signature.

The values are those of datasketch 2.0 (scheme `affine32`, its seed, its permutations), bit for bit, for the shingles
of `shingles.py` and the hash of `kernel.py`; datasketch is the oracle of the tests.
Source: A. Broder, "On the resemblance and containment of documents", SEQUENCES 1997.
"""

import unicodedata
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
import polars as pl
import polars_hash as plh
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHash

from schemas.errors import RecipeError
from warehouse.dedupe import kernel
from warehouse.dedupe.kernel import Bytes, Counts, Words
from warehouse.dedupe.shingles import letter_table

SCHEME = "affine32"


@dataclass(frozen=True, slots=True)
class Sketch:
    """How texts are sketched. Signatures of different sketches must never be compared.

    bands, rows: the signature is read as `bands` bands of `rows` values; two texts meet where a whole band is equal.
    shingle: tokens a shingle.
    seed: of datasketch's permutations.
    """

    bands: int = 14
    rows: int = 8
    shingle: int = 5
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse a sketch of nothing."""
        for name in ("bands", "rows", "shingle"):
            if getattr(self, name) < 1:
                raise RecipeError(f"dedupe: `{name}` is {getattr(self, name)}; it must be 1 or more")

    @property
    def num_perm(self) -> int:
        """Values a signature."""
        return self.bands * self.rows

    def fingerprint(self) -> str:
        """Name everything that a signature or a band key depends on, Python's Unicode version included."""
        bands, rows, size, seed = astuple(self)
        letters = f"unicode-{unicodedata.unidata_version}"
        return f"{SCHEME}/{kernel.VERSION}/{letters}/{bands}x{rows}/shingle-{size}/seed-{seed}"


def sign(texts: pa.Array | pa.ChunkedArray, sketch: Sketch) -> pa.FixedSizeBinaryArray:
    """Sign each text: `num_perm` little-endian uint32 in a row; null where a text has no shingle, or is null.

    Working memory beyond the answer: six bytes a byte of the longest text.
    """
    data, offsets = buffers_of(texts)
    signatures = np.empty((len(offsets) - 1, sketch.num_perm), np.uint32)
    shingles = np.empty(len(signatures), np.int64)
    kernel.fill(data, offsets, letter_table(), _permutations(sketch), sketch.shingle, signatures, shingles)
    buffers = [
        pa.py_buffer(np.packbits(shingles > 0, bitorder="little")),
        pa.py_buffer(signatures.astype("<u4", copy=False)),
    ]
    return pa.Array.from_buffers(pa.binary(4 * sketch.num_perm), len(signatures), buffers)


def values(signatures: pa.Array | pa.ChunkedArray) -> Words:
    """View signatures as an array (rows, num_perm), without a copy. What a null row holds means nothing."""
    whole = signatures.combine_chunks() if isinstance(signatures, pa.ChunkedArray) else signatures
    width = whole.type.byte_width // 4
    if len(whole) == 0:
        return np.empty((0, width), np.uint32)
    end = whole.offset + len(whole)  # a buffer may be padded beyond it
    return np.frombuffer(whole.buffers()[1], "<u4", end * width).reshape(-1, width)[whole.offset :]


def signature_table(groups: pa.Table, sketch: Sketch) -> pa.Table:
    """Replace `text` (of `ref: uint64, text: string, ...`) by what dedupe needs of it.

    text_hash: uint64, xxh3 of the text in lower case with every run of white space as one space; null where nothing
        is left. Equal hashes are exact duplicates.
    chars: int64, code points of the text as it came.
    signature: see `sign`.
    """
    texts = pl.DataFrame(pl.from_arrow(groups.select(["text"])))
    squeezed = texts.select(squeezed=_squeezed(), chars=pl.col("text").str.len_chars().cast(pl.Int64))
    text_hash = plh.col("squeezed").nchash.xxh3_64()
    hashed = squeezed.select(pl.when(pl.col("squeezed") != "").then(text_hash).alias("text_hash"), "chars")
    made = hashed.to_arrow().append_column("signature", sign(groups["text"], sketch))
    kept = groups.drop_columns(["text"])
    return pa.table([*kept.columns, *made.columns], names=[*kept.column_names, *made.column_names])


def _squeezed() -> pl.Expr:
    # Leaves the lone spaces alone, and so finds little to replace: four times as fast as `\s+`, with the same answer.
    return pl.col("text").str.to_lowercase().str.replace_all(r"\s{2,}|[^\S ]", " ").str.strip_chars(" ")


def buffers_of(texts: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Counts]:
    """Give the bytes and offsets (rows + 1) of any kind of string array, sliced or chunked; nulls as empty texts."""
    wide = pc.fill_null(texts.cast(pa.large_string()), "")
    whole = wide.combine_chunks() if isinstance(wide, pa.ChunkedArray) else wide
    if len(whole) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = whole.buffers()
    starts = np.frombuffer(offsets, np.int64)[whole.offset : whole.offset + len(whole) + 1]
    return np.frombuffer(data or b"", np.uint8), starts


@cache
def _permutations(sketch: Sketch) -> Words:
    drawn = MinHash(num_perm=sketch.num_perm, seed=sketch.seed, scheme=SCHEME)
    return np.ascontiguousarray(drawn.permutations, np.uint32)
