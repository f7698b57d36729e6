"""Discourse: posts as its API gives them, in JSON lines, or a folder tree of JSON documents.

A line or document is a post (`/posts/ID.json`), a topic (`/t/ID.json`: {"post_stream": {"posts": [...]}}), the latest
posts (`/posts.json`: {"latest_posts": [...]}), or a list of posts. Fields are those of Discourse's PostSerializer and
TopicViewSerializer, and of its plugins discourse-solved and discourse-reactions.

A post's id here is `TOPIC/NUMBER`, since so do replies name what they answer: no join is needed. Discourse shows a
topic flat; a reply that names no post, or the first, answers the question, and any other is a comment.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import orjson
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from miners.columns import Column, flag, iso_time, number
from miners.formats.json_documents import Layout, Nest, cut_documents, find_documents, read_documents
from miners.posts import list_flags, make_posts
from miners.source import Reading, Slice, Source
from schemas.drops import DropReason
from schemas.identity import hash_author
from schemas.inputs import POST, Flag, Kind, Markup, Route
from schemas.licenses import UNKNOWN, needs_attribution
from schemas.outcome import Outcome

_REGULAR = 1  # post_type; 2 is a moderator's action, 3 a small action (closed, moved), 4 a whisper among staff
_LIKE = "2"  # id in actions_summary
_AGAINST = ("-1", "thumbsdown")  # reactions that are no praise

_COUNTS = pl.List(pl.Struct({"id": pl.String(), "count": pl.String()}))
_TEXTS = (
    *("topic_id", "post_number", "reply_to_post_number", "post_type", "version"),
    *("created_at", "updated_at", "deleted_at", "hidden", "user_deleted"),
    *("raw", "cooked", "topic_title", "topic_slug", "post_url", "user_id", "username"),
    *("moderator", "admin", "staff", "wiki", "topic_archived", "topic_closed", "topic_pinned"),
    *("reads", "like_count", "reaction_users_count", "accepted_answer"),
)
_POST: Mapping[str, pl.DataType] = {
    **dict.fromkeys(_TEXTS, pl.String()),
    "topic_tags": pl.List(pl.String()),
    "actions_summary": _COUNTS,
    "reactions": _COUNTS,
}
_POSTS = pl.List(pl.Struct(_POST))
_TAG = pl.element().str.extract(r'^\{.*?"name": *"([^"]*)"')  # newer versions give objects, of which this is the text
_LAYOUT = Layout(
    row=_POST,
    response={
        "post_stream": pl.Struct({"posts": _POSTS}),
        "latest_posts": _POSTS,
        "tags": pl.List(pl.String()),
        **dict.fromkeys(("title", "slug", "archived", "closed", "pinned"), pl.String()),
    },
    nests=(
        Nest(
            pl.col("post_stream").struct.field("posts"),
            {
                **{f"topic_{name}": pl.col(name) for name in ("title", "slug", "archived", "closed", "pinned")},
                "topic_tags": pl.col("tags").list.eval(pl.coalesce(_TAG, pl.element())),
            },
        ),
        Nest(pl.col("latest_posts")),
    ),
    array="latest_posts",
)

_OPENING = r'(?im)^([ \t]*\[quote(?:=(?:"[^"\n]*"|[^\]\n]*))?\])[ \t]*'
_CLOSING = r"[ \t]*(\[/quote\])[ \t]*$"
_MAX_DEPTH = 8  # quotes in quotes; deeper ones are shown as if they were no deeper
_TITLE = r'(?s)<aside class="quote[^>]*>.*?<blockquote>'
_CAPTION = r'(?s)<div class="meta">.*?</div>'

_WHOLE = "a whole number"
_NO_TEXT = pl.lit(None, pl.String)


class Options(BaseModel):
    """Which of a post's texts and counts are taken, and what no post says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    body: Literal["auto", "raw", "cooked"] = "auto"
    """raw: the Markdown that was typed. cooked: the HTML made of it. auto: raw where it is there, else cooked."""
    votes: Literal["likes", "reactions"] = "likes"
    """likes: as `actions_summary` counts them, which of the reactions holds those that the site takes as likes.
    reactions: users who reacted in any way, each once; a thumb down is a vote against."""
    site: str | None = Field(default=None, pattern=r"^https?://[^?#]*[^/?#]$")
    """Address of the forum (`https://meta.discourse.org`), for links; default: the community's, if it is a host."""
    license: str = UNKNOWN
    """SPDX id of the licence under which the forum's terms put its posts."""


