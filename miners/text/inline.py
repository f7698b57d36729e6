r"""One run of inline Markdown: text, emphasis, links, code spans and formulas between two block boundaries.

A character is escaped only where CommonMark (0.31, sections 2.4, 4 and 6) would read it as markup in that place:

    * _     where they touch a word and could open or close emphasis: `5 * 3` and `snake_case` stay
    \       before punctuation (but `\$` stays: MathJax and Markdown both read it as a dollar)
    ` ~~    always
    <       before a letter, `/`, `!` or `?`: where a tag or an autolink could start
    &       where an entity could start
    ]       before `(`; both brackets inside a link's text
    # > - + * = 1. [x]:   where they would make the line a heading, quote, list, rule or definition

Formulas come out as they went in; emphasis or links inside one are dropped, their text stays.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import chain, groupby, zip_longest
from sys import maxsize
from urllib.parse import quote

from miners.text.formulas import Span, find_plain_formulas

OBJECT = "\0"
"""Stands in a run's text for what is written as it is: a code span, an image, a bare address, a formula."""
LINE_BREAK = "\1"
"""Stands for a hard line break."""
VERBATIM_NEWLINE = "\2"
"""A newline inside a formula: containers must not indent the line after it. It is a lazy continuation line."""

_SPECIAL = re.compile(r"[\\`*_<&\[\]$~\0\1]")
_ESCAPED = re.compile(
    r"[\\`*_<&\]~](?:(?<=\\)(?=[!-#%-/:-@\[-`{-~])|(?<=`)|(?<=\S\*)|(?<=\*)(?=\S)|(?<=_)(?<![^\W_]_)(?=\S)"
    r"|(?<=\S_)(?![^\W_])|(?<=<)(?=[A-Za-z/!?])|(?<=&)(?=\#?\w+;)|(?<=\])(?=\()|(?<=~)(?=~))"
)
_BRACKET = re.compile(r"[\[\]]")
_LINE_START = re.compile(r"(?=[#>+*=-])(?=\#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|-+$|=+$)|\[(?=[^\n]*\]:)")
_LINE_STARTS = frozenset("#>+*=-[0123456789")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
_SCHEME = re.compile(r"(?i)(?:https?|ftp)://[^\s]|mailto:[^\s]")
_HIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]+")
_BARE = re.compile(r"(?:[\w:/.?=&%#,;~+@!'-](?!(?<=&)#?\w+;))+")
_SCRIPT = re.compile(r"[\w+().,/-]{1,20}")
_ESCAPE = 2
_Edit = tuple[int, int, int, int, str]
"""Start, rank (0 closes, 1 opens, 2 escapes, 3 is an object), order, end, what is written instead."""
_TICKS = re.compile("`+")


def clean_url(url: str) -> str | None:
    """Return the address ready for a Markdown link, or None where it is relative or its scheme is not allowed.

    Allowed are http, https, ftp and mailto; `//host/path` is taken as https. Invisible characters are dropped before
    the scheme is read, as browsers do (WHATWG URL, section 4.4), so that `java&#9;script:` hides nothing.
    """
    url = _HIDDEN.sub("", url)
    url = f"https:{url}" if url.startswith("//") else url
    if not _SCHEME.match(url):
        return None
    return url if _BARE.fullmatch(url) else quote(url, safe="%/:?#@!$&'*+,;=~_-.").replace("&", "&amp;")


def fence(code: str, least: int) -> str:
    """Return backticks enough to enclose the code, at least so many."""
    return "`" * max(least, 1 + max(map(len, _TICKS.findall(code)), default=0))


def code_span(code: str) -> str:
    """Write inline code. A newline in it becomes a space, as browsers show it; nothing else changes."""
    code = code.replace("\n", " ")
    if not code.strip():
        return ""
    ticks = fence(code, 1)
    pad = " " if code[0] in "` " or code[-1] in "` " else ""
    return f"{ticks}{pad}{code}{pad}{ticks}"


def image(alt: str, url: str) -> str:
    """Write an image; `url` is clean."""
    alt = re.sub(r"([\\`*_<>&\[\]$~])", r"\\\1", " ".join(alt.split()))
    return f"![{alt}]({url})"


