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
from dataclasses import dataclass, field
from itertools import zip_longest
from urllib.parse import quote

from miners.text.formulas import find_plain_formulas

OBJECT = "\0"
"""Stands in a run's text for what is written as it is: a code span, an image, a bare address, a formula."""
LINE_BREAK = "\1"
"""Stands for a hard line break."""
VERBATIM_NEWLINE = "\2"
"""A newline inside a formula: containers must not indent the line after it. It is a lazy continuation line."""

_SPECIAL = re.compile(r"[\\`*_<&\[\]$~\0\1]")
_ESCAPED = re.compile(
    r"\\(?=[!-#%-/:-@\[-`{-~])|`|(?<!\s)\*|\*(?!\s)|(?<![\w\s])_|_(?!\w)(?!\s)|(?<=\s)_(?!\s)|(?<=\w)_(?=\s)"
    r"|<(?=[A-Za-z/!?])|&(?=\#?\w+;)|\](?=\()|~(?=~)"
)
_BRACKET = re.compile(r"[\[\]]")
_LINE_START = re.compile(r"(?=[#>+*=-])(?=\#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|-+$|=+$)|\[(?=[^\n]*\]:)()")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
_SCHEME = re.compile(r"(?i)(?:https?|ftp)://[^\s]|mailto:[^\s]")
_HIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\u2060-\u2064\ufeff]+")
_BARE = re.compile(r"(?:[\w:/.?=&%#,;~+@!'-](?!(?<=&)#?\w+;))+")
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
    """Collects one run. `marks` are (offset, Markdown, closes): emphasis and link delimiters, which are no text.

    Offsets count characters of the run's text, in which each object is one character.
    """

    parts: list[str] = field(default_factory=list)
    length: int = 0
    marks: list[tuple[int, str]] = field(default_factory=list)
    objects: list[tuple[int, str]] = field(default_factory=list)
    links: list[tuple[int, int]] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Append plain text."""
        self.parts.append(text)
        self.length += len(text)

    def add_object(self, markdown: str) -> None:
        """Append something finished."""
        if markdown:
            self.objects.append((self.length, markdown))
            self.add(OBJECT)

    def since(self, offset: int) -> str:
        """Return the text from an offset on."""
        return "".join(self.parts)[offset:]

    def wrap(self, offset: int, before: str, after: str) -> None:
        """Put delimiters around the text from `offset` to here, but never around nothing or outer white space."""
        text = self.since(offset)
        start = offset + len(text) - len(text.lstrip())
        end = offset + len(text.rstrip())
        if start < end:
            self.marks += [(start, before), (end, after)]

    def link(self, offset: int, url: str) -> None:
        """Make the text from `offset` a link; where it reads as the address itself, leave the bare address."""
        text = self.since(offset)
        if text.strip() == url and _BARE.fullmatch(url):
            self.parts = ["".join(self.parts)[:offset]]
            self.length = offset
            self.add_object(url)
        elif text.strip():
            self.links.append((offset, self.length))
            self.wrap(offset, "[", f"]({url})")
