import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miners.web.mining import blocks as module
from miners.web.mining.blocks import cut_blocks
from miners.web.mining.tokens import open_tokenizer
from schemas.errors import RecipeError
from schemas.inputs import DOCUMENT
from schemas.mining import BLOCK
from schemas.recipe import Blocks

NAMES = (None, "bytes", "normalized", "lower", "unigram")
FORMULAS = ("$x+y$", "$$\\int f \\, dx = 3$$", "\\(a_1\\)", "\\[\\frac{a}{b}\\]", "\n```\nif x: pass\n```", "`let y`")
FORMULAS += ("\\begin{align*}\na &= b \\\\ c &= d\n\\end{align*}",)
WORDS = (
    "The group",
    " is finite",
    ". ",
    "是的。",
    " मान।",
    "\n\n",
    "\r\n\r\n",
    " of order 3.14 ",
    "؟ ",
    " 😀 ",
    "Dr. No. ",
)

ANY_TEXT = st.text(max_size=200) | st.text("aé😀 \r\n\x00\u0301\u200dשא是İẞﬁ.$`\\[]()", max_size=120)
PROSE = st.lists(st.sampled_from((*FORMULAS, *WORDS)), max_size=60).map("".join)
TEXTS = st.lists(ANY_TEXT | PROSE, min_size=1, max_size=4)


@st.composite
def rules(draw, **fixed):
    prefix, suffix = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    mode = draw(st.sampled_from(["fixed", "random", "sentence"]))
    ends = draw(st.tuples(*[st.integers(1, prefix + suffix)] * 2).map(sorted))
    values = {
        "prefix": prefix,
        "suffix": suffix + 1,
        "mode": mode,
        "prefix_range": ends if mode == "random" else None,
        "formulas": draw(st.sampled_from(["allow", "avoid"])),
        "stride": draw(st.none() | st.integers(1, 30)),
        "max_per_document": draw(st.none() | st.integers(1, 3)),
        "tolerance": draw(st.integers(0, 12)),
    }
    return Blocks.model_validate(values | fixed)


def documents(*texts, **columns):
    frame = pl.DataFrame({"doc_id": [f"d{at}" for at in range(len(texts))], "text": list(texts)})
    given = {"source": "web", "url": "https://Math.Example.org/page"} | columns
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in given.items()})
    missing = [pl.lit(None).alias(name) for name in DOCUMENT.names if name not in frame.columns]
    return frame.with_columns(missing).select(DOCUMENT.names).to_arrow().cast(DOCUMENT)


def decisions(*rows):
    names = ("group_id", "cluster_id", "kept")
    return pa.table(
        {name: [row[at] for row in rows] for at, name in enumerate(names)},
        schema=pa.schema([("group_id", pa.string()), ("cluster_id", pa.string()), ("kept", pa.bool_())]),
    )


def cut(texts, blocks, *, file=None, seed=0, decided=()):
    return cut_blocks(documents(*texts), decisions(*decided), blocks, tokenizer=open_tokenizer(file), seed=seed)


def rows(outcome):
    return outcome.kept.to_pylist()


def parts(text, **options):
    return [(row["prefix"], row["suffix"]) for row in rows(cut([text], Blocks(**options)))]


def naive_spans(text):
    """Formulas and code, one character at a time: what opens lasts until its closer, but not over a blank line."""
    pairs = {"\\(": "\\)", "\\[": "\\]", "$$": "$$", "$": "$", "\\begin{align*}": "\\end{align*}", "```": "\n```"}
    found, at = [], 0
    while at < len(text):
        opener = next(
            (mark for mark in ("\\begin{align*}", "```", "$$", "$", "\\(", "\\[") if text.startswith(mark, at)), None
        )
        if opener is None:
            at += 1
            continue
        end = text.index(pairs[opener], at + len(opener)) + len(pairs[opener])
        found.append((at, end))
        at = end
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(texts=TEXTS, blocks=rules(), seed=st.integers(0, 3))
def test_a_block_is_a_piece_of_its_document(request, name, texts, blocks, seed):
    file = name and request.getfixturevalue("tokenizer_files")[name]
    outcome = cut(texts, blocks, file=file, seed=seed)
    for row in rows(outcome):
        text = texts[int(row["doc_id"][1:])]
        assert row["prefix"] == text[row["start"] : row["cut"]] != ""
        assert row["suffix"] == text[row["cut"] : row["end"]] != ""
    served = {row["doc_id"] for row in rows(outcome)}
    assert outcome.tally().rows_out == len(served)
    assert outcome.tally().dropped.get("no_block", 0) == len(texts) - len(served)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(texts=TEXTS, blocks=rules(stride=None))
def test_blocks_do_not_overlap(request, name, texts, blocks):
    file = name and request.getfixturevalue("tokenizer_files")[name]
    ends = {}
    for row in rows(cut(texts, blocks, file=file)):
        assert row["start"] >= ends.get(row["doc_id"], 0)
        ends[row["doc_id"]] = row["end"]


