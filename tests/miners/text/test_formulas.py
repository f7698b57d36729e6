import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.text.formulas import count_formulas, find_formulas, mask_code


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("$5 and $10", []),
        ("from $10k to 20k$ a year", []),
        (r"\$5 and \$6", []),
        ("US$ and A$ are dollars", []),
        ("the $n$th of $22$", ["$n$", "$22$"]),
        (r"$ \alpha $ is loose", [r"$ \alpha $"]),
        (r"costs $5, so $x_1$", ["$x_1$"]),
        (r"$$a\\b$$ \(c\) \[d \\[4pt] e\]", [r"$$a\\b$$", r"\(c\)", r"\[d \\[4pt] e\]"]),
        (r"\\(not one\\)", []),
        (r"$a \text{ if $b$ } c$", [r"$a \text{ if $b$ } c$"]),
        (
            r"\begin{align}\begin{pmatrix}a\end{pmatrix}\end{align}",
            [r"\begin{align}\begin{pmatrix}a\end{pmatrix}\end{align}"],
        ),
        ("$$a\n\nb$$", []),
        ("`$a$` $b$\n\n```\n$c$\n```\n$d$", ["$b$", "$d$"]),
        (r"$a<b$ $0<x \leq 1$", ["$a<b$", r"$0<x \leq 1$"]),
        ("$<script>$ $a<img src=$ onerror=x>", []),
        ("$f[x](y)$ $[x](javascript:y)$", ["$f[x](y)$"]),
    ],
)
def test_what_is_a_formula(text, formulas):
    assert [text[start:end] for start, end in find_formulas(text)] == formulas
    assert count_formulas(text) == len(formulas)


@given(st.text(alphabet="$\\()[]{}`~ab1 \n<>_", max_size=60))
def test_spans_are_ordered_disjoint_and_delimited(text):
    end = 0
    for start, stop in find_formulas(text):
        assert end <= start < stop <= len(text)
        assert text[start] in "$\\"
        assert "`" not in text[start:stop]
        end = stop


@given(st.text(alphabet="`~ab\n >", max_size=60))
def test_masking_keeps_the_length_and_what_is_no_code(text):
    masked = mask_code(text)
    assert len(masked) == len(text)
    assert all(after in {before, "\0"} for before, after in zip(text, masked, strict=True))


@pytest.mark.parametrize("unit", ["$", "$ ", r"\(", r"\begin{a}", "`", "`` ` ", "$a=](", "$a<b c ", "a"])
def test_hostile_repetition_finds_nothing(unit):
    assert find_formulas(unit * 50_000 + "\n\n") in ([], [(0, 4)]) or unit.startswith("$")
