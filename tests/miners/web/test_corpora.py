"""Published corpora: rows in exactly their forms become documents, whatever the slices; other files are refused."""

from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.documents import find_tables
from miners.source import Reading
from miners.web.finemath import SOURCE as FINEMATH
from miners.web.infimm import SOURCE as INFIMM
from miners.web.infiwebmath import SOURCE as INFIWEBMATH
from miners.web.openwebmath import SOURCE as OPENWEBMATH
from schemas.drops import DROP
from schemas.errors import InputError
from schemas.identity import digest
from schemas.inputs import DOCUMENT, Route
from schemas.recipe import check

SOURCES = (FINEMATH, INFIWEBMATH, OPENWEBMATH, INFIMM)
URL = "https://math.stackexchange.com/questions/1/why?noredirect=1"
TEXT = "Since $a_1 < b$,\r\n\0 \\frac12 \U0001f600 — 数学."

FORMS = {
    "finemath": {
        "url": (pa.string(), URL),
        "fetch_time": (pa.int64(), 1_558_257_136_000_000_000),
        "content_mime_type": (pa.string(), "text/html"),
        "warc_filename": (pa.string(), "crawl-data/CC-MAIN-2019-22/x.warc.gz"),
        "warc_record_offset": (pa.int32(), 7),
        "warc_record_length": (pa.int32(), 70),
        "text": (pa.string(), TEXT),
        "token_count": (pa.int32(), 12),
        "char_count": (pa.int32(), 34),
        "metadata": (pa.string(), '{"found_math": true, "script_math_tex": 3}'),
        "score": (pa.float64(), 3.671875),
        "int_score": (pa.int64(), 4),
        "crawl": (pa.string(), "CC-MAIN-2019-22"),
        "snapshot_type": (pa.string(), "longest"),
        "language": (pa.string(), "en"),
        "language_score": (pa.float64(), 0.87),
    },
    "infiwebmath": {
        "url": (pa.string(), URL),
        "metadata": (pa.string(), '{"ft_lang_label":"__label__en","ft_lang_prob":0.93,"math_prob":0.9,"size":44}'),
        "score": (pa.float64(), 4.25),
        "int_score": (pa.int64(), 4),
        "token_count": (pa.int64(), 12),
        "char_count": (pa.int64(), 34),
        "text": (pa.string(), TEXT),
    },
    "openwebmath": {
        "url": (pa.string(), URL),
        "text": (pa.string(), TEXT),
        "date": (pa.timestamp("us"), datetime(2018, 6, 23, 10, 21, 4)),  # noqa: DTZ001 - as published
        "metadata": (pa.string(), '{"extraction_info": {"found_math": true, "math_score": 0.93}, "config": {}}'),
    },
    "infimm": {
        "URL": (pa.string(), URL),
        "text_list": (pa.list_(pa.string()), ["Since $a_1 < b$,", None, "", "the figure\nshows it."]),
        "image_list": (pa.list_(pa.string()), [None, "https://x.org/a.png", "https://x.org/b.png", None]),
        "metadata": (
            pa.struct([("ft_lang_label", pa.string()), ("ft_lang_prob", pa.float64()), ("math_prob", pa.float64())]),
            {"ft_lang_label": "zh", "ft_lang_prob": 0.98, "math_prob": 0.99},
        ),
    },
}
NAME = pl.select(digest(pl.lit(URL))).item()
COMMON = {"doc_id": NAME, "url": URL, "license": "ODC-By-1.0"}
DOCUMENTS = {
    "finemath": COMMON
    | {
        "text": TEXT,
        "language": "en",
        "quality": 3.671875,
        "token_count": 12,
        "crawled_at": datetime(2019, 5, 19, 9, 12, 16, tzinfo=UTC),
        "metadata": '{"crawl":"CC-MAIN-2019-22"}',
    },
    "infiwebmath": COMMON | {"text": TEXT, "language": "en", "quality": 4.25, "token_count": 12},
    "openwebmath": COMMON | {"text": TEXT, "quality": 0.93, "crawled_at": datetime(2018, 6, 23, 10, 21, 4, tzinfo=UTC)},
    "infimm": COMMON
    | {"text": "Since $a_1 < b$,\n\nthe figure\nshows it.", "language": "zh", "metadata": '{"images":2}'},
}


