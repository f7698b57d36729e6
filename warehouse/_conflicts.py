"""What two rows of one window must not share: a document, its duplicate cluster, or a suffix, equal or nearly so.

Two suffixes are nearly equal if ALIKE of their word 5-grams are shared, as estimated by the values of two MinHash
signatures that are equal. It is a rule between two texts alone, so that what it says of a pair never changes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from numba import njit
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from warehouse.dedupe.bands import band_rows, candidates
from warehouse.dedupe.curve import needed
from warehouse.dedupe.edges import attach, verify
from warehouse.dedupe.signatures import Sketch, sign, values

ALIKE = 0.8
"""Jaccard similarity from which suffixes are nearly equal."""

SKETCH = Sketch(bands=12, rows=5)
"""A shared band finds 99% of the suffixes that are just alike; the estimate has a standard error of .05 there."""

Codes = npt.NDArray[np.int64]
"""A number for each row; rows of one number are of one class."""

Signatures = npt.NDArray[np.uint32]
"""(rows, values); a row of zeros where a suffix has no word, and is like no other."""


def sign_suffixes(suffixes: pa.ChunkedArray) -> Signatures:
    """Sign each suffix."""
    signed = sign(suffixes, SKETCH)
    known: npt.NDArray[np.bool_] = signed.is_valid().to_numpy(zero_copy_only=False)
    return np.where(known[:, np.newaxis], values(signed), np.uint32(0))


def find_alike(signatures: Signatures, suffix_key: pa.ChunkedArray) -> Codes:
    """Find suffixes that are equal or nearly so -> (2, pairs) of row numbers.

    All equal ones are joined, and nearly all of the alike ones: see `candidates`.
    """
    known = pa.array(signatures.any(axis=1))
    raw = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * SKETCH.num_perm), len(signatures), [None, pa.py_buffer(np.ascontiguousarray(signatures, "<u4"))]
    )
    table = pa.table(
        {
            "ref": pa.array(np.arange(len(signatures), dtype=np.uint64)),
            "text_hash": suffix_key,
            "signature": pa.compute.if_else(known, raw, None),
        }
    )
    found = attach(candidates(band_rows(table, SKETCH)), table.select(["ref", "signature"]))
    edges = verify(found, table.select(["ref", "signature"]), ALIKE).kept
    return np.stack([edges[side].to_numpy().astype(np.int64) for side in ("left", "right")])


def find_alike_within(signatures: Signatures, window: Codes) -> Codes:
    """Find all pairs of nearly equal suffixes that share a window -> (2, pairs) of row numbers; -1 is no window."""
    order = np.argsort(window, kind="stable")
    return order[_compare(signatures, order, window, needed(SKETCH.num_perm, ALIKE)).T]


def classify(rows: pa.Table, alike: Codes) -> tuple[Codes, Codes]:
    """Give each row's class by document and cluster, and by suffix. alike: pairs of `find_alike`."""
    frame = pl.DataFrame(rows.select(["group_id", "cluster_id", "suffix_key"]))
    codes = {name: frame[name].rank("dense").to_numpy().astype(np.int64) - 1 for name in frame.columns}
    return unite([codes["group_id"], codes["cluster_id"]]), unite([codes["suffix_key"]], alike)


def unite(keys: Sequence[Codes], pairs: Codes | None = None) -> Codes:
    """Join rows that have an equal value in one of the keys, or are a pair -> each class's first row, for each row.

    keys: values from 0 on. pairs: (2, pairs) of row numbers.
    """
    rows = np.arange(len(keys[0]))
    nodes, ends = [len(rows)], []
    for key in keys:  # a node for each row, and one for each value
        ends.append(np.stack([rows, key + nodes[-1]]))
        nodes.append(nodes[-1] + int(key.max(initial=-1)) + 1)
    if pairs is not None:
        ends.append(pairs)
    left, right = np.concatenate(ends, axis=1)
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(nodes[-1], nodes[-1]))
    labels = connected_components(graph, directed=False)[1][: len(rows)]
    _, first, own = np.unique(labels, return_index=True, return_inverse=True)
    return first[own]


@njit(cache=True, nogil=True)
def _compare(signatures: Signatures, order: Codes, window: Codes, least: int) -> Codes:
    """Compare all rows of each window -> (pairs, 2) of places in `order`, which sorts the rows by window."""
    found = [(0, 0) for _ in range(0)]
    most = signatures.shape[1] - least
    for second in range(len(order)):
        first = second - 1
        while first >= 0 and window[order[first]] == window[order[second]] and window[order[second]] >= 0:
            if _are_alike(signatures[order[first]], signatures[order[second]], most):
                found.append((first, second))
            first -= 1
    pairs = np.empty((len(found), 2), np.int64)
    for at in range(len(found)):
        pairs[at, 0], pairs[at, 1] = found[at]
    return pairs


@njit(cache=True, nogil=True)
def _are_alike(left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32], most: int) -> bool:
    """Whether `most` values differ, or fewer; two signatures of nothing are unlike."""
    different, some = 0, False
    for at in range(len(left)):
        different += left[at] != right[at]
        some |= left[at] != 0
        if different > most:
            return False
    return some
