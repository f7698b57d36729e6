"""HTML as Stack Exchange's renderer writes it, read into runs, marks and blocks: the first compiled step.

A body is refused, and so left to `markdown.render`, where `markdown.tidy_tokens` would not read it as it stands, and
where something rare stands in it: control characters, an address with blanks or beyond ASCII, the same mark inside
itself, an image that leaves only its text, more than `_DEEPEST` open tags.
"""

import numpy as np
from numba import njit
from numba.extending import register_jitable

from miners.text.compiled.decoding import (
    attribute_end,
    decode,
    has_digit,
    is_blank,
    read_name,
    whole_number,
)
from miners.text.compiled.layout import (
    BULLETS,
    CONTAINER_END,
    ITEM,
    LINE_BREAK,
    LIST,
    LIST_END,
    QUOTE,
    RULE,
    Bytes,
    Counts,
    Page,
)
from miners.text.compiled.names import (
    ALLOWED,
    ALT,
    BLOCKQUOTE,
    BR,
    CLASS,
    CODE,
    H1,
    H6,
    HR,
    HREF,
    IMG,
    KBD,
    LI,
    MARKS,
    OL,
    PRE,
    SRC,
    START,
    TAGS,
    UL,
    A,
    P,
)
from miners.text.compiled.pieces import (
    CURSOR,
    NONE,
    Cursor,
    Open,
    add_block,
    add_mark,
    begin_run,
    close_code,
    close_link,
    close_mark,
    flush,
    open_code,
    open_link,
    open_mark,
    show_image,
)

_DEEPEST = 64
_REFUSED = -1

_NEWLINE, _SPACE, _QUOTE, _SLASH, _LESS, _EQUALS, _GREATER, _SMALL_A = map(ord, '\n "/<=>a')
_SMALL_Z = ord("z")


@njit(cache=True, nogil=True)
def read(data: Bytes, offsets: Counts, page: Page) -> None:
    """Read body i, `data[offsets[i]:offsets[i + 1]]`, into the page. Bodies already refused are passed over."""
    cursor = np.zeros(1, CURSOR)[0]
    opened = Open(np.zeros(_DEEPEST + 1, np.int64), np.full(LINE_BREAK + 1, NONE))
    for row in range(len(offsets) - 1):
        if not page.refused[row]:
            text, kept, marks = cursor.text, cursor.kept, cursor.marks
            objects, blocks = cursor.objects, cursor.blocks
            if not _read_body(data, offsets[row], offsets[row + 1], page, cursor, opened):
                page.refused[row] = True
                cursor.text, cursor.kept, cursor.marks = text, kept, marks
                cursor.objects, cursor.blocks = objects, blocks
        page.block_ends[row] = cursor.blocks


@register_jitable
def _read_body(data: Bytes, at: int, end: int, page: Page, cursor: Cursor, opened: Open) -> bool:
    """Read one body; False refuses it."""
    cursor.depth, cursor.code, cursor.in_paragraph, cursor.tags = 0, 0, 0, 0
    opened.marks[:] = NONE
    begin_run(cursor)
    while at != _REFUSED:
        stop = at
        while stop < end and data[stop] != _LESS:
            stop += 1
        if not _read_text(data, at, stop, page, cursor):
            return False
        if stop == end:
            flush(page, cursor, 0)
            return cursor.depth == 0
        at = _read_tag(data, stop, end, page, cursor, opened)
    return False


@register_jitable
def _read_text(data: Bytes, at: int, end: int, page: Page, cursor: Cursor) -> bool:
    """Take text as it stands in the HTML; False refuses it."""
    if cursor.code:
        cursor.kept = decode(data, at, end, page.kept, cursor.kept)
        return cursor.kept != _REFUSED
    if cursor.text == cursor.run and is_blank(data, at, end):
        return True
    cursor.text = decode(data, at, end, page.text, cursor.text)
    return cursor.text != _REFUSED