def read_all(source, path, options=None, slice_bytes=1 << 30, chunk_bytes=32 << 20):
    """Read an input: (documents, dropped rows), with each outcome's sum checked."""
    given = check(source.options, options or {}, "options")
    reading = Reading("c", "pepper", given, chunk_bytes)
    parts = source.plan(str(path), given, slice_bytes)
    outcomes = [outcome for part in parts for outcome in source.read(part, reading)]
    for outcome in outcomes:
        outcome.tally()
        assert outcome.kept.schema.equals(DOCUMENT)
    kept = pa.concat_tables([outcome.kept for outcome in outcomes] or [DOCUMENT.empty_table()])
    return pl.DataFrame(kept), pl.DataFrame(pa.concat_tables([o.dropped for o in outcomes] or [DROP.empty_table()]))


def make_table(source, rows=1, **changes):
    """Make a table in the form of a corpus, its rows all alike; changes: {column: (type, values)}, None: left out."""
    columns = {name: (dtype, [value] * rows) for name, (dtype, value) in FORMS[source.name].items()} | changes
    return pa.table({name: pa.array(value[1], value[0]) for name, value in columns.items() if value is not None})


def url_of(source):
    return next(iter(set(FORMS[source.name]) & {"url", "URL"}))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_row_in_the_published_form_becomes_a_document(source, tmp_path):
    pq.write_table(make_table(source), tmp_path / "train-00000-of-00001.parquet")
    kept, dropped = read_all(source, tmp_path)
    assert source.route == Route.WEB
    assert kept.to_dicts() == [dict.fromkeys(DOCUMENT.names) | {"source": source.name} | DOCUMENTS[source.name]]
    assert dropped.is_empty()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_neither_slices_nor_chunks_nor_files_change_a_document(source, tmp_path):
    folder = source.sample(tmp_path, 40)
    whole, _ = read_all(source, folder)
    assert whole["doc_id"].n_unique() == whole["text"].n_unique() == 40
    assert whole["text"].str.contains(r"\$\$\\begin\{aligned\}\n").any()
    fine, _ = read_all(source, folder, slice_bytes=1, chunk_bytes=1)
    assert fine.equals(whole)
    table = pq.read_table(folder)
    for item in folder.iterdir():
        item.unlink()
    for part, at in (("b", 13), ("a", 0)):
        pq.write_table(table.slice(at, 13 if at == 0 else 27), folder / f"{part}.parquet", row_group_size=5)
    folder.joinpath("_metadata.parquet").write_bytes(b"hidden")
    assert read_all(source, folder, slice_bytes=1)[0].equals(whole)
    assert len(source.plan(str(folder), source.options(), 1)) == 3 + 6


def test_the_samples_forms_are_the_published_ones(tmp_path):
    for source in SOURCES:
        folder = tmp_path / source.name
        folder.mkdir()
        form = pq.read_schema(next(source.sample(folder, 1).iterdir()))
        published = {name: dtype for name, (dtype, _) in FORMS[source.name].items()}
        if source is INFIMM:
            published["metadata"] = pa.struct([*published["metadata"], pa.field("size", pa.int64())])
        assert dict(zip(form.names, form.types, strict=True)) == published


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    file = tmp_path / "a.parquet"
    marks = {name: f"{name} " * 20 for name in ("warc_filename", "content_mime_type", "snapshot_type")}
    table = make_table(FINEMATH, 3, **{name: (pa.string(), [mark] * 3) for name, mark in marks.items()})
    pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=False)
    data = file.read_bytes()
    for mark in marks.values():
        assert mark.encode() in data
        data = data.replace(mark.encode(), b"\xff" * len(mark))  # of which no text can be made
    file.write_bytes(data)
    kept, dropped = read_all(FINEMATH, file)
    assert (kept.height, dropped.height) == (3, 0)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_page_without_address_is_named_by_its_text(source, tmp_path):
    table = make_table(source, 3, **{url_of(source): (pa.string(), [None, "", URL])})
    pq.write_table(table, tmp_path / "a.parquet")
    kept, _ = read_all(source, tmp_path)
    name = pl.select(digest(pl.lit(kept["text"][0]))).item()
    assert kept["doc_id"].to_list() == [name, name, NAME]
    assert kept["url"].to_list() == [None, None, URL]


