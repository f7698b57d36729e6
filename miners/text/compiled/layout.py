"""What the compiled steps hand to each other: a column of bodies as runs of text, marks on them, and blocks.

    HTML --reader--> text, marks, objects, blocks --formulas--> spans --writer--> Markdown

The texts of all bodies lie one after another in `Page.text`, cut into runs by the blocks. A NUL in it stands for an
object (a code span, an image, a bare address), whose Markdown lies in `Page.kept`, as addresses and code do. Offsets
count bytes, and are absolute.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Records = npt.NDArray[np.void]


class Block:
    """A record of `Page.blocks`: what to do next, and with what.

    kind: one of the constants below. start, end: a run's text in `text`, or the code of a fence in `kept`.
    marks, marks_end: a run's marks; of a fence, where its language lies in `kept`. objects: a run's first object.
    formulas, formulas_end: a run's formulas. detail: a heading's level (0: a paragraph), or a list's first number.
    in_paragraph: 1 where the run stands in a `<p>`.
    """

    kind: int
    start: int
    end: int
    marks: int
    marks_end: int
    objects: int
    formulas: int
    formulas_end: int
    detail: int
    in_paragraph: int


class Mark:
    """A record of `Page.marks`: what lies around `text[start:end]`; of a link, the address `kept[url:url_end]`."""

    kind: int
    start: int
    end: int
    url: int
    url_end: int


class Span:
    """A record: a slice of bytes."""

    start: int
    end: int


def record(fields: type) -> np.dtype[np.void]:
    """Give the numpy type of a record of whole numbers.

    >>> record(Span).names
    ('start', 'end')
    """
    return np.dtype([(name, np.int64) for name in fields.__annotations__])


def flags(chars: str) -> Bytes:
    """Write a table of bytes, 1 for each of these characters."""
    table = np.zeros(256, np.uint8)
    table[[ord(char) for char in chars]] = 1
    return table


class Page(NamedTuple):
    """A column of bodies, read. `block_ends[i]`: where in `blocks` those of body i end. refused: not for this path."""

    text: Bytes
    kept: Bytes
    marks: Records
    objects: Records
    blocks: Records
    block_ends: Counts
    refused: Flags


RUN, FENCE, RULE, QUOTE, ITEM, CONTAINER_END, LIST, LIST_END = range(8)
"""Kinds of block: the first three are written, the others open and close what stands around them."""
BULLETS = -1
"""A list's first number, where its items have none."""

EMPHASIS, STRONG, STRUCK, LINK, SUPERSCRIPT, SUBSCRIPT, ESCAPED_SUBSCRIPT, LINE_BREAK = range(8)
"""Kinds of mark. From SUPERSCRIPT on they are points: one sign at the start, none at the end."""

OBJECT = 0
"""Byte in a text that stands for an object, as `inline.OBJECT` does."""


_TAB, _NEWLINE, _SPACE = 0x09, 0x0A, 0x20


@register_jitable
def space_at(text: Bytes, at: int, end: int) -> int:
    """Return the bytes of the white space (as `str.isspace` has it) that begins at `at`, 0 where none does."""
    lead = text[at]
    if lead <= _SPACE:
        return 1 if lead in (_SPACE, _NEWLINE, _TAB) else 0  # the reader lets no other control through
    if lead < 0xC2 or at + 1 >= end:  # noqa: PLR2004
        return 0
    second = text[at + 1]
    if lead == 0xC2:  # noqa: PLR2004
        return 2 if second in (0x85, 0xA0) else 0
    if lead > 0xE3 or at + 2 >= end:  # noqa: PLR2004
        return 0
    return 3 if _is_wide_space(lead, second, text[at + 2]) else 0


@register_jitable
def space_before(text: Bytes, start: int, at: int) -> int:
    """Return the bytes of the white space that ends at `at`, 0 where none does; `start` bounds the text."""
    if at - 1 >= start and space_at(text, at - 1, at) == 1:
        return 1
    if at - 2 >= start and space_at(text, at - 2, at) == 2:  # noqa: PLR2004
        return 2
    return 3 if at - 3 >= start and space_at(text, at - 3, at) == 3 else 0  # noqa: PLR2004


@register_jitable
def _is_wide_space(lead: int, second: int, third: int) -> bool:
    """Tell white space of three bytes: U+1680, U+2000-200A, U+2028, U+2029, U+202F, U+205F, U+3000."""
    if lead == 0xE2 and second == 0x80:  # noqa: PLR2004
        return 0x80 <= third <= 0x8A or third in (0xA8, 0xA9, 0xAF)  # noqa: PLR2004
    return (lead, second, third) in ((0xE1, 0x9A, 0x80), (0xE2, 0x81, 0x9F), (0xE3, 0x80, 0x80))
