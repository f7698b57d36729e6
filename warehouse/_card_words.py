"""What the cards of the routes say differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from schemas.inputs import Route

_PAIR_COLUMNS = """\
- `margin` is a difference of votes, not of rewards: the default config leaves it out, since TRL subtracts a column of
  that name inside its loss.
- `chosen_score` and `rejected_score` are net votes plus 1 if accepted (WorldPM, arXiv 2505.10527, A.2);
  `chosen_votes` and `rejected_votes` are without acceptance.
- `confidence` is the probability that the chosen reply is the better one, by the votes alone: a vote for it or against
  the other counts for it, under a uniform prior and equal exposure.
- Exposure: `seconds_later` (from the rejected to the chosen reply), `chosen_order` (1 came first), `prompt_views`,
  `chosen_share` of the votes, and where the days of votes are known `chosen_votes_same_age`: the votes that a reply had
  when it was as old as the younger one is.
- `views` lists the published recipes whose rules the pair meets, so that they can be told apart within one release.
- `*_tokens` are estimated as characters / 4, prompt included.
- `cluster_id` names the duplicate cluster, `group_id` the thread.
"""

_PAIR_SOURCES = "The texts of this release were written by the members of these communities:"

_PAIR_CREDIT = """\
The column `attribution` of every row of the config `pairs` names the authors of its posts where the licence asks for
that, and links to each post; `license` holds the licences of that row, `terms` what they ask for. Texts were converted
to Markdown{masking}; nothing else was changed. Whoever passes rows on must pass these columns on with
them."""

_PAIR_LICENSE = """\
Each row names the licences of its posts as an SPDX expression, its authors and their links (`attribution`); see
ATTRIBUTION.md."""

_CONTINUATION_COLUMNS = """\
- `prefix` and `suffix` are neighbours in one document, to the letter: `prefix + suffix` is the document's text from
  character `start` to `end`, and `cut` is where the suffix begins. No row crosses a document.
- There is no rejected column: the other suffixes of a window are the negatives (RBS, arXiv 2603.02225).
- `hard` says why a row's window holds hard negatives for it; null where chance alone chose its neighbours.
- `suffix_key` is a hash of the suffix without case and spacing: equal keys are equal suffixes.
- `prefix_tokens` and `suffix_tokens` are counted by the recipe's tokenizer; where it names none, 4 characters count as
  a token.
- `cluster_id` names the duplicate cluster, `group_id` the document, `community` the part of the corpus.
"""

_CONTINUATION_SOURCES = "The texts of this release are passages of documents from these corpora:"

_CONTINUATION_CREDIT = """\
The column `url` of every row of the config `continuations` links to the page that the passage is from; `license` is the
licence of the corpus, which covers the collection: rights in a page remain with its author. Passages are parts of the
corpus' text, cut and not changed. Whoever passes rows on must pass these columns on with them."""

_CONTINUATION_LICENSE = (
    """Each row names the licence of the corpus it is from, and the page (`url`); see ATTRIBUTION.md."""
)

_FEEDBACK_COLUMNS = """\
- `label` is what a judge read out of `feedback`, the user's next message, about `response`, the reply before it; it is
  no human's rating. It counts from 1 in the order of the rubric's answers, `category` is its name, and `label_probs`
  are the judge's probabilities of all labels as it said them, where it gives any: `feedback.temperature` of a recipe
  serves `feedback.min_probability` alone, and changes none of them.
- `ordinal` orders the labels of the view wildreward from 1 (rejected) to 4 (pleased), the neutral one left out. It is
  null, as the labels of the configs `ordinal` and `wildreward` are, where a label has no place in that order.
- `origin` says where the label is from: `direct`, the judge's own; `hindsight`, that of the later turn `label_turn` on
  the same topic, as likely as `likeness` tells; `refusal`, after the judge was asked whether a refusal was right.
  `first_label` is the judge's own in every case.
- `better` is a candidate for a pair: where the user found fault with `response`, the next reply on the same topic,
  `better_turn`, that the judge says pleased. Both labels are the judge's own (`direct`). It answers a later message,
  which may ask for something else or say more, so that it need not be the better answer to `prompt`: of 14 from real
  chats that were read, half were not. Read some before you train. As pairs for TRL's DPOTrainer:
  ```python
  import polars as pl

  rows = pl.read_parquet("PATH/TO/THIS/FOLDER/train/*.parquet").drop_nulls("better")
  say = lambda name: pl.concat_list(pl.struct(role=pl.lit("assistant"), content=name))
  pairs = rows.select("prompt", chosen=say("better"), rejected=say("response"))
  ```
- `judge` is a fingerprint of rubric, model and sampling; `agreement` is the share of its votes that are for the label.
- `user` is a salted hash; `group_id` names the conversation, `cluster_id` its near-copies, of which one is here.
- `tokens` are estimated as characters / 4, prompt included.
- `text` of the configs `ordinal` and `wildreward` is prompt and response as one text of some 12,000 bytes, 3,000 to
  4,000 tokens of English or Chinese (code and figures take more): a long history loses its beginning, then the query
  its middle, where a word says so. The response is never cut. One of more than 12,000 bytes makes a longer text, whose
  end a trainer that stops at 4,096 tokens does not see. WildReward's trainer reads JSON Lines:
  `load_dataset(FOLDER, "wildreward", split="train").to_json("train.jsonl")`.
- `label` of the config `kto` is whether the user was pleased; null for neutral turns.
"""

