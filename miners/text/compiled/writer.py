"""Blocks written as Markdown: the third compiled step, what `blocks.Writer` does, over bytes.

A body is refused where an escape depends on a letter beyond ASCII, where a mark begins or ends inside a formula, where
more than `MOST_CONTAINERS` quotes and items are open, and where it grows to more than four times its size.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from miners.text.compiled.layout import (
    CONTAINER_END,
    FENCE,
    ITEM,
    LIST,
    LIST_END,
    QUOTE,
    RULE,
    RUN,
    Block,
    Bytes,
    Counts,
    Page,
    Records,
)
from miners.text.compiled.pen import (
    MOST_CONTAINERS,
    PEN,
    QUOTED,
    Draft,
    Pen,
    begin_block,
    close_container,
    has_room,
    open_container,
    open_item,
    put,
    put_many,
    put_prefix,
    put_slice,
)
from miners.text.compiled.runs import write_run

_MOST_LISTS = 64

_NEWLINE, _SPACE, _STAR, _HYPHEN, _TICK = map(ord, "\n *-`")


GROWTH, SLACK = 4, 256
"""A body of n bytes may become GROWTH * n + SLACK."""


@njit(cache=True, nogil=True)
def write(page: Page, spans: Records, sizes: Counts, out: Bytes, ends: Counts) -> None:
    """Write body i to `out[ends[i - 1]:ends[i]]`; `sizes` are the bytes of its HTML, to which `out` is proportioned."""
    pen = np.zeros(1, PEN)[0]
    longest = 0
    for block in range(page.block_ends[-1] if len(page.block_ends) else 0):
        longest = max(longest, page.blocks[block].marks_end - page.blocks[block].marks)
    draft = Draft(
        np.empty(GROWTH * (sizes.max() if len(sizes) else 0) + SLACK, np.uint8),
        np.empty(2 * longest, np.int64),
        np.empty(MOST_CONTAINERS, np.int64),
        np.empty(MOST_CONTAINERS, np.int64),
        np.empty(MOST_CONTAINERS, np.int64),
        np.empty(_MOST_LISTS, np.int64),
    )
    first = 0
    for row in range(len(page.block_ends)):
        last = page.block_ends[row]
        if not page.refused[row]:
            pen.begin, pen.limit = pen.at, pen.at + GROWTH * sizes[row] + SLACK
            pen.depth = pen.lists = pen.width = pen.common = pen.common_lists = pen.was_tight = pen.refused = 0
            while first < last and not pen.refused:
                _write_block(page, spans, page.blocks[first], draft, pen, out)
                first += 1
            if pen.refused:
                page.refused[row] = True
                pen.at = pen.begin
        first, ends[row] = last, pen.at


@register_jitable
def _write_block(page: Page, spans: Records, block: Block, draft: Draft, pen: Pen, out: Bytes) -> None:  # noqa: C901
    kind = block.kind
    if kind == RUN:
        write_run(page, spans, block, draft, pen, out)
    elif kind == FENCE:
        _write_fence(page.kept, block, draft, pen, out)
    elif kind == RULE:
        if has_room(pen, 3):
            begin_block(draft, pen, out, 0)
            sign = _STAR if pen.depth else _HYPHEN  # `- ---` would be one rule, not an item with a rule
            put_many(pen, out, sign, 3)
    elif kind == QUOTE:
        open_container(QUOTED, 2, draft, pen)
    elif kind == ITEM:
        open_item(draft, pen)
    elif kind == CONTAINER_END:
        close_container(draft, pen, out)
    elif kind == LIST:
        if pen.lists == _MOST_LISTS:
            pen.refused = 1
            return
        draft.lists[pen.lists] = block.detail
        pen.lists += 1
    elif kind == LIST_END:
        pen.lists -= 1
        pen.common_lists = min(pen.common_lists, pen.lists)


@register_jitable
def _write_fence(kept: Bytes, block: Block, draft: Draft, pen: Pen, out: Bytes) -> None:
    """Write a block of code."""
    lines, longest, ticks = 3, 2, 0
    for at in range(block.start, block.end):
        lines += kept[at] == _NEWLINE
        ticks = ticks + 1 if kept[at] == _TICK else 0
        longest = max(longest, ticks)
    size = block.end - block.start + block.marks_end - block.marks + 2 * (longest + 1)
    if not has_room(pen, size + lines * (pen.width + 1)):
        return
    begin_block(draft, pen, out, 0)
    put_many(pen, out, _TICK, longest + 1)
    put_slice(pen, out, kept, block.marks, block.marks_end)
    at, end = block.start, block.end - (kept[block.end - 1] == _NEWLINE)
    while at <= end:
        stop = at
        while stop < end and kept[stop] != _NEWLINE:
            stop += 1
        put(pen, out, _NEWLINE)
        put_prefix(draft, pen, out, pen.depth, stop == at)
        put_slice(pen, out, kept, at, stop)
        at = stop + 1
    put(pen, out, _NEWLINE)
    put_prefix(draft, pen, out, pen.depth, 0)
    put_many(pen, out, _TICK, longest + 1)
