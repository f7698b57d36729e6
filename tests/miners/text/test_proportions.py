"""Of what a text is made: formulas, symbols, repeated lines."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.text.formulas import count_formulas
from miners.text.proportions import measure_formulas, measure_repeated_lines, measure_symbols


def measure(how, text):
    return pl.DataFrame({"text": [text]}, schema={"text": pl.String}).select(how(pl.col("text"))).item()


FORMULAS = {
    "$x$, $x+y$ and $42$": 3,
    "a $$b$$ c $$\nd\n$$": 2,
    r"\(a\) and \[ b \\[2pt] c \]": 2,
    r"\begin{align*} \alpha &= \beta \\ \epsilon \end{align*}": 1,
    r"\begin{equation}\begin{split} a \end{split}\end{equation}": 1,
    "$5 and $10": 0,
    "from $5-$10": 0,
    "$HOME:$PATH": 0,
    r"\$x\$ and \\(x\\)": 0,
    r"\( without an end": 0,
    r"\begin{equation} without an end": 0,
    r"\begin{proof} words \end{proof}": 0,
    "": 0,
}


@pytest.mark.parametrize(("text", "count"), FORMULAS.items())
def test_formulas_are_counted_a_thousand_characters(text, count):
    assert measure(measure_formulas, text) == pytest.approx(1000 * count / max(len(text), 1))


def test_the_fast_count_agrees_with_the_exact_one_on_prose():
    text = r"Let $f\colon X \to Y$ be \(G\)-equivariant; it costs $5. Then $$H^i(X) = 0$$ for $i > n$, and so on. " * 20
    assert measure(measure_formulas, text) * len(text) == pytest.approx(1000 * count_formulas(text))


def test_symbols_count_outside_formulas_only():
    assert measure(measure_symbols, "ab, c!") == pytest.approx(2 / 6)
    assert measure(measure_symbols, "ab $x^2 = (y)$ cd") == 0
    assert measure(measure_symbols, "नमस्ते 数学 é é 7") == 0
    assert measure(measure_symbols, "=====") == 1
    assert measure(measure_symbols, "") == 0


def test_a_repeated_line_is_one_that_stood_before():
    assert measure(measure_repeated_lines, "a\n\n a \r\nb\nb\nc") == pytest.approx(2 / 5)
    assert measure(measure_repeated_lines, "a\nb") == 0
    assert measure(measure_repeated_lines, "\n \n") == 0
    assert measure(measure_repeated_lines, "") == 0


@given(st.lists(st.text(alphabet="ab \t", max_size=3), max_size=12))
def test_repeated_lines_by_their_definition(lines):
    stripped = [line.strip() for line in lines if line.strip()]
    expected = (len(stripped) - len(set(stripped))) / max(len(stripped), 1)
    assert measure(measure_repeated_lines, "\n".join(lines)) == pytest.approx(expected)


@given(st.text(alphabet=st.sampled_from("$\\()[]{}be gin\n1x^"), max_size=60))
def test_any_text_has_shares_between_none_and_all(text):
    assert 0 <= measure(measure_symbols, text) <= 1
    assert measure(measure_formulas, text) <= 1000 / 3  # `$x$` is the shortest


@pytest.mark.parametrize("how", [measure_formulas, measure_symbols, measure_repeated_lines])
def test_null_has_none(how):
    assert measure(how, None) is None
