"""Leaks that are planted must be found, with evidence that points at them; what is clean must stay."""

import pickle
import re

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.drops import DropReason
from warehouse.decontamination.index import COMMON, GRAMS, ITEMS, build_index, list_grams, open_index, summarise
from warehouse.decontamination.matching import CONTAMINATED, decontaminate, find_overlaps

APPLES = (
    "A farmer carries 48 apples to the market on Monday and sells half as many again on Tuesday. If every apple costs "
    "three cents, how many dollars does the farmer bring home from the market in both days together?"
)
ROOTS = (
    r"Let $p(x) = \frac{1}{2}x^2 - \left(a + b\right)x + \sqrt{c}$ have two real roots $r \le s$. Find the value of "
    r"$\dfrac{r}{s} + \dfrac{s}{r}$ in terms of $a$, $b$ and $c$."
)
REWRITTEN = (
    r"let \(p(x)=\tfrac12 x^{2}-(a+b)x+\sqrt c\) have two real roots \(r\leq s\). find the value of "
    r"\(\frac rs+\frac sr\) in terms of \(a\), \(b\) and \(c\)!"
)
SHORT = "How do I kill a Python process?"
TINY = "Solve for x."
ANSWER = "I hope this email finds you well. My name is Ann and I would like to ask you about the market on Monday."
CLEAN = (
    "The farmer went to the market. Every apple is red, and nobody asked how many dollars it costs to bring one home."
)


def items(*texts, question=True, benchmark="quiz"):
    rows = [{"benchmark": benchmark, "item": str(at), "part": "q", "text": text} for at, text in enumerate(texts)]
    return pa.Table.from_pylist([{**row, "question": question} for row in rows], ITEMS)


QUIZ = build_index(
    pa.concat_tables([items(APPLES, ROOTS, SHORT, TINY), items(ANSWER, question=False, benchmark="mail")]), ngram=13
)


def overlaps(text, index=QUIZ):
    return find_overlaps(pa.table({"ref": [7], "text": [text]}), index).to_pylist()


def found(text, index=QUIZ):
    return [(row["benchmark"], row["item"]) for row in overlaps(text, index)]


def test_an_exact_copy_is_found_with_all_its_ngrams():
    [overlap] = overlaps(f"Someone asked: {APPLES} Nobody knew.")
    assert (overlap["ref"], overlap["item"], overlap["share"], overlap["near"]) == (7, "0", 1.0, 1.0)
    assert overlap["words"] == APPLES.rstrip("?")


def test_evidence_points_at_the_words():
    text = f"Ça coûte 𝄞 ½ … {APPLES} 日本語"
    [overlap] = overlaps(text)
    assert text[overlap["start"] : overlap["end"]] == overlap["words"] == APPLES.rstrip("?")


@pytest.mark.parametrize(
    "copy",
    [
        REWRITTEN,
        ROOTS.replace("$", "$$").replace(" ", "\n"),
        ROOTS.replace("\\", "\\\\").upper().replace("\\\\LEFT", "\\left").replace("\\\\RIGHT", "\\right"),
    ],
)
def test_a_copy_in_other_notation_is_found_whole(copy):
    [overlap] = overlaps(copy)
    assert (overlap["item"], overlap["share"]) == ("1", 1.0)


def test_thirteen_words_in_a_paraphrase_are_enough_and_twelve_are_not():
    words = APPLES.split()
    assert found(f"Once upon a time {' '.join(words[4:17])}, and they lived happily.") == [("quiz", "0")]
    assert found(f"Once upon a time {' '.join(words[4:16])}, and they lived happily.") == []


def test_a_copy_changed_in_every_ninth_word_is_found_by_its_shorter_ngrams():
    changed = " ".join("otherwise" if at % 9 == 8 else word for at, word in enumerate(APPLES.split()))
    [overlap] = overlaps(changed)
    assert (overlap["item"], overlap["ngrams"]) == ("0", 0)
    assert 0.5 <= overlap["near"] < 0.7