@dataclass(slots=True)
class Run:
    r"""Collects one run, then writes it.

    parts: the text; each object in it is one NUL. length: characters so far; offsets count from the run's start.
    marks: (start, end, before, after) of emphasis and links, inner ones first. A line break is (here, here, "\1", "").
    """

    parts: list[str] = field(default_factory=list)
    length: int = 0
    marks: list[tuple[int, int, str, str]] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Append plain text."""
        self.parts.append(text)
        self.length += len(text)

    def add_object(self, markdown: str) -> None:
        """Append something finished."""
        if markdown:
            self.objects.append(markdown)
            self.add(OBJECT)

    def add_break(self) -> None:
        """Append a hard line break."""
        self.marks.append((self.length, self.length, LINE_BREAK, ""))

    def since(self, offset: int) -> str:
        """Return the text from an offset on, which must be where some part begins."""
        last, position = len(self.parts), self.length
        while position > offset:
            last -= 1
            position -= len(self.parts[last])
        return "".join(self.parts[last:])

    def wrap(self, offset: int, before: str, after: str) -> None:
        """Put delimiters around the text from `offset` to here, but not around outer white space or nothing."""
        text = self.since(offset)
        start, end = offset + len(text) - len(text.lstrip()), offset + len(text.rstrip())
        if start >= end:
            return
        if before == after and self.marks and self.marks[-1][1:] == (start, before, after):
            start = self.marks.pop()[0]  # `*a**b*` would not be two emphases: make them one
        self.marks.append((start, end, before, after))

    def script(self, offset: int, sign: str) -> None:
        """Write short sub- and superscripts as `x_2` and `x^2`; longer ones are small print and stay as they are."""
        if _SCRIPT.fullmatch(self.since(offset)):
            inside = offset and self.parts and sign == "_" and _ends_in_word(self.parts, self.since(offset))
            self.marks.append((offset, self.length, sign if sign == "^" or inside else "\\_", ""))

    def link(self, offset: int, url: str) -> None:
        """Make the text from `offset` a link; where it reads as the address itself, leave the bare address."""
        text = self.since(offset)
        if text.strip() == url and _BARE.fullmatch(url) and not self._marked_since(offset):
            while self.length > offset:
                self.length -= len(self.parts.pop())
            self.add_object(url)
        else:
            self.wrap(offset, "[", f"]({url})")

    def _marked_since(self, offset: int) -> bool:
        return bool(self.marks) and self.marks[-1][1] > offset

    def write(self, *, single_line: bool = False) -> str:
        """Return the run as Markdown; with `single_line`, breaks become spaces."""
        text = "".join(self.parts)
        if not self.marks and not _SPECIAL.search(text):  # most runs
            line = " ".join(text.split())
            return line if single_line else _escape_start(line)
        text, objects = self._edited(text)
        lines = [" ".join(line.split()) for line in text.split(LINE_BREAK)]
        joined = " ".join(filter(None, lines)) if single_line else _join([_escape_start(line) for line in lines])
        return _fill(joined, objects)

    def _edited(self, text: str) -> tuple[str, list[str]]:
        """Return the text with marks and escapes written in, and the objects and formulas its NULs stand for."""
        formulas = find_plain_formulas(text) if "$" in text or "\\" in text else []
        edits = self._placed_marks(formulas) + self._escapes(text, formulas)
        waiting = iter(self.objects)
        holes = [*formulas, *((found.start(), found.end()) for found in re.finditer(OBJECT, text))]
        edits += [(start, 3, 0, end, OBJECT) for start, end in holes]
        pieces, objects, cursor = [], [], 0
        for start, rank, _, end, written in sorted(edits):
            piece = text[cursor:start]
            pieces += [_guard(piece, written) if rank != _ESCAPE else piece, written]
            if written == OBJECT:
                objects.append(next(waiting) if text[start] == OBJECT else _verbatim(text[start:end]))
            cursor = end
        return "".join([*pieces, text[cursor:]]), objects

    def _placed_marks(self, formulas: list[Span]) -> list[_Edit]:
        """Return the marks as edits, moved or dropped where they stood inside a formula."""
        edits = []
        for order, (start, end, before, after) in enumerate(self.marks):
            outer, inner = _around(start, formulas), _around(end, formulas)
            if outer and (outer == inner or not after):
                continue
            start, end = outer[0] if outer else start, inner[1] if inner else end  # noqa: PLW2901
            edits.append((start, 1 if after else 0, -order if after else order, start, before))
            edits += [(end, 0, order, end, after)] if after else []
        return edits

    def _escapes(self, text: str, formulas: list[Span]) -> list[_Edit]:
        """Return a backslash for each character that would be markup."""
        offsets = {found.start() for found in _ESCAPED.finditer(text)}
        for start, end, before, _ in self.marks:
            if before == "[":
                offsets.update(found.start() for found in _BRACKET.finditer(text, start, end))
            offsets -= {edge - 1 for edge in (start, end) if text[edge - 1 : edge] == "\\"}  # `_guard` sees to these
        return [(offset, _ESCAPE, 0, offset, "\\") for offset in offsets if not _around(offset, formulas, edge=True)]


def _around(offset: int, formulas: list[Span], *, edge: bool = False) -> Span | None:
    """Return the formula in whose inside the offset lies; with `edge`, or at whose first character."""
    if not formulas:
        return None
    at = bisect_right(formulas, (offset, maxsize)) - 1
    if at < 0 or offset >= formulas[at][1] or (offset == formulas[at][0] and not edge):
        return None
    return formulas[at]


def _guard(piece: str, written: str) -> str:
    r"""Keep the end of a piece from acting on what is written behind it: `\` would escape it, `!` make it an image."""
    if piece.endswith("\\"):
        return piece + "\\"
    return f"{piece[:-1]}\\!" if written == "[" and piece.endswith("!") else piece


def _ends_in_word(parts: list[str], tail: str) -> bool:
    """Tell whether the text before `tail` ends in a letter or digit."""
    before = "".join(parts[-3:]).removesuffix(tail)
    return before[-1:].isalnum()


def _verbatim(formula: str) -> str:
    return formula.replace("\n", VERBATIM_NEWLINE)


def _escape_start(line: str) -> str:
    """Escape what would make the line something else than text."""
    if line[:1] not in _LINE_STARTS:
        return line
    if _LINE_START.match(line):
        return "\\" + line
    number = _NUMBER.match(line)
    return f"{number[1]}\\{line[number.end(1) :]}" if number else line


def _join(lines: list[str]) -> str:
    """Join lines by hard breaks; where two breaks met, a new paragraph begins."""
    paragraphs = [list(group) for filled, group in groupby(lines, bool) if filled]
    return "\n\n".join("\\\n".join(paragraph) for paragraph in paragraphs)


def _fill(text: str, objects: list[str]) -> str:
    """Put the objects where their NULs stand."""
    if not objects:
        return text
    return "".join(chain.from_iterable(zip_longest(text.split(OBJECT), objects, fillvalue="")))
