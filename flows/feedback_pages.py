"""Pages of releases of feedback: one turn as it was said, and what is in the release."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from rich.console import Group
from rich.table import Table

from flows.judging.drift import lay_out_drift
from flows.pages import fill_table, frame_text, list_facts, make_table, show
from flows.summary import lay_out_distributions, lay_out_funnel, lay_out_splits
from miners.chats.mining.rubrics import list_rubrics
from schemas.manifest import ReleaseManifest
from schemas.statistics import Collection, Distribution, FeedbackStatistics, Labels, LabelShare, UserDiversity
from warehouse.inspection import Row

_FACTS = (
    "uid",
    "group_id",
    "cluster_id",
    "user",
    "split",
    "language",
    "country",
    "license",
    "rubric",
)
_MOST_VALUES = 20  # of a column
_MOST_GROUPS = 10  # of what label shares are told apart by
_SMALL = 0.0995  # shares below it are shown with a digit behind the point
_COLORS = {"user": "blue", "assistant": "green", "system": "white"}


def lay_out_feedback(row: Row) -> Group:
    """Lay a turn out as it was said: the conversation, the reply that is rated, what the user said next, the label."""
    values: Mapping[str, Any] = row.values
    said = [
        frame_text(message["role"], ("", ""), message["content"], _COLORS.get(message["role"], "white"))
        for message in values["prompt"]
    ]
    better = f"a later reply, turn {values.get('better_turn')} (from 0), that pleased"
    origin = f"{values['community']}, {show(values['created_at'])}"
    place = f"{values['model'] or 'a model'}, turn {values['turn']} (from 0)"
    reply = (place, f"about {values['tokens']:,} tokens with its prompt")
    facts = [
        ("label", _name_label(values)),
        ("judge", f"{values['judge_model']}, fingerprint {values['judge']}"),
        ("agreement", f"{values['agreement']:.0%} of the judge's votes are for the label"),
        ("probabilities", _list_probabilities(values)),
        ("origin", _tell_origin(values)),
        *((name, values[name]) for name in _FACTS),
        ("shard", row.shard),
        ("row", row.number),
    ]
    return Group(
        show(origin, "dim"),
        *said,
        frame_text("the reply", reply, values["response"], "magenta"),
        frame_text("what the user said next", ("", ""), values["feedback"], "yellow"),
        *([frame_text(better, ("", ""), values["better"], "cyan")] if values.get("better") is not None else []),
        list_facts(facts),
    )


def _name_label(values: Mapping[str, Any]) -> str:
    place = "" if values["ordinal"] is None else f"; level {values['ordinal']} of 4, from rejected to pleased"
    return f"{values['category']}, label {values['label']} of the rubric{place}"


def _list_probabilities(values: Mapping[str, Any]) -> str | None:
    """List the probabilities under the names of the rubric's labels; under their numbers where it is not known."""
    probs = values["label_probs"]
    if probs is None:
        return None
    known = {rubric.id: rubric.categories for rubric in list_rubrics()}
    names = known.get(values["rubric"], tuple(str(at) for at in range(1, len(probs) + 1)))
    return ", ".join(f"{name} {prob:.2f}" for name, prob in zip(names, probs, strict=True))


def _tell_origin(values: Mapping[str, Any]) -> str:
    own = f"the judge's own label is {values['first_label']}"
    if values["origin"] == "hindsight":
        return f"hindsight: the label of turn {values['label_turn']}, alike by {values['likeness']:.2f}; {own}"
    told = {"refusal": f"refusal: the judge looked at it again; {own}", "direct": "direct: the judge's own label"}
    return told.get(values["origin"], str(values["origin"]))


def lay_out_feedback_statistics(statistics: FeedbackStatistics, _manifest: ReleaseManifest) -> Group:
    """Lay out all that is known of a release of feedback."""
    head = f"{statistics.release}, build {statistics.build}: {statistics.rows:,} turns"
    users = statistics.users
    measures: dict[str, Distribution] = {
        "prompt characters": statistics.prompt_chars,
        "response characters": statistics.response_chars,
        "feedback characters": statistics.feedback_chars,
        "turn in its conversation, from 0": statistics.turn,
        "turns a conversation": statistics.rows_per_conversation,
        **({"turns a user": users.rows_per_user} if users.rows_per_user else {}),
    }
    return Group(
        show(f"{head} of {statistics.conversations:,} conversations by {users.users:,} users", "bold"),
        lay_out_funnel(statistics.funnel),
        lay_out_splits(statistics.splits),
        _lay_out_labels("what the judge said of all turns", statistics.judged, statistics.published),
        _lay_out_labels("labels of the released turns", statistics.labels, {}),
        *(_lay_out_groups(name, groups, statistics) for name, groups in statistics.labels_by.items() if groups),
        _lay_out_collections(statistics.communities),
        lay_out_distributions(measures),
        _lay_out_users(users),
        *([_lay_out_failures(statistics.failures)] if statistics.failures else []),
        _lay_out_counts(statistics),
        *([lay_out_drift(statistics.drift)] if statistics.drift is not None else []),
    )