@given(
    text=st.lists(st.sampled_from((*FORMULAS[:5], FORMULAS[6], *(f"{word} \n" for word in WORDS))), max_size=60).map(
        "".join
    ),
    blocks=rules(formulas="avoid"),
)
def test_nothing_is_cut_inside_a_formula(text, blocks):
    for row in rows(cut([text], blocks)):
        for begin, end in naive_spans(text):
            assert not any(begin < row[place] < end for place in ("start", "cut", "end"))


def test_fixed_blocks_tile_a_document_and_leave_its_rest():
    text = "".join(chr(ord("a") + at) * 4 for at in range(11))  # eleven tokens of four letters
    assert parts(text, prefix=1, suffix=2) == [("aaaa", "bbbbcccc"), ("dddd", "eeeeffff"), ("gggg", "hhhhiiii")]
    assert len(parts(text, prefix=4, suffix=7)) == 1
    assert parts(text, prefix=4, suffix=8) == []
    assert parts(text, prefix=1, suffix=2, tolerance=1)[3:] == [("jjjj", "kkkk")]
    assert [prefix for prefix, _ in parts(text, prefix=2, suffix=2, stride=3)] == ["aaaabbbb", "ddddeeee", "gggghhhh"]
    assert parts(text, prefix=2, suffix=2, stride=3, tolerance=2)[3:] == []  # jjjj and kkkk leave nothing to the suffix


def test_a_last_block_is_not_a_piece_of_the_one_before_it():
    text = "x" * 40
    starts = [row["start"] for row in rows(cut([text], Blocks(prefix=2, suffix=4, stride=1, tolerance=4)))]
    assert starts == [0, 4, 8, 12, 16]


def test_blocks_are_cut_where_a_sentence_ends():
    text = "One two three four five. Six seven eight nine ten? “Yes it is, sir.” No more of it now, please!\n\nAnd on"
    assert parts(text, prefix=12, suffix=12, mode="sentence") == [
        ("One two three four five. Six seven eight nine ten?", " “Yes it is, sir.” No more of it now, please!")
    ]


def test_blocks_that_are_moved_to_the_same_sentence_ends_are_one():
    text = " ".join(f"Sentence {at} {'word ' * 20}ends." for at in range(40))
    found = rows(cut([text], Blocks(mode="sentence", prefix=64, suffix=64, stride=16)))
    assert len({row["uid"] for row in found}) == len(found) > 20


def test_cuts_are_drawn_from_the_range_and_reach_both_its_ends():
    blocks = Blocks(prefix=3, suffix=7, mode="random", prefix_range=(2, 5))
    found = rows(cut(["y" * 4000], blocks))
    assert {row["prefix_tokens"] for row in found} == {2, 3, 4, 5}
    assert {row["prefix_tokens"] + row["suffix_tokens"] for row in found} == {10}
    assert [row["cut"] for row in found] != [row["cut"] for row in rows(cut(["y" * 4000], blocks, seed=1))]


def test_a_place_that_would_have_to_move_far_makes_no_block():
    text = "Begin. $" + "x" * 100 + "$ The end is far. " + "z" * 60 + ". "
    spread = rows(cut([text], Blocks(prefix=8, suffix=8, formulas="avoid", tolerance=8)))
    assert all(abs(row["prefix_tokens"] - 8) <= 8 for row in spread)
    assert len(spread) < len(rows(cut([text], Blocks(prefix=8, suffix=8, tolerance=8))))


def test_of_many_blocks_those_with_the_smallest_hash_stay():
    texts = ["".join(f"{at} " for at in range(start, start + 500)) for start in (0, 1000)]
    every = rows(cut(texts, Blocks(prefix=4, suffix=4)))
    some = rows(cut(texts, Blocks(prefix=4, suffix=4, max_per_document=3)))
    assert [row["doc_id"] for row in some] == ["d0"] * 3 + ["d1"] * 3
    assert all(row in every for row in some)
    assert [row["start"] for row in some[:3]] != [row["start"] for row in some[3:]]


@settings(max_examples=15)
@given(texts=st.lists(PROSE, min_size=2, max_size=6), blocks=rules())
def test_a_block_depends_on_nothing_but_its_document(texts, blocks):
    together = rows(cut(texts, blocks))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_AT_ONCE", 50)
        assert rows(cut(texts, blocks)) == together
    table = documents(*texts)
    alone = [
        row
        for at in reversed(range(len(texts)))
        for row in rows(cut_blocks(table.slice(at, 1), decisions(), blocks, tokenizer=open_tokenizer(None)))
    ]
    assert sorted(alone, key=lambda row: row["uid"]) == sorted(together, key=lambda row: row["uid"])
    assert len({row["uid"] for row in together}) == len(together)


