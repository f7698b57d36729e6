"""Candidate pairs -> verified edges: a shared band alone never joins two groups.

Two hops, so that each sees one hash bucket of groups at a time: `attach` where the signature of `left` is, `verify`
where that of `right` is.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from schemas.drops import DropReason
from schemas.errors import PartitionError
from schemas.outcome import Outcome
from warehouse.dedupe.bands import Link
from warehouse.dedupe.curve import needed
from warehouse.dedupe.kernel import Words
from warehouse.dedupe.signatures import values

THRESHOLD = 0.7
"""Default for `verify`; near the point where half of the pairs become candidates with 14x8 (.719)."""

EDGES = pa.schema([("left", pa.uint64()), ("right", pa.uint64()), ("kind", pa.string()), ("jaccard", pa.float32())])


def attach(candidates: pa.Table, signatures: pa.Table) -> pa.Table:
    """Add `left_signature` to pairs, from `signatures` (`ref, signature`), which must hold every `left`."""
    found = signatures["signature"].take(pa.array(_rows_of(candidates, "left", signatures)))
    return candidates.append_column("left_signature", found)


def verify(attached: pa.Table, signatures: pa.Table, threshold: float = THRESHOLD) -> Outcome:
    """Estimate the Jaccard similarity of each pair, and drop the near ones below the threshold.

    The estimate is the share of equal values: unbiased, standard error sqrt(J (1 - J) / num_perm), .043 at J = .7.
    kept: `left, right, kind, jaccard: float32`. Pairs of one thread or one text are kept whatever the estimate, which
        is null where a text has no shingle.
    dropped: `reason` UNVERIFIED, `ref` "left-right" in hex, `jaccard`.
    """
    at = _rows_of(attached, "right", signatures)
    left, right = attached["left_signature"], signatures["signature"]
    width = right.type.byte_width // 4
    equal = _count_equal(values(left), values(right), at)
    known = pc.and_(left.is_valid(), right.is_valid().take(pa.array(at)))
    jaccard = pc.if_else(known, pa.array((equal / width).astype(np.float32)), None)
    passed = pc.and_(known, pa.array(equal >= needed(width, threshold)))
    kept = pc.or_(passed, pc.not_equal(attached["kind"], Link.NEAR.value))
    pairs = attached.drop_columns(["left_signature"]).append_column("jaccard", jaccard).cast(EDGES)
    return Outcome(pairs.filter(kept), _dropped(pairs.filter(pc.invert(kept))), attached.num_rows)


def _rows_of(pairs: pa.Table, side: str, signatures: pa.Table) -> npt.NDArray[np.int64]:
    """In which row of `signatures` the group on that side of each pair is."""
    refs, wanted = signatures["ref"].to_numpy(), pairs[side].to_numpy()
    order = np.argsort(refs, kind="stable")
    place = np.searchsorted(refs, wanted, sorter=order)
    found = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(0, np.int64)
    missing = wanted if len(order) == 0 else wanted[refs[found] != wanted]
    if len(missing):
        raise PartitionError(
            f"dedupe: {len(missing)} pairs name a `{side}` that has no signature here, such as {missing[0]:016x}; "
            f"pairs and signatures must be bucketed by the same hash of `{side}` and `ref`"
        )
    return found


@njit(cache=True, nogil=True)
def _count_equal(left: Words, right: Words, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count the equal values of row i of `left` and row at[i] of `right`."""
    counts = np.empty(len(at), np.int64)
    for row in range(len(at)):
        counts[row] = (left[row] == right[at[row]]).sum()
    return counts


def _dropped(pairs: pa.Table) -> pa.Table:
    frame = pl.DataFrame({side: _hex(pairs[side].to_numpy()) for side in ("left", "right")})
    ref = frame.select(ref=pl.concat_str("left", "right", separator="-")).to_arrow()["ref"].cast(pa.string())
    reason = pa.repeat(pa.scalar(DropReason.UNVERIFIED.value), pairs.num_rows)
    return pa.table({"reason": reason, "ref": ref, "jaccard": pairs["jaccard"]})


def _hex(refs: npt.NDArray[np.uint64]) -> pl.Series:
    digits = pa.Array.from_buffers(pa.binary(8), len(refs), [None, pa.py_buffer(refs.astype(">u8"))])
    return pl.Series(pl.from_arrow(digits.cast(pa.binary()))).bin.encode("hex")