def _lay_out_labels(title: str, labels: Mapping[str, LabelShare], published: Mapping[str, float]) -> Table:
    numbers = ("turns", "share", "95% interval", *(["in the paper"] if published else []))
    table = make_table("label", *numbers, numbers=numbers, title=title)
    return fill_table(
        table,
        (
            (
                name,
                f"{found.rows:,}",
                f"{found.share:.1%}",
                f"{found.low:.1%} to {found.high:.1%}",
                *([f"{published[name]:.0%}" if name in published else None] if published else []),
            )
            for name, found in labels.items()
        ),
    )


def _lay_out_groups(name: str, groups: Mapping[str, Labels], statistics: FeedbackStatistics) -> Table:
    """List the commonest languages, models, countries or ranges of turns, each with the shares of its labels."""
    categories = list(statistics.judged or statistics.labels)
    numbers = ("turns", *(category.replace("_", " ") for category in categories))
    rest = len(groups) - _MOST_GROUPS
    title = f"labels of {'all' if statistics.judged else 'the released'} turns by {name}: %, and its 95% interval"
    title += f" ({rest:,} rarer ones are not shown)" if rest > 0 else ""
    table = make_table("turn, from 0" if name == "turn" else name, *numbers, numbers=numbers, title=title)
    return fill_table(
        table,
        (
            (value, f"{found.rows:,}", *(_tell_share(found.shares.get(category)) for category in categories))
            for value, found in islice(groups.items(), _MOST_GROUPS)
        ),
    )


def _tell_share(found: LabelShare | None) -> str | None:
    """Say a share and its interval in percent, with two digits."""
    if found is None:
        return None
    share, low, high = (
        f"{100 * part:.1f}" if part < _SMALL else f"{part:.0%}"[:-1] for part in (found.share, found.low, found.high)
    )
    return f"{share} {low}-{high}"


def _lay_out_collections(collections: Mapping[str, Collection]) -> Table:
    title = "collections (masked: personal data replaced)"
    table = make_table("collection", "turns", "masked", "languages", numbers=("turns", "masked"), title=title)
    return fill_table(
        table,
        (
            (
                name,
                f"{found.rows:,}",
                f"{found.masked:,}",
                ", ".join(f"{code} {count / found.rows:.0%}" for code, count in list(found.languages.items())[:3]),
            )
            for name, found in collections.items()
        ),
    )


def _lay_out_users(users: UserDiversity) -> Table:
    shares = {
        "turns by the 1% of users with the most, at least one": users.top_hundredth,
        "turns by the 10% of users with the most": users.top_tenth,
    }
    gini = None if users.gini is None else f"{users.gini:.2f}"
    rows = [
        *((name, None if share is None else f"{share:.1%}") for name, share in shares.items()),
        ("Gini coefficient: 0 if all give as many, near 1 if one gives all", gini),
        ("turns of unknown users", f"{users.rows_without:,}"),
    ]
    title = "how turns with a known user are spread over users"
    return fill_table(make_table("figure", "value", numbers=("value",), title=title), rows)


def _lay_out_failures(failures: Mapping[str, int]) -> Table:
    table = make_table("asking that ended as", "turns", numbers=("turns",), title="turns without a verdict")
    return fill_table(table, ((state, f"{count:,}") for state, count in failures.items()))


def _lay_out_counts(statistics: FeedbackStatistics) -> Table:
    counted = {
        "label's origin": statistics.origins,
        "judge": statistics.judges,
        "rubric": statistics.rubrics,
        "language": statistics.languages,
        "model": statistics.models,
        "user's country": statistics.countries,
        "licence": statistics.licenses,
    }
    rows = [row for what, counts in counted.items() for row in _list_commonest(what, counts)]
    if statistics.better is not None:
        rows.append(("with a later reply that pleased (`better`)", f"{statistics.better:,}"))
    return fill_table(make_table("of the released turns", "turns", numbers=("turns",), title="counts"), rows)


def _list_commonest(what: str, counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """List values, the largest first, and how many more there are than are worth reading."""
    for name, count in islice(counts.items(), _MOST_VALUES):
        yield f"{what} {name}", f"{count:,}"
    rest = list(counts.values())[_MOST_VALUES:]
    if rest:
        yield f"{what}, and {len(rest):,} more", f"{sum(rest):,}"