def test_short_questions_are_found_whole_and_tiny_ones_are_reported_as_unchecked():
    assert found(f"Tell me, {SHORT.lower()} Please.") == [("quiz", "2")]
    assert found("How do I kill a process of Python?") == []
    assert found(TINY) == []
    quiz = summarise(QUIZ).to_pylist()[0]
    assert (quiz["texts"], quiz["by_ngrams"], quiz["as_whole"], quiz["unchecked"]) == (4, 2, 1, 1)


def test_a_whole_copy_counts_even_if_it_is_all_symbols():
    item = r"Simplify: $\frac{\sqrt{2.5^2-0.7^2}}{2.7-2.5}$."
    index = build_index(items(item), ngram=13)
    assert found(r"simplify \[\dfrac{ \sqrt{2.5^2 - 0.7^2} }{ 2.7 - 2.5 }\] now", index) == [("quiz", "0")]
    assert found(r"calculate \[\dfrac{ \sqrt{2.5^2 - 0.7^2} }{ 2.7 - 2.5 }\] now", index) == []


def test_a_phrase_of_an_answer_is_no_leak_but_half_of_it_is():
    assert found("I hope this email finds you well. My name is Ann and I sell cars.") == []
    assert found(ANSWER) == [("mail", "0")]


def test_clean_texts_and_symbols_are_no_leak():
    numbers = " ".join(map(str, range(1, 40)))
    index = build_index(items(f"Which of 1 and 2 is odd: {numbers}? Say why.", APPLES), ngram=13)
    assert found(CLEAN, index) == found(f"{{{numbers[:35]}}}", index) == []
    assert found("") == found("\n") == []


def test_boilerplate_of_a_benchmark_is_no_evidence():
    closing = "If you cannot tell which answer is right, take your best guess and write the letter five times."
    asked = [f"Question {at} of {at * 7} is nothing like it. {closing}" for at in range(COMMON + 1)]
    index = build_index(items(*asked), ngram=13)
    assert found(f"He said: {closing}", index) == []
    assert summarise(index)["common_ngrams"].to_pylist()[0] > 0
    assert len(found(f"He said: {closing}", build_index(items(*asked[1:]), ngram=13))) == COMMON


def test_a_question_that_is_all_boilerplate_is_no_evidence_by_its_shorter_ngrams():
    closing = "Please reason step by step and put your final answer within the box below"
    answers = items(*(f"Answer {at}. {closing}" for at in range(COMMON + 1)), question=False)
    numbered = answers.set_column(1, "item", pa.array([f"a{at}" for at in range(COMMON + 1)]))
    index = build_index(pa.concat_tables([items(closing), numbered.cast(ITEMS)]), ngram=13)
    assert index.texts["keys"].to_pylist()[0] == 0
    assert found("He asked me to reason step by step about cooking rice.", index) == []


def test_a_question_that_is_also_an_answer_is_indexed_as_a_question_in_its_place():
    index = build_index(pa.concat_tables([items(SHORT, question=False), items(APPLES, SHORT)]), ngram=13)
    assert found(SHORT, index) == [("quiz", "1")]
    assert index.texts["item"].to_pylist() == ["0", "1"]


def test_equal_texts_are_indexed_once_and_name_the_first_item():
    index = build_index(items(*([APPLES] * (COMMON + 5))), ngram=13)
    assert found(APPLES, index) == [("quiz", "0")]


def test_an_index_survives_storage_and_travel():
    stored = list_grams(items(APPLES, SHORT), ngram=13)
    assert stored.schema == GRAMS
    assert found(APPLES, pickle.loads(pickle.dumps(open_index([stored])))) == [("quiz", "0")]


def test_an_index_of_nothing_finds_nothing():
    assert found(APPLES, build_index(ITEMS.empty_table(), ngram=13)) == []
    assert found(TINY, build_index(items(TINY), ngram=13)) == []


def continuations(*pairs):
    prefixes, suffixes = zip(*pairs, strict=True)
    return pa.table({"uid": [f"u{at}" for at in range(len(pairs))], "prefix": prefixes, "suffix": suffixes})