@register_jitable
def _read_tag(data: Bytes, at: int, end: int, page: Page, cursor: Cursor, opened: Open) -> int:
    """Read the tag whose `<` stands at `at` -> where it ends; refuse what `markdown.tidy_tokens` would not take."""
    cursor.tags += 1
    closing = at + 1 < end and data[at + 1] == _SLASH
    key, at = read_name(data, at + 1 + closing, end)
    place = np.searchsorted(TAGS[0], key)
    if at >= end or place == TAGS.shape[1] or TAGS[0, place] != key:
        return _REFUSED
    tag = TAGS[1, place]
    if closing:
        if data[at] != _GREATER or not cursor.depth or opened.tags[cursor.depth] != tag:
            return _REFUSED
        cursor.depth -= 1
        return at + 1 if _close(data, tag, page, cursor, opened) else _REFUSED
    at = _read_attributes(data, at, end, tag, cursor)
    if at == _REFUSED or not ALLOWED[opened.tags[cursor.depth], tag] or cursor.depth == _DEEPEST:
        return _REFUSED
    if tag == PRE and at < end and data[at] == _NEWLINE:  # a parser drops that newline
        return _REFUSED
    if tag not in (BR, HR, IMG):
        cursor.depth += 1
        opened.tags[cursor.depth] = tag
    return at if _open(data, tag, page, cursor, opened) else _REFUSED


@register_jitable
def _read_attributes(data: Bytes, at: int, end: int, tag: int, cursor: Cursor) -> int:
    """Read ` name="value"`s up to the end of the tag -> where it ends. Of two with one name the last counts."""
    cursor.address, cursor.alt, cursor.classes, cursor.first = NONE, NONE, NONE, NONE
    begin = at
    while at + 1 < end and data[at] == _SPACE and _SMALL_A <= data[at + 1] <= _SMALL_Z:
        name = at + 1
        key, at = read_name(data, name, end)
        if has_digit(data, name, at) or at + 1 >= end or data[at] != _EQUALS or data[at + 1] != _QUOTE:
            return _REFUSED
        start = at + 2
        at = attribute_end(data, start, end)
        if at == _REFUSED:
            return _REFUSED
        if (key == HREF and tag == A) or (key == SRC and tag == IMG):
            cursor.address, cursor.address_end = start, at
        elif key == ALT:
            cursor.alt, cursor.alt_end = start, at
        elif key == CLASS:
            cursor.classes, cursor.classes_end = start, at
        elif key == START:
            cursor.first, cursor.first_end = start, at
        at += 1
    if tag in (BR, HR, IMG) and at + 1 < end:  # these may end in ` />`; `<br/>` is not tidy
        at += data[at] == _SPACE
        at += data[at] == _SLASH and at > begin
    return at + 1 if at < end and data[at] == _GREATER else _REFUSED


@register_jitable
def _open(data: Bytes, tag: int, page: Page, cursor: Cursor, opened: Open) -> bool:  # noqa: PLR0911
    """Do what `tags` has a tag do where it opens; False refuses the body."""
    if MARKS[tag] != NONE:
        cursor.script = cursor.tags
        return open_mark(MARKS[tag], cursor, opened)
    if tag == A:
        return open_link(data, page, cursor, opened)
    if tag in (PRE, CODE):
        return open_code(data, tag, cursor)
    if tag == IMG:
        return show_image(data, page, cursor)
    if tag == BR:
        add_mark(page, cursor, LINE_BREAK, cursor.text, cursor.text)
        return True
    if tag != KBD:
        flush(page, cursor, 0)
    if tag == P:
        cursor.in_paragraph = 1
    elif tag in (UL, OL):
        number = whole_number(data, cursor.first, cursor.first_end) if cursor.first != NONE else 1
        add_block(page, cursor, LIST, number if tag == OL else BULLETS)
        return number != _REFUSED or tag == UL
    elif tag in (LI, BLOCKQUOTE, HR):
        add_block(page, cursor, ITEM if tag == LI else QUOTE if tag == BLOCKQUOTE else RULE, 0)
    return True


@register_jitable
def _close(data: Bytes, tag: int, page: Page, cursor: Cursor, opened: Open) -> bool:
    """Do what `tags` has a tag do where it closes; False refuses the body."""
    if MARKS[tag] != NONE:
        return close_mark(MARKS[tag], page, cursor, opened)
    if tag == A:
        return close_link(page, cursor, opened)
    if tag in (PRE, CODE):
        close_code(data, page, cursor)
        return True
    if tag != KBD:
        flush(page, cursor, tag - H1 + 1 if H1 <= tag <= H6 else 0)
    if tag == P:
        cursor.in_paragraph = 0
    elif tag in (UL, OL, LI, BLOCKQUOTE):
        add_block(page, cursor, CONTAINER_END if tag in (LI, BLOCKQUOTE) else LIST_END, 0)
    return True
