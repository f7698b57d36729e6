"""Each filter: what goes, and what must stay. Threads have three replies, so that one may go and a pair is left."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.forums.mining.filters import filter_posts
from miners.forums.mining.threads import assemble_threads
from schemas.drops import DropReason
from schemas.mining import THREAD_POST
from schemas.recipe import Filters, Licenses

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = (START - datetime(1970, 1, 1, tzinfo=UTC)).days


def thread(posts, question=None, **reply):
    """Give one thread: `2` is the reply in question, `3` and `4` are plain."""
    rows = [posts.question(**(question or {})), posts.answer("2", 5, **reply)]
    return assemble_threads(posts.table(*rows, posts.answer("3", 3), posts.answer("4", 1))).kept


def run(table, licenses=None, **filters):
    outcome = filter_posts(table, Filters(**filters), licenses or Licenses(), salt="s")
    outcome.tally()  # balances
    assert outcome.kept.schema == THREAD_POST
    return outcome


def gone(outcome):
    return {row["ref"].rpartition("/")[2]: row["reason"] for row in outcome.dropped.to_pylist()}


def kept(outcome):
    return {row["post_id"]: row for row in outcome.kept.to_pylist()}


def test_no_filter_gives_the_very_table_back(posts):
    table = thread(posts)
    outcome = run(table)
    assert outcome.kept is table
    assert outcome.dropped.num_rows == 0


TALK = "This is what I would do if I were you, and here is why."
QUOTE = "Why does my beer foam over when I open the bottle in summer"
DROPS = {
    "short": ({"min_reply_chars": 5}, {"body": "Yes."}, "too_short"),
    "long": ({"max_reply_chars": 100}, {"body": "Yes. " * 21}, "too_long"),
    "link": ({"link_only": True}, {"body": "https://example.org/answer_to_it"}, "link_only"),
    "link with words of its own": (
        {"link_only": True},
        {"body": "[See how (it) is done](https://a.org/b_(c))."},
        "link_only",
    ),
    "link and ok": ({"link_only": True}, {"body": "-> <http://a.org/x> ok"}, "link_only"),
    "image": ({"media_only": True}, {"body": "![a photo of it](https://a.org/x.png)"}, "media_only"),
    "image in a link": ({"media_only": True}, {"body": "[![it](https://a.org/x.png)](https://a.org/x)"}, "media_only"),
    "film": ({"media_only": True}, {"body": "https://www.youtube.com/watch?v=a1b2"}, "media_only"),
    "tags": ({"html_only": True}, {"body": "<div class='note'><br/></div>&nbsp;"}, "html_only"),
    "template": ({"html_only": True}, {"body": "{{stub|date=2019}} &#x200B;"}, "html_only"),
    "named bot": ({"bots": ["AutoModerator"]}, {"author_name": "AutoModerator"}, "bot"),
    "flagged bot": ({"bots": ["x"]}, {"flags": ["bot"]}, "bot"),
    "quote": ({"quotes_question": 0.8}, {"body": f"> {QUOTE}!\n\nGood question."}, "quotes_question"),
    "boilerplate": ({"boilerplate": ["I am a Bot,"]}, {"body": "i am  a bot, and this was done by me"}, "boilerplate"),
    "little else": (
        {"boilerplate": ["flagged as a duplicate"]},
        {"body": "So: Flagged as a duplicate."},
        "boilerplate",
    ),
    "nsfw": ({"nsfw": True}, {"flags": ["nsfw"]}, "nsfw"),
    "self-answer": ({"self_answers": True}, {"author": "author 1"}, "self_answer"),
    "flag": ({"flags": ["wiki", "locked"]}, {"flags": ["pinned", "locked"]}, "flagged"),
    "language": (
        {"languages": ["en", "und"]},
        {"body": "Je ne sais pas pourquoi cela devrait être ainsi."},
        "other_language",
    ),
    "edited after the first vote": (
        {"edited_after_votes": True},
        {"vote_days": [DAY + 9, -DAY - 1], "edited_at": START + timedelta(days=2)},
        "edited_after_votes",
    ),
    "edited late": (
        {"edited_after_votes": True},
        {"edited_at": START + timedelta(days=1, hours=1)},
        "edited_after_votes",
    ),
}
STAYS = {
    "of the length": ({"min_reply_chars": 4, "max_reply_chars": 10}, {"body": "Yes."}),
    "link among words": ({"link_only": True}, {"body": "See https://example.org/answer"}),
    "link and one Chinese word": ({"link_only": True}, {"body": "看 https://example.org/answer"}),
    "link that is a sentence": ({"link_only": True}, {"body": f"[{TALK} {TALK}](https://a.org/x)"}),
    "few letters, no link": ({"link_only": True, "media_only": True}, {"body": "42"}),
    "image and link": ({"link_only": True}, {"body": "![a](https://a.org/x.png)"}),
    "image among words": ({"media_only": True}, {"body": "Like this: ![it](https://a.org/x.png)"}),
    "a page, no film": ({"media_only": True}, {"body": "https://a.org/page"}),
    "tags in code": ({"html_only": True}, {"body": "`<br/>`"}),
    "number in tags": ({"html_only": True}, {"body": "<b>42</b>"}),
    "less than": ({"html_only": True}, {"body": "< 3 >"}),
    "human": ({"bots": ["AutoModerator"]}, {"author_name": "Ann"}),
    "quote and answer": ({"quotes_question": 0.8}, {"body": f"> {QUOTE}?\n\n{TALK}"}),
    "short echo": ({"quotes_question": 0.1}, {"body": "Why does my beer"}),
    "phrase in passing": ({"boilerplate": ["I am a bot"]}, {"body": f"{TALK} No, I am a bot fan."}),
    "not marked": ({"nsfw": True, "flags": ["wiki"]}, {"flags": ["pinned"]}),
    "unknown author": ({"self_answers": True}, {"author": None}),
    "edited on the day": (
        {"edited_after_votes": True},
        {"vote_days": [DAY + 2], "edited_at": START + timedelta(days=2, hours=23)},
    ),
    "edited without votes": ({"edited_after_votes": True}, {"vote_days": [], "edited_at": START + timedelta(days=9)}),
    "edited at once": ({"edited_after_votes": True}, {"edited_at": START + timedelta(hours=23)}),
    "its language": ({"languages": ["en", "und"], "min_language_score": 0}, {"body": TALK}),
}


@pytest.mark.parametrize(("filters", "reply", "reason"), DROPS.values(), ids=DROPS)
def test_what_a_filter_drops(posts, filters, reply, reason):
    table = thread(posts, {"title": QUOTE, "body": "It does so every single year"}, **reply)
    filters = {"min_language_score": 0, **filters}
    assert gone(run(table, **filters)).get("2") == reason


@pytest.mark.parametrize(("filters", "reply"), STAYS.values(), ids=STAYS)
def test_what_a_filter_leaves(posts, filters, reply):
    table = thread(posts, {"title": QUOTE, "body": "It does so every single year"}, **reply)
    assert "2" in kept(run(table, **filters))


@pytest.mark.parametrize(
    ("filters", "question", "reason"),
    [
        ({"min_question_chars": 100}, {}, "too_short"),
        ({"max_question_chars": 3}, {}, "too_long"),
        ({"flags": ["closed"]}, {"flags": ["closed"]}, "flagged"),
    ],
    ids=["short", "long", "flag"],
)
def test_a_thread_goes_with_its_question(posts, filters, question, reason):
    outcome = run(thread(posts, question), **filters)
    assert gone(outcome) == {"1": reason, **dict.fromkeys("234", "orphan_reply")}


def test_all_of_an_unsafe_question_is_unsafe(posts):
    assert gone(run(thread(posts, {"flags": ["nsfw"]}), nsfw=True)) == dict.fromkeys("1234", "nsfw")


def test_filters_for_replies_leave_questions_alone(posts):
    table = thread(posts, {"body": "https://a.org/x.png", "title": None, "author_is_asker": True})
    outcome = run(table, link_only=True, media_only=True, self_answers=True, min_reply_chars=1, quotes_question=0.1)
    assert set(kept(outcome)) == set("1234")


def test_comments_are_filtered_as_replies_are(posts):
    rows = [posts.question(), posts.answer("2", 2), posts.answer("3", 1), posts.comment("c", body="http://a.org")]
    assert gone(run(assemble_threads(posts.table(*rows)).kept, link_only=True)) == {"c": "link_only"}


def test_a_thread_without_a_pair_goes_too(posts):
    rows = [posts.question(), posts.answer("2", 2, body="No."), posts.answer("3", 1), posts.comment("c")]
    outcome = run(assemble_threads(posts.table(*rows)).kept, min_reply_chars=5)
    assert gone(outcome) == {"2": "too_short", **dict.fromkeys(["1", "3", "c"], "too_few_replies")}
    assert outcome.kept.num_rows == 0


def test_the_licence_gate_comes_first_and_unknown_does_not_pass(posts):
    table = thread(posts, license=None, flags=["wiki"])
    outcome = run(table, Licenses(allow=("CC-BY-SA-*",)), flags=["wiki"])
    assert gone(outcome) == {"2": "license_refused"}


def test_a_bot_is_known_by_its_hash_in_each_community(posts):
    from schemas.identity import hash_author

    def hashed(community):
        return pl.select(hash_author(pl.lit("robo"), community, "s")).item()

    rows = []
    for site in ("a.example", "b.example"):
        rows += [posts.question("q", community=site), posts.answer("1", 1, "q", community=site)]
        rows += [
            posts.answer("2", 2, "q", community=site),
            posts.answer("3", 3, "q", community=site, author=hashed(site)),
        ]
        rows += [posts.answer("4", 4, "q", community=site, author=hashed("elsewhere"))]
    outcome = run(assemble_threads(posts.table(*rows)).kept, bots=["robo"])
    assert sorted(outcome.dropped["ref"].to_pylist()) == ["test/a.example/3", "test/b.example/3"]


def test_languages_are_set_where_asked_for_and_unsure_ones_are_unknown(posts):
    table = thread(posts, {"title": None, "body": TALK}, body="Je ne sais pas pourquoi cela devrait être ainsi.")
    found = kept(run(table, detect_language=True))
    assert (found["1"]["language"], found["2"]["language"]) == ("en", "fr")
    assert {row["language"] for row in kept(run(table, detect_language=True, min_language_score=1)).values()} == {"und"}
    assert {row["language"] for row in table.to_pylist()} == {None}


def test_masking_counts_and_describes_the_new_text(posts):
    table = thread(posts, {"title": "Is ann@site.org in?", "body": "Or @bob?"}, body="No idea.")
    found = kept(run(table, pii="mask"))
    assert (found["1"]["title"], found["1"]["body"], found["1"]["pii"]) == ("Is [EMAIL] in?", "Or [USER]?", 2)
    assert found["1"]["chars"] == len("Is [EMAIL] in?\n\nOr [USER]?")
    as_written = thread(posts, {"title": "Is [EMAIL] in?", "body": "Or [USER]?"}, body="No idea.").to_pylist()
    for name in ("chars", "text_hash", "text_key"):
        assert [row[name] for row in found.values()] == [row[name] for row in as_written]
    assert found["2"]["pii"] == 0


EVERYTHING = {
    "min_reply_chars": 4,
    "languages": ["en", "und"],
    "link_only": True,
    "media_only": True,
    "html_only": True,
    "bots": ["robo"],
    "quotes_question": 0.5,
    "boilerplate": ["thanks"],
    "nsfw": True,
    "self_answers": True,
    "edited_after_votes": True,
    "flags": ["wiki"],
    "pii": "mask",
}
REPLY = st.fixed_dictionaries(
    {
        "body": st.sampled_from(
            [TALK, "Ok.", "http://a.org", "mail a@b.org or @bob", QUOTE, "![](http://a.org)", "no"]
        ),
        "flags": st.sampled_from([[], ["wiki"], ["nsfw"], ["bot"]]),
        "author": st.sampled_from([None, "author q0", "x"]),
        "license": st.sampled_from([None, "MIT", "CC-BY-SA-4.0"]),
    }
)


@given(replies=st.lists(REPLY, min_size=2, max_size=9), threads=st.integers(1, 2))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_post_is_kept_or_dropped_once_and_filtering_twice_is_filtering_once(posts, replies, threads):
    rows = [posts.question(f"q{at}", body=QUOTE) for at in range(threads)]
    rows += [posts.answer(f"a{at}", at, f"q{at % threads}", **reply) for at, reply in enumerate(replies)]
    table = assemble_threads(posts.table(*rows)).kept
    gate = Licenses(allow=("*",))
    outcome = run(table, gate, **EVERYTHING)
    refs = [*outcome.kept["post_id"].to_pylist(), *(ref.split("/")[-1] for ref in outcome.dropped["ref"].to_pylist())]
    assert sorted(refs) == sorted(table["post_id"].to_pylist())
    assert {*outcome.dropped["reason"].to_pylist()} <= {*DropReason}
    again = run(outcome.kept, gate, **EVERYTHING | {"pii": "keep"})
    assert again.kept == outcome.kept


def test_no_posts_are_no_trouble():
    outcome = run(THREAD_POST.empty_table(), Licenses(allow=("MIT",)), **EVERYTHING)
    assert (outcome.kept.num_rows, outcome.dropped.num_rows) == (0, 0)
    assert isinstance(outcome.dropped, pa.Table)


def test_what_a_classifier_scores_low_is_dropped(posts, monkeypatch):
    """The model judges title and body of questions, and replies; at least the score that is asked stays."""
    from miners.forums.mining import filters as module

    seen = []

    def score(texts, folder):
        seen.extend(texts.to_list())
        assert folder == "models/math"
        return texts.str.contains("good").cast(pl.Float32) * 0.5

    monkeypatch.setattr(module, "score_quality", score)
    rows = [posts.question(title="Why?", body="A good one.")]
    rows += [posts.answer(str(n), 9 - n, body=f"{'good' if n != 3 else 'poor'} answer {n}") for n in (2, 3, 4)]
    table = assemble_threads(posts.table(*rows)).kept
    outcome = filter_posts(table, Filters(min_model_score=0.5), Licenses(), salt="s", model="models/math")
    assert gone(outcome) == {"3": "low_quality"}
    assert "Why?\n\nA good one." in seen
