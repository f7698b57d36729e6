"""What the compiled reader writes: runs, blocks, marks, code and images."""

from typing import NamedTuple

from numba.extending import register_jitable

from miners.text.compiled.decoding import (
    LANGUAGE_PREFIX,
    clean_address,
    decode,
    is_blank,
    is_letter_or_digit,
    language_end,
    reads_as,
    script_length,
    skip_blanks,
    trim_blanks,
    write_code_span,
    write_image,
)
from miners.text.compiled.layout import (
    ESCAPED_SUBSCRIPT,
    FENCE,
    LINK,
    OBJECT,
    RUN,
    SUBSCRIPT,
    SUPERSCRIPT,
    Bytes,
    Counts,
    Page,
    record,
)
from miners.text.compiled.names import (
    PRE,
)

_REFUSED = -1
NONE = -1

_BEYOND_ASCII = 0x80


class Cursor:
    """Record of where reading stands.

    text, kept, marks, objects, blocks: how much of each array of the page is filled. run, run_marks, run_objects:
    where the open run began in them. depth: tags open. tags: tags seen. code: elements of code open, beginning at
    `code_start` in `kept`; fenced: one is a `<pre>`. script: number of the tag that opened the last script.
    Of the last tag's attributes, offsets into the HTML, `NONE` where absent: address, alt, classes, first (`start`).
    Of the open code, the language. url: of the open link, in `kept` (`NONE`: it leaves its text); bare: nothing in it
    was quoted.
    """

    text: int
    kept: int
    marks: int
    objects: int
    blocks: int
    run: int
    run_marks: int
    run_objects: int
    depth: int
    tags: int
    code: int
    code_start: int
    fenced: int
    script: int
    in_paragraph: int
    address: int
    address_end: int
    alt: int
    alt_end: int
    classes: int
    classes_end: int
    first: int
    first_end: int
    language: int
    language_end: int
    url: int
    url_end: int
    bare: int


CURSOR = record(Cursor)


class Open(NamedTuple):
    """The tags that are open, and where in the text each kind of mark began, `NONE` where it is not open."""

    tags: Counts
    marks: Counts


@register_jitable
def begin_run(cursor: Cursor) -> None:
    """Begin a run where the last ended."""
    cursor.run, cursor.run_marks, cursor.run_objects = cursor.text, cursor.marks, cursor.objects


@register_jitable
def add_block(page: Page, cursor: Cursor, kind: int, detail: int) -> None:
    """Append a block of which only the kind and the detail are known."""
    block = page.blocks[cursor.blocks]
    block.kind, block.detail = kind, detail
    block.start, block.end, block.objects = 0, 0, 0
    block.marks, block.marks_end, block.formulas, block.formulas_end, block.in_paragraph = 0, 0, 0, 0, 0
    cursor.blocks += 1


@register_jitable
def flush(page: Page, cursor: Cursor, level: int) -> None:
    """End the run. A run without text goes on: line breaks in it wait for the next text, as in `blocks.Writer`."""
    if cursor.text == cursor.run:
        return
    add_block(page, cursor, RUN, level)
    block = page.blocks[cursor.blocks - 1]
    block.start, block.end, block.objects = cursor.run, cursor.text, cursor.run_objects
    block.marks, block.marks_end, block.in_paragraph = cursor.run_marks, cursor.marks, cursor.in_paragraph
    begin_run(cursor)


@register_jitable
def add_mark(page: Page, cursor: Cursor, kind: int, start: int, end: int) -> None:
    """Append a mark; a link's address is the last."""
    mark = page.marks[cursor.marks]
    mark.kind, mark.start, mark.end, mark.url, mark.url_end = kind, start, end, cursor.url, cursor.url_end
    cursor.marks += 1


@register_jitable
def _add_object(page: Page, cursor: Cursor, start: int, end: int) -> None:
    """Let a NUL in the text stand for `kept[start:end]`."""
    page.objects[cursor.objects].start, page.objects[cursor.objects].end = start, end
    cursor.objects += 1
    page.text[cursor.text] = OBJECT
    cursor.text += 1


@register_jitable
def open_mark(kind: int, cursor: Cursor, opened: Open) -> bool:
    """Begin a mark; one inside another of its kind refuses the body."""
    if opened.marks[kind] != NONE:
        return False
    opened.marks[kind] = cursor.text
    return True


@register_jitable
def close_mark(kind: int, page: Page, cursor: Cursor, opened: Open) -> bool:
    """End a mark; False refuses the body."""
    start = opened.marks[kind]
    opened.marks[kind] = NONE
    if kind in (SUPERSCRIPT, SUBSCRIPT):
        return _close_script(kind, start, page, cursor)
    _wrap(kind, start, page, cursor)
    return True


