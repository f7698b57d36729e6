"""Signatures are datasketch's, bit for bit, whatever the script and however the column is cut."""

import os
import re
import unicodedata
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from warehouse.dedupe.signatures import Sketch, sign, signature_table, values

REAL = Path(os.environ.get("REVEALED_REAL_DATA", "../shared/data"))
SMALL = Sketch(bands=4, rows=3)
WIDTH = 2**64

SCRIPTS = {
    "english": ("It's 2 o'clock, Ms. O'Hara!", ["it", "s", "2", "o", "clock", "ms", "o", "hara"]),
    "code": ("foo_bar(x1)+=y**2", ["foo", "bar", "x1", "y", "2"]),
    "thai": ("ภาษาไทย", list("ภาษาไทย")),
    "lao": ("ພາສາ", list("ພາສາ")),
    "khmer": ("ភាសា", list("ភាសា")),
    "burmese": ("မြန်မာ", list("မြန်မာ")),
    "tibetan": ("བོད་ཡིག", [*"བོད", *"ཡིག"]),
    "chinese": ("量子计算 qubit 门", [*"量子计算", "qubit", "门"]),
    "japanese": ("カタカナとひらがな、漢字", [*"カタカナとひらがな", *"漢字"]),
    "korean": ("한국어 텍스트", ["한국어", "텍스트"]),
    "hindi": ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
    "arabic": ("مُحَمَّد كِتَاب", ["مُحَمَّد", "كِتَاب"]),
    "accents": ("Cafe\u0301 E\u0300TE", ["cafe\u0301", "e\u0300te"]),
    "greek": ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
    "turkish": ("İSTANBUL", ["istanbul"]),
    "emoji": ("yes 👍🏽👩‍💻 no", ["yes", "no"]),
    "nothing": (" -- ?! \n", []),
}


def naive_tokens(text):
    """The rule of shingles.py, a character at a time."""
    names = ("CJK ", "IDEOGRAPHIC ", "HIRAGANA ", "KATAKANA", "HALFWIDTH KATAKANA", "THAI ", "LAO ", "KHMER ")
    names += ("MYANMAR ", "TIBETAN ", "BALINESE ", "JAVANESE ", "TAI ", "NEW TAI LUE ")
    spaced = ""
    for letter in text:
        if unicodedata.category(letter)[0] not in "LNM":
            spaced += " "
        elif unicodedata.name(letter, "").startswith(names):
            spaced += f" {letter.lower()} "
        else:
            spaced += letter.lower()[0].replace("\u03c2", "\u03c3")
    return spaced.split(" ")


def naive_shingles(text, size):
    tokens = [token for token in naive_tokens(text) if token]
    count = max(1, len(tokens) - size + 1) if tokens else 0
    return [" ".join(tokens[at : at + size]).encode() for at in range(count)]


def shingle_hash(shingle):
    """The rule of kernel.py as datasketch's `hashfunc`."""
    number = 0
    for token in shingle.decode().split(" "):
        value = 0xCBF29CE484222325
        for letter in token:
            value = (value ^ ord(letter)) * 0x100000001B3 % WIDTH
        number = (number * 0x9E3779B97F4A7C15 + value) % WIDTH
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD % WIDTH
    number = (number ^ number >> 33) * 0xC4CEB9FE1A85EC53 % WIDTH
    return (number ^ number >> 33) >> 32


def oracle(text, sketch):
    return signed(naive_shingles(text, sketch.shingle), sketch)


def signed(shingles, sketch):
    minhash = MinHash(num_perm=sketch.num_perm, seed=sketch.seed, hashfunc=shingle_hash)
    minhash.update_batch(shingles)
    return minhash.hashvalues.astype("<u4").tobytes() if shingles else None