def test_drop_keeps_the_clean_rows_as_they_came_and_says_why_the_others_went():
    rows = continuations((CLEAN, CLEAN), (APPLES, CLEAN), (CLEAN, f"{APPLES} {SHORT}"))
    outcome = decontaminate(rows, ["prefix", "suffix"], QUIZ, "drop")
    assert outcome.kept.equals(rows.slice(0, 1))
    assert outcome.tally().dropped == {DropReason.CONTAMINATED: 2}
    first, second = outcome.dropped.to_pylist()
    assert (first["ref"], first["column"], first["others"]) == ("u1", "prefix", 0)
    assert (second["ref"], second["column"], second["others"]) == ("u2", "suffix", 1)
    said = r"quiz item 0 \(q\): \d\d of its n-grams \(100%; of the shorter ones 100%\), in `prefix` at 0-\d+"
    assert re.fullmatch(said, first["detail"])


def test_a_leak_across_the_cut_is_seen_only_where_columns_follow_each_other():
    rows = continuations((APPLES[:60], APPLES[60:]))
    assert decontaminate(rows, ["prefix", "suffix"], QUIZ, "drop", seamless=True).dropped["share"].to_pylist() == [1.0]
    apart = decontaminate(rows, ["prefix", "suffix"], QUIZ, "drop").dropped
    assert apart["share"].to_pylist()[0] < 1.0


def test_flag_keeps_all_rows_and_names_what_they_overlap_with():
    rows = continuations((CLEAN, CLEAN), (APPLES, SHORT))
    outcome = decontaminate(rows, ["prefix", "suffix"], QUIZ, "flag")
    assert outcome.kept.drop_columns("contaminated").equals(rows)
    assert outcome.kept.schema.field("contaminated") == CONTAMINATED
    clean, leaked = outcome.kept["contaminated"].to_pylist()
    assert clean == []
    assert sorted(leaked) == [f"quiz/0/q@prefix:0-{len(APPLES) - 1}", f"quiz/2/q@suffix:0-{len(SHORT) - 1}"]
    again = decontaminate(outcome.kept, ["prefix", "suffix"], QUIZ, "flag")
    assert again.kept.equals(outcome.kept)


def test_messages_are_read_as_their_contents():
    message = [{"role": "user", "content": "Hello."}, {"role": "user", "content": APPLES}]
    rows = pl.DataFrame({"uid": ["a", "b"], "prompt": [message, message[:1]]}).to_arrow()
    outcome = decontaminate(rows, ["prompt"], QUIZ, "drop")
    assert outcome.kept["uid"].to_pylist() == ["b"]
    assert outcome.dropped["start"].to_pylist() == [len("Hello.\n\n")]


def test_no_rows_are_no_trouble():
    rows = continuations((CLEAN, CLEAN)).slice(0, 0)
    assert decontaminate(rows, ["prefix"], QUIZ, "drop").kept.equals(rows)
    assert decontaminate(rows, ["prefix"], QUIZ, "flag").kept.num_rows == 0


WORDS = st.lists(st.sampled_from(["ant", "bee", "cat", "dog", "elk"]), max_size=14).map(" ".join)


@given(st.lists(WORDS, max_size=4, unique=True), st.lists(WORDS, max_size=4), st.integers(3, 4))
def test_hits_are_those_of_sets_of_ngrams(texts, rows, size):
    def grams(text):
        words = text.split()
        return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}

    index = build_index(items(*texts), ngram=size)
    expected = {
        (row, str(item)): (len(shared), len(shared) / len(grams(text)))
        for row, held in enumerate(rows)
        for item, text in enumerate(texts)
        if (shared := grams(held) & grams(text))
    }
    table = find_overlaps(pa.table({"ref": list(range(len(rows))), "text": pa.array(rows, pa.string())}), index)
    answer = {(row["ref"], row["item"]): (row["ngrams"], row["share"]) for row in table.to_pylist()}
    assert answer == expected
