"""What counts as a word, shown on texts that must, or must not, have the same words."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.decontamination.index import ITEMS, build_index, string_buffers
from warehouse.decontamination.kernel import count_words, list_ngrams
from warehouse.decontamination.words import commands, fold_tables, hash_word

TABLE = (*fold_tables(), *commands())


def keys(text, size=1):
    """Hashes of the n-grams of one text, as the kernel makes them."""
    data, offsets = string_buffers(pa.array([text]))
    words = np.zeros(1, np.int64)
    count_words(data, offsets, TABLE, words)
    grams = max(words[0] - size + 1, 0)
    found, tells = np.zeros(grams, np.uint64), np.zeros(grams, np.int64)
    if grams:
        list_ngrams(data, offsets, TABLE, np.array([size]), np.array([0, grams]), found, tells)
    return found.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac12", r"\frac{1}{2}"),
        (r"\frac 1 2", r"\dfrac{1}{2}"),
        (r"\frac1{23}", r"\tfrac{1}{23}"),
        (r"\frac{\frac12}{x}y", r"\frac{\frac{1}{2}}{x} y"),
        (r"\sqrt2x", r"\sqrt{2} x"),
        (r"\left( x+1 \right)^2", "(x + 1)^{2}"),
        (r"$x_1 \le 2$", r"\(x_{1}\leq 2\)"),
        (r"$$a\,b$$", r"\[ a b \]"),
        (r"\begin{align*}2x&=4\end{align*}", "2 x = 4"),
        (r"\mathrm{d}x, \text{where } x", "d x where x"),
        (r"\\frac{1}{2}", r"\frac{1}{2}"),
        (r"\{1, 2\}", "1 2"),
        ("Don\u2019t STOP\u2014now…", "don't stop now"),
        ("café ﬁx ½ x²", "CAFE\u0301 fix 1 2 x2"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("日本語", "日 本 語"),
        ("_emphasis_ and **bold**", "emphasis and bold"),
    ],
)
def test_notation_and_layout_do_not_change_the_words(one, other):
    assert keys(one) == keys(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac{12}{3}", r"\frac{1}{23}"),
        (r"\frac12", r"\frac{12}{}"),
        (r"\sin x", r"\cos x"),
        ("x^2 y", "x^3 y"),
        (r"\rightarrow", r"\right arrow"),
        ("123", "1 2 3"),
        ("therapist", "the rapist"),
    ],
)
def test_meaning_changes_the_words(one, other):
    assert keys(one) != keys(other)


def test_words_are_hashed_as_documented():
    assert keys("Half of pi") == keys("half of pi")
    assert len(set(keys("one two one"))) == 2
    assert hash_word("a") == 0xAF63DC4C8601EC8C  # draft-eastlake-fnv, test vector of FNV-1a for "a"


def spelled(text):
    """Words of a text without LaTeX or scripts without spaces, the slow and plain way."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) != "Cf")
    return re.findall(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f])*|\d+", plain.lower())


@given(st.text(st.sampled_from("abzABZ019 .,-\n'éßﬁ²½Ωж\u00ad"), max_size=60), st.integers(1, 5))
def test_ngrams_are_those_of_the_plain_way(text, size):
    words, found = spelled(text), keys(text, size)
    grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    assert len(found) == len(grams)
    pairs = set(zip(grams, found, strict=True))
    assert len(pairs) == len(set(grams)) == len(set(found))


@given(st.text(st.sampled_from("\\{}$()frac12leftbegin x"), max_size=80))
def test_any_latex_is_read_and_spaces_never_lose_words(text):
    everything = re.findall(r"[a-z]+|\d+", text)
    assert len(keys(text)) <= sum(map(len, everything))


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_found_in_a_text_that_holds_it(text, around):
    items = pa.table([["b"], ["1"], ["q"], [text + " and the question goes on here"], [True]], schema=ITEMS)
    index = build_index(items, ngram=3)
    held = f"{around}\n\n{text} and the question goes on here"
    if "\\" in around or "{" in around or "}" in text:
        return  # a brace or command before may change how the text reads
    hits = index.search(pa.array([held]))
    assert hits["key"].n_unique() == len(index.keys)