_FEEDBACK_SOURCES = "The texts of this release are passages of conversations from these collections:"

_FEEDBACK_CREDIT = """\
`license` of every row of the config `feedback` is the licence of the collection, which its publishers chose; what a
model wrote may be under the terms of its provider as well (`model` names it). Texts are as the collection has
them{masking}; empty messages end a conversation, and messages of one side that follow each other were joined. Whoever
passes rows on must pass these columns on with them."""

_FEEDBACK_LICENSE = """Each row names the licence of the collection it is from; see ATTRIBUTION.md."""


@dataclass(frozen=True, slots=True)
class CardWords:
    """Texts of one route's card. what: the rows are, in a sentence. loading: ways to load it, as Python with comments.

    tasks, tags: for the Hub. columns: worth knowing, as a list. sources: what stands above the list of communities.
    credit: where rows name their origin; `{masking}` stands for what was done to personal data.
    """

    what: str
    loading: str
    tasks: tuple[str, ...]
    tags: tuple[str, ...]
    columns: str
    sources: str
    credit: str
    license: str


WORDS: Mapping[str, CardWords] = MappingProxyType(
    {
        Route.FORUMS.value: CardWords(
            what="Preference pairs mined from what communities voted for.",
            loading="""\
trl = load_dataset("PATH/TO/THIS/FOLDER", split="train")  # chosen, rejected: message lists, for RewardTrainer
pairs = load_dataset("PATH/TO/THIS/FOLDER", "pairs", split="train")  # every column""",
            tasks=("text-classification",),
            tags=("preference", "reward-model", "trl", "revealed"),
            columns=_PAIR_COLUMNS,
            sources=_PAIR_SOURCES,
            credit=_PAIR_CREDIT,
            license=_PAIR_LICENSE,
        ),
        Route.WEB.value: CardWords(
            what="Prefixes of web documents, and how each went on.",
            loading="""\
batches = load_dataset("PATH/TO/THIS/FOLDER", split="train")  # in windows, see below: do not shuffle rows
rows = load_dataset("PATH/TO/THIS/FOLDER", "continuations", split="train")  # every column, in the same order""",
            tasks=("text-ranking",),
            tags=("reward-model", "continuation", "in-batch-negatives", "revealed"),
            columns=_CONTINUATION_COLUMNS,
            sources=_CONTINUATION_SOURCES,
            credit=_CONTINUATION_CREDIT,
            license=_CONTINUATION_LICENSE,
        ),
        Route.CHATS.value: CardWords(
            what="Replies of language models, and what their users' next messages say of them.",
            loading="""\
rated = load_dataset("PATH/TO/THIS/FOLDER", split="train")  # prompt, response, label 1-4 with targets
binary = load_dataset("PATH/TO/THIS/FOLDER", "kto", split="train")  # prompt, completion, label: for KTOTrainer
rows = load_dataset("PATH/TO/THIS/FOLDER", "feedback", split="train")  # every column""",
            tasks=("text-classification",),
            tags=("feedback", "reward-model", "conversational", "revealed"),
            columns=_FEEDBACK_COLUMNS,
            sources=_FEEDBACK_SOURCES,
            credit=_FEEDBACK_CREDIT,
            license=_FEEDBACK_LICENSE,
        ),
    }
)
