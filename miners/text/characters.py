"""Where characters (Unicode code points) lie in UTF-8: columns of texts, seen as bytes and as characters at once."""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Integers = npt.NDArray[np.int64]

_CONTINUES, _KIND = 0x80, 0xC0  # a byte 0b10...... goes on with the character before it


def lay_out(sizes: Integers) -> Integers:
    """Say where each of some things begins that lie one after another, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(sizes)])


class Characters:
    """A column of texts without nulls.

    lengths: characters of each text. Working memory of the methods: about 9 bytes a byte of text, none where every
    character is one byte.
    """

    def __init__(self, texts: pl.Series) -> None:
        self.lengths: Integers = texts.str.len_chars().cast(pl.Int64).to_numpy()
        sizes: Integers = texts.str.len_bytes().cast(pl.Int64).to_numpy()
        self.byte_offsets: Integers = lay_out(sizes)  # of each text in the bytes of all; the last is their number
        self.offsets: Integers = lay_out(self.lengths)  # of each text in the characters of all
        self._texts = texts
        self._is_ascii = bool(np.array_equal(sizes, self.lengths))

    def find_bytes(self, rows: Integers, characters: Integers) -> Integers:
        """Turn places within texts, in characters, into places in bytes."""
        if self._is_ascii:
            return characters
        found: Integers = self._starts[self.offsets[rows] + characters] - self.byte_offsets[rows]
        return found

    def count_characters(self, ends: Integers) -> Integers:
        """Count the characters of all texts that begin before each place in the bytes of all texts."""
        if self._is_ascii:
            return ends
        counted: Integers = np.searchsorted(self._starts, ends)
        return counted

    @cached_property
    def _starts(self) -> Integers:
        """Where each character of all texts begins, and where the last one ends."""
        _, _, data = self._texts.to_arrow().cast(pa.large_string()).buffers()
        begins = (np.frombuffer(data, np.uint8)[: self.byte_offsets[-1]] & _KIND) != _CONTINUES
        return np.append(np.flatnonzero(begins), self.byte_offsets[-1])
