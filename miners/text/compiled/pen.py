"""The output of the compiled writer, and the quotes and lists that it stands in."""

from typing import NamedTuple

from numba.extending import register_jitable

from miners.text.compiled.layout import (
    BULLETS,
    Bytes,
    Counts,
    record,
)

MOST_CONTAINERS = 24
QUOTED = -2

_NEWLINE, _SPACE, _HYPHEN, _DOT, _ZERO, _GREATER = map(ord, "\n -.0>")


class Draft(NamedTuple):
    """Room to work in. line: the line being written. edges: where marks begin and end. The rest: what is open.

    kinds, widths, fresh: of each container, QUOTED or an item's number (BULLETS for none), the columns of its prefix,
    and whether its first line is still to come. lists: the next number of each list.
    """

    line: Bytes
    edges: Counts
    kinds: Counts
    widths: Counts
    fresh: Counts
    lists: Counts


class Pen:
    """Record of where writing stands.

    at, limit: of the output. begin: where the body began. depth, lists: containers and lists open; width: columns of
    all prefixes. common, common_lists: the fewest open since the last block; was_tight: of it. refused: the body is.
    length: of the line; pending: white space is due. lines: of the block; gap: an empty line is due. object, formula:
    the next to be filled in. closed: the end of the last mark or placeholder in the run. in_link: brackets are escaped.
    """

    at: int
    limit: int
    begin: int
    depth: int
    lists: int
    width: int
    common: int
    common_lists: int
    was_tight: int
    refused: int
    length: int
    pending: int
    lines: int
    gap: int
    object: int
    formula: int
    closed: int
    in_link: int


PEN = record(Pen)


@register_jitable
def put(pen: Pen, out: Bytes, byte: int) -> None:
    """Write one byte."""
    out[pen.at] = byte
    pen.at += 1


@register_jitable
def put_many(pen: Pen, out: Bytes, byte: int, times: int) -> None:
    """Write a byte so many times."""
    for _ in range(times):
        put(pen, out, byte)


@register_jitable
def put_slice(pen: Pen, out: Bytes, source: Bytes, start: int, end: int) -> None:
    """Write a slice."""
    shift = pen.at - start
    for at in range(start, end):
        out[at + shift] = source[at]
    pen.at += end - start


@register_jitable
def has_room(pen: Pen, size: int) -> bool:
    """Tell whether a block of that many bytes fits, with the prefixes around its first line; else refuse the body."""
    if pen.at + size + 2 * pen.width + 4 > pen.limit:
        pen.refused = 1
    return pen.refused == 0


@register_jitable
def begin_block(draft: Draft, pen: Pen, out: Bytes, tight: int) -> None:
    """Set a block apart from the last, and write the prefix of its first line."""
    if pen.at > pen.begin:
        put(pen, out, _NEWLINE)
        if not (tight and pen.was_tight and pen.common_lists):
            put_prefix(draft, pen, out, pen.common, 1)
            put(pen, out, _NEWLINE)
    pen.was_tight, pen.common, pen.common_lists = tight, pen.depth, pen.lists
    for place in range(pen.depth):
        kind, width = draft.kinds[place], draft.widths[place]
        if kind == QUOTED:
            put(pen, out, _GREATER)
        elif not draft.fresh[place]:
            put(pen, out, _SPACE)
            put_many(pen, out, _SPACE, width - 2)
        elif kind == BULLETS:
            put(pen, out, _HYPHEN)
        else:
            pen.at += width - 1
            _put_number_before(pen, out, kind)
        put(pen, out, _SPACE)
        draft.fresh[place] = 0


@register_jitable
def _put_number_before(pen: Pen, out: Bytes, number: int) -> None:
    """Write `12.` so that it ends where the pen stands."""
    out[pen.at - 1] = _DOT
    at = pen.at - 2
    out[at] = _ZERO + number % 10
    while number >= 10:  # noqa: PLR2004
        number, at = number // 10, at - 1
        out[at] = _ZERO + number % 10


@register_jitable
def put_prefix(draft: Draft, pen: Pen, out: Bytes, depth: int, trimmed: int) -> None:
    """Write the prefix of a line that is not its block's first; trimmed: without blanks at its end."""
    start = pen.at
    for place in range(depth):
        put(pen, out, _GREATER if draft.kinds[place] == QUOTED else _SPACE)
        put_many(pen, out, _SPACE, draft.widths[place] - 1)
    if trimmed:
        trim(pen, out, start)


@register_jitable
def trim(pen: Pen, out: Bytes, start: int) -> None:
    """Take back blanks, but not from before `start`."""
    while pen.at > start and out[pen.at - 1] == _SPACE:
        pen.at -= 1


@register_jitable
def open_container(kind: int, width: int, draft: Draft, pen: Pen) -> None:
    """Open a quote or an item; too many refuse the body."""
    if pen.depth == MOST_CONTAINERS:
        pen.refused = 1
        return
    draft.kinds[pen.depth], draft.widths[pen.depth], draft.fresh[pen.depth] = kind, width, 1
    pen.depth, pen.width = pen.depth + 1, pen.width + width


@register_jitable
def open_item(draft: Draft, pen: Pen) -> None:
    """Open the next item of the innermost list."""
    number = draft.lists[pen.lists - 1]
    digits, rest = 1, number
    while rest >= 10:  # noqa: PLR2004
        digits, rest = digits + 1, rest // 10
    if number != BULLETS:
        draft.lists[pen.lists - 1] += 1
    open_container(number, 2 if number == BULLETS else digits + 2, draft, pen)


@register_jitable
def close_container(draft: Draft, pen: Pen, out: Bytes) -> None:
    """Close the innermost quote or item."""
    last = pen.depth - 1
    if draft.fresh[last] and draft.kinds[last] != QUOTED and has_room(pen, 0):
        begin_block(draft, pen, out, 1)  # an empty item still shows
        trim(pen, out, pen.begin)
    pen.depth, pen.width = last, pen.width - draft.widths[last]
    pen.common = min(pen.common, pen.depth)
