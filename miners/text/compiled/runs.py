r"""Blocks written as Markdown: the third compiled step, what `blocks.Writer` and `inline.Run.write` do, over bytes.

A run is written in two passes, as there: into `Draft.line` with its marks and escapes, its white space collapsed and a
placeholder for each object and formula; then to the output, with what the start of a line needs and the placeholders
filled.
"""

from numba.extending import register_jitable

from miners.text.compiled.escapes import NONE, UNKNOWN, must_escape, start_escape
from miners.text.compiled.layout import (
    EMPHASIS,
    ESCAPED_SUBSCRIPT,
    LINE_BREAK,
    LINK,
    OBJECT,
    STRONG,
    STRUCK,
    SUPERSCRIPT,
    Block,
    Bytes,
    Counts,
    Mark,
    Page,
    Records,
    flags,
    space_at,
)
from miners.text.compiled.pen import QUOTED, Draft, Pen, begin_block, has_room, put, put_many, put_prefix, put_slice

_MOST_MARKS = 1 << 20
_FORMULA = 2  # byte in a line that stands for a formula, as OBJECT for an object

_NEWLINE, _SPACE, _BANG, _HASH, _PARENTHESIS, _CLOSING_PARENTHESIS, _STAR = map(ord, "\n !#()*")
_BRACKET, _BACKSLASH, _CLOSING_BRACKET, _CARET, _UNDERSCORE, _TILDE = map(ord, "[\\]^_~")


_IS_SPECIAL = flags("\\`*_<&[]~")
_IS_ORDINARY = 1 - flags("".join(map(chr, (*range(_SPACE + 1), 0xC2, 0xE1, 0xE2, 0xE3))))  # never white space


@register_jitable
def write_run(page: Page, spans: Records, block: Block, draft: Draft, pen: Pen, out: Bytes) -> None:
    """Write a paragraph or heading."""
    count = _place_marks(page.marks, spans, block, draft.edges, pen)
    if not has_room(pen, _most(page, block, pen.width)):
        return
    pen.length = pen.pending = pen.lines = pen.gap = pen.in_link = 0
    pen.object, pen.formula, pen.closed = block.objects, block.formulas, block.start
    formula, edge, at = block.formulas, 0, block.start
    while not pen.refused:
        while edge < count and _place_of(draft.edges[edge]) == at - block.start:
            _write_edge(page, spans, block, draft.edges[edge], at, draft, pen, out)
            edge += 1
        if at == block.end:
            _end_line(page, spans, block, draft, pen, out)
            return
        if formula < block.formulas_end and spans[formula].start == at:
            _put_placeholder(page.text, at, _FORMULA, draft, pen)
            at = pen.closed = spans[formula].end
            formula += 1
        elif page.text[at] == OBJECT:
            _put_placeholder(page.text, at, OBJECT, draft, pen)
            at = pen.closed = at + 1
        else:
            marked = block.start + _place_of(draft.edges[edge]) if edge < count else block.end + 1
            stop = min(marked, spans[formula].start if formula < block.formulas_end else block.end)
            at = _write_text(page.text, block, at, stop, marked, draft.line, pen)


@register_jitable
def _most(page: Page, block: Block, width: int) -> int:
    """Return the most bytes that a run can become: each may be escaped and guarded, each mark break a line."""
    size = 3 * (block.end - block.start) + (block.marks_end - block.marks) * (2 * width + 6) + block.detail + 1
    for number in range(block.marks, block.marks_end):
        if page.marks[number].kind == LINK:
            size += page.marks[number].url_end - page.marks[number].url
    number = block.objects
    for at in range(block.start, block.end):
        if page.text[at] == OBJECT:
            size += page.objects[number].end - page.objects[number].start
            number += 1
    return size


