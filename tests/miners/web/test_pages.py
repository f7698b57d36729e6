"""One's own pages: files to the letter, HTML rendered, rows of tables; what cannot be read is kept for reading."""

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.source import Reading
from miners.web.pages import SOURCE
from schemas.drops import DROP
from schemas.errors import InputError, RecipeError
from schemas.identity import digest
from schemas.inputs import DOCUMENT, Route
from schemas.recipe import check

REAL = Path(os.environ.get("REVEALED_REAL_DATA", "../shared/data")) / "math"


def read_all(path, slice_bytes=1 << 30, chunk_bytes=32 << 20, **options):
    """Read an input: (documents, dropped rows), with each outcome's sum checked."""
    given = check(SOURCE.options, options, "options")
    reading = Reading("notes", "pepper", given, chunk_bytes)
    parts = SOURCE.plan(str(path), given, slice_bytes)
    outcomes = [outcome for part in parts for outcome in SOURCE.read(part, reading)]
    for outcome in outcomes:
        outcome.tally()
        assert outcome.kept.schema.equals(DOCUMENT)
    kept = pa.concat_tables([outcome.kept for outcome in outcomes] or [DOCUMENT.empty_table()])
    return pl.DataFrame(kept), pl.DataFrame(pa.concat_tables([o.dropped for o in outcomes] or [DROP.empty_table()]))


def write_lines(path, *rows):
    path.write_bytes(b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows))


def hash_of(text):
    return pl.select(digest(pl.lit(text))).item()


def test_every_file_of_a_folder_is_a_document(tmp_path):
    inner = tmp_path / "a"
    inner.mkdir()
    inner.joinpath("one.tex").write_bytes(b"\xef\xbb\xbf\\section{A}\r\n\r\n  $x\0<y$ \n\n")
    inner.joinpath("two.html").write_text(
        '<html><head><title>Two</title><link rel="canonical" href="https://a.example/2"></head>'
        '<body><nav>menu</nav><p>So <script type="math/tex">a<b</script></p></body></html>'
    )
    tmp_path.joinpath("three.md.gz").write_bytes(gzip.compress("# ψ\n".encode()))
    tmp_path.joinpath("empty.txt").write_bytes(b"")
    tmp_path.joinpath("four.pdf").write_bytes(b"%PDF")
    tmp_path.joinpath(".hidden.txt").write_text("no")
    kept, dropped = read_all(tmp_path, license="CC-BY-4.0")
    assert SOURCE.route == Route.WEB
    assert kept.select("doc_id", "text", "url", "metadata").rows() == [
        ("notes/a/one.tex", "\\section{A}\r\n\r\n  $x\0<y$ \n\n", None, '{"file":"a/one.tex","title":null}'),
        ("notes/a/two.html", "So $a<b$", "https://a.example/2", '{"file":"a/two.html","title":"Two"}'),
        ("notes/empty.txt", "", None, '{"file":"empty.txt","title":null}'),
        ("notes/three.md.gz", "# ψ\n", None, '{"file":"three.md.gz","title":null}'),
    ]
    assert kept["source"].unique().to_list() == ["pages"]
    assert kept["license"].unique().to_list() == ["CC-BY-4.0"]
    assert dropped.is_empty()


def test_neither_slices_nor_chunks_change_a_document(tmp_path):
    folder = SOURCE.sample(tmp_path, 20)
    whole, _ = read_all(folder)
    assert whole.height == whole["text"].n_unique() == 20
    assert whole["text"].str.contains("menu|nav|Home", literal=False).sum() == 0
    assert whole["text"].str.contains(r"\$\$\\begin\{aligned\}\n").any()
    assert read_all(folder, slice_bytes=20_000, chunk_bytes=1)[0].equals(whole)
    assert len(SOURCE.plan(str(folder), SOURCE.options(), 20_000)) > 3
    one = folder / "00001.md"
    assert read_all(one)[0].equals(whole.filter(pl.col("doc_id") == "notes/00001.md"))
    assert SOURCE.find(str(one)) == {"00001": str(one)}


def test_a_sample_renders_to_what_it_was_made_of(tmp_path):
    """HTML of a lesson and the lesson itself tell the same formulas."""
    from miners.lessons import write_lesson
    from miners.text.formulas import find_formulas

    text = read_all(SOURCE.sample(tmp_path, 1))[0]["text"][0]
    lesson = write_lesson(0)
    assert [text[a:b] for a, b in find_formulas(text)] == [lesson[a:b] for a, b in find_formulas(lesson)]


