"""What a recipe may say of the chats route: which turns are fit, who judges them, and what becomes of the labels."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from schemas.sections import Section, Share


class Turns(Section):
    """Which turns are fit to be judged. Each filter that is on drops turns with a reason; none is by default."""

    detect_language: bool = False
    """Find the language of query, reply and follow-up (fastText's lid.176); `languages` turns it on too. Without either
    a row's `language` is what the log itself says of the conversation."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes of the query to keep; empty keeps all."""
    min_language_score: Share = 0.5
    min_query_words: Annotated[int, Field(ge=0)] = 0
    """Words; in scripts without spaces, characters."""
    min_reply_words: Annotated[int, Field(ge=0)] = 0
    min_feedback_words: Annotated[int, Field(ge=0)] = 0
    max_prompt_chars: Annotated[int, Field(ge=1)] | None = None
    """Of all that stands before the reply."""
    max_turns: Annotated[int, Field(ge=1)] | None = None
    """Replies before this one; WildReward takes no turns behind the 20th."""
    topics: tuple[Literal["images", "media", "web", "identity", "attachments"], ...] = ()
    """Drop turns whose query asks for pictures, media, the web, who the model is, or speaks of attached files."""
    links: bool = False
    """Drop turns whose query holds a link."""
    repeated: bool = False
    """Drop turns whose follow-up repeats the query to the letter: the user asked for another try."""
    toxic: bool = False
    """Drop conversations that the source marks as toxic."""
    redacted: bool = False
    """Drop conversations in which the source replaced personal data."""
    max_messages: Annotated[int, Field(ge=2)] = 400
    """Longer conversations are cut behind so many messages: most are scripts, not people."""
    filter: Literal["before", "after"] = "before"
    """Whether unfit turns go before the judge is asked, or after hindsight: an unfit turn, say one with a short query,
    then still gives its label to the turn before, and is a question more to pay for."""
    pii: Literal["keep", "mask"] = "keep"
    """mask: e-mail and IP addresses, telephone and card numbers and keys become placeholders, in every message."""


class Cascade(Section):
    """A student answers where it is sure, and only the rest is asked of the judge."""

    student: str
    """Folder that `revealed judge distill` made, relative to the recipe."""
    min_confidence: Share = 0.9
    """Probability of its best label from which the student is sure: as the student says it, whatever
    `feedback.temperature` is."""


class Serve(Section):
    """How vLLM holds the judge's model, where we start it; no answer's key depends on it. None: as vLLM would."""

    dtype: str | None = None
    """Of the weights, in vLLM's words; `float32` where there is no GPU."""
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    """Tokens of question and answer together; None: as many as fit into memory."""
    tensor_parallel: Annotated[int, Field(ge=1)] | None = None
    """GPUs that share the model."""
    gpu_memory: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each GPU's memory that vLLM takes."""


_WRITTEN_BY_US = {
    *("model", "messages", "max_tokens", "temperature", "seed", "n", "stream"),
    *("logprobs", "top_logprobs", "structured_outputs", "response_format"),
}
"""Of a request, what other keys of the recipe say, or what makes its answer one that we can read."""


class Judge(Section):
    """Who reads the follow-ups."""

    kind: Literal["embedded", "server", "offline"] = "embedded"
    """embedded: a small model of our own, on the CPU. server: any OpenAI-compatible endpoint. offline: vLLM in a
    process of its own, whose Python `REVEALED_VLLM_PYTHON` names, for a machine with a GPU and a model that answers
    without reasoning first."""
    model: str | None = None
    """Name of the server's model; folder or name of vLLM's; with embedded, the folder of another model than ours."""
    revision: str | None = None
    """Of the model; part of every verdict's key."""
    urls: tuple[str, ...] = ()
    """Endpoints, such as http://127.0.0.1:8000/v1; requests are balanced over them."""
    api_key: str | None = None
    """Name of the environment variable that holds the key."""
    votes: Annotated[int, Field(ge=1, le=99)] = 1
    """Answers asked for a turn; the most frequent is the label. More than one needs a temperature."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0
    max_tokens: Annotated[int, Field(ge=1)] = 16
    """Of an answer; the longest of a rubric takes six. A model that thinks before it answers needs thousands."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """More of each request's body, such as `reasoning_effort: low` or `chat_template_kwargs: {enable_thinking: false}`;
    part of every verdict's key. The offline engine knows `chat_template_kwargs` alone."""
    history_chars: Annotated[int, Field(ge=0)] = 4000
    """Of the conversation before the query, what is shown; cut from the left."""
    query_chars: Annotated[int, Field(ge=100)] = 8000
    """Of query and follow-up each; longer ones lose their middle."""
    reply_chars: Annotated[int, Field(ge=100)] = 16000
    """Longer replies make a turn unfit (its reason is counted); a reply is never cut."""
    in_flight: Annotated[int, Field(ge=1)] = 256
    """Most requests under way at once; fewer where the server asks for patience."""
    timeout: Annotated[float, Field(gt=0)] = 120
    """Seconds for one try."""
    tries: Annotated[int, Field(ge=1)] = 5
    max_failures: Share = 0.05
    """Share of the questions that may end without an answer; beyond it the build stops. Questions about refusals never
    stop it: one that fails changes no label."""
    prompt_price: Annotated[float, Field(ge=0)] | None = None
    """Of a million prompt tokens, in any currency."""
    completion_price: Annotated[float, Field(ge=0)] | None = None
    cascade: Cascade | None = None
    serve: Serve = Serve()

    @field_validator("extra")
    @classmethod
    def _is_free(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if taken := sorted(_WRITTEN_BY_US & extra.keys()):
            raise ValueError(
                f"`{'`, `'.join(taken)}` cannot be set here, since requests hold it already; expected what no other "
                "key of `judge` says, such as `reasoning_effort`"
            )
        return extra

    @model_validator(mode="after")
    def _is_whole(self) -> "Judge":
        if self.kind == "server" and not (self.urls and self.model):
            raise ValueError("`kind: server` needs `urls` and `model`")
        if self.kind == "offline" and not self.model:
            raise ValueError("`kind: offline` needs `model`")
        if self.votes > 1 and self.temperature == 0:
            raise ValueError("several votes at temperature 0 are one vote: set `temperature`")
        return self


class Hindsight(Section):
    """Neutral turns that a later turn on the same topic tells of (WildReward, section 3).

    Replies that pleased after one that did not, the column `better`, are looked for in the same way.
    """

    turns: Annotated[int, Field(ge=0, le=5)] = 2
    """How many turns are looked ahead; 0 turns hindsight off, and leaves `better` null."""
    min_likeness: Share = 0.3
    """Cosine of the words of the two turns, query and reply. The paper asks for above .6 and its code for .5, of
    embeddings of the two follow-ups. Set by reading the beginnings of some 35 pairs of real chats at .1 to .6, once,
    by one reader: from .3 on nearly all were on one topic, below more doubtful. Of random turns 1% are above .13."""
    positive: bool | None = None
    """Whether praise is taken. Unset, as the view has it: `wildreward` takes it, the others take nothing."""
    negative: bool | None = None
    """Whether blame is taken; no view does: WildReward's code counts negative cases and uses none."""


class Refusals(Section):
    """Negative turns whose reply refuses: was it right to? (WildReward's refusal validation)."""

    validate_with: Literal["judge", "off"] = "judge"
    max_reply_chars: Annotated[int, Field(ge=1)] = 300
    """Refusals are short."""


class Feedback(Section):
    """Which labels are released."""

    view: Literal["wildreward", "wildfeedback", "nof"] = "wildreward"
    """What is asked of the judge, and what its answers mean."""
    neutral: Literal["drop", "keep"] = "drop"
    min_agreement: Share = 0.0
    min_probability: Share = 0.0
    """Of the label, where the judge gives probabilities."""
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1
    """Of these probabilities, before `min_probability` is asked: p becomes p^(1/T), normalised. Above 1 the judge is
    taken for less sure than it says, below 1 for surer; `revealed judge eval` fits it. In a cascade it is for judge and
    student alike. Released `label_probs` stay as the judge gave them."""
    max_per_user: Annotated[int, Field(ge=1)] | None = None
    """Turns of one user; beyond it those with the smallest hash stay."""
    max_per_conversation: Annotated[int, Field(ge=1)] | None = None
