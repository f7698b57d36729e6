"""A question is found inside the page that repeats it, and what merely resembles it is not."""

import re
from collections import Counter
from itertools import combinations

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miners.lessons import write_lesson
from warehouse.dedupe.containment import (
    CROWD,
    LEAST,
    OVERLAPS,
    SAMPLED,
    SCALE,
    SHORTEST,
    find_contained,
    pair_overlaps,
    sample_shingles,
    sum_overlaps,
)
from warehouse.dedupe.edges import EDGES

FORUM, WEB, CHATS = 0, 1, 2
SHINGLE = 5
WIDTH = 2**64


def sample(texts, side=FORUM, shingle=SHINGLE):
    """{ref: text} -> SAMPLED."""
    groups = pa.table({"ref": pa.array(texts, pa.uint64()), "text": pa.array(texts.values(), pa.string())})
    return sample_shingles(groups, shingle, side)


def deal(table, column, buckets):
    """Deal the rows over buckets, as a shuffle does."""
    frame = pl.DataFrame(table)
    return [frame.filter(pl.col(column) % buckets == n).to_arrow().cast(table.schema) for n in range(buckets)]


def join(*samples, threshold=0.8, buckets=1, crowd=CROWD):
    """[(left, right)] that are found when every step is dealt over so many buckets."""
    rows = pa.concat_tables(samples)
    overlaps = deal(
        pa.concat_tables(pair_overlaps(part, crowd) for part in deal(rows, "key", buckets)), "right", buckets
    )
    sums = deal(pa.concat_tables(sum_overlaps(part) for part in overlaps), "left", buckets)
    found = (find_contained(*parts, threshold) for parts in zip(sums, overlaps, strict=True))
    edges = pa.concat_tables(found)
    assert edges.schema == EDGES
    return sorted(zip(edges["left"].to_pylist(), edges["right"].to_pylist(), strict=True))


def words(start, count):
    return " ".join(f"word{number}" for number in range(start, start + count))


def keys_of(text):
    return set(sample({1: text})["key"].to_pylist())


def test_what_is_sampled_in_a_text_is_sampled_in_every_text_that_holds_it():
    question = words(0, 200)
    alone = keys_of(question)
    assert alone < keys_of(f"Home Menu Log in. {question} Answers: {words(5000, 800)}")
    assert alone == keys_of(f"{question.upper()} - {question}") & alone
    assert 196 / SCALE / 2 < len(alone) < 196 / SCALE * 2


def naive_hash(tokens):
    """The rule of kernel.py: FNV-1a of each token, as digits of one number, finalised."""
    number = 0
    for token in tokens:
        value = 0xCBF29CE484222325
        for letter in token:
            value = (value ^ ord(letter)) * 0x100000001B3 % WIDTH
        number = (number * 0x9E3779B97F4A7C15 + value) % WIDTH
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD % WIDTH
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 % WIDTH
    return number ^ number >> 33