@register_jitable
def _write_text(text: Bytes, block: Block, at: int, stop: int, marked: int, line: Bytes, pen: Pen) -> int:
    """Write text up to `stop` or an object, escaped where need be -> where to go on. marked: where the next mark is."""
    length, pending = pen.length, pen.pending
    while at < stop and text[at] != OBJECT:
        byte, width = text[at], 0
        if not _IS_ORDINARY[byte]:
            width = space_at(text, at, block.end)
        if width:
            pending, at = 1, at + width
            continue
        if pending:
            line[length] = _SPACE
            length, pending = length + (length > 0), 0
        if _IS_SPECIAL[byte] and not (byte == _BACKSLASH and at + 1 == marked):  # that one is `_guard`'s
            escape = must_escape(text, block.start, at, block.end, pen.in_link)
            pen.refused |= escape == UNKNOWN
            line[length] = _BACKSLASH
            length += escape == 1
        line[length] = byte
        length, at = length + 1, at + 1
    pen.length, pen.pending = length, pending
    return at


@register_jitable
def _put_char(byte: int, draft: Draft, pen: Pen) -> None:
    """Add a byte to the line, and the one blank that white space before it becomes."""
    if pen.pending:
        pen.pending = 0
        if pen.length:
            draft.line[pen.length] = _SPACE
            pen.length += 1
    draft.line[pen.length] = byte
    pen.length += 1


@register_jitable
def _put_placeholder(text: Bytes, at: int, byte: int, draft: Draft, pen: Pen) -> None:
    _guard(text, at, 0, draft, pen)
    _put_char(byte, draft, pen)


@register_jitable
def _guard(text: Bytes, at: int, is_bracket: int, draft: Draft, pen: Pen) -> None:
    """Keep the text before `at` from acting on what is written next, as `inline._guard` does."""
    if at == pen.closed:
        return
    if text[at - 1] == _BACKSLASH:
        _put_char(_BACKSLASH, draft, pen)
    elif is_bracket and text[at - 1] == _BANG:
        draft.line[pen.length - 1] = _BACKSLASH
        _put_char(_BANG, draft, pen)


@register_jitable
def _place_marks(marks: Records, spans: Records, block: Block, edges: Counts, pen: Pen) -> int:
    """Write the edges of a run's marks in the order in which they are written -> how many.

    An edge is a whole number: its place in the run, 1 where it opens, and the mark's place among the run's marks,
    counted backwards where it opens: what closes comes first, inner marks before outer; what opens, outer before inner.
    """
    if block.marks_end - block.marks >= _MOST_MARKS:
        pen.refused = 1
        return 0
    count = 0
    for order in range(block.marks_end - block.marks):
        mark = marks[block.marks + order]
        first, last = _around(spans, block, mark.start), _around(spans, block, mark.end)
        if first != NONE and (first == last or mark.kind >= SUPERSCRIPT):
            continue
        if first != NONE or last != NONE:
            pen.refused = 1
        if mark.kind >= SUPERSCRIPT:
            count = _insert(edges, count, (mark.start - block.start) * 2 * _MOST_MARKS + order)
        else:
            opening = (mark.start - block.start) * 2 + 1
            count = _insert(edges, count, opening * _MOST_MARKS + _MOST_MARKS - 1 - order)
            count = _insert(edges, count, (mark.end - block.start) * 2 * _MOST_MARKS + order)
    return count


@register_jitable
def _place_of(edge: int) -> int:
    return edge // (2 * _MOST_MARKS)


@register_jitable
def _insert(edges: Counts, count: int, edge: int) -> int:
    """Put an edge in its place among the first `count`: near their end, as marks come in the order they close."""
    at = count
    while at and edges[at - 1] > edge:
        edges[at] = edges[at - 1]
        at -= 1
    edges[at] = edge
    return count + 1


@register_jitable
def _around(spans: Records, block: Block, at: int) -> int:
    """Return the formula in whose inside `at` lies."""
    low, high = block.formulas, block.formulas_end
    while low < high:
        middle = (low + high) // 2
        if spans[middle].end <= at:
            low = middle + 1
        else:
            high = middle
    return low if low < block.formulas_end and spans[low].start < at else NONE


