"""Which documents stay: copies, samples, and each filter of the recipe."""

from collections import Counter
from datetime import UTC, datetime

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.web.mining import documents as module
from miners.web.mining.documents import filter_documents
from schemas.inputs import DOCUMENT
from schemas.recipe import Documents, Licenses

TALK = "This is what the theorem says, and here is why it has to be true of every group that is finite."


def document(doc_id="1", text=TALK, **values):
    known = {"source": "finemath", "doc_id": doc_id, "text": text, "url": f"https://a.org/{doc_id}"}
    return dict.fromkeys(DOCUMENT.names) | known | values


def table(*rows):
    return pa.Table.from_pylist(list(rows), DOCUMENT)


def run(rows, *, model=None, sample=1.0, licenses=None, **filters):
    given_rows = rows if isinstance(rows, pa.Table) else table(*rows)
    outcome = filter_documents(given_rows, Documents(**filters), model=model, sample=sample, licenses=licenses)
    outcome.tally()  # balances
    assert outcome.kept.schema == DOCUMENT
    return outcome


def kept(outcome):
    return outcome.kept["doc_id"].to_pylist()


def gone(outcome):
    return {row["ref"]: row["reason"] for row in outcome.dropped.to_pylist()}


DROPS = {
    "short": ({"min_chars": 5}, {"text": "∀x."}, "too_short"),
    "long": ({"max_chars": 99}, {"text": "x " * 50}, "too_long"),
    "low score": ({"min_quality": 3.0}, {"quality": 2.99}, "low_quality"),
    "score below none": ({"min_quality": 0.0}, {"quality": -0.1}, "low_quality"),
    "repeated lines": ({"max_repeated_lines": 0.3}, {"text": "a\nb\na\na\n"}, "repetitive"),
    "any repeated line": ({"max_repeated_lines": 0}, {"text": "a\nb\na\n"}, "repetitive"),
    "symbols": ({"max_symbols": 0.3}, {"text": "| -- | == |"}, "repetitive"),
    "few formulas": ({"min_formulas": 0.5}, {"text": TALK}, "few_formulas"),
    "boilerplate": ({"boilerplate": ["404 not found"]}, {"text": "404  Not Found\nThe page."}, "boilerplate"),
    "other site": ({"sites": ["b.org"]}, {}, "other_site"),
    "no site": ({"sites": ["a.org"]}, {"url": None}, "other_site"),
    "site left out": ({"without_sites": ["a.org/1"]}, {}, "other_site"),
    "language": ({"languages": ["en"]}, {"text": "Cela dépend de la question que l'on se pose ici."}, "other_language"),
    "no language": ({"languages": ["en"]}, {"text": "$x$"}, "other_language"),
    "empty": ({}, {"text": " \n\t\u00a0"}, "empty_body"),
}
STAYS = {
    "of the length": ({"min_chars": 3, "max_chars": 3}, {"text": "∀x."}),
    "score": ({"min_quality": 3.0}, {"quality": 3.0}),
    "no score": ({"min_quality": 3.0}, {"quality": None}),
    "lines": ({"max_repeated_lines": 0.5}, {"text": "a\nb\na\nb"}),
    "formulas are no symbols": ({"max_symbols": 0.01}, {"text": "so $\\{(x)\\} = [y]$ here"}),
    "formulas": ({"min_formulas": 9}, {"text": f"{TALK} $x$"}),
    "phrase in passing": ({"boilerplate": ["that is finite"]}, {}),
    "of the site": ({"sites": ["b.org", "a.org"], "without_sites": ["b.a.org", "a.org/11"]}, {}),
    "no URL": ({"without_sites": ["a.org"]}, {"url": None}),
    "unknown language asked for": ({"languages": ["und"]}, {"text": "$x$"}),
}


@pytest.mark.parametrize(("filters", "values", "reason"), DROPS.values(), ids=DROPS)
def test_what_is_unfit_goes_and_says_why(filters, values, reason):
    outcome = run([document(**values)], **filters)
    assert gone(outcome) == {"finemath/1": reason}
    row = outcome.dropped.to_pylist()[0]  # the row itself goes along, for `revealed show`
    assert row["text"] == values.get("text", TALK)