def test_what_dedupe_dropped_gives_no_block_and_the_rest_its_cluster():
    decided = [("web/d0", "web/d9", True), ("web/d1", "web/d9", False), ("web/d2", None, True)]
    outcome = cut(["a" * 40] * 4, Blocks(prefix=5, suffix=5), decided=decided)
    assert [(row["group_id"], row["cluster_id"]) for row in rows(outcome)] == [
        ("web/d0", "web/d9"),
        ("web/d2", "web/d2"),
        ("web/d3", "web/d3"),
    ]
    assert outcome.dropped.select(["ref", "reason"]).to_pylist() == [{"ref": "web/d1", "reason": "thread_dropped"}]
    assert outcome.tally().produced == 3


def test_a_block_says_where_it_is_from():
    table = documents("The same  END, the same end", "ab" * 14, language="en", license="ODC-By-1.0")
    outcome = cut_blocks(
        table, decisions(), Blocks(prefix=3, suffix=4), tokenizer=open_tokenizer(None), community="4plus"
    )
    assert outcome.kept.schema == BLOCK
    row = rows(outcome)[0]
    assert {name: row[name] for name in ("route", "source", "community", "language", "license", "mode", "weight")} == {
        "route": "web",
        "source": "web",
        "community": "4plus",
        "language": "en",
        "license": "ODC-By-1.0",
        "mode": "fixed",
        "weight": 1.0,
    }
    assert (row["host"], row["url"], row["prefix_ids"]) == ("math.example.org", "https://Math.Example.org/page", None)
    assert (row["prefix_tokens"], row["suffix_tokens"]) == (3, 4)


def test_the_key_of_a_suffix_forgets_case_and_spacing():
    texts = [f"{'x' * 12}{suffix}" for suffix in ("The END\n\nof it.  ", "the end of  it.   ", "the end of  it!   ")]
    same, again, other = [row["suffix_key"] for row in rows(cut(texts, Blocks(prefix=3, suffix=4, tolerance=1)))]
    assert same == again != other


def test_ids_are_those_of_the_document(tokenizer_files):
    text = "The number of the group is 🚀 " * 12
    blocks = Blocks(prefix=7, suffix=9, store_ids=True)
    found = rows(cut([text], blocks, file=tokenizer_files["bytes"]))
    ids = open_tokenizer(tokenizer_files["bytes"]).tokenize(pl.Series([text])).ids.tolist()
    assert [one for row in found for one in row["prefix_ids"] + row["suffix_ids"]] == ids[: 16 * len(found)]
    assert {(len(row["prefix_ids"]), len(row["suffix_ids"])) for row in found} == {(7, 9)}


@settings(max_examples=25)
@given(text=PROSE, blocks=rules(store_ids=True))
def test_as_many_ids_as_tokens(tokenizer_files, text, blocks):
    for row in rows(cut([text], blocks, file=tokenizer_files["lower"])):
        assert (len(row["prefix_ids"]), len(row["suffix_ids"])) == (row["prefix_tokens"], row["suffix_tokens"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "random"}, r"`blocks.prefix_range` is None; with `mode: random` it must be two numbers"),
        ({"mode": "random", "prefix_range": (9, 3)}, r"the smaller first, below the block's 1536"),
        ({"mode": "random", "prefix_range": (9, 1536)}, r"below the block's 1536"),
        ({"prefix_range": (3, 9)}, r"is for `mode: random`, and the mode is `fixed`"),
        ({"store_ids": True}, r"needs a tokenizer: name one in `blocks.tokenizer`"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(RecipeError, match=message):
        cut(["a"], Blocks(**options))


@pytest.mark.parametrize("texts", [[], ["", ""], ["short"]])
def test_nothing_to_cut(texts):
    outcome = cut(texts, Blocks(mode="sentence", formulas="avoid"))
    assert (outcome.kept.num_rows, outcome.kept.schema) == (0, BLOCK)
    assert outcome.tally().dropped == ({"no_block": len(texts)} if texts else {})


def test_real_mathematics_is_cut_to_the_letter_between_formulas(real_data):
    texts = [path.read_text(encoding="utf-8") for path in sorted((real_data / "math").glob("*.tex"))]
    if not texts:
        pytest.skip(f"no LaTeX in {real_data / 'math'}")
    found = rows(cut(texts, Blocks(prefix=128, suffix=256, mode="sentence", formulas="avoid")))
    assert sum(len(row["prefix"] + row["suffix"]) for row in found) > 0.9 * sum(map(len, texts))
    for row in found:
        text = texts[int(row["doc_id"][1:])]
        assert row["prefix"] + row["suffix"] == text[row["start"] : row["end"]]
        assert row["prefix"][-1] in ".!?)'}" or text[row["cut"] :].lstrip(" \t")[0] == "\n"