def real_posts(limit):
    folder = REAL / "stackexchange"
    if not folder.is_dir():
        pytest.skip(f"no real dumps under {REAL} (set REVEALED_REAL_DATA)")
    bodies = []
    for path in sorted(folder.glob("*/Posts.xml")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found = (re.search(r' Body="([^"]*)"', line) for line in lines[:: len(lines) // limit + 1])
        bodies += [unescape(match[1]) for match in found if match]
    return bodies


words = st.text(st.sampled_from("abcdeXYZ019_'é ÉςΣİßก็ไ漢字かナहिन्दी عَ👍\u0301\u200d\n-"), max_size=40)
texts = st.one_of(st.text(max_size=40), words, st.lists(words, max_size=8).map(" ".join))
columns = st.lists(st.none() | texts, max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    columns, st.sampled_from([SMALL, Sketch(bands=1, rows=1, shingle=1), Sketch(bands=5, rows=2, shingle=3, seed=7)])
)
def test_the_values_are_those_of_datasketch(column, sketch):
    assert sign(pa.array(column, pa.string()), sketch).to_pylist() == [oracle(text or "", sketch) for text in column]


def test_the_values_are_those_of_datasketch_on_real_posts():
    posts = real_posts(limit=12)
    assert len(posts) > 50
    assert sign(pa.array(posts), Sketch()).to_pylist() == [oracle(post, Sketch()) for post in posts]


@pytest.mark.parametrize("script", SCRIPTS)
def test_tokens_of_a_script_are_as_written_here(script):
    text, tokens = SCRIPTS[script]
    all_tokens = Sketch(bands=4, rows=3, shingle=20)
    assert [token for token in naive_tokens(text) if token] == tokens
    assert sign(pa.array([text]), all_tokens).to_pylist() == [
        signed([" ".join(tokens).encode()][: len(tokens)], all_tokens)
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | texts, min_size=1, max_size=12), st.data())
def test_slices_chunks_and_string_types_change_nothing(column, data):
    start = data.draw(st.integers(0, len(column)))
    cut = data.draw(st.integers(start, len(column)))
    whole = pa.array(column, pa.string())
    chunked = pa.chunked_array([whole[start:cut], whole[cut:].cast(pa.string())], pa.string())
    expected = sign(whole, SMALL)[start:]
    assert sign(whole[start:], SMALL).equals(expected)
    assert sign(chunked, SMALL).equals(expected)
    assert sign(whole.cast(pa.large_string())[start:], SMALL).equals(expected)
    assert np.array_equal(values(sign(whole, SMALL))[start:], values(expected))


def test_an_empty_column_has_no_signatures():
    assert len(sign(pa.chunked_array([], pa.string()), SMALL)) == 0
    assert values(sign(pa.array([], pa.string()), SMALL)).shape == (0, 12)


def test_a_letter_or_a_hundred_thousand_tokens_fit_the_scratch_space():
    long = " ".join(f"w{number}" for number in range(100_000))
    assert sign(pa.array(["a", long, "ก" * 5000]), SMALL).to_pylist() == [
        oracle(text, SMALL) for text in ("a", long, "ก" * 5000)
    ]


def test_hashes_of_distinct_shingles_rarely_collide():
    """No more than 32 bits give by chance: n**2 / 2**33 pairs."""
    shingles = {" ".join(f"w{(start * 7919 + step) % 50_021}" for step in range(5)) for start in range(50_021)}
    shingles |= {f"{a} {b}" for a in range(200) for b in range(200)}
    hashes = {shingle_hash(shingle.encode()) for shingle in shingles}
    assert len(shingles) - len(hashes) <= 4  # 0.94 expected of 90,021


@pytest.mark.parametrize(
    ("text", "same", "equal"),
    [
        ("Hello  World\n", "hello world", True),
        ("a\u00a0b\t\r\nc", "A B C", True),
        ("ÉTÉ", "été", True),
        ("?!", "?!", True),
        ("hello world", "helloworld", False),
        ("hello, world", "hello world", False),
    ],
)
def test_text_hash_ignores_case_and_white_space_only(text, same, equal):
    hashes = signature_table(pa.table({"ref": pa.array([1, 2], pa.uint64()), "text": [text, same]}), SMALL)["text_hash"]
    assert (hashes[0] == hashes[1]) is equal
    assert hashes.null_count == 0


def test_signature_table_keeps_the_other_columns_and_drops_the_text():
    groups = pa.table(
        {
            "ref": pa.array([7, 8, 9], pa.uint64()),
            "score": [1, None, 3],
            "text": ["Some text, here.", " \n", None],
            "license": ["MIT", None, "MIT"],
        }
    )
    table = signature_table(groups, SMALL)
    assert table.column_names == ["ref", "score", "license", "text_hash", "chars", "signature"]
    assert table.select(["ref", "score", "license"]) == groups.select(["ref", "score", "license"])
    assert table.schema.field("text_hash").type == pa.uint64()
    assert table["chars"].to_pylist() == [16, 2, None]
    assert table["text_hash"].is_null().to_pylist() == [False, True, True]
    assert table["signature"].is_null().to_pylist() == [False, True, True]


def test_the_text_hash_is_the_same_on_every_machine():
    """xxh3_64 of b"hello world", as published with xxHash."""
    table = signature_table(pa.table({"ref": pa.array([1], pa.uint64()), "text": ["Hello World"]}), SMALL)
    assert table["text_hash"].to_pylist() == [0xD447B1EA40E6988B]


@pytest.mark.parametrize("field", ["bands", "rows", "shingle"])
def test_a_sketch_of_nothing_is_refused(field):
    with pytest.raises(RecipeError, match=f"`{field}` is 0; it must be 1 or more"):
        Sketch(**{field: 0})


def test_every_option_is_in_the_fingerprint():
    others = [Sketch(bands=7), Sketch(rows=4), Sketch(bands=8, rows=14), Sketch(shingle=4), Sketch(seed=2)]
    assert len({sketch.fingerprint() for sketch in [Sketch(), *others]}) == 6
    assert unicodedata.unidata_version in Sketch().fingerprint()
