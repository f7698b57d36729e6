"""Reddit: monthly dumps in the form of Pushshift and its successors, submissions (RS_*) and comments (RC_*).

A file is JSON lines, mostly as `.zst` packed with a window of 2 GiB; per-subreddit cuts (`NAME_submissions.zst`,
`NAME_comments.zst`) have the same form. All files of a folder are one input, since a comment's submission may lie in
another month; the community of a row is its subreddit. A row says itself whether it is a comment (it has a `link_id`)
or a submission (it has a `title`); files' names only help to find them.

Ids: a submission has its bare id (`abc12`), a comment its full name (`t1_abc12`): both kinds count in base 36 on their
own, and meet. `parent_id` may be a number in base 10, and is then always a comment's; replies to the submission have
none in such dumps (https://github.com/voussoir/timesearch/issues/19, https://github.com/JustAnotherArchivist/snscrape/issues/699).

Up- and downvotes stay unknown. Reddit blurs them on purpose and only their difference is true, `upvote_ratio` is
rounded to a hundredth, and a submission's score never falls below 0: nothing sound can be derived.

A score is that of the moment at which the row was fetched. Where a dump holds a row twice, the one fetched last counts,
also where it only says that the text was taken away since.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

import polars as pl
import zstandard
from fsspec.core import url_to_fs
from pydantic import BaseModel, ConfigDict, Field

from miners.columns import Column, flag, number, unix_time
from miners.formats.json_lines import Lines, cut_file, read_lines
from miners.posts import list_flags, make_posts
from miners.source import Reading, Slice, Source
from schemas.errors import InputError
from schemas.identity import hash_author
from schemas.inputs import POST, Flag, Kind, Markup, Route
from schemas.outcome import Outcome

_FIELDS: Mapping[str, pl.DataType] = dict.fromkeys(
    (
        *("id", "name", "link_id", "parent_id", "subreddit", "author", "title", "selftext", "body", "link_flair_text"),
        *("permalink", "score", "ups", "created_utc", "edited", "retrieved_on", "retrieved_utc", "distinguished"),
        *("stickied", "locked", "over_18", "is_self", "is_submitter", "score_hidden", "hide_score"),
    ),
    pl.String(),
)
_FILE = re.compile(
    r"(?:R[SC]_[^.]+|[^.]+_(?:submissions|comments))(?:\.(?:jsonl|ndjson|json))?(?:\.(?:zst|gz|bz2|xz))?", re.IGNORECASE
)
_EXPECTED = "RS_* and RC_* files, or NAME_submissions and NAME_comments, as JSON lines, plain or compressed"
_PEEK_BYTES = 1 << 20

_SITE = "https://www.reddit.com"
_GONE = ("[deleted]", "[removed]", "[deleted by user]", "[removed by reddit]", "[ Removed by Reddit ]")
_GONE_START = "[ Removed by Reddit on account of"
_NOBODY = ("", "[deleted]", "[removed]")
_STAFF = ("moderator", "admin", "special")
_BOT = "AutoModerator"  # the site's own
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_NO_TIME = ("false", "true", "0", "")  # of `edited`: never, or some time before the site kept count
# The site's interface escapes `<`, `>` and `&` in all texts; its editor writes &#x200B; for an empty paragraph.
_ENTITIES = {"&gt;": ">", "&lt;": "<", "&amp;#x200B;": "", "&#x200B;": "", "&amp;": "&"}
_DIGITS = pl.Series(list("0123456789abcdefghijklmnopqrstuvwxyz"))
_PLACES = 13  # base-36 digits of a number of 64 bits

_COMMENT = pl.col("is_comment")
_RETRIEVED = pl.coalesce("retrieved_on", "retrieved_utc")

_FIRST_DAY = 1_420_070_400  # of the sample: 2015-01-01
_TOPICS = ("fig", "fern", "rose", "basil", "cactus", "orchid", "ivy", "olive", "lemon", "hosta", "thyme")


class Options(BaseModel):
    """How dumps are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_line_bytes: int = Field(default=64 << 20, gt=0)
    """A longer line is quarantined."""
    min_score_hours: float = Field(default=0, ge=0)
    """A score fetched sooner after the post was written counts as hidden: hardly anybody had voted by then."""


