r"""Where a text should not be cut, and where it may: formulas and code as spans, sentence ends as places.

Both count in characters (Unicode code points). They are found to keep cuts away, not to be rendered: a dollar amount
taken for a formula moves a cut by some characters, and nothing else. A span ends where its closer stands; an opener
without one opens nothing, so that a stray mark spoils nothing behind it.
"""

import re

Span = tuple[int, int]

ENVIRONMENTS = (
    *("equation", "align", "alignat", "aligned", "alignedat", "gather", "gathered", "multline", "flalign", "eqnarray"),
    *("split", "math", "displaymath", "array", "matrix", "pmatrix", "bmatrix", "vmatrix", "Vmatrix", "Bmatrix"),
    *("smallmatrix", "cases", "dcases", "rcases", "subequations", "dmath", "tikzcd", "tikzpicture", "xy", "CD"),
    *("tabular", "tabularx", "longtable", "verbatim", "Verbatim", "lstlisting", "minted", "algorithm", "algorithmic"),
)
"""Environments that are one thing: formulas, tables, diagrams and code. Others, such as `proof`, hold prose."""

# Each search begins with one set of characters: `re` then runs to the next of them at the speed of memory.
_OPENER = re.compile(
    r"[\\$`~](?:(?<=\\)(?:begin\{(?P<environment>(?:" + "|".join(ENVIRONMENTS) + r")\*?)\}|.)"
    r"|(?<=\$)\$?|(?<=`)`*|(?<=~)~{2,})",
    re.DOTALL,
)
_CLOSER = {r"\(": r"\)", r"\[": r"\]"}
_DOLLARS = {
    "$": re.compile(r"(?:[^\\$\n]++|\\.|\n(?![ \t\r]*+\n))++\$", re.DOTALL),  # as in LaTeX, no blank line within
    "$$": re.compile(r"(?:[^\\$\n]++|\\.|\n(?![ \t\r]*+\n)|\$(?!\$))++\$\$", re.DOTALL),
}
_CODE = re.compile(r"[^`\n]++(?P<ticks>`+)")
_LINE_START = re.compile(r"(?:^|\n)[ \t>*+-]{0,8}\Z")

_STOPS = ".!?\u2026\u061f\u06d4\u0964\u0965\u0589\u1362\u1367\u104b\u17d4"  # space follows
_WIDE = "\u3002\uff01\uff1f\uff61"  # none does
_QUOTES = r"""["'\u2019\u201d\u00bb)\]}]*+"""
_WIDE_QUOTES = r"[\u201d\u2019\u300d\u300f\uff09\u3011\u300b]*+"
_SENTENCE_END = re.compile(
    rf"[{_STOPS}{_WIDE}\r\n](?:(?<=[{_STOPS}])(?<![{_STOPS}]{{2}})[{_STOPS}]*+{_QUOTES}(?=\s|\Z)"
    rf"|(?<=[{_WIDE}])[{_WIDE}]*+{_WIDE_QUOTES}"
    r"|(?:(?<=\n)|(?<=\r)\n)(?:[^\S\n]*+\n)++)"
)
_GOES_ON = re.compile(r"\s++[a-z\u00df-\u00f6\u00f8-\u00ff\u03b1-\u03c9\u0430-\u044f]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|cf|Fig|Figs|Eq|Eqs|Thm|Prop|Lem|Def|Cor|Sec|Ch|No|Vol|pp|al|resp|approx"
    r"|e\.g|i\.e|etc|[A-Z])|^\s*\d{1,3})\.\Z",  # `E. Noether`; the number of a list's item
    re.MULTILINE,
)
_LOOKBACK = 12  # characters: longer than any abbreviation, or than what stands before a fence
_FENCE = 3  # backticks or tildes


def find_spans(text: str) -> list[Span]:
    r"""Find what is not to be cut: formulas, `ENVIRONMENTS`, fenced and inline code; in order, none within another.

    Formulas are `$..$`, `$$..$$`, `\(..\)` and `\[..\]`. Time grows with the length of the text, whatever is in it.

    >>> find_spans(r"so $x$ and \[ y \], `$`")
    [(3, 6), (11, 18), (20, 23)]
    """
    spans, position = [], 0
    absent: set[str] = set()
    while opener := _OPENER.search(text, position):
        end = _find_end(text, opener, absent)
        position = end or opener.end()
        if end:
            spans.append((opener.start(), end))
    return spans


def find_sentence_ends(text: str) -> list[int]:
    """Find where sentences end, behind their last mark and its closing quotes; in order, in scripts of many kinds.

    A blank line ends what stands before it. A full stop ends nothing before a small letter, after an initial, and in
    the commonest abbreviations. White space belongs to what follows.

    >>> text = "See Fig. 3 of E. Noether. “Why?” 是的。好"
    >>> [text[:end][-6:] for end in find_sentence_ends(text)]
    ['ether.', '“Why?”', '?” 是的。']
    """
    ends = (_judge_end(text, found) for found in _SENTENCE_END.finditer(text))
    return list(dict.fromkeys(end for end in ends if end))


def _judge_end(text: str, found: re.Match[str]) -> int | None:
    """Say where the sentence ends that `found` may end; None where it goes on."""
    mark, end = found[0][0], found.end()
    if mark in "\r\n":
        return found.start()
    if mark in ".\u2026" and _GOES_ON.match(text, end):
        return None
    return None if found[0] == "." and _ABBREVIATION.search(text, max(0, end - _LOOKBACK), end) else end


def _find_end(text: str, opener: re.Match[str], absent: set[str]) -> int | None:
    """Find where the span ends that `opener` begins; None where it begins none."""
    mark, start = opener[0], opener.end()
    if opener["environment"]:
        return _find_environment(text, opener["environment"], start, absent)
    if mark in _CLOSER:
        return _find_closer(text, _CLOSER[mark], start, absent)
    if mark in _DOLLARS:
        found = _DOLLARS[mark].match(text, start)
        return found.end() if found else None
    return None if mark[0] == "\\" else _find_code(text, opener, absent)  # an escaped character opens nothing


def _find_closer(text: str, closer: str, start: int, absent: set[str]) -> int | None:
    """Find the end of the next `closer`. One that is not there is not looked for again: time stays linear."""
    if closer in absent:
        return None
    found = text.find(closer, start)
    if found < 0:
        absent.add(closer)
        return None
    return found + len(closer)


def _find_environment(text: str, name: str, start: int, absent: set[str]) -> int | None:
    """Find the end of an environment, past those of its own kind within it; where they do not pair, the next end."""
    opener, closer = f"\\begin{{{name}}}", f"\\end{{{name}}}"
    if opener in absent:
        return _find_closer(text, closer, start, absent)
    depth = 1
    for found in re.compile(re.escape(opener) + "|" + re.escape(closer)).finditer(text, start):
        depth += 1 if found[0] == opener else -1
        if not depth:
            return found.end()
    absent.add(opener)
    return _find_closer(text, closer, start, absent)


def _find_code(text: str, opener: re.Match[str], absent: set[str]) -> int | None:
    """Find the end of a fenced block, which begins a line, or of code within a line."""
    ticks, start = opener[0], opener.end()
    is_fence = len(ticks) >= _FENCE and _LINE_START.search(text, max(0, opener.start() - _LOOKBACK), opener.start())
    if is_fence and ticks not in absent:
        if found := re.compile(rf"\n[ \t>]*+{ticks}").search(text, start):
            return found.end()
        absent.add(ticks)
    found = _CODE.match(text, start)
    return found.end() if found and found["ticks"] == ticks else None
