from datetime import UTC, date, datetime
from math import log2

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.forums.mining.pairs import mine_pairs
from miners.forums.mining.threads import assemble_threads
from miners.forums.mining.views import BEFORE_RULES, VIEWS, find_view, measure, orient, pair_ref
from schemas.errors import RecipeError
from schemas.recipe import Custom

quick = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mine(posts, *rows, replies="answers"):
    threads = assemble_threads(posts.table(*rows), replies=replies).kept
    return pl.DataFrame(mine_pairs(threads, max_per_thread=10_000).kept)


def judge(posts, view, asked=None, better=None, worse=None, replies="answers"):
    """For which of the view's reasons the pair of a later, better reply `2` and an older, worse one `3` is left out."""
    asked, better, worse = asked or {}, better or {}, worse or {}
    rows = [
        posts.question(**{"score": 30, "author": "ann"} | asked),
        posts.answer("2", **{"score": 9, "hours": 5, "author": "bob"} | better),
        posts.answer("3", **{"score": 4, "hours": 1, "author": "cee"} | worse),
    ]
    found = orient(mine(posts, *rows, replies=replies), view.order)
    assert found["chosen_id"].to_list() == ["2"]
    return {rule.reason.value for rule in view.rules if not found.select(rule.holds.fill_null(value=False)).item()}


EDIT = {"edited_at": datetime(2021, 1, 1, tzinfo=UTC)}

