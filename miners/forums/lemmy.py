"""Lemmy: post views and comment views as its API (0.19) gives them, in JSON lines, or a folder tree of JSON documents.

A line or document is a view ({"post", "creator", "community", "counts"}; of a comment also "comment"), a list of views,
or a response: {"posts": [...]}, {"comments": [...]}, {"post_view": ...}, {"comment_view": ...}. Fields are those of
PostView and CommentView in lemmy_db_views 0.19 (https://docs.rs/lemmy_db_views), and of the aggregates in `counts`.

Posts and comments are numbered apart, and each instance numbers them its own way: a post is `p12`, a comment `c34`, and
what one instance knows of a community is one input. Votes for and against come apart.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import orjson
import polars as pl
from pydantic import BaseModel, ConfigDict

from miners.columns import Column, flag, iso_time, number, text
from miners.formats.json_documents import Layout, Nest, cut_documents, find_documents, read_documents
from miners.posts import list_flags, make_posts
from miners.source import Reading, Slice, Source
from schemas.drops import DropReason
from schemas.identity import hash_author
from schemas.inputs import POST, Flag, Kind, Markup, Route
from schemas.licenses import UNKNOWN, needs_attribution
from schemas.outcome import Outcome


def _texts(*names: str) -> pl.Struct:
    return pl.Struct(dict.fromkeys(names, pl.String()))


_SHARED = ("id", "creator_id", "removed", "deleted", "published", "updated", "ap_id")

_VIEW: Mapping[str, pl.DataType] = {
    "post": _texts(*_SHARED, "name", "body", "url", "nsfw", "locked", "featured_community", "featured_local"),
    "comment": _texts(*_SHARED, "post_id", "content", "path", "distinguished"),
    "creator": _texts("id", "name", "bot_account", "deleted"),
    "community": _texts("name", "actor_id", "nsfw"),
    "counts": _texts("score", "upvotes", "downvotes"),
}
_VIEWS = pl.List(pl.Struct(_VIEW))
_ONE, _MANY = ("post_view", "comment_view"), ("posts", "comments", "views")
_LAYOUT = Layout(
    row=_VIEW,
    response={**dict.fromkeys(_ONE, pl.Struct(_VIEW)), **dict.fromkeys(_MANY, _VIEWS)},
    nests=(
        *(Nest(pl.col(name)) for name in _MANY),
        *(Nest(pl.when(pl.col(name).is_not_null()).then(pl.concat_list(name))) for name in _ONE),
    ),
    array="views",
)


class Options(BaseModel):
    """What no view says."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    license: str = UNKNOWN
    """SPDX id of the licence under which the instance's terms put its posts."""