def find(path: str) -> dict[str, str]:
    """Find the dump at a file, folder or glob: all its files are one input.

    Raises InputError where there is none.
    """
    root = PurePosixPath(url_to_fs(path)[1])
    name = root.parent.name if "*" in root.name else root.name
    _list_files(path)
    return {name: path}


def _list_files(path: str) -> list[str]:
    """List a dump's files, those in folders of a folder too."""
    fs, root = url_to_fs(path)
    if fs.isfile(root):
        found = [root]
    else:
        listed = fs.find(root) if fs.isdir(root) else fs.glob(root)
        found = sorted(file for file in listed if _FILE.fullmatch(PurePosixPath(file).name))
    if not found:
        problem = "there is no dump in it" if fs.exists(root) else "there is no such file or folder"
        raise InputError(path, problem, _EXPECTED)
    local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
    return found if local else [str(fs.unstrip_protocol(file)) for file in found]


def plan(path: str, options: BaseModel, slice_bytes: int) -> list[Slice]:
    """Cut a dump's files: plain ones into byte ranges, a compressed one is a slice.

    Raises InputError where there is none, or where one is empty, not compressed as its name says, or of another kind.
    """
    slices: list[Slice] = []
    for file in _list_files(path):
        parts = cut_file(file, "posts", slice_bytes)
        _check_kind(parts[0], cast("Options", options))
        slices += parts
    return slices


def _check_kind(part: Slice, options: Options) -> None:
    """Raise InputError where the first rows that can be read are neither submissions nor comments."""
    for lines in read_lines(part, _FIELDS, chunk_bytes=_PEEK_BYTES, max_line_bytes=options.max_line_bytes):
        if not lines.frame.is_empty():
            if lines.frame["link_id"].is_null().all() and lines.frame["title"].is_null().all():
                raise InputError(part.path, "its rows have neither `title` nor `link_id`", _EXPECTED)
            return


def read(part: Slice, reading: Reading) -> Iterator[Outcome]:
    """Read the rows that begin in a slice, about `chunk_bytes` at a time."""
    options = cast("Options", reading.options)
    for lines in read_lines(part, _FIELDS, chunk_bytes=reading.chunk_bytes, max_line_bytes=options.max_line_bytes):
        yield _make(lines, reading, options)


def _make(lines: Lines, reading: Reading, options: Options) -> Outcome:
    """Make posts of rows of either kind."""
    named = replace(lines, frame=_name_rows(lines.frame))
    community = pl.coalesce("subreddit", pl.lit(reading.community))
    score = number(pl.coalesce("score", "ups"))
    columns: dict[str, Column | pl.Expr] = {
        "community": community,
        "thread_id": pl.when("is_comment").then("link").otherwise("own"),
        "post_id": Column(_full_name(), pl.col("own"), required=True),
        "parent_id": pl.when("is_comment").then("above"),
        "kind": _tell_kind(),
        "title": pl.when(~_COMMENT).then(_decode("title")),
        "body": _decode("written"),
        "markup": pl.lit(str(Markup.MARKDOWN)),
        "score": replace(score, value=pl.when(_unscored()).then(0).otherwise(score.value)),
        "created_at": unix_time("created_utc", required=True),
        "edited_at": unix_time(pl.when(~pl.col("edited").is_in(_NO_TIME)).then("edited")),
        "retrieved_at": unix_time(_RETRIEVED),
        "author": hash_author(pl.when(~_is_deleted()).then("author"), community, reading.salt),
        "author_is_asker": flag("is_submitter"),
        "tags": pl.when(pl.col("link_flair_text") != "").then(pl.concat_list(_decode("link_flair_text"))),
        "url": _link(),
        "license": pl.lit("LicenseRef-Reddit"),
        "flags": _list_flags(options),
    }
    return make_posts(named, reading, "reddit", columns)