@register_jitable
def _write_edge(  # noqa: PLR0913, PLR0917
    page: Page, spans: Records, block: Block, edge: int, at: int, draft: Draft, pen: Pen, out: Bytes
) -> None:
    opens = edge // _MOST_MARKS % 2
    order = edge % _MOST_MARKS
    mark = page.marks[block.marks + (_MOST_MARKS - 1 - order if opens else order)]
    kind = mark.kind
    _guard(page.text, at, opens and kind == LINK, draft, pen)
    pen.closed = at
    if kind == LINE_BREAK:
        _end_line(page, spans, block, draft, pen, out)
    elif kind == LINK:
        _write_link_edge(page.kept, mark, opens, draft, pen)
    elif kind in (EMPHASIS, STRONG):
        _put_char(_STAR, draft, pen)
        if kind == STRONG:
            _put_char(_STAR, draft, pen)
    elif kind == STRUCK:
        _put_char(_TILDE, draft, pen)
        _put_char(_TILDE, draft, pen)
    else:
        if kind == ESCAPED_SUBSCRIPT:
            _put_char(_BACKSLASH, draft, pen)
        _put_char(_CARET if kind == SUPERSCRIPT else _UNDERSCORE, draft, pen)


@register_jitable
def _write_link_edge(kept: Bytes, mark: Mark, opens: int, draft: Draft, pen: Pen) -> None:
    pen.in_link = opens
    if opens:
        _put_char(_BRACKET, draft, pen)
        return
    _put_char(_CLOSING_BRACKET, draft, pen)
    _put_char(_PARENTHESIS, draft, pen)
    for place in range(mark.url, mark.url_end):
        _put_char(kept[place], draft, pen)
    _put_char(_CLOSING_PARENTHESIS, draft, pen)


@register_jitable
def _end_line(page: Page, spans: Records, block: Block, draft: Draft, pen: Pen, out: Bytes) -> None:
    """Write the line. Lines are parted by hard breaks, by a blank where the run is a heading, else by empty lines."""
    if not pen.length:
        pen.gap, pen.pending = 1, 0
        return
    level = block.detail
    if not pen.lines:
        is_item = pen.depth and draft.kinds[pen.depth - 1] != QUOTED
        begin_block(draft, pen, out, is_item and not block.in_paragraph)
        if level:
            put_many(pen, out, _HASH, level)
            put(pen, out, _SPACE)
    elif level:
        put(pen, out, _SPACE)
    else:
        if pen.gap:
            put(pen, out, _NEWLINE)
            put_prefix(draft, pen, out, pen.depth, 1)
        else:
            put(pen, out, _BACKSLASH)
        put(pen, out, _NEWLINE)
        put_prefix(draft, pen, out, pen.depth, 0)
    _fill_line(page, spans, block, draft, pen, out)
    pen.lines += 1
    pen.length = pen.pending = pen.gap = 0


@register_jitable
def _fill_line(page: Page, spans: Records, block: Block, draft: Draft, pen: Pen, out: Bytes) -> None:
    """Write the line to the output, its start escaped, objects and formulas in their places."""
    place = 0
    escape = NONE if block.detail else start_escape(draft.line, pen.length, pen)
    if escape != NONE:
        put_slice(pen, out, draft.line, 0, escape)
        put(pen, out, _BACKSLASH)
        place = escape
    while place < pen.length:
        stop = place
        while stop < pen.length and draft.line[stop] > _FORMULA:
            stop += 1
        put_slice(pen, out, draft.line, place, stop)
        if stop < pen.length and draft.line[stop] == OBJECT:
            put_slice(pen, out, page.kept, page.objects[pen.object].start, page.objects[pen.object].end)
            pen.object += 1
        elif stop < pen.length:
            put_slice(pen, out, page.text, spans[pen.formula].start, spans[pen.formula].end)
            pen.formula += 1
        place = stop + 1
