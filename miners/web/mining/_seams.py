"""Seams: whether the joint of two texts reads on, letter by letter.

The question that a language model answers, asked of one that knows only spelling: bytes given the four before them,
counted in the texts themselves, each order smoothed by the one below. How much do the prefix's last bytes help to
foresee the suffix's first? `theo|rem` helps much, `theo|The` not at all.

N-grams are numbers, and their counts distances in a sorted array of them.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

_ORDER = 5  # bytes of an n-gram: four of context; beyond that most of a sample's n-grams are seen once
_SMOOTHING = 4.0  # as so many sightings counts what the order below expects
_MOST = 8.0  # nats: no single joint says more than that, however rare its letters
_REFERENCES = 64  # prefixes that stand for all of them


def measure_seams(texts: pl.DataFrame, row: Places, candidate: Places) -> Numbers:
    """Measure, in nats, how much better prefix `row[i]` foresees the start of suffix `candidate[i]` than prefixes do.

    The start is four bytes; 0 where the prefix says no more than prefixes do on average. Against the average, since
    prefixes may all end alike: behind the end of a sentence, any sentence may begin. texts: `prefix, suffix`. What is
    counted is the inside of texts; no prefix is joined to its own suffix there.
    """
    inside = pl.concat([texts["prefix"], texts["suffix"]]).str.join("\0" * _ORDER).item()
    grams = _Grams(np.frombuffer(inside.encode(), np.uint8))
    wide, pad = _ORDER - 1, pl.lit("\0" * _ORDER)
    ends = _as_bytes(texts.select((pad + pl.col("prefix")).cast(pl.Binary).bin.slice(-wide, wide)).to_series())
    starts = _as_bytes(texts.select((pl.col("suffix") + pad).cast(pl.Binary).bin.slice(0, wide)).to_series())
    some = ends[np.linspace(0, len(ends) - 1, min(_REFERENCES, len(ends))).astype(np.int64)]
    anywhere = grams.foresee(np.tile(some, (len(starts), 1)), np.repeat(starts, len(some), axis=0))
    average = np.log(np.exp(anywhere.reshape(len(starts), len(some))).mean(axis=1))
    gain = grams.foresee(ends[row], starts[candidate]) - average[candidate]
    bounded: Numbers = np.clip(gain, -_MOST, _MOST).round(6)
    return bounded


def _as_bytes(pieces: pl.Series) -> Bytes:
    """View texts of four bytes, `_ORDER - 1`, as an array, a row each."""
    numbers = pieces.bin.reinterpret(dtype=pl.UInt32, endianness="big").to_numpy()
    return numbers.astype(">u4").view(np.uint8).reshape(-1, _ORDER - 1)


class _Grams:
    """Counts of the n-grams of some bytes, of all orders up to `_ORDER`, and what they make likely."""

    def __init__(self, data: Bytes) -> None:
        self.sorted = [
            np.sort(_encode(np.lib.stride_tricks.sliding_window_view(data, n))) for n in range(1, _ORDER + 1)
        ]

    def foresee(self, ends: Bytes, starts: Bytes) -> Numbers:
        """Give the log-probability of the bytes in each row of `starts` behind those of `ends`."""
        joints, wide = np.hstack([ends, starts]), _ORDER - 1
        total = np.zeros(len(joints))
        for at in range(wide, joints.shape[1]):
            total += self._foresee_last(joints[:, at - wide : at + 1])
        return total

    def _foresee_last(self, grams: Bytes) -> Numbers:
        """Give the log-probability of the last byte of each gram behind those before it."""
        likely = np.full(len(grams), 1 / 256)
        for n in range(1, _ORDER + 1):
            seen = self._count(grams[:, _ORDER - n :])
            before = self._count(grams[:, _ORDER - n : -1]) if n > 1 else len(self.sorted[0])
            likely = (seen + _SMOOTHING * likely) / (before + _SMOOTHING)
        logs: Numbers = np.log(likely)
        return logs

    def _count(self, grams: Bytes) -> Numbers:
        keys, known = _encode(grams), self.sorted[grams.shape[1] - 1]
        counts = np.searchsorted(known, keys, "right") - np.searchsorted(known, keys, "left")
        return counts.astype(np.float64)


def _encode(grams: Bytes) -> npt.NDArray[np.uint64]:
    """Write each row of bytes as one number."""
    number = np.zeros(len(grams), np.uint64)
    for at in range(grams.shape[1]):
        number = (number << np.uint64(8)) | grams[:, at].astype(np.uint64)
    return number