def _name_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Add what a row is (`is_comment`), its text (`written`), its bare id (`own`), its `link`, and the post `above`."""
    frame = frame.with_columns(_write_in_base_36(frame[name]) for name in ("link_id", "parent_id"))
    link, parent = _strip("link_id"), pl.col("parent_id")
    direct = parent.is_null() | (parent == "") | (parent == link) | parent.str.starts_with("t3_")
    prefixed = pl.when(parent.str.starts_with("t1_")).then(parent).otherwise(pl.lit("t1_") + parent)
    return frame.with_columns(
        is_comment=pl.col("link_id").is_not_null(),
        written=pl.when(pl.col("link_id").is_null()).then(pl.col("selftext").fill_null("")).otherwise("body"),
        own=pl.coalesce(_strip("id"), _strip("name")),
        link=link,
        above=pl.when(direct).then(link).otherwise(prefixed),
    )


def _write_in_base_36(ids: pl.Series) -> pl.Series:
    """Write ids that came as numbers as everywhere else; links are `t3_` ids, and numbers of parents are comments."""
    bare = ids.str.contains(r"^\d+$")
    if not bare.any():
        return ids
    number = pl.when(bare).then(ids.cast(pl.Int64, strict=False))
    digits = [pl.lit(_DIGITS).gather(number // 36**place % 36) for place in reversed(range(_PLACES))]
    kind = "t3_" if ids.name == "link_id" else "t1_"
    written = pl.lit(kind) + pl.concat_str(digits).str.replace(r"^0+(.)", "$1")
    return pl.select(pl.coalesce(written, pl.lit(ids)).alias(ids.name)).to_series()


def _strip(name: str) -> pl.Expr:
    return pl.col(name).str.strip_prefix("t3_").str.strip_prefix("t1_")


def _full_name() -> pl.Expr:
    return pl.when("is_comment").then(pl.lit("t1_") + pl.col("own")).otherwise("own")


def _tell_kind() -> Column:
    """Tell what a row is; one that has neither a title nor a link is nothing we know."""
    reply = (
        pl.when(pl.col("above") == pl.col("link")).then(pl.lit(str(Kind.ANSWER))).otherwise(pl.lit(str(Kind.COMMENT)))
    )
    kind = pl.when("is_comment").then(reply).when(pl.col("title").is_not_null()).then(pl.lit(str(Kind.QUESTION)))
    return Column(kind, pl.lit("a row without `title` and `link_id`"), "a submission or a comment")


def _decode(name: str) -> pl.Expr:
    """Undo the escapes of the site's interface, each once: `&amp;gt;` was written `&gt;`."""
    return pl.col(name).str.replace_many(list(_ENTITIES), list(_ENTITIES.values()), leftmost=True)


def _is_removed() -> pl.Expr:
    """Tell whether a text is gone: the site puts a word for it."""
    text = pl.col("written").str.strip_chars()
    return text.is_in(_GONE) | text.str.starts_with(_GONE_START) | (pl.col("title").is_in(_GONE) & ~_COMMENT)


def _is_deleted() -> pl.Expr:
    return pl.col("author").fill_null("").is_in(_NOBODY)


def _unscored() -> pl.Expr:
    return pl.col("score").is_null() & pl.col("ups").is_null()


def _is_true(name: str) -> pl.Expr:
    return pl.col(name).is_in(_TRUE)


def _link() -> pl.Expr:
    """Link to a post; rows of older dumps do not say how."""
    path = pl.col("permalink")
    full = pl.when(path.str.starts_with("http")).then(path).otherwise(pl.lit(_SITE) + path)
    comment = pl.concat_str(pl.lit(f"{_SITE}/comments/"), "link", pl.lit("/_/"), "own")
    made = pl.when("is_comment").then(comment).otherwise(pl.lit(f"{_SITE}/comments/") + pl.col("own"))
    return pl.coalesce(full, made)