def test_the_licence_may_be_another(tmp_path):
    kept, _ = read_all(FINEMATH, FINEMATH.sample(tmp_path, 2), {"license": "NOASSERTION"})
    assert kept["license"].to_list() == ["NOASSERTION"] * 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (1_558_257_136, datetime(2019, 5, 19, 9, 12, 16, tzinfo=UTC)),
        (1_558_257_136_125, datetime(2019, 5, 19, 9, 12, 16, 125_000, tzinfo=UTC)),
        (1_558_257_136_125_999, datetime(2019, 5, 19, 9, 12, 16, 125_000, tzinfo=UTC)),
        (1_558_257_136_125_999_999, datetime(2019, 5, 19, 9, 12, 16, 125_000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (None, None),
    ],
)
def test_times_are_read_in_any_unit(written, meant, tmp_path):
    pq.write_table(make_table(FINEMATH, fetch_time=(pa.int64(), [written])), tmp_path / "a.parquet")
    assert read_all(FINEMATH, tmp_path)[0]["crawled_at"].to_list() == [meant]


def test_a_single_wrong_value_sends_its_row_into_the_quarantine(tmp_path):
    table = make_table(
        FINEMATH,
        5,
        text=(pa.string(), ["one", None, "three", "", "five"]),
        fetch_time=(pa.int64(), [0, 0, -5, 0, 0]),
        score=(pa.float64(), [1.0, 1.0, 1.0, 1.0, float("nan")]),
    )
    pq.write_table(table, tmp_path / "a.parquet")
    kept, dropped = read_all(FINEMATH, tmp_path)
    assert kept["text"].to_list() == ["one", ""]  # an empty text is for the filters to drop
    assert dropped.select("reason", "offset", "ref", "detail").rows() == [
        ("bad_attribute", 1, NAME, "`text` is missing"),
        (
            "bad_attribute",
            2,
            NAME,
            "`crawled_at` is `-5`, not a time after 1970 as a whole number, of a year up to 2100",
        ),
        ("bad_attribute", 4, NAME, "`quality` is `NaN`, not a number"),
    ]
    assert dropped["file"].unique().to_list() == [str(tmp_path / "a.parquet")]


def test_texts_that_are_not_utf8_are_set_apart(tmp_path):
    broken = b"half a pair: \xed\xa0\xbd."  # a lone surrogate, as some writers leave it
    texts = pa.array([b"sound", broken, b"nul \0 is"], pa.binary()).view(pa.string())
    table = make_table(OPENWEBMATH, 3)
    pq.write_table(table.set_column(table.column_names.index("text"), "text", texts), tmp_path / "a.parquet")
    kept, dropped = read_all(OPENWEBMATH, tmp_path)
    assert kept["text"].to_list() == ["sound", "nul \0 is"]
    assert dropped.select("reason", "offset").rows() == [("invalid_utf8", 1)]


@pytest.mark.parametrize("metadata", ["{", "[]", '"a"', None, '{"extraction_info": 5}', "{}"])
def test_metadata_that_say_nothing_leave_the_score_open(metadata, tmp_path):
    pq.write_table(make_table(OPENWEBMATH, metadata=(pa.string(), [metadata])), tmp_path / "a.parquet")
    kept, _ = read_all(OPENWEBMATH, tmp_path)
    assert kept["quality"].to_list() == [None]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), max_size=6))
def test_no_text_of_a_page_with_images_is_lost(tmp_path, texts):
    images = [None if text else "https://x.org/a.png" for text in texts]
    lists = pa.list_(pa.string())
    table = make_table(INFIMM, 2, text_list=(lists, [texts, ["other"]]), image_list=(lists, [images, None]))
    pq.write_table(table, tmp_path / "a.parquet")
    kept, dropped = read_all(INFIMM, tmp_path)
    assert kept["text"].to_list() == ["\n\n".join(text for text in texts if text), "other"]
    assert kept["metadata"].to_list() == [f'{{"images":{len(images) - images.count(None)}}}', '{"images":0}']
    assert dropped.is_empty()


