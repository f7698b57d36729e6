"""What a recipe may say of the forums route: how replies become pairs, and which pairs are released."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.inputs import Flag
from schemas.sections import Section, Share


class Pairs(Section):
    """How replies become pairs."""

    max_per_thread: Annotated[int, Field(ge=1)] = 32
    """Pairs kept a thread; beyond it those with the smallest hash stay."""
    replies: Literal["answers", "siblings"] = "answers"
    """Who is compared. answers: replies to the thread's first post. siblings: also replies to one and the same reply,
    with the chain of posts that they answer as the prompt."""
    max_parents: Annotated[int, Field(ge=0)] = 8
    """Of a longer chain, the nearest so many posts and the first one make the prompt."""


class Filters(Section):
    """Which posts are fit to be shown. Each filter that is on drops posts with a reason; none is on by default."""

    min_question_chars: Annotated[int, Field(ge=0)] = 0
    """Of title and body, as Markdown."""
    max_question_chars: Annotated[int, Field(ge=1)] | None = None
    min_reply_chars: Annotated[int, Field(ge=0)] = 0
    max_reply_chars: Annotated[int, Field(ge=1)] | None = None
    detect_language: bool = False
    """Find the language of every question and reply (fastText's lid.176); `languages` turns it on too."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes to keep; empty keeps all."""
    min_language_score: Share = 0.5
    """Below this probability the language counts as unknown (`und`), which `languages` may name."""
    link_only: bool = False
    """Drop replies that are links and no words of their own."""
    media_only: bool = False
    """Drop replies that are images or videos and no words of their own."""
    html_only: bool = False
    """Drop posts that are HTML tags and no words of their own."""
    bots: tuple[str, ...] = ()
    """Names (or ids, as the dump gives them) of authors to drop, such as AutoModerator; posts flagged `bot` go too."""
    quotes_question: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop replies of whose words at least this share stand in the question in the same order (5-grams)."""
    boilerplate: tuple[str, ...] = ()
    """Phrases; a post that is little else, or begins with one, is dropped. Compared without case and spacing."""
    nsfw: bool = False
    """Drop posts that are marked as not safe for work, and threads whose question is."""
    self_answers: bool = False
    """Drop replies that the asker wrote."""
    edited_after_votes: bool = False
    """Drop replies edited after a vote was cast; where the days of votes are unknown, more than a day after posting."""
    flags: tuple[Flag, ...] = ()
    """Drop posts that have one of these flags."""
    model: str | None = None
    """A classifier of `revealed quality train`: its folder, relative to the recipe. Judges questions and replies."""
    min_model_score: Share = 0.5
    pii: Literal["keep", "mask"] = "keep"
    """mask: e-mail and IP addresses, telephone and card numbers, keys and mentions of users become placeholders."""


class Hygiene(Section):
    """What becomes of pairs that say nothing, or say two things. All are counted, whatever becomes of them."""

    repeated: Literal["drop", "keep"] = "drop"
    """The same two texts in the same order under the same (or a near-duplicate) question: all but one."""
    contradicted: Literal["drop", "keep"] = "drop"
    """The same two replies in one order here and in the other there: all of them."""
    nearly_equal: Annotated[float, Field(gt=0, le=1)] | None = 0.9
    """Pairs whose replies share at least this much of their words; null keeps them."""


class Scores(Section):
    """Scores from outside, such as a reward model's, for the chosen and the rejected reply of each pair."""

    file: str | None = None
    """Parquet with `uid, chosen_reward, rejected_reward`; relative to the recipe's folder."""
    url: str | None = None
    """An HTTP scorer: gets {"rows": [{"uid", "prompt", "chosen", "rejected"}]}, answers {"scores": [{"chosen",
    "rejected"}]}, null where it has none."""
    use: Literal["record", "filter", "weight"] = "record"
    """record: only the columns. filter: drop pairs whose chosen reply is not rated higher (WorldPM, table 10). weight:
    `weight` becomes the probability that the chosen reply wins, 1 / (1 + exp(rejected - chosen))."""
    min_margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """With filter: by how much the chosen reply must be rated higher."""
    missing: Literal["keep", "drop"] = "drop"
    """What becomes of pairs without a score."""
    batch: Annotated[int, Field(ge=1)] = 64
    """Pairs a request."""
    timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds a request may take."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> "Scores":
        if (self.file is None) == (self.url is None):
            raise ValueError("scores come from a `file` or from a `url`: give one of them")
        return self


class Custom(Section):
    """A view of one's own: `view: custom` takes the pairs that meet all of these."""

    order: Literal["score", "votes", "pm"] = "score"
    """By what replies are ordered. score: net votes + 1 if accepted. votes: net votes. pm: round(log2(1 + votes)), + 1
    if accepted, -1 where votes are below 0 (Askell et al. 2021)."""
    min_chosen_votes: int | None = None
    min_rejected_votes: int | None = None
    min_prompt_votes: int | None = None
    min_margin: Annotated[int, Field(ge=1)] = 1
    """In what replies are ordered by; below it they count as tied."""
    min_ratio: Annotated[float, Field(ge=1)] | None = None
    """Of the chosen to the rejected reply's votes; pairs whose rejected reply has less than one are out."""
    later_and_higher: bool = False
    """The better-voted reply came no earlier, so that it had no longer to collect votes (SHP)."""
    min_confidence: Share | None = None
    max_seconds_apart: Annotated[int, Field(ge=0)] | None = None
    asked_from: date | None = None
    """First day (UTC) on which the question may have been asked."""
    asked_before: date | None = None
    """First day (UTC) on which it may no longer."""
    max_length_ratio: Annotated[float, Field(ge=1)] | None = None
    """Of the longer reply's characters to the shorter one's."""
    max_per_thread: Annotated[int, Field(ge=1)] | None = None
    max_per_author: Annotated[int, Field(ge=1)] | None = None
    """Pairs whose chosen reply is by one author, in the whole release."""