def test_a_folder_that_changed_since_it_was_listed_is_refused(tmp_path):
    folder = SOURCE.sample(tmp_path, 3)
    [part] = SOURCE.plan(str(folder), SOURCE.options(), 1 << 30)
    folder.joinpath("late.txt").write_text("x")
    with pytest.raises(InputError, match="files came, went or grew"):
        list(SOURCE.read(part, Reading("notes", "pepper", SOURCE.options())))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('<meta charset="ISO-8859-1"><p>Gödel “so”</p>'.encode("cp1252"), "Gödel “so”"),
        (
            '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>сумма</p>'.encode("koi8-r"),
            "сумма",
        ),
        ("<meta charset=punycode><p>Gödel</p>".encode(), "Gödel"),  # no encoding that a browser knows
        ("<p>Gödel</p>".encode("utf-16"), "Gödel"),
        ("<meta charset=latin1><p>Gödel</p>".encode("utf-8-sig"), "Gödel"),
    ],
)
def test_pages_may_name_their_encoding(data, text, tmp_path):
    tmp_path.joinpath("a.html").write_bytes(data)
    assert read_all(tmp_path)[0]["text"].to_list() == [text]


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("iso-8859-9", "cp1254", "“ğüş” €"),
        ("gb2312", "gb18030", "镕€"),
        ("gbk", "gb18030", "𠮷"),
        ("euc-kr", "cp949", "똠방각하"),
        ("shift_jis", "cp932", "①髙"),
        ("big5", "big5hkscs", "喺度"),
    ],
)
def test_encodings_are_those_that_browsers_read_under_these_names(label, codec, text, tmp_path):
    tmp_path.joinpath("a.html").write_bytes(f"<meta charset={label}><p>{text}</p>".encode(codec))
    assert read_all(tmp_path)[0]["text"].to_list() == [text]


@pytest.mark.parametrize("content", [b"", b"\xff" * 300])
def test_files_without_a_text_fill_chunks_as_well(content, tmp_path):
    for at in range(10):
        tmp_path.joinpath(f"{at}.txt").write_bytes(content)
    options = SOURCE.options()
    [part] = SOURCE.plan(str(tmp_path), options, 1 << 30)
    outcomes = list(SOURCE.read(part, Reading("notes", "pepper", options, 1000)))
    assert len(outcomes) > 2
    assert sum(outcome.rows_in for outcome in outcomes) == 10


def test_files_that_cannot_be_read_are_quarantined(tmp_path):
    tmp_path.joinpath("a.tex").write_bytes(b"half a pair \xed\xa0\xbd")
    tmp_path.joinpath("b.txt").write_bytes(b"x" * 3001)
    tmp_path.joinpath("c.md.gz").write_bytes(gzip.compress(bytes(range(256)) * 40)[:300])
    tmp_path.joinpath("d.txt").write_bytes(b"sound")
    kept, dropped = read_all(tmp_path, max_bytes=3000)
    assert kept["text"].to_list() == ["sound"]
    assert dropped.select("reason", "ref").rows() == [
        ("invalid_utf8", "a.tex"),
        ("row_too_long", "b.txt"),
        ("truncated", "c.md.gz"),
    ]
    assert dropped["detail"].to_list()[1] == "longer than 3,000 bytes"
    assert dropped["file"][0] == str(tmp_path / "a.tex")
    assert dropped["row"][0] == "half a pair ���"


ROWS = [
    {"text": "one $x$", "url": "https://a.example/1", "id": 1, "date": "2020-01-02T03:04:05Z"},
    {"text": "two\r\n\0", "url": None, "id": 2, "date": None},
    {"text": "", "url": "", "id": 3, "date": "2020-01-02T03:04:05Z"},
    {"text": None, "url": "https://a.example/4", "id": 4, "date": None},
]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_rows_of_tables_are_documents(ending, tmp_path):
    file = tmp_path / f"pages.{ending}"
    if ending == "jsonl":
        write_lines(file, *ROWS)
    else:
        pq.write_table(pa.Table.from_pylist(ROWS), file, row_group_size=1)
    kept, dropped = read_all(tmp_path, slice_bytes=1)
    day = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert kept.select("doc_id", "text", "url", "crawled_at").rows() == [
        ("notes/1", "one $x$", "https://a.example/1", day),
        ("notes/2", "two\r\n\0", None, None),
        ("notes/3", "", None, day),
    ]
    assert dropped.select("reason", "ref", "detail").rows() == [("bad_attribute", "notes/4", "`text` is missing")]
    assert read_all(file)[0].equals(kept)