def test_metadata_may_be_json_as_well(tmp_path):
    pq.write_table(
        make_table(INFIMM, metadata=(pa.string(), ['{"ft_lang_label": "__label__zh"}'])), tmp_path / "a.parquet"
    )
    assert read_all(INFIMM, tmp_path)[0]["language"].to_list() == ["zh"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, r"it has no column `text` \(did you mean `test`\? Known: .*score.*\); expected openwebmath's"),
        ({"text": (pa.int64(), [5])}, r"column `text` holds whole numbers, not texts"),
        ({"date": (pa.float64(), [5.0])}, r"column `date` holds numbers, not times"),
        ({"url": (pa.list_(pa.string()), [["a"]])}, r"column `url` holds lists of texts, not texts"),
        ({"metadata": (pa.bool_(), [True])}, r"column `metadata` holds Boolean, not texts"),
    ],
)
def test_another_form_is_refused_before_a_row_is_read(changes, message, tmp_path):
    table = make_table(OPENWEBMATH, test=(pa.string(), ["x"]), score=(pa.string(), ["x"]), **changes)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        read_all(OPENWEBMATH, tmp_path)


def test_columns_of_kindred_types_will_do(tmp_path):
    texts, groups = pa.dictionary(pa.int32(), pa.large_string()), pa.struct([("extraction_info", pa.string())])
    table = make_table(
        OPENWEBMATH,
        url=(texts, [URL]),
        text=(pa.large_string(), [TEXT]),
        date=(pa.string(), ["2018-06-23 10:21:04"]),
        more=(groups, [{"extraction_info": "x"}]),
    )
    pq.write_table(table, tmp_path / "a.parquet")
    kept, _ = read_all(OPENWEBMATH, tmp_path)
    assert kept.to_dicts() == [dict.fromkeys(DOCUMENT.names) | {"source": "openwebmath"} | DOCUMENTS["openwebmath"]]


def test_damaged_and_missing_files_are_refused(tmp_path):
    file = next(FINEMATH.sample(tmp_path, 20).iterdir())
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[: len(whole) // 2], b"", b"PAR1 and no more"):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet: cannot be decoded"):
            read_all(FINEMATH, tmp_path)
    file.write_bytes(whole[:400] + bytes(2000) + whole[2400:])  # the footer is sound, the pages are not
    with pytest.raises(InputError, match="cannot be decoded"):
        read_all(FINEMATH, tmp_path)
    file.unlink()
    with pytest.raises(InputError, match=r"no file in it ends in \.parquet"):
        read_all(FINEMATH, tmp_path)
    with pytest.raises(InputError, match="there is no such file"):
        read_all(FINEMATH, tmp_path / "none.parquet")
    with pytest.raises(InputError, match="there is no such file or folder"):
        FINEMATH.find(str(tmp_path / "none"))


def test_an_empty_table_gives_nothing(tmp_path):
    pq.write_table(make_table(FINEMATH, 0), tmp_path / "a.parquet")
    kept, dropped = read_all(FINEMATH, tmp_path)
    assert kept.is_empty()
    assert dropped.is_empty()


def test_inputs_are_named_by_folder_file_or_configuration(tmp_path):
    folder = tmp_path / "finemath-4plus"
    folder.mkdir()
    FINEMATH.sample(folder, 1)
    assert FINEMATH.find(str(folder)) == {"finemath-4plus": str(folder)}
    file = str(folder / "train-00000-of-00001.parquet")
    assert FINEMATH.find(file) == {"train-00000-of-00001": file}
    assert FINEMATH.find(f"file://{folder}/*.parquet") == {"train-00000-of-00001": f"file://{file}"}
    for path, name in (
        ("hub://HuggingFaceTB/finemath?config=finemath-4plus", "finemath-4plus"),
        ("hub://open-web-math/open-web-math", "open-web-math"),
    ):
        assert find_tables(path) == {name: path}


def test_a_corpus_is_streamed_from_the_hub_shard_by_shard(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "data"
    folder.mkdir()
    table = pq.read_table(FINEMATH.sample(folder, 10))
    for item in folder.iterdir():
        item.unlink()
    for shard in range(2):
        pq.write_table(table.slice(5 * shard, 5), folder / f"train-0000{shard}-of-00002.parquet")
    parts = FINEMATH.plan(f"hub://{folder}", FINEMATH.options(), 1)
    assert [part.start for part in parts] == [0, 1]
    streamed, _ = read_all(FINEMATH, f"hub://{folder}")
    assert streamed.equals(read_all(FINEMATH, folder)[0])
    with pytest.raises(InputError, match=r"hub://.*: it has no column `URL`"):
        INFIMM.plan(f"hub://{folder}", INFIMM.options(), 1)
