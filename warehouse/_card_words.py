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
    }
)