def test_columns_may_have_other_names_and_ids_may_be_left_out(tmp_path):
    write_lines(tmp_path / "a.jsonl", {"content": "one", "link": "https://a.example/1"}, {"content": "two"})
    kept, _ = read_all(tmp_path, text="content", url="link")
    assert kept["doc_id"].to_list() == [hash_of("https://a.example/1"), hash_of("two")]
    kept, _ = read_all(tmp_path, text="content")
    assert kept["doc_id"].to_list() == [hash_of("one"), hash_of("two")]


def test_a_column_of_pages_is_rendered(tmp_path):
    rows = [
        {"html": '<title>A</title><link rel=canonical href="https://a.example/1"><p><em>so</em></p>'},
        {"html": None},
        {"html": "<nav>menu</nav>", "url": "https://a.example/3"},
    ]
    write_lines(tmp_path / "a.jsonl", *rows)
    kept, dropped = read_all(tmp_path, text="html", markup="html", url="url")
    assert kept.select("doc_id", "text", "url", "metadata").rows() == [
        (hash_of(rows[0]["html"]), "*so*", "https://a.example/1", '{"title":"A"}'),
        (hash_of("https://a.example/3"), "", "https://a.example/3", '{"title":null}'),
    ]
    assert dropped["detail"].to_list() == ["`text` is missing"]
    assert json.loads(dropped["row"][0])["html"] is None


def test_broken_lines_are_quarantined(tmp_path):
    lines = [{"text": "sound"}, b'{"text": "no end\n', b'{"text": "\xff"}\n', {"text": "\ud83d!"}, {"other": 1}]
    write_lines(tmp_path / "a.jsonl", *lines)
    kept, dropped = read_all(tmp_path)
    assert kept["text"].to_list() == ["sound", "\ufffd!"]
    assert sorted(dropped["reason"].to_list()) == ["bad_attribute", "invalid_utf8", "malformed_row"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"txt": "a"}], {}, r"it has no column `text` \(did you mean `txt`"),
        ([{"text": ["a"]}], {}, r"column `text` holds lists of texts, not texts"),
        ([{"text": "a"}], {"url": "link"}, r"it has no column `link`"),
        ([{"text": "a", "id": 5}], {"id": "ide"}, r"it has no column `ide` \(did you mean `id`"),
    ],
)
def test_tables_without_the_columns_are_refused(rows, options, message, tmp_path):
    write_lines(tmp_path / "a.jsonl", *rows)
    with pytest.raises(InputError, match=message):
        read_all(tmp_path, **options)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / "a.parquet", **options)


def test_what_is_no_input_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file in it ends in \.tex"):
        read_all(tmp_path)
    tmp_path.joinpath("a.pdf").write_bytes(b"x")
    with pytest.raises(InputError, match="its name does not say what it is"):
        read_all(tmp_path / "a.pdf")
    tmp_path.joinpath("a.tex").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_all(tmp_path / "a.tex")
    with pytest.raises(InputError, match="there is no such file"):
        read_all(tmp_path / "none.tex")
    tmp_path.joinpath("a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be decoded"):
        read_all(tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match="unknown key `txt`; did you mean `text`"):
        read_all(tmp_path, txt="a")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=5))
def test_texts_are_kept_to_the_letter(tmp_path, texts):
    for old in tmp_path.iterdir():
        old.unlink()
    for number, text in enumerate(texts):
        tmp_path.joinpath(f"{number}.tex").write_bytes(text.encode())
    kept, _ = read_all(tmp_path)
    assert kept["text"].to_list() == [text.removeprefix("\ufeff") for text in texts]


@pytest.mark.skipif(not REAL.is_dir(), reason="no real TeX: ../shared/data/math is not there")
def test_real_tex_is_read_to_the_letter():
    kept, dropped = read_all(REAL, slice_bytes=1 << 18)
    files = sorted(REAL.glob("*.tex"))
    assert kept["text"].to_list() == [file.read_bytes().decode() for file in files]
    assert kept["doc_id"].to_list() == [f"notes/{file.name}" for file in files]
    assert dropped.is_empty()