@register_jitable
def _wrap(kind: int, start: int, page: Page, cursor: Cursor) -> None:
    """Mark the text from `start` on, without outer white space, as `inline.Run.wrap` does."""
    start = skip_blanks(page.text, start, cursor.text)
    end = trim_blanks(page.text, start, cursor.text)
    if start >= end:
        return
    if cursor.marks > cursor.run_marks and kind != LINK:
        last = page.marks[cursor.marks - 1]
        if last.kind == kind and last.end == start:
            cursor.marks -= 1
            start = last.start
    add_mark(page, cursor, kind, start, end)


@register_jitable
def _close_script(kind: int, start: int, page: Page, cursor: Cursor) -> bool:
    """Mark a short script, as `inline.Run.script` does. A subscript that holds tags is refused."""
    length = script_length(page.text, start, cursor.text)
    if length > 0 and kind == SUBSCRIPT:
        before = page.text[start - 1] if start > cursor.run else OBJECT
        if before >= _BEYOND_ASCII or cursor.tags != cursor.script + 1:
            return False
        if not is_letter_or_digit(before):
            kind = ESCAPED_SUBSCRIPT
    if length > 0:
        add_mark(page, cursor, kind, start, cursor.text)
    return length != _REFUSED


@register_jitable
def open_link(data: Bytes, page: Page, cursor: Cursor, opened: Open) -> bool:
    """Begin a link: read its address."""
    cursor.url, cursor.url_end, cursor.bare = NONE, NONE, 0
    if cursor.address != NONE and cursor.address_end > cursor.address:
        start, end, bare = clean_address(data, cursor.address, cursor.address_end, page.kept, cursor.kept)
        if start == _REFUSED:
            return False
        cursor.kept = max(cursor.kept, end)
        if end > start:
            cursor.url, cursor.url_end, cursor.bare = start, end, bare
    return open_mark(LINK, cursor, opened)


@register_jitable
def close_link(page: Page, cursor: Cursor, opened: Open) -> bool:
    """Link the text of the last `<a>`; where it reads as the address itself, leave that, as `inline.Run.link` does."""
    start = opened.marks[LINK]
    opened.marks[LINK] = NONE
    if cursor.url == NONE:
        return True
    marked = cursor.marks > cursor.run_marks and page.marks[cursor.marks - 1].end > start
    if not marked and reads_as(page.text, start, cursor.text, page.kept[cursor.url : cursor.url_end]):
        cursor.text = start
        _add_object(page, cursor, cursor.url, cursor.url_end)
        return cursor.bare == 1
    _wrap(LINK, start, page, cursor)
    return True


@register_jitable
def show_image(data: Bytes, page: Page, cursor: Cursor) -> bool:
    """Leave an object for an image; one that would leave its text only is refused."""
    if cursor.classes != NONE or cursor.address == NONE:
        return False
    start, end, _ = clean_address(data, cursor.address, cursor.address_end, page.kept, cursor.kept)
    if start == _REFUSED or end <= start:
        return False
    alt = alt_end = end
    if cursor.alt != NONE:
        alt_end = decode(data, cursor.alt, cursor.alt_end, page.kept, end)
        if alt_end == _REFUSED:
            return False
    cursor.kept = write_image(page.kept, alt, alt_end, start, end, alt_end)
    _add_object(page, cursor, alt_end, cursor.kept)
    return True


@register_jitable
def open_code(data: Bytes, tag: int, cursor: Cursor) -> bool:
    """Begin to collect code; False refuses the body."""
    if not cursor.code:
        cursor.code_start, cursor.fenced, cursor.language, cursor.language_end = cursor.kept, 0, 0, 0
    cursor.code += 1
    cursor.fenced |= tag == PRE
    if cursor.classes == NONE or cursor.language < cursor.language_end:
        return True
    cursor.language = cursor.classes
    cursor.language_end = language_end(data, cursor.classes, cursor.classes_end)
    cursor.language += min(cursor.language_end - cursor.language, LANGUAGE_PREFIX)
    return cursor.language_end != _REFUSED


@register_jitable
def close_code(data: Bytes, page: Page, cursor: Cursor) -> None:
    """End code where its outermost element ends: a block of its own, or an object in the run."""
    cursor.code -= 1
    if cursor.code:
        return
    start, end = cursor.code_start, cursor.kept
    if is_blank(page.kept, start, end):
        return
    if not cursor.fenced:
        cursor.kept = write_code_span(page.kept, start, end)
        _add_object(page, cursor, end, cursor.kept)
        return
    flush(page, cursor, 0)
    add_block(page, cursor, FENCE, 0)
    block = page.blocks[cursor.blocks - 1]
    block.start, block.end, block.marks = start, end, end
    for at in range(cursor.language, cursor.language_end):
        page.kept[cursor.kept] = data[at]
        cursor.kept += 1
    block.marks_end = cursor.kept
