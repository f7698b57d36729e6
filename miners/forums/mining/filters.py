"""Filters: which posts of a thread are fit to be shown, as the recipe says; and personal data masked in those kept.

Each filter is one entry of `_RULES`, asked in that order, the most telling reasons first. Languages come last. A reply
is any post but the first of a thread, comments included.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from miners.forums.mining.eligibility import mark_ineligible
from miners.forums.mining.threads import SHOWN, describe_texts
from miners.rules import Rule, apply_rules, has_refused_license, is_boilerplate, part, tell_languages
from miners.text.pii import mask_pii
from miners.text.quality import score_quality
from schemas.drops import DropReason
from schemas.identity import hash64, hash_author
from schemas.inputs import Flag, Kind
from schemas.mining import THREAD_POST
from schemas.outcome import NOTHING_DROPPED, Outcome
from schemas.recipe import Filters, Licenses

_QUESTION = pl.col("kind") == Kind.QUESTION
_BODY = pl.col("body").str
_NGRAM = 5  # words: as in the signatures of the dedupe, and as the recipe says
_STEPS = tuple(pl.lit(pow(0x9E3779B97F4A7C15, step, 2**64), pl.UInt64) for step in range(_NGRAM))  # by place
_FEW_LETTERS = 3  # fewer are no word of one's own: "ok" beside a link says nothing
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the recipe asks for."""

    filters: Filters
    licenses: Licenses
    salt: str
    model: str | None


def filter_posts(
    posts: pa.Table, filters: Filters, licenses: Licenses, *, salt: str, model: str | None = None
) -> Outcome:
    """Take whole threads (THREAD_POST); keep the posts that the recipe finds fit, and mask what is personal in them.

    Threads that can no longer give a pair go with what was dropped of them. `language` is set where the recipe looks
    at it, `pii` where it masks, and then `chars`, `text_hash` and `text_key` are those of the masked text.

    salt: of the author hashes; a bot is known by the hash of its name or by its public name. model: the folder of the
    classifier whose score `filters.min_model_score` asks for.
    """
    asked = _Asked(filters, licenses, salt, model)
    if not (any(rule.is_on(asked) for rule in _RULES) or _looks_at_language(asked) or filters.pii == "mask"):
        return Outcome(posts, NOTHING_DROPPED, posts.num_rows)
    kept, gone = apply_rules(pl.DataFrame(posts), _RULES, asked)
    if _looks_at_language(asked):
        shown = kept.select(SHOWN).to_series()
        kept = kept.with_columns(language=tell_languages(shown, filters.min_language_score))
        kept, dropped = part(kept, DropReason.OTHER_LANGUAGE, _is_other_language(filters))
        gone.append(dropped)
    if sum(dropped.height for dropped in gone):
        judged = mark_ineligible(kept.with_columns(reason=pl.lit(None, pl.String)))
        gone.append(judged.filter(pl.col("reason").is_not_null()))
        kept = judged.filter(pl.col("reason").is_null()).drop("reason")
    if filters.pii == "mask":
        kept = _mask(kept)
    return _finish(kept, gone, posts.num_rows)


def _finish(kept: pl.DataFrame, gone: Sequence[pl.DataFrame], rows_in: int) -> Outcome:
    dropped = NOTHING_DROPPED
    if any(frame.height for frame in gone):
        ref = pl.concat_str("source", "community", "post_id", separator="/")
        dropped = pl.concat(frame.with_columns(ref=ref).drop("group_id") for frame in gone).to_arrow()
    return Outcome(kept.select(THREAD_POST.names).to_arrow().cast(THREAD_POST), dropped, rows_in)


# --- by what is known of a post -------------------------------------------------------------------------------------
def _is_of_low_quality(posts: pl.DataFrame, asked: _Asked) -> pl.Series:
    return score_quality(posts.select(SHOWN).to_series(), str(asked.model)) < asked.filters.min_model_score


def _has_flag(*flags: Flag) -> pl.Expr:
    return pl.col("flags").list.set_intersection(pl.lit([flag.value for flag in flags])).list.len() > 0


