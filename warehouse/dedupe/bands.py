"""Signatures -> keys -> candidate pairs: two groups meet where they share a thread, a text, or a band.

Source: P. Indyk and R. Motwani, "Approximate nearest neighbors", STOC 1998; banding as in J. Leskovec,
A. Rajaraman, J. Ullman, "Mining of Massive Datasets", section 3.4.
"""

from enum import StrEnum

import numpy as np
import polars as pl
import pyarrow as pa

from warehouse.dedupe.kernel import RADIX, Hashes, Words, finalise
from warehouse.dedupe.signatures import Sketch, values


class Link(StrEnum):
    """Why two groups may be the same, the strongest first."""

    THREAD = "thread"
    TEXT = "text"
    NEAR = "near"
    CONTAINED = "contained"


ROWS = pa.schema([("key", pa.uint64()), ("ref", pa.uint64()), ("kind", pa.string())])
CANDIDATES = pa.schema([("left", pa.uint64()), ("right", pa.uint64()), ("kind", pa.string())])

WHOLE = 6
"""Up to so many members of one key, all pairs are candidates: 15 pairs. Beyond, about two a member."""

_STRENGTH = pl.Enum([str(link) for link in Link])


def band_rows(signatures: pa.Table, sketch: Sketch) -> pa.Table:
    """List the keys of each group (of `ref, text_hash, signature`, and `group_key: uint64` where inputs may overlap).

    key: uint64; equal only where band number and band, or text, or thread are equal.
    ref: uint64. kind: a Link.
    """
    parts = [_near(signatures, sketch), _exact(signatures, "text_hash", Link.TEXT)]
    if "group_key" in signatures.column_names:
        parts.append(_exact(signatures, "group_key", Link.THREAD))
    return pa.concat_tables(parts)


def candidates(rows: pa.Table) -> pa.Table:
    """Pair the members of each key -> distinct `left < right`, each of the strongest kind that found it.

    All rows with a key must be there: one hash bucket of keys. A key of m members gives all pairs for m <= WHOLE, else
    a star (each with the smallest ref) and a chain (each with the next ref), 2m - 3 pairs. Of a big key that can miss
    a pair of alike texts which are neither neighbours nor with the smallest ref, when those between them turn out to be
    unlike. Such a key is boilerplate that many texts share; the texts that are alike beyond it meet in other bands,
    in other and smaller company (a pair of Jaccard .9 shares 6 bands of 14x8 in the mean). Pairs of one text or
    one thread need no check, so that star or chain alone joins them all.
    """
    frame = pl.DataFrame(pl.from_arrow(rows)).filter(pl.col("key").is_duplicated())
    frame = frame.with_columns(pl.col("kind").cast(_STRENGTH)).unique().sort("key", "kind", "ref")
    members = frame.with_columns(size=pl.len().over("key", "kind"), first=pl.col("ref").first().over("key", "kind"))
    small, big = members.filter(pl.col("size") <= WHOLE), members.filter(pl.col("size") > WHOLE)
    star = big.select(left="first", right="ref", kind="kind").filter(pl.col("left") < pl.col("right"))
    pairs = pl.concat([star, _apart(big, 1), *(_apart(small, steps) for steps in range(1, WHOLE))])
    return _strongest(pairs)


def distinct(pairs: pa.Table) -> pa.Table:
    """Keep each pair once, of its strongest kind: for pairs that several buckets of keys have found."""
    return _strongest(pl.DataFrame(pl.from_arrow(pairs)).with_columns(pl.col("kind").cast(_STRENGTH)))


def _strongest(pairs: pl.DataFrame) -> pa.Table:
    found = pairs.group_by("left", "right").agg(pl.col("kind").min()).sort("left", "right")
    return found.with_columns(pl.col("kind").cast(pl.String)).to_arrow().cast(CANDIDATES)


def _apart(members: pl.DataFrame, steps: int) -> pl.DataFrame:
    """Pair each member with the one so many places on in the same key."""
    same = (pl.col("key") == pl.col("key").shift(-steps)) & (pl.col("kind") == pl.col("kind").shift(-steps))
    return (
        members.select(left="ref", right=pl.col("ref").shift(-steps), kind="kind", same=same)
        .filter("same")
        .drop("same")
    )


def _near(signatures: pa.Table, sketch: Sketch) -> pa.Table:
    signed = signatures.filter(signatures["signature"].is_valid())
    banded = values(signed["signature"]).reshape(-1, sketch.bands, sketch.rows)
    keys = _band_keys(banded, sketch)
    return _rows(keys.ravel(), np.repeat(signed["ref"].to_numpy(), sketch.bands), Link.NEAR)


def _band_keys(banded: Words, sketch: Sketch) -> Hashes:
    """Hash each band with its number: a sum of its values times odd numbers of the band's own (multilinear)."""
    places = np.arange(1, sketch.num_perm + 1, dtype=np.uint64)
    odd = finalise(places * RADIX).reshape(sketch.bands, sketch.rows) | np.uint64(1)
    sums = np.einsum("nbr,br->nb", banded, odd, dtype=np.uint64, casting="safe")
    return finalise(sums + finalise(np.arange(1, sketch.bands + 1, dtype=np.uint64)))


def _exact(signatures: pa.Table, column: str, kind: Link) -> pa.Table:
    known = signatures.filter(signatures[column].is_valid())
    salt = np.uint64(int.from_bytes(kind.encode(), "little"))
    return _rows(finalise(finalise(known[column].to_numpy() ^ salt)), known["ref"].to_numpy(), kind)


def _rows(keys: Hashes, refs: Hashes, kind: Link) -> pa.Table:
    kinds = pa.DictionaryArray.from_arrays(np.zeros(len(keys), np.int8), [str(kind)])
    return pa.table([keys, refs, kinds.cast(pa.string())], schema=ROWS)