def plan(path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:  # noqa: ARG001 - one form for all sources
    """Cut JSON lines into byte ranges, a folder into runs of documents; raises InputError where there is no JSON."""
    return cut_documents(path, "posts", slice_bytes)


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the views of a slice, about `chunk_bytes` of JSON at a time."""
    columns = _columns(reading, cast("Options", reading.options))
    for lines in read_documents(part, _LAYOUT, chunk_bytes=reading.chunk_bytes):
        yield make_posts(lines, reading, "lemmy", columns, drops=_DROPS)


def _of(field: str) -> pl.Expr:
    """Name a value of a view: `post.id`."""
    outer, inner = field.split(".")
    return pl.col(outer).struct.field(inner)


_OF_COMMENT = _of("comment.id").is_not_null()
_ROOT = "0"
_PATH = r"^0(?:\.[0-9]+)+$"  # from the root, which is 0, down to the comment itself


def _number(field: str) -> pl.Expr:
    return number(_of(field)).value


def _is(field: str) -> pl.Expr:
    return flag(_of(field)).value.fill_null(value=False)


def _either(of_comment: str, of_post: str) -> pl.Expr:
    """Take a value from the comment of a comment's view, and from the post of a post's."""
    return pl.when(_OF_COMMENT).then(_of(of_comment)).otherwise(_of(of_post))


_FLAGS = {
    Flag.LOCKED: _is("post.locked") & ~_OF_COMMENT,
    Flag.DELETED_AUTHOR: _is("creator.deleted"),
    Flag.LINK: _of("post.url").is_not_null() & (_of("post.body").fill_null("").str.strip_chars() == "") & ~_OF_COMMENT,
    Flag.NSFW: _is("post.nsfw") | _is("community.nsfw"),
    Flag.PINNED: (_is("post.featured_community") | _is("post.featured_local")) & ~_OF_COMMENT,
    Flag.MODERATOR: _is("comment.distinguished"),
    Flag.BOT: _is("creator.bot_account"),
}

_DROPS = {
    DropReason.REMOVED: pl.when(_OF_COMMENT)
    .then(_is("comment.removed") | _is("comment.deleted"))
    .otherwise(_is("post.removed") | _is("post.deleted"))
}


def _columns(reading: Reading, options: Options) -> dict[str, Column | pl.Expr]:
    """Say how POST columns are made."""
    shown = pl.concat_str(_of("post.url"), _of("post.body"), separator="\n\n", ignore_nulls=True)
    named = needs_attribution(options.license)
    return {
        "community": _name_community(reading.community),
        **_place(),
        "title": pl.when(~_OF_COMMENT).then(_of("post.name")),
        "body": text(pl.when(_OF_COMMENT).then(_of("comment.content")).otherwise(shown), required=True),
        "markup": pl.lit(str(Markup.MARKDOWN)),
        "score": number(_of("counts.score"), required=True),
        "upvotes": number(_of("counts.upvotes")),
        "downvotes": number(_of("counts.downvotes")),
        "created_at": iso_time(_either("comment.published", "post.published")),
        "edited_at": iso_time(_either("comment.updated", "post.updated")),
        "author": hash_author(_either("comment.creator_id", "post.creator_id"), reading.community, reading.salt),
        "author_name": _of("creator.name") if named else pl.lit(None, pl.String),
        "url": _either("comment.ap_id", "post.ap_id"),
        "license": pl.lit(options.license),
        "flags": list_flags(_FLAGS),
    }


def _name_community(otherwise: str) -> pl.Expr:
    """Name a community as Lemmy does, `NAME@HOST`; `otherwise` where the view does not say it."""
    name, home = _of("community.name"), _of("community.actor_id").str.extract(r"^https?://([^/]+)")
    return pl.coalesce(pl.format("{}@{}", name, home), name, pl.lit(otherwise))


def _place() -> dict[str, Column | pl.Expr]:
    """Place a post or comment in its thread; a comment's `path` names all that it answers."""
    path = _of("comment.path")
    above = pl.when(path.str.contains(_PATH)).then(path.str.split(".").list.get(-2))
    thread_id = pl.format("p{}", pl.when(_OF_COMMENT).then(_number("comment.post_id")).otherwise(_number("post.id")))
    post_id = pl.when(_OF_COMMENT).then(pl.format("c{}", _number("comment.id"))).otherwise(thread_id)
    parent_id = pl.when(above == _ROOT).then(thread_id).otherwise(pl.format("c{}", above))
    kind = pl.when(above == _ROOT).then(pl.lit(str(Kind.ANSWER))).otherwise(pl.lit(str(Kind.COMMENT)))
    return {
        "post_id": Column(post_id, _either("comment.id", "post.id"), "a whole number", required=True),
        "thread_id": Column(thread_id, _either("comment.post_id", "post.id"), "a whole number", required=True),
        "parent_id": Column(
            pl.when(_OF_COMMENT & above.is_not_null()).then(parent_id),
            pl.when(_OF_COMMENT).then(path.fill_null("")),
            "a path like 0.12.34",
        ),
        "kind": pl.when(_OF_COMMENT).then(kind).otherwise(pl.lit(str(Kind.QUESTION))),
    }


def sample(folder: Path, threads: int) -> Path:
    """Write an instance of so many posts, each with two comments and one deeper, as views on lines."""
    views = [view for post in range(1, threads + 1) for view in _invent_thread(post)]
    path = folder / "lemmy.example.jsonl"
    path.write_bytes(b"".join(orjson.dumps(view, option=orjson.OPT_APPEND_NEWLINE) for view in views))
    return path


def _invent_thread(post: int) -> list[dict[str, object]]:
    first = post * 10 + 1
    asked = {"name": f"Which bread keeps for {post} days?", "body": "I bake once a week.", "locked": False}
    replies = {
        first: (f"0.{first}", f"Rye with a sour starter; mine has kept for {post} days."),
        first + 1: (f"0.{first + 1}", f"None does. Freeze half of it, and wait {post % 5} hours."),
        first + 2: (f"0.{first}.{first + 2}", "How sour is yours?"),
    }
    comments = [
        {"post_id": post, "id": comment, "content": text, "path": path} for comment, (path, text) in replies.items()
    ]
    return [_invent_view(post, "post", {"id": post, **asked}, post * 5 % 7)] + [
        _invent_view(post, "comment", comment, (post * 3 + place * 4) % 7) for place, comment in enumerate(comments)
    ]


def _invent_view(post: int, name: str, item: dict[str, object], votes: int) -> dict[str, object]:
    creator = post % 5 + votes
    shared = {
        "creator_id": creator,
        "removed": False,
        "deleted": False,
        "ap_id": f"https://lemmy.example/{name}/{item['id']}",
    }
    published = f"2024-02-{post % 28 + 1:02}T10:{votes:02}:00.123456Z"
    return {
        name: {**item, **shared, "published": published},
        "creator": {"id": creator, "name": f"baker{creator}", "bot_account": False, "deleted": False},
        "community": {"name": "bread", "actor_id": "https://lemmy.example/c/bread", "nsfw": False},
        "counts": {"score": votes - 1, "upvotes": votes, "downvotes": 1},
    }


SOURCE = Source(
    name="lemmy",
    route=Route.FORUMS,
    summary="Lemmy instances: views of posts and comments as the API gives them; JSON lines or a folder of documents",
    tables={"posts": POST},
    plan=plan,
    read=read,
    find=find_documents,
    sample=sample,
    options=Options,
)