def _is_nsfw(_posts: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    marked = _has_flag(Flag.NSFW)
    return marked | (_QUESTION & marked).any().over("group_id")


def _is_by_bot(posts: pl.DataFrame, asked: _Asked) -> pl.Expr:
    """Say what is flagged as a bot's, or by an author on the recipe's list: by name, or by the hash of name or id."""
    names = pl.DataFrame({"name": pl.Series(asked.filters.bots, dtype=pl.String)})
    hashed = [
        names.select(community=pl.lit(community), author=hash_author("name", community, asked.salt))
        for community in posts["community"].unique().to_list()
    ]
    known = pl.concat(hashed).select(pl.struct("community", "author")).to_series() if hashed else None
    listed = pl.lit(value=False) if known is None else pl.struct("community", "author").is_in(known.implode())
    return _has_flag(Flag.BOT) | pl.col("author_name").is_in(names["name"].implode()).fill_null(value=False) | listed


def _is_edited_after_votes(_posts: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    """Edited on a later day than a vote's; where votes' days are unknown, more than a day after it was written."""
    day = pl.col("edited_at").dt.epoch("d")
    first_vote = pl.col("vote_days").list.eval(pl.element().abs()).list.min()
    late = pl.col("edited_at").dt.epoch("ms") - pl.col("created_at").dt.epoch("ms") > _DAY_MS
    return ~_QUESTION & pl.when(pl.col("vote_days").is_null()).then(late).otherwise(day > first_vote)


# --- by its text ----------------------------------------------------------------------------------------------------
_IMAGE = r"!\[[^\]]*\]\([^)\s]*(?:\s[^)]*)?\)|<(?:img|video|audio|iframe|source)\b[^>]*>|</(?:video|audio|iframe)>"
_MEDIA = (
    r"(?i)<?https?://(?:(?:www\.|m\.)?youtube\.com/(?:watch|shorts/)|youtu\.be/|vimeo\.com/[0-9]|i\.redd\.it/|v\.redd\.it/"
    r"|i\.imgur\.com/|[^\s)>]+\.(?:png|jpe?g|gif|gifv|webp|svg|bmp|mp4|webm|mov|mp3)\b)[^\s)>]*>?"
)
_LINK = r"\[[^\]]{0,80}\]\((?:[^()\s]|\([^()\s]*\))*(?:\s[^)]*)?\)|\[[^\]]*\]\[[^\]]*\]|(?m:^ *\[[^\]]+\]: *\S+.*$)"
_ADDRESS = r"(?i)<?(?:https?|ftp)://[^\s>]+>?|\bwww\.[^\s>]+"
_MARKUP = r"(?s)<!--.*?-->|</?[A-Za-z][^<>]*>|&(?:[A-Za-z]+|#[0-9]+|#[xX][0-9A-Fa-f]+);|\{\{[^{}]*\}\}|\\[<>&]"
_ONE_IS_A_WORD = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def _is_wordless(text: pl.Expr) -> pl.Expr:
    """Fewer than three letters, and none of a script in which one sign can be a word."""
    return (text.str.count_matches(r"\p{L}") < _FEW_LETTERS) & ~text.str.contains(_ONE_IS_A_WORD)


def _is_html_only(_posts: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    """Tags, entities or template brackets, and neither letter nor digit beside them; code that shows tags is none."""
    rest = _BODY.replace_all(_MARKUP, " ").str.contains(r"[\p{L}\p{N}]")
    return _BODY.contains(_MARKUP) & ~rest & ~_BODY.contains("`") & ~_BODY.contains("(?m)^(?: {4}|\t)")


def _is_media_only(_posts: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    """Images or videos, shown or linked, and no words."""
    shown = _BODY.replace_all(_IMAGE, "").str.replace_all(_MEDIA, "")
    rest = shown.str.replace_all(r"\[\s*\]\([^)\s]*\)|\[[^\]]*\]\(\)", "")  # links round an image, or to one
    seen = _BODY.contains(_IMAGE) | _BODY.contains(_MEDIA)
    return ~_QUESTION & seen & _is_wordless(rest) & ~rest.str.contains("://")


def _is_link_only(_posts: pl.DataFrame, _asked: _Asked) -> pl.Expr:
    """Links, by themselves or behind a few words that are the link's, and no other words. A long text is a sentence."""
    text = _BODY.replace_all(_IMAGE, "")
    rest = text.str.replace_all(_LINK, "").str.replace_all(_ADDRESS, "")
    return ~_QUESTION & (text.str.contains(_LINK) | text.str.contains(_ADDRESS)) & _is_wordless(rest)


def _quotes_question(posts: pl.DataFrame, asked: _Asked) -> pl.Series:
    """Say of which replies so many 5-grams of words stand in the question; shorter ones never go."""
    text = posts.select("group_id", question=_QUESTION, text=SHOWN).with_row_index("row")
    words = text.with_columns(word=pl.col("text").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}]+")).drop("text")
    words = words.filter(pl.col("word").list.len() >= _NGRAM).explode("word")
    whole = pl.col("row") == pl.col("row").shift(1 - _NGRAM)
    gram = pl.sum_horizontal(pl.col("word").shift(-step) * _STEPS[step] for step in range(_NGRAM))  # modulo 2**64
    grams = words.with_columns(hash64("word")).with_columns(gram=gram).filter(whole).drop("word")
    asked_for = grams.filter("question").select("group_id", "gram", quoted=pl.lit(value=True)).unique()
    replies = grams.filter(~pl.col("question")).join(asked_for, on=["group_id", "gram"], how="left")
    shares = replies.group_by("row").agg(share=pl.col("quoted").fill_null(value=False).mean())
    found = text.select("row").join(shares, on="row", how="left", maintain_order="left")
    return found["share"] >= (asked.filters.quotes_question or 1.0)


def _is_outside(least: tuple[int, int], most: tuple[int | None, int | None]) -> tuple[pl.Expr, pl.Expr]:
    """Compare `chars` with the bounds for questions and for replies: (too short, too long)."""
    chars = pl.col("chars")
    low = pl.when(_QUESTION).then(pl.lit(least[0])).otherwise(pl.lit(least[1]))
    high = pl.when(_QUESTION).then(pl.lit(most[0], pl.Int64)).otherwise(pl.lit(most[1], pl.Int64))
    return chars < low, chars > high


def _is_too_short(_posts: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return _is_outside((asked.filters.min_question_chars, asked.filters.min_reply_chars), (None, None))[0]


def _is_too_long(_posts: pl.DataFrame, asked: _Asked) -> pl.Expr:
    return _is_outside((0, 0), (asked.filters.max_question_chars, asked.filters.max_reply_chars))[1]


# --- language and personal data -------------------------------------------------------------------------------------
def _looks_at_language(asked: _Asked) -> bool:
    return asked.filters.detect_language or bool(asked.filters.languages)


def _mask(posts: pl.DataFrame) -> pl.DataFrame:
    """Mask titles and bodies, count the placeholders, and describe the new texts."""
    masked, counts = zip(*(mask_pii(posts[name]) for name in ("title", "body")), strict=True)
    total = sum((count.sum_horizontal() for count in counts), pl.repeat(0, posts.height, dtype=pl.Int32, eager=True))
    pii = total.cast(pl.Int32).alias("pii")
    return describe_texts(posts.with_columns(*masked, pii)) if total.sum() else posts.with_columns(pii)


def _is_other_language(filters: Filters) -> pl.Expr:
    return ~pl.col("language").is_in(filters.languages) if filters.languages else pl.lit(value=False)


_RULES: tuple[Rule[_Asked], ...] = (
    Rule(
        DropReason.LICENSE_REFUSED,
        lambda asked: asked.licenses.allow,
        lambda posts, asked: has_refused_license(posts, asked.licenses.allow),
    ),
    Rule(DropReason.FLAGGED, lambda asked: asked.filters.flags, lambda _, asked: _has_flag(*asked.filters.flags)),
    Rule(DropReason.NSFW, lambda asked: asked.filters.nsfw, _is_nsfw),
    Rule(DropReason.BOT, lambda asked: asked.filters.bots, _is_by_bot),
    Rule(
        DropReason.SELF_ANSWER,
        lambda asked: asked.filters.self_answers,
        lambda *_: ~_QUESTION & pl.col("author_is_asker"),
    ),
    Rule(DropReason.EDITED_AFTER_VOTES, lambda asked: asked.filters.edited_after_votes, _is_edited_after_votes),
    Rule(DropReason.HTML_ONLY, lambda asked: asked.filters.html_only, _is_html_only),
    Rule(DropReason.MEDIA_ONLY, lambda asked: asked.filters.media_only, _is_media_only),
    Rule(DropReason.LINK_ONLY, lambda asked: asked.filters.link_only, _is_link_only),
    Rule(
        DropReason.BOILERPLATE,
        lambda asked: asked.filters.boilerplate,
        lambda posts, asked: is_boilerplate(posts["body"], asked.filters.boilerplate),
    ),
    Rule(DropReason.QUOTES_QUESTION, lambda asked: asked.filters.quotes_question, _quotes_question),
    Rule(
        DropReason.TOO_SHORT,
        lambda asked: asked.filters.min_question_chars or asked.filters.min_reply_chars,
        _is_too_short,
    ),
    Rule(
        DropReason.TOO_LONG,
        lambda asked: asked.filters.max_question_chars or asked.filters.max_reply_chars,
        _is_too_long,
    ),
    Rule(DropReason.LOW_QUALITY, lambda asked: asked.model, _is_of_low_quality),
)
"""Asked in this order. Media come before links, since an image's address is a link too."""