@settings(deadline=None)
@given(st.lists(st.text("aBé9 ,量\U00020000", max_size=250), max_size=5), st.integers(1, 6))
@example([" ".join("aBé9"[n * n % 11 % 4] * (n % 3 + 1) for n in range(200))], 3)  # repeats itself
def test_samples_are_the_low_hashes_of_the_shingles_of_each_text(drawn, size):
    expected = []
    for ref, text in enumerate(drawn):
        tokens = re.findall(r"[量\U00020000]|[abé9]+", text.lower())
        hashes = [naive_hash(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
        low = sorted({value for value in hashes if value < WIDTH // SCALE})
        if len(hashes) >= SHORTEST and len(low) >= LEAST:
            expected += [(key, ref, len(low), WEB) for key in low]
    rows = sample(dict(enumerate(drawn)), WEB, size)
    assert list(zip(*rows.to_pydict().values(), strict=True)) == expected


def test_every_row_says_how_many_its_group_has_and_refs_stay_with_their_texts():
    texts = {7: words(0, 90), 2**64 - 1: "", 3: words(1000, 300)}
    rows = pl.DataFrame(sample(texts, WEB))
    assert rows.to_arrow().cast(SAMPLED).schema == SAMPLED
    assert set(rows["ref"]) == {7, 3}
    assert (rows["size"] == pl.Series(rows.select(pl.len().over("ref"))["len"])).all()
    for ref in (7, 3):
        assert set(rows.filter(pl.col("ref") == ref)["key"]) == keys_of(texts[ref])
    assert rows["key"].max() < WIDTH // SCALE


def test_texts_too_short_for_an_estimate_take_no_part():
    long_enough = SHORTEST + SHINGLE - 1
    for start in range(0, 4000, 40):
        assert sample({1: words(start, long_enough - 1)}).num_rows == 0
        assert sample({1: words(start, long_enough)}).num_rows in {0, *range(LEAST, SHORTEST + 1)}
    assert any(sample({1: words(start, long_enough)}).num_rows for start in range(0, 4000, 40))
    assert sample({1: None, 2: "", 3: "one two"}).num_rows == 0
    assert sample({}).schema == SAMPLED
    assert join(sample({})) == []


@pytest.mark.parametrize("buckets", [1, 3, 8])
def test_pages_with_a_question_inside_are_found_and_others_are_not(buckets):
    questions = {number: write_lesson(number)[:700] for number in range(30)}
    around = ("Home | Questions | Tags | Log in. ", "\n\nAnswers: ", "\n\nYour privacy. Terms of use.")
    pages = {
        100 + number: around[0] + text + around[1] + write_lesson(900 + number) + around[2]
        for number, text in questions.items()
    }
    strangers = {200 + number: around[0] + write_lesson(500 + number) + around[2] for number in range(30)}
    found = join(sample(questions), sample(pages | strangers, WEB), buckets=buckets)
    assert found == [(100 + number, number) for number in questions]


def test_a_page_of_many_questions_joins_the_one_it_shares_most_with():
    questions = {number: words(1000 * number, 100 + 40 * number) for number in range(1, 6)}
    page = {100: " ".join(questions.values())}
    assert join(sample(questions), sample(page, WEB)) == [(100, 5)]
    edited = questions | {5: questions[5].replace("word5050", "another")}
    assert join(sample(edited), sample(page, WEB)) == [(100, 4)]


def test_where_pages_are_preferred_every_question_joins_the_page_it_stands_in():
    questions = {number: words(1000 * number, 100) for number in range(1, 6)}
    page = {100: " ".join(questions.values())}
    assert join(sample(questions, WEB), sample(page, FORUM)) == [(number, 100) for number in questions]


def test_texts_of_one_route_are_left_to_jaccard():
    assert join(sample({1: words(0, 100), 2: words(0, 300)})) == []


def test_a_text_that_a_crowd_repeats_pairs_nobody():
    banner = words(0, 60)
    crowd = dict.fromkeys(range(100, 101 + CROWD), banner)
    assert join(sample({1: banner}), sample(crowd, WEB)) == []
    crowd.popitem()
    assert len(join(sample({1: banner}), sample(crowd, WEB))) == CROWD


@pytest.mark.parametrize("buckets", [1, 4])
def test_what_a_crowd_shares_does_not_count_for_or_against_a_pair(buckets):
    thanks = words(9000, 100)
    questions = {number: f"{words(1000 * number, 100)} {thanks}" for number in range(CROWD + 9)}
    pages = {5000: f"{words(80_000, 300)} {words(3000, 100)}", 5001: f"{words(90_000, 300)} {thanks}"}
    assert join(sample(questions), sample(pages, WEB), buckets=buckets) == [(5000, 3)]
    assert join(sample(questions, WEB), sample(pages), buckets=buckets) == [(3, 5000)]


def test_few_shared_shingles_prove_nothing_whatever_their_share():
    few = pa.table([[7], [8], [LEAST - 1], [LEAST - 1], [LEAST - 1]], schema=OVERLAPS)
    assert find_contained(sum_overlaps(few), few, 0.0).num_rows == 0
    more = pa.table([[7, 7], [8, 8], [LEAST - 1, 1], [LEAST] * 2, [LEAST] * 2], schema=OVERLAPS)
    assert find_contained(sum_overlaps(more), more, 1.0).num_rows == 1


def test_the_threshold_itself_is_enough():
    overlaps = pa.table([[1, 2], [9, 9], [4, 79], [5, 100], [90, 200]], schema=OVERLAPS)
    edge = {"left": 1, "right": 9, "kind": "contained", "jaccard": None}
    assert find_contained(sum_overlaps(overlaps), overlaps, 0.8).to_pylist() == [edge]


texts = st.lists(st.lists(st.integers(0, 40), min_size=0, max_size=120), min_size=2, max_size=8)


@settings(deadline=None)
@given(texts, st.data(), st.sampled_from([0.2, 0.5, 0.8, 1.0]), st.sampled_from([1, 4]), st.sampled_from([1, 2, 50]))
def test_edges_are_those_of_plain_sets(drawn, data, threshold, buckets, crowd):
    bodies = dict(enumerate(" ".join(f"w{n}" for n in text) for text in drawn))
    sides = data.draw(st.lists(st.sampled_from([FORUM, WEB, CHATS]), min_size=len(drawn), max_size=len(drawn)))
    sets = {ref: set(sample({ref: text}, shingle=2)["key"].to_pylist()) for ref, text in bodies.items()}
    holders = Counter((key, sides[ref]) for ref, keys in sets.items() for key in keys)
    boilerplate = {key for (key, _), count in holders.items() if count > crowd}
    rare = {ref: keys - boilerplate for ref, keys in sets.items()}
    close = {}
    for pair in combinations(bodies, 2):
        right, left = sorted(pair, key=lambda ref: sides[ref])
        shared, size = len(rare[left] & rare[right]), min(len(rare[left]), len(rare[right]))
        if sides[left] != sides[right] and shared >= LEAST and shared / size >= threshold - 1e-9:
            close.setdefault(left, []).append((-shared / size, -shared, right))
    parts = [sample({ref: text}, sides[ref], 2) for ref, text in bodies.items()]
    assert join(*parts, threshold=threshold, buckets=buckets, crowd=crowd) == sorted(
        (left, min(rights)[2]) for left, rights in close.items()
    )