BROKEN = {
    "not_later": {"better": {"hours": 0}},
    "low_score": {"worse": {"score": 1}},
    "low_prompt_score": {"asked": {"score": 9}},
    "not_a_text_post": {"asked": {"flags": ["link"]}},
    "out_of_period": {"asked": {"created_at": datetime(2023, 1, 1, tzinfo=UTC)}},
    "edited": {"asked": EDIT},
    "nsfw": {"asked": {"flags": ["closed", "nsfw"]}},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_shp_asks_each_of_its_conditions(posts, reason):
    assert judge(posts, VIEWS["shp"]) == set()
    assert judge(posts, VIEWS["shp"], **BROKEN[reason]) == {reason}


@pytest.mark.parametrize("side", ["asked", "better", "worse"])
@pytest.mark.parametrize(("flag", "reason"), [("moderator", "by_moderator"), ("deleted_author", "by_deleted_author")])
def test_shp_looks_at_the_authors_of_all_three(posts, side, flag, reason):
    assert judge(posts, VIEWS["shp"], **{side: {"flags": [flag]}}) == {reason}


@pytest.mark.parametrize("side", ["better", "worse"])
def test_shp_leaves_the_asker_out(posts, side):
    assert judge(posts, VIEWS["shp"], **{side: {"author": "ann"}}) == {"by_asker"}


def test_shp_takes_replies_of_one_moment_and_none_of_an_unknown_one(posts):
    assert judge(posts, VIEWS["shp"], better={"hours": 1}) == set()
    assert judge(posts, VIEWS["shp"], worse={"created_at": None}) == {"not_later"}
    assert judge(posts, VIEWS["shp"], asked={"created_at": None}) == {"out_of_period"}


def test_shp_does_not_mind_edited_replies(posts):
    assert judge(posts, VIEWS["shp"], better=EDIT, worse=EDIT) == set()


def test_shp_takes_top_level_replies_only(posts):
    rows = [posts.question(score=30), posts.answer("a", 15), posts.answer("b", 4)]
    rows += [posts.comment(ident, parent_id="a", score=score, hours=score) for ident, score in (("c", 8), ("d", 3))]
    frame = mine(posts, *rows, replies="siblings").filter(pl.col("prompt_id") == "a")
    counts = VIEWS["shp"].count_rules(frame).filter(pl.col("failed") > 0)
    assert counts["reason"].to_list() == ["not_top_level"]


@pytest.mark.parametrize(
    ("source", "votes", "asked", "expected"),
    [
        ("reddit", 2, 10, set()),
        ("reddit", 1, 9, {"low_score", "low_prompt_score"}),
        ("stackexchange", 1, 9, set()),
        ("stackexchange", 0, 8, {"low_score", "low_prompt_score"}),
    ],
)
def test_shp2_counts_votes_but_the_authors_own(posts, source, votes, asked, expected):
    values = {"source": source}
    found = judge(posts, VIEWS["shp2"], asked=values | {"score": asked}, better=values, worse=values | {"score": votes})
    assert found == expected


@pytest.mark.parametrize(("votes", "expected"), [(8, set()), (7, {"low_ratio"})])
def test_compred_asks_for_twice_the_votes(posts, votes, expected):
    assert judge(posts, VIEWS["compred"], better={"score": votes}) == expected
    assert VIEWS["compred"].conditioned


def repr_in_order(value: object) -> str:
    """Write a parameter as its test is called: sets in an order, or two processes call one test by two names."""
    return str(sorted(value)) if isinstance(value, set) else str(value)


DECLARED = [
    ({"min_chosen_votes": 9, "min_rejected_votes": 4, "min_prompt_votes": 30}, set()),
    ({"min_chosen_votes": 10}, {"low_score"}),
    ({"min_rejected_votes": 5}, {"low_score"}),
    ({"min_prompt_votes": 31}, {"low_prompt_score"}),
    ({"min_margin": 5, "min_ratio": 2.25}, set()),
    ({"min_margin": 6, "min_ratio": 2.3}, {"low_margin", "low_ratio"}),
    ({"later_and_higher": True}, set()),
    ({"min_confidence": 0.9}, set()),
    ({"min_confidence": 0.95}, {"low_confidence"}),
    ({"max_seconds_apart": 4 * 3600}, set()),
    ({"max_seconds_apart": 4 * 3600 - 1}, {"far_apart"}),
    ({"max_seconds_apart": 0}, {"far_apart"}),
    ({"asked_from": date(2020, 1, 1), "asked_before": date(2020, 1, 2)}, set()),
    ({"asked_from": date(2020, 1, 2)}, {"out_of_period"}),
    ({"asked_before": date(2020, 1, 1)}, {"out_of_period"}),
    ({"max_length_ratio": 1.0}, set()),
]


@pytest.mark.parametrize(("declared", "expected"), DECLARED, ids=repr_in_order)
def test_a_view_of_ones_own_asks_what_is_declared(posts, declared, expected):
    """A reply of 9 votes, four hours after one of 4: Beta(10, 5) lies above 1/2 with probability 0.91."""
    assert judge(posts, find_view("custom", Custom(**declared))) == expected


@pytest.mark.parametrize(
    ("declared", "changes", "expected"),
    [
        ({"later_and_higher": True}, {"better": {"hours": 0}}, {"not_later"}),
        ({"max_length_ratio": 2.0}, {"better": {"body": "x" * 30}, "worse": {"body": "x" * 61}}, {"unequal_length"}),
        ({"min_ratio": 1.0}, {"worse": {"score": 0}}, {"low_ratio"}),
        ({"min_prompt_votes": 0}, {"asked": {"score": -1}}, {"low_prompt_score"}),
        ({"order": "pm", "min_margin": 2}, {}, {"low_margin"}),
        ({"order": "votes", "min_margin": 6}, {"better": {"score": 10}}, set()),
    ],
    ids=repr_in_order,
)
def test_a_view_of_ones_own_fails_what_breaks_it(posts, declared, changes, expected):
    assert judge(posts, find_view("custom", Custom(**declared)), **changes) == expected


def test_a_view_of_ones_own_draws_as_many_as_it_says():
    view = find_view("custom", Custom(max_per_thread=3))
    assert view.draws == 3
    assert view.reasons()[-1] == "not_drawn"


def naive_measure(order, votes, accepted):
    if order == "pm":
        return -1 if votes < 0 else round(log2(1 + votes)) + accepted
    return votes + (accepted and order == "score")


@given(
    scores=st.lists(st.integers(-3, 200), min_size=2, max_size=8),
    accepted=st.integers(0, 7),
    order=st.sampled_from(["score", "votes", "pm"]),
)
@quick
def test_a_pair_is_turned_as_the_order_has_it(posts, scores, accepted, order):
    rows = [posts.answer(f"a{n}", score, hours=n, body="word " * (n + 1)) for n, score in enumerate(scores)]
    pairs = mine(posts, posts.question(accepted_post_id=f"a{accepted}"), *rows)
    turned = orient(pairs, order)
    assert turned.height == pairs.height
    for before, after in zip(pairs.to_dicts(), turned.to_dicts(), strict=True):
        chosen, rejected = (int(after[side][1:]) for side in ("chosen_id", "rejected_id"))
        margin = naive_measure(order, scores[chosen], chosen == accepted)
        margin -= naive_measure(order, scores[rejected], rejected == accepted)
        assert (after["margin"], after["tied"]) == (margin, margin == 0)
        assert margin >= 0
        swapped = after["chosen_id"] != before["chosen_id"]
        assert after["seconds_later"] == 3600 * (chosen - rejected)
        assert after["confidence"] == pytest.approx(1 - before["confidence"] if swapped else before["confidence"])
        for side, n in (("chosen", chosen), ("rejected", rejected)):
            assert (after[f"{side}_votes"], after[f"{side}_order"]) == (scores[n], n + 1)
            assert (after[f"{side}_chars"], after[f"{side}_accepted"]) == (5 * (n + 1), n == accepted)
        left = {name for name in before if not name.startswith(("chosen_", "rejected_"))} - {
            "confidence",
            "seconds_later",
        }
        assert {name: after[name] for name in left} == {name: before[name] for name in left}


def test_all_that_is_said_of_two_sides_turns_with_them(posts):
    """120 votes are 7 of pm, 100 accepted ones 7 + 1."""
    rows = [posts.answer("a", 120, hours=1, flags=["wiki"], body="some"), posts.answer("b", 100, hours=3, body="word")]
    [before] = mine(posts, posts.question(accepted_post_id="b"), *rows).to_dicts()
    [after] = orient(mine(posts, posts.question(accepted_post_id="b"), *rows), "pm").to_dicts()
    other = {"chosen": "rejected", "rejected": "chosen"}
    for name, value in before.items():
        side, _, rest = name.partition("_")
        assert after[f"{other[side]}_{rest}" if side in other else name] == {
            "confidence": pytest.approx(1 - before["confidence"]),
            "seconds_later": 2 * 3600,
        }.get(name, value), name
    assert (after["chosen_id"], after["margin"], after["confidence"] < 0.5) == ("b", 1, True)


@pytest.mark.parametrize(
    ("votes", "accepted", "expected"),
    [
        *((-5, False, -1), (-5, True, -1), (0, False, 0), (0, True, 1), (1, False, 1), (2, False, 2), (4, False, 2)),
        *((5, False, 3), (10, True, 4), (1022, False, 10), (2**60, False, 60)),
    ],
)
def test_pm_is_the_rounded_logarithm(votes, accepted, expected):
    frame = pl.DataFrame({"chosen_votes": [votes], "chosen_accepted": [accepted]})
    assert frame.select(measure("chosen", "pm")).item() == expected


@pytest.mark.parametrize(("accepted", "chosen"), [(100, "a"), (20, "b")])
def test_acceptance_outweighs_a_doubling_of_votes_in_pm_only(posts, accepted, chosen):
    """pm: 100 accepted is 7 + 1 against 7 for 120; 20 accepted is 4 + 1."""
    rows = [posts.question(accepted_post_id="a"), posts.answer("a", accepted), posts.answer("b", 120)]
    turned = {order: orient(mine(posts, *rows), order)["chosen_id"].item() for order in ("score", "votes", "pm")}
    assert turned == {"score": "b", "votes": "b", "pm": chosen}


def test_every_rule_is_counted_on_all_pairs_that_do_not_tie(posts):
    rows = [posts.question(score=30, accepted_post_id="d"), posts.answer("a", 5, hours=3)]
    rows += [posts.answer("b", 4, hours=2, flags=["moderator"]), posts.answer("c", 1), posts.answer("d", 1, hours=1)]
    counts = VIEWS["shp"].count_rules(mine(posts, *rows))
    found = {row["reason"]: (row["passed"], row["failed"]) for row in counts.to_dicts()}
    assert found["not_later"] == (5, 0)  # c and d differ in acceptance only: a tie in votes
    assert (found["by_moderator"], found["low_score"]) == ((2, 3), (1, 4))
    assert counts["rule"].to_list() == list(range(1, len(VIEWS["shp"].rules) + 1))


def test_a_view_without_rules_counts_none(posts):
    rows = [posts.question(), posts.answer("a", 5), posts.answer("b", 4)]
    assert VIEWS["every"].count_rules(mine(posts, *rows)).shape == (0, 4)


def test_a_reference_tells_inputs_and_directions_apart(posts):
    frame = mine(posts, posts.question(), posts.answer("a", 5), posts.answer("b", 4))
    other = frame.rename({"chosen_id": "rejected_id", "rejected_id": "chosen_id"})
    refs = [one.select(pair_ref(entry)).item() for one in (frame, other) for entry in ("x", "y")]
    assert len(set(refs)) == 4


@pytest.mark.parametrize("view", [*VIEWS.values(), find_view("custom", Custom())], ids=lambda view: view.name)
def test_every_view_names_its_source_and_each_reason_once(view):
    assert view.source
    assert view.summary
    assert len(set(view.reasons())) == len(view.reasons())
    assert tuple(view.reasons()[: len(BEFORE_RULES)]) == BEFORE_RULES


def test_a_misspelt_view_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean `worldpm`"):
        find_view("wordpm")


def test_a_view_of_ones_own_must_be_declared():
    with pytest.raises(RecipeError, match="section `custom`"):
        find_view("custom")
