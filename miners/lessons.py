r"""Lessons: invented pages of mathematics in Markdown and LaTeX, of which samples are made.

Each is put together of worked examples whose numbers follow from its own, so that what is computed is true, and no two
lessons are alike.
"""

from collections.abc import Iterator, Mapping
from math import gcd
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TOPICS = ("number theory", "calculus", "linear algebra", "algebra", "combinatorics")
_ROW_GROUP = 16


def write_lesson(number: int) -> str:
    """Write a lesson of some thousand characters."""
    parts = [f"# Exercises in {topic_of(number)}, sheet {number}"]
    for step in range(16 + number % 25):
        own = 7919 * (number + 1) + 104729 * step
        parts += _EXERCISES[own % len(_EXERCISES)](own)
    return "\n\n".join(parts)


def topic_of(number: int) -> str:
    """Name the topic of a lesson."""
    return _TOPICS[number % len(_TOPICS)]


def address_of(number: int) -> str:
    """Give a lesson an address: one of five sites, with a path that says its topic."""
    return f"https://{'abcde'[number % 5]}.lessons.example/{topic_of(number).replace(' ', '-')}/sheet-{number}.html"


def write_table(folder: Path, schema: pa.Schema, rows: Iterator[Mapping[str, Any]]) -> Path:
    """Write rows as a corpus publishes them: one Parquet file of several row groups; answers the folder."""
    table = pa.Table.from_pylist(list(rows), schema)
    pq.write_table(table, folder / "train-00000-of-00001.parquet", row_group_size=_ROW_GROUP)
    return folder


def _divide(own: int) -> Iterator[str]:
    """Find a greatest common divisor, step by step."""
    a, b = own % 9973 + 1000, own % 887 + 113
    yield f"**Problem.** Find $\\gcd({a}, {b})$ by Euclid's algorithm."
    yield f"*Solution.* We divide {a} by {b} and go on with the remainders:"
    high, low, lines = a, b, []
    while low:
        lines.append(rf"{high} &= {high // low} \cdot {low} + {high % low}")
        high, low = low, high % low
    yield "$$\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}$$"
    yield f"The last remainder that is not $0$ is {gcd(a, b)}, hence $\\gcd({a}, {b}) = {gcd(a, b)}$."


def _differentiate(own: int) -> Iterator[str]:
    """Differentiate a polynomial, and draw its tangent at a point."""
    a, b, c, at = own % 17 + 2, own % 23 + 1, own % 29 + 3, own % 11 - 5
    value, slope = a * at**3 - b * at**2 + c, 3 * a * at**2 - 2 * b * at
    yield f"**Problem.** Let $f(x) = {a}x^3 - {b}x^2 + {c}$. Where does the tangent at $x = {at}$ meet the $y$-axis?"
    yield f"The power rule gives $f'(x) = {3 * a}x^2 - {2 * b}x$, so the slope of the tangent is $f'({at}) = {slope}$."
    yield f"Since $f({at}) = {value}$, the tangent is $y = {slope}(x - ({at})) + ({value})$, which for $x = 0$ is"
    yield f"\\[ y = {value - slope * at}. \\]"


def _invert(own: int) -> Iterator[str]:
    """Invert a matrix where its determinant allows it."""
    a, b, c, d = own % 13 + 1, own % 7 - 3, own % 19 - 9, own % 5 + 2
    det = a * d - b * c
    yield f"Consider $A = \\begin{{pmatrix}} {a} & {b} \\\\ {c} & {d} \\end{{pmatrix}}$. Its determinant is"
    yield f"$$\\det A = {a} \\cdot {d} - ({b}) \\cdot ({c}) = {det}.$$"
    if det:
        adjugate = f"\\begin{{pmatrix}} {d} & {-b} \\\\ {-c} & {a} \\end{{pmatrix}}"
        yield f"As ${det} \\neq 0$, the inverse is $A^{{-1}} = \\frac{{1}}{{{det}}} {adjugate}$; multiply to see it."
    else:
        yield "So the columns are linearly dependent, and $A$ has no inverse."


def _sum(own: int) -> Iterator[str]:
    """Sum an arithmetic series."""
    first, step, terms = own % 31 + 1, own % 12 + 2, own % 90 + 10
    last = first + (terms - 1) * step
    yield f"**Example.** The sequence {first}, {first + step}, {first + 2 * step}, … has {terms} terms up to {last}."
    yield f"Written forwards and backwards, the pairs all sum to ${first} + {last} = {first + last}$, and therefore"
    value = terms * (first + last) // 2
    left = f"\\sum_{{k=0}}^{{{terms - 1}}} ({first} + {step}k)"
    yield f"$${left} = \\frac{{{terms}}}{{2}} \\cdot {first + last} = {value}.$$"


def _square(own: int) -> Iterator[str]:
    """Find a residue by repeated squaring."""
    base, modulus, power = own % 37 + 2, own % 101 + 59, 2 ** (own % 4 + 3)
    yield f"**Claim.** ${base}^{{{power}}} \\equiv {pow(base, power, modulus)} \\pmod{{{modulus}}}$."
    yield f"*Proof.* We square {power.bit_length() - 1} times and reduce modulo {modulus} after each step:"
    exponents = [2**k for k in range(1, power.bit_length())]
    yield "\n".join(f"- ${base}^{{{e}}} \\equiv {pow(base, e, modulus)}$" for e in exponents)
    yield "Each line is the square of the one before, which proves the claim. $\\square$"


_EXERCISES = (_divide, _differentiate, _invert, _sum, _square)
