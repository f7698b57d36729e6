r"""Proportions: of what a text is made, as expressions over a column of texts; null for null.

Formulas are found by one linear search, for counting: `$..$` (not `$5 and $10`), `$$..$$`, `\(..\)`, `\[..\]` and
mathematical environments. What needs their exact places asks `miners.text.spans`.
"""

import polars as pl

_ESCAPED = r"\\[\\$]"  # opens nothing: `\\[2pt]` is a line break, `\$` a price
_ENVIRONMENTS = (
    "equation|align|alignat|aligned|flalign|gather|gathered|multline|eqnarray|split|math|displaymath|dmath|array"
    "|[pbvBV]?matrix|smallmatrix|d?cases|xy|CD|tikzcd"
)
# No body runs over an opener of its own kind, so that a million of them without an end cost one search, not a million.
_FORMULA = (
    r"\$\$[^$]+\$\$"
    r"|\$[^$\n]*[\\^_={}][^$\n]*\$"  # between single dollars: what has a mark of TeX in it,
    r"|\$[0-9.,]+\$|\$[^$\s\d]\$|\$[^$\s\d][^$\n]{0,16}[^$\s:/(\-]\$"  # a number, or a few signs without spaces round
    r"|\\\((?:[^\\]|\\[^()\[\]])+\\\)"
    r"|\\\[(?:[^\\]|\\[^()\[\]])+\\\]"
    r"|\\begin\{(?:" + _ENVIRONMENTS + r")\*?\}(?:[^\\]|\\[^be]|\\e[^n]|\\b[^e]|\\be[^g])*\\end\{[A-Za-z]+\*?\}"
)
_SYMBOL = r"[^\p{L}\p{M}\p{N}\s]"


def measure_formulas(text: pl.Expr) -> pl.Expr:
    """Say how many formulas there are in a thousand characters; 0 for an empty text."""
    count = text.str.replace_all(_ESCAPED, "  ").str.count_matches(_FORMULA)
    return 1000 * count / pl.max_horizontal(text.str.len_chars(), 1)


def measure_symbols(text: pl.Expr) -> pl.Expr:
    """Say which share of the characters is neither letter, digit, white space nor inside a formula; 0 for none."""
    prose = text.str.replace_all(_ESCAPED, "  ").str.replace_all(_FORMULA, " ")
    return prose.str.count_matches(_SYMBOL) / pl.max_horizontal(text.str.len_chars(), 1)


def measure_repeated_lines(text: pl.Expr) -> pl.Expr:
    """Say which share of the lines stands in the text before, without white space at their ends; blank ones are none.

    Duplicate line fraction of Gopher (Rae et al. 2021, table A1, where more than 0.30 is too much).
    """
    line = pl.element().str.strip_chars()
    lines = text.str.split("\n").list.eval(line.replace("", None).drop_nulls())
    return (lines.list.len() - lines.list.n_unique()) / pl.max_horizontal(lines.list.len(), 1)