@pytest.mark.parametrize(("filters", "values"), STAYS.values(), ids=STAYS)
def test_what_is_fit_stays(filters, values):
    assert kept(run([document(**values)], **filters)) == ["1"]


def test_without_filters_nothing_is_changed_but_the_order():
    rows = [document("b", language="fr", quality=1.0, metadata="{}"), document("a", "x"), document("a", source="other")]
    outcome = run(rows)
    assert outcome.kept.to_pylist() == [rows[1], rows[0], rows[2]]
    assert outcome.dropped.num_rows == 0


def test_of_copies_the_last_crawled_stays():
    days = [None, datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)]
    rows = [document("1", f"text {at}", crawled_at=day) for at, day in enumerate(days)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        outcome = run([rows[at] for at in order])
        assert outcome.kept["text"].to_pylist() == ["text 2"]
        assert Counter(outcome.dropped["reason"].to_pylist()) == {"duplicate_id": 2}


def test_language_is_set_where_it_is_looked_at():
    rows = [document("1", language="xx"), document("2", "Das hängt davon ab, wie lange man es vorher gekocht hat.")]
    assert run(rows, languages=["en", "de"]).kept["language"].to_pylist() == ["en", "de"]
    assert run(rows).kept["language"].to_pylist() == ["xx", None]


def test_the_licence_gate():
    rows = [document("1", license="ODC-By-1.0"), document("2", license="CC-BY-NC-4.0"), document("3")]
    outcome = run(rows, licenses=Licenses(allow=("ODC-*",)))
    assert kept(outcome) == ["1"]
    assert set(gone(outcome).values()) == {"license_refused"}


def test_a_sample_is_a_share_and_a_smaller_one_is_part_of_it():
    rows = table(*(document(str(number)) for number in range(2000)))
    half, tenth = kept(run(rows, sample=0.5)), kept(run(rows, sample=0.1))
    assert 900 < len(half) < 1100
    assert set(tenth) < set(half)
    assert set(gone(run(rows, sample=0.5)).values()) == {"not_sampled"}


def test_the_classifier_drops_below_its_threshold_and_says_the_score(monkeypatch):
    """Its own tests train one; here only what is done with scores."""
    monkeypatch.setattr(module, "score_quality", lambda texts, _: pl.Series([0.2, 0.5, None], dtype=pl.Float32))
    rows = [document("1"), document("2"), document("3")]
    outcome = run(rows, model="folder")
    assert kept(outcome) == ["2", "3"]
    assert outcome.dropped.to_pylist()[0]["model_score"] == pytest.approx(0.2)
    assert kept(run(rows)) == ["1", "2", "3"]


def test_no_documents():
    assert run([], sample=0.5, **ALL_ON).kept.num_rows == 0


ROWS = st.lists(
    st.builds(
        document,
        doc_id=st.sampled_from(["1", "2", "3"]),
        text=st.text(max_size=30),
        url=st.sampled_from([None, "", "https://a.org/x", "https://b.org"]),
        quality=st.none() | st.floats(0, 5),
        crawled_at=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    max_size=6,
)
ALL_ON = {
    "min_chars": 2,
    "max_chars": 20,
    "min_quality": 1.0,
    "max_repeated_lines": 0.5,
    "max_symbols": 0.9,
    "boilerplate": ["a", "0"],
    "sites": ["a.org"],
    "without_sites": ["a.org/y"],
    "languages": ["und"],
}


@given(ROWS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_document_is_kept_or_has_one_reason_whatever_the_order(rows, random):
    outcome = run(rows, sample=0.7, **ALL_ON)
    assert len(kept(outcome)) == len(set(kept(outcome)))
    shuffled = run(random.sample(rows, len(rows)), sample=0.7, **ALL_ON)
    assert shuffled.kept == outcome.kept
    assert shuffled.tally() == outcome.tally()
