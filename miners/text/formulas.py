r"""Formulas in text: `$..$`, `$$..$$`, `\(..\)`, `\[..\]` and `\begin{x}..\end{x}`.

Delimiters are MathJax's, with pandoc's care about prices (pandoc manual, `tex_math_dollars`): `$5 and $10` is money.
No formula crosses a blank line (TeX forbids it) or code.

A span that a Markdown renderer would read as something executable or as code, such as `$<script>$`, is no formula: it
is left to be escaped like prose. Every search is linear in the length of the text.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]
"""Start and end of a formula in the text, its delimiters included: `text[start:end]`."""

_BODY = r"(?:\\[^\n()\[\]]|[^\\\n{stop}]|\\(?=\n)|\n(?![ \t]*\n){more})"
_FORMULA = re.compile(
    r"\\\\|\\\$"  # an escaped backslash or dollar opens nothing
    r"|(?P<display>\$\$" + _BODY.format(stop="$", more=r"|\\[()\[\]]|\$(?!\$)") + r"++\$\$)"
    r"|\$\$"
    r"|(?P<inline>\$(?:\\(?:text\w*|mbox|hbox)\{[^{}\n]{0,200}\}|"
    + _BODY.format(stop="$", more=r"|\\[()\[\]]")
    + r")++\$)"
    r"|(?P<round>\\\(" + _BODY.format(stop="", more=r"|\\[\[\]]") + r"++\\\))"
    r"|(?P<square>\\\[" + _BODY.format(stop="", more=r"|\\[()]") + r"++\\\])"
)
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-zA-Z]{1,30}\*?)\}|\n[ \t]*\n|\x00")

_MARK = re.compile(r"[\\^={}|<>]")
_WORDS = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}|^\d.*\s[^\W\d_]{2}", re.DOTALL)

_NAME = r"[A-Za-z_:][\w.:-]*"
_UNSAFE = re.compile(
    r"[`\x00]|~~~"  # would pair with a backtick or fence outside, and lay that code bare
    r"|<[A-Za-z][A-Za-z0-9-]*(?:\s+" + _NAME + r"(?:\s*=\s*(?:[^\s\"'=<>`]+|'[^']*'|\"[^\"]*\"))?)*+"
    r"(?:\s*/?>|\s*\Z|\s*=\s*[\"'])"  # a tag, closed here or perhaps beyond the formula
    r"|</[A-Za-z]|<[!?]|\n\s*<[A-Za-z]"
    r"|<[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+[:@]"  # an autolink: `<javascript:...>`
    r"|\][(:]\s*+[^)\n]{0,300}?(?::|&\#?\w+;)"  # a link or a link's definition, with a scheme
)
_CODE = re.compile(
    r"^(?P<fence>[ \t>]*(?P<mark>`{3,}+|~{3,}+))[^\n]*\n.*?(?:^[ \t>]*(?P=mark)[`~]*[ \t]*$|\Z)|\\`|(?P<ticks>`+)",
    re.DOTALL | re.MULTILINE,
)


def find_formulas(text: str) -> list[Span]:
    r"""Find the formulas of a Markdown text, in order and without overlap; what stands in code is none.

    >>> find_formulas("costs $5 or $10, `$x$`, but $x_1$")
    [(28, 33)]
    """
    return find_plain_formulas(mask_code(text) if "`" in text or "~~~" in text else text)


def count_formulas(text: str) -> int:
    """Count the formulas of a Markdown text."""
    return len(find_formulas(text))


def find_plain_formulas(text: str) -> list[Span]:
    r"""Find the formulas of a text in which backticks mean nothing and each NUL stands for an object, such as code.

    >>> find_plain_formulas(r"so \(a<b\) and $$c$$")
    [(3, 10), (15, 20)]
    """
    if "$" not in text and "\\" not in text:
        return []
    spans = [*_delimited(text), *(_environments(text) if "\\begin{" in text else ())]
    return [span for span in _disjoint(spans) if not _UNSAFE.search(text, *span)]


def mask_code(markdown: str) -> str:
    """Write NULs over the code spans and fenced blocks of a Markdown text; its length does not change."""
    closers: dict[str, list[int]] = {}
    for ticks in re.finditer("`+", markdown):
        closers.setdefault(ticks[0], []).append(ticks.start())
    for starts in closers.values():
        starts.reverse()
    pieces, position = [], 0
    while found := _CODE.search(markdown, position):
        end = _code_end(found, closers)
        pieces += [markdown[position : found.start()], "\0" * (end - found.start()), markdown[end : found.end()]]
        position = max(end, found.end())
    return "".join([*pieces, markdown[position:]])


def _code_end(found: re.Match[str], closers: dict[str, list[int]]) -> int:
    """Return where the code ends that `found` opens; its own start where it opens none."""
    if found["fence"]:
        return found.end()
    waiting = closers.get(found["ticks"] or "", [])
    while waiting and waiting[-1] < found.end():
        waiting.pop()
    return waiting[-1] + len(found["ticks"]) if waiting else found.start()


def _delimited(text: str) -> Iterator[Span]:
    r"""Yield `$..$`, `$$..$$`, `\(..\)` and `\[..\]`."""
    position = 0
    while found := _FORMULA.search(text, position):
        position = found.end()
        if found["inline"] and not _is_mathematics(found["inline"][1:-1], text[position : position + 1]):
            position -= 1  # its closing dollar may open the next one
        elif found.lastgroup:
            yield found.span()


def _is_mathematics(content: str, following: str) -> bool:
    """Tell a formula between single dollars from money and shell variables."""
    if _MARK.search(content):
        return content == content.strip() or not following.isdigit()
    if following.isdigit() or _WORDS.search(content):
        return False
    return content == content.strip() or "_" in content


def _environments(text: str) -> Iterator[Span]:
    r"""Yield every `\begin{x}..\end{x}` whose ends match, inner ones too."""
    opened: list[tuple[str, int]] = []
    for found in _ENVIRONMENT.finditer(text):
        if found[1] is None:
            opened.clear()
        elif found[1] == "begin":
            opened.append((found[2], found.start()))
        elif opened and opened[-1][0] == found[2]:
            yield opened.pop()[1], found.end()


def _disjoint(spans: list[Span]) -> Iterator[Span]:
    """Of spans that overlap keep the one that starts first, the longer where both do."""
    end = 0
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if span[0] >= end:
            end = span[1]
            yield span