def _list_flags(options: Options) -> pl.Expr:
    """List what is unusual about a post."""
    fetched, written = (column.cast(pl.Float64, strict=False) for column in (_RETRIEVED, pl.col("created_utc")))
    fresh = fetched - written < options.min_score_hours * 3600
    return list_flags(
        {
            Flag.REMOVED: _is_removed(),
            Flag.LOCKED: _is_true("locked"),
            Flag.DELETED_AUTHOR: _is_deleted(),
            Flag.LINK: pl.col("is_self").is_in(_FALSE) & ~_COMMENT,
            Flag.NSFW: _is_true("over_18"),
            Flag.PINNED: _is_true("stickied"),
            Flag.MODERATOR: pl.col("distinguished").is_in(_STAFF),
            Flag.BOT: pl.col("author") == _BOT,
            Flag.SCORE_HIDDEN: _unscored() | _is_true("score_hidden") | _is_true("hide_score") | fresh,
        }
    )


def write_sample(folder: Path, threads: int) -> Path:
    """Write a month of so many threads, as RS_2015-01.zst and RC_2015-01.zst; answers their folder."""
    month = folder / "gardening"
    month.mkdir(parents=True)
    numbers = range(1, threads + 1)
    _pack(month / "RS_2015-01.zst", (_submission(thread) for thread in numbers))
    _pack(month / "RC_2015-01.zst", (row for thread in numbers for row in _comments(thread)))
    return month


def _pack(file: Path, rows: Iterator[dict[str, object]]) -> None:
    with zstandard.open(file, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)


def _submission(thread: int) -> dict[str, object]:
    topic, name = _TOPICS[thread % len(_TOPICS)], f"{thread:x}"
    return _row(thread, 0) | {
        "id": name,
        "name": f"t3_{name}",
        "title": f"What does my {topic} number {thread} want?",
        "selftext": f"It stands by the window, &gt; {thread % 9} hours of sun. **What now?**" if thread % 7 else "",
        "is_self": bool(thread % 7),
        "over_18": thread % 50 == 0,
        "permalink": f"/r/gardening/comments/{name}/what_does_my_{topic}_want/",
        "link_flair_text": topic.title() if thread % 3 else None,
        "num_comments": 3 + thread % 4,
    }


def _comments(thread: int) -> Iterator[dict[str, object]]:
    """Write two to four replies to the submission (in one thread of ten a single one), and one to the first of them."""
    link, topic = f"t3_{thread:x}", _TOPICS[thread % len(_TOPICS)]
    replies = 2 + thread % 3 if thread % 10 else 1
    for reply in range(replies + 1):
        deep = reply == replies
        yield _row(thread, reply + 1) | {
            "id": f"{thread * 8 + reply:x}",
            "link_id": link,
            "parent_id": f"t1_{thread * 8:x}" if deep else link,
            "body": f"A {topic} wants water in week {(thread + reply * 17) % 52 + 1} &amp; no sooner, I say.",
            "is_submitter": deep,
            "score_hidden": False,
            "controversiality": 0,
        }


def _row(thread: int, place: int) -> dict[str, object]:
    """Write what submissions and comments share; a submission is at place 0."""
    written = _FIRST_DAY + 47 * 60 * (thread % 900) + 3600 * place
    score = (thread * 7 + place * 5) % 19 - 3
    return {
        "author": "[deleted]" if (thread + place) % 23 == 0 else f"gardener{(thread + place * 13) % 97}",
        "subreddit": "gardening",
        "subreddit_id": "t5_2qhsd",
        "created_utc": str(written) if thread % 2 else written,  # dumps write it either way
        "score": score,
        "ups": score,
        "edited": written + 600 if (thread + place) % 11 == 0 else False,
        "stickied": False,
        "distinguished": None,
        "retrieved_on": _FIRST_DAY + 60 * 86_400,
    }


SOURCE = Source(
    name="reddit",
    route=Route.FORUMS,
    summary="Reddit dumps: RS_* (submissions) and RC_* (comments) as JSON lines, .zst, .gz, .bz2, .xz or plain",
    tables={"posts": POST},
    plan=plan,
    read=read,
    find=find,
    sample=write_sample,
    options=Options,
    version=2,
)