def plan(path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:  # noqa: ARG001 - one form for all sources
    """Cut JSON lines into byte ranges, a folder into runs of documents; raises InputError where there is no JSON."""
    return cut_documents(path, "posts", slice_bytes)


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the posts of a slice, about `chunk_bytes` of JSON at a time."""
    columns = _columns(reading, cast("Options", reading.options))
    for lines in read_documents(part, _LAYOUT, chunk_bytes=reading.chunk_bytes):
        yield make_posts(lines, reading, "discourse", columns, drops=_DROPS)


def _number(field: str) -> pl.Expr:
    return number(field).value


def _is(field: str) -> pl.Expr:
    return flag(field).value.fill_null(value=False)


_QUESTION = _number("post_number") == 1
_ANSWERED = pl.max_horizontal(_number("reply_to_post_number").fill_null(1), 1)  # number of the post that one answers

_DROPS = {
    DropReason.NOT_A_POST: _number("post_type") != _REGULAR,
    DropReason.REMOVED: _is("hidden") | _is("user_deleted") | pl.col("deleted_at").is_not_null(),
}
_FLAGS = {
    Flag.WIKI: _is("wiki"),
    Flag.LOCKED: _is("topic_archived") & _QUESTION,
    Flag.CLOSED: _is("topic_closed") & _QUESTION,
    Flag.DELETED_AUTHOR: pl.col("user_id").is_null() & pl.col("username").is_null(),
    Flag.PINNED: _is("topic_pinned") & _QUESTION,
    Flag.MODERATOR: _is("moderator") | _is("admin") | _is("staff"),
    Flag.BOT: _number("user_id") < 0,  # Discourse's own: `system` is -1, `discobot` -2
}


def _columns(reading: Reading, options: Options) -> dict[str, Column | pl.Expr]:
    """Say how POST columns are made."""
    author = hash_author(pl.coalesce("user_id", "username"), reading.community, reading.salt)
    reads = pl.when(_QUESTION).then("reads")
    title = pl.coalesce("topic_title", pl.col("topic_slug").str.replace_all("-", " ", literal=True))
    return {
        **_place(),
        **_take_body(options.body),
        **_count_votes(options.votes),
        "title": pl.when(_QUESTION).then(title),
        "views": number(reads),
        "accepted": pl.when(~_QUESTION).then(flag("accepted_answer").value),
        "created_at": iso_time("created_at"),
        "edited_at": iso_time(pl.when(_number("version") > 1).then("updated_at")),
        "author": author,
        "author_name": pl.col("username") if needs_attribution(options.license) else _NO_TEXT,
        "tags": pl.when(_QUESTION).then("topic_tags"),
        "url": _link(reading.community, options.site),
        "license": pl.lit(options.license),
        "flags": list_flags(_FLAGS),
    }


def _place() -> dict[str, Column | pl.Expr]:
    """Place a post in its topic, by the numbers that posts have there."""
    raw_id = pl.format("{}/{}", "topic_id", "post_number")
    raw_parent = pl.when(~_QUESTION).then("reply_to_post_number")
    known = raw_parent.is_null() | _number("reply_to_post_number").is_not_null()
    kind = pl.when(_ANSWERED == 1).then(pl.lit(str(Kind.ANSWER))).otherwise(pl.lit(str(Kind.COMMENT)))
    return {
        "thread_id": _name_post(pl.lit(1)),
        "post_id": Column(
            _name_post(_number("post_number")), raw_id, "two whole numbers, topic and post", required=True
        ),
        "parent_id": Column(pl.when(~_QUESTION & known).then(_name_post(_ANSWERED)), raw_parent, _WHOLE),
        "kind": pl.when(_QUESTION).then(pl.lit(str(Kind.QUESTION))).otherwise(kind),
    }


def _name_post(post: pl.Expr) -> pl.Expr:
    return pl.format("{}/{}", _number("topic_id"), post)


def _count_votes(votes: str) -> dict[str, Column | pl.Expr]:
    """Count likes, or users who reacted. The two overlap, so they are never added up."""
    none = pl.when(pl.col("actions_summary").is_not_null()).then(pl.lit("0"))
    raw_likes = pl.coalesce(_pick("actions_summary", [_LIKE]).list.first(), none, "like_count")
    likes = number(raw_likes, required=True)
    if votes == "likes":
        return {"score": likes, "upvotes": likes}
    reacted = pl.col("reactions").list.eval(pl.element().struct.field("count"))
    users = number(pl.coalesce("reaction_users_count", _sum(reacted).cast(pl.String), raw_likes), required=True)
    against = _sum(_pick("reactions", _AGAINST))
    unmoved = users.value - against.fill_null(0)
    return {"score": replace(users, value=unmoved - against.fill_null(0)), "upvotes": unmoved, "downvotes": against}


def _pick(field: str, ids: Sequence[str]) -> pl.Expr:
    """Take the counts of some kinds of action; one that is there without a count has none."""
    count = pl.element().struct.field("count").fill_null("0")
    return pl.col(field).list.eval(pl.when(pl.element().struct.field("id").is_in(ids)).then(count)).list.drop_nulls()


def _sum(counts: pl.Expr) -> pl.Expr:
    return counts.list.eval(number(pl.element()).value).list.sum()


def _take_body(body: str) -> dict[str, Column | pl.Expr]:
    """Take what was typed, or what was made of it."""
    raw = pl.col("raw") if body != "cooked" else _NO_TEXT
    cooked = pl.col("cooked") if body != "raw" else _NO_TEXT
    return {
        "body": pl.coalesce(mark_quotes(raw.str.replace_all("\r\n", "\n", literal=True)), clear_cooked(cooked)),
        "markup": pl.when(raw.is_not_null()).then(pl.lit(str(Markup.MARKDOWN))).otherwise(pl.lit(str(Markup.HTML))),
    }


def mark_quotes(body: pl.Expr) -> pl.Expr:
    """Write quotes as Markdown does: `[quote="ann, post:3, topic:4"]` and `[/quote]` become a block of `> ` lines.

    Who is quoted is left out. A body whose quotes do not pair up stays as it is: Discourse shows it so.
    """
    holds = pl.when(body.str.contains(r"(?i)\[/quote\]")).then(body)
    apart = holds.str.replace_all(_OPENING + r"([^ \t\n])", "${1}\n${2}")
    apart = apart.str.replace_all(r"(?im)([^ \t\n])" + _CLOSING, "${1}\n${2}")
    marked = apart.str.split("\n").list.eval(_mark_lines()).list.drop_nulls()
    return pl.coalesce(pl.when(marked.list.len() > 0).then(marked.list.join("\n").str.strip_chars("\n")), body)


def _mark_lines() -> pl.Expr:
    """Mark a body's lines; null those that are to go, and all of them where quotes do not pair up."""
    line = pl.element()
    in_code = line.str.contains(r"^[> \t]*```").cast(pl.Int32).cum_sum() % 2 == 1
    opens = line.str.contains(_OPENING) & ~in_code
    closes = line.str.contains(r"(?i)^" + _CLOSING) & ~in_code
    depth = (opens.cast(pl.Int32) - closes.cast(pl.Int32)).cum_sum()
    blank = line.str.strip_chars() == ""
    spare = (opens & blank.shift(1)) | (closes & blank.shift(-1)) | (blank & (opens.shift(1) | closes.shift(-1)))
    marks = pl.lit("> " * _MAX_DEPTH).str.head(2 * depth)
    written = pl.when(opens | closes).then(pl.lit("")).when(blank).then(marks.str.strip_chars_end())
    pairs_up = (depth.min() >= 0) & (depth.last() == 0)
    return pl.when(pairs_up & ~spare.fill_null(value=False)).then(written.otherwise(marks + line))


def clear_cooked(body: pl.Expr) -> pl.Expr:
    """Take out what the forum writes above a quote (who said it) and under a picture (its size)."""
    return body.str.replace_all(_TITLE, "<blockquote>").str.replace_all(_CAPTION, "")


def _link(community: str, site: str | None) -> pl.Expr:
    """Link to a post; null where nobody knows the forum's address."""
    if site is None and "." not in community:
        return _NO_TEXT
    path = pl.coalesce("post_url", pl.format("/t/{}/{}", _number("topic_id"), _number("post_number")))
    return pl.lit(site or f"https://{community}") + path


def sample(folder: Path, threads: int) -> Path:
    """Write a forum of so many topics, a response a line: a question, three replies, and a comment on the second."""
    path = folder / "forum.example.jsonl"
    topics = (_invent_topic(topic) for topic in range(1, threads + 1))
    path.write_bytes(b"".join(orjson.dumps(topic, option=orjson.OPT_APPEND_NEWLINE) for topic in topics))
    return path


def _invent_topic(topic: int) -> dict[str, object]:
    texts = (
        f"My kettle number {topic} hums when it is half full. What can I do?",
        f"Fill it. A full kettle of make {topic} has no room to hum.",
        f'[quote="ann, post:1"]\nWhat can I do?\n[/quote]\nDescale it: {topic % 7 + 2} spoons of vinegar.',
        f"Mine sings too; I have come to like it (year {topic}).",
        "Vinegar worked, thank you.",
    )
    posts = [_invent_post(topic, number, text) for number, text in enumerate(texts, 1)]
    return {
        "id": topic,
        "title": f"A humming kettle, case {topic}",
        "tags": ["tea", "metal"][: topic % 3],
        "closed": topic % 5 == 0,
        "post_stream": {"posts": posts},
    }


def _invent_post(topic: int, post: int, text: str) -> dict[str, object]:
    likes = (topic * 5 + post * 3) % 7
    return {
        "id": topic * 10 + post,
        "topic_id": topic,
        "post_number": post,
        "post_type": _REGULAR,
        "reply_to_post_number": 3 if post == 5 else None,  # noqa: PLR2004 - the last post answers the third
        "user_id": topic % 3 + post * 10,
        "username": f"user{topic % 3 + post * 10}",
        "created_at": f"2024-01-{topic % 28 + 1:02}T10:{post:02}:00.000Z",
        "version": 1 + (topic + post) % 2,
        "updated_at": f"2024-02-{topic % 28 + 1:02}T10:{post:02}:00.000Z",
        "staff": (topic + post) % 7 == 0,
        "accepted_answer": post == 3 and topic % 3 == 0,  # noqa: PLR2004 - of the third post, in some topics
        "raw": None if topic % 4 == 0 else text,
        "cooked": f"<p>{text}</p>",
        "actions_summary": [{"id": 2, "count": likes}] if likes else [],
    }


SOURCE = Source(
    name="discourse",
    route=Route.FORUMS,
    summary="Discourse forums: posts and topics as the API gives them; JSON lines or a folder of documents",
    tables={"posts": POST},
    plan=plan,
    read=read,
    find=find_documents,
    sample=sample,
    options=Options,
)
