"""Pages of releases of feedback: one turn as it was said, and what is in the release."""

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table

from flows.pages import fill_table, frame_text, list_facts, make_table, show
from flows.summary import lay_out_distributions, lay_out_funnel, lay_out_splits
from schemas.manifest import ReleaseManifest
from schemas.statistics import Collection, Distribution, FeedbackStatistics, LabelShare, UserDiversity
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
    "judge",
)
_COLORS = {"user": "blue", "assistant": "green", "system": "white"}


def lay_out_feedback(row: Row) -> Group:
    """Lay a turn out as it was said: the conversation, the reply that is rated, what the user said next, the label."""
    values: Mapping[str, Any] = row.values
    said = [
        frame_text(message["role"], ("", ""), message["content"], _COLORS.get(message["role"], "white"))
        for message in values["prompt"]
    ]
    better = f"a later reply, turn {values.get('better_turn')}, that pleased"
    origin = f"{values['community']}, {show(values['created_at'])}"
    reply = (f"{values['model'] or 'a model'}, turn {values['turn']}", f"{values['tokens']:,} tokens with its prompt")
    facts = [
        ("label", _name_label(values)),
        ("judge", f"{values['judge_model']}, {values['agreement']:.0%} of its votes"),
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
    place = "" if values["ordinal"] is None else f", level {values['ordinal']} of 4"
    return f"{values['label']} {values['category']}{place}"


def _list_probabilities(values: Mapping[str, Any]) -> str | None:
    probs = values["label_probs"]
    return None if probs is None else ", ".join(f"{at} {prob:.2f}" for at, prob in enumerate(probs, start=1))


def _tell_origin(values: Mapping[str, Any]) -> str:
    own = f"the judge's own label is {values['first_label']}"
    if values["origin"] == "hindsight":
        return f"hindsight: the label of turn {values['label_turn']}, alike by {values['likeness']:.2f}; {own}"
    return f"refusal: the judge looked at it again; {own}" if values["origin"] == "refusal" else str(values["origin"])


def lay_out_feedback_statistics(statistics: FeedbackStatistics, _manifest: ReleaseManifest) -> Group:
    """Lay out all that is known of a release of feedback."""
    head = f"{statistics.release}, build {statistics.build}: {statistics.rows:,} turns"
    users = statistics.users
    measures: dict[str, Distribution] = {
        "prompt characters": statistics.prompt_chars,
        "response characters": statistics.response_chars,
        "feedback characters": statistics.feedback_chars,
        "place in the conversation": statistics.turn,
        "turns a conversation": statistics.rows_per_conversation,
        **({"turns a user": users.rows_per_user} if users.rows_per_user else {}),
    }
    return Group(
        show(f"{head} of {statistics.conversations:,} conversations by {users.users:,} users", "bold"),
        lay_out_funnel(statistics.funnel),
        lay_out_splits(statistics.splits),
        _lay_out_labels("what the judge said of all turns", statistics.judged, statistics.published),
        _lay_out_labels("labels of the released turns", statistics.labels, {}),
        _lay_out_collections(statistics.communities),
        lay_out_distributions(measures),
        _lay_out_users(users),
        _lay_out_counts(statistics),
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


def _lay_out_collections(collections: Mapping[str, Collection]) -> Table:
    table = make_table("collection", "turns", "masked", "languages", numbers=("turns", "masked"), title="collections")
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
        "of the 1% of users with the most turns": users.top_hundredth,
        "of the 10% of users with the most turns": users.top_tenth,
    }
    rows = [
        *((name, None if share is None else f"{share:.1%}") for name, share in shares.items()),
        ("Gini coefficient of turns over users", None if users.gini is None else f"{users.gini:.2f}"),
        ("turns of unknown users", f"{users.rows_without:,}"),
    ]
    return fill_table(make_table("users", "share", numbers=("share",), title="user diversity"), rows)


def _lay_out_counts(statistics: FeedbackStatistics) -> Table:
    counted = {
        "origin": statistics.origins,
        "judge": statistics.judges,
        "rubric": statistics.rubrics,
        "asking that ended as": statistics.failures,
        "language": statistics.languages,
        "model": statistics.models,
        "country": statistics.countries,
        "licence": statistics.licenses,
    }
    rows = [(f"{what} {name}", f"{count:,}") for what, counts in counted.items() for name, count in counts.items()]
    rows.append(("with a later reply that pleased", f"{statistics.better:,}"))
    return fill_table(make_table("of all turns", "turns", numbers=("turns",), title="counts"), rows)
