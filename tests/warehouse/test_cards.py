"""Cards: what they say of the licence, and of how labels came about."""

import pytest
import yaml

from flows.chats import settle
from miners.chats.mining.views import VIEWS
from schemas.manifest import ReleaseManifest, SplitSummary
from schemas.recipe import Recipe
from warehouse.cards import VALIDATED, write_card

SERVER = {"kind": "server", "model": "m", "urls": ["http://127.0.0.1:1/v1"]}


def write(licenses=("MIT",), **sections):
    """Write the card of a release of feedback; answers its front matter and its words, on one line."""
    recipe = settle(Recipe.model_validate({"name": "r", "inputs": [{"source": "wildchat", "path": "w"}], **sections}))
    manifest = ReleaseManifest(
        name="r",
        build="b",
        route="chats",
        recipe=recipe.model_dump(mode="json"),
        code_version="0",
        columns_hash={},
        splits={"train": SplitSummary(rows=1, shards=1, rows_per_shard=1, tail_rows=0)},
        shards=(),
        funnel=(),
        licenses=dict.fromkeys(licenses, 1),
        communities={"wildchat": 1},
        catch_curve=(),
    )
    _, front, words = write_card(manifest).split("---\n", 2)
    return yaml.safe_load(front), " ".join(words.split())


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["CC-BY-SA-4.0"], "cc-by-sa-4.0"),
        (["ODC-By-1.0"], "odc-by"),
        (["NOASSERTION"], "unknown"),
        (["LicenseRef-LMSYS-Chat-1M"], "other"),
        (["CC0-1.0 AND MIT"], "other"),
        (["see the terms"], "other"),
        (["MIT", "CC0-1.0"], "other"),
        ([], "other"),
    ],
)
def test_the_hub_is_told_a_licence_that_it_knows(licenses, expected):
    assert write(licenses)[0]["license"] == expected


@pytest.mark.parametrize("view", VIEWS)
def test_only_views_that_ask_about_refusals_are_said_to(view):
    assert (view in VALIDATED) == bool(VIEWS[view].refusals)
    _, words = write(feedback={"view": view}, judge=SERVER)
    assert ("the judge was asked whether it was right to" in words) == bool(VIEWS[view].refusals)
    assert ("is not looked at: the view asks nobody" in words) == (not VIEWS[view].refusals)


@pytest.mark.parametrize(
    ("view", "hindsight", "expected"),
    [
        ("wildreward", {}, "that follows within 2 turns, if it is praise."),
        ("wildreward", {"negative": True, "turns": 1}, "that follows within 1 turn, if it is praise or blame."),
        ("wildreward", {"negative": True, "positive": False}, "that follows within 2 turns, if it is blame."),
        ("wildreward", {"positive": False}, "No label is taken from later turns."),
        ("wildreward", {"turns": 0}, "No label is taken from later turns."),
        ("wildfeedback", {}, "No label is taken from later turns."),
        ("nof", {"positive": True}, "that follows within 2 turns, if it is praise."),
    ],
)
def test_what_is_taken_from_later_turns_is_said(view, hindsight, expected):
    assert expected in write(feedback={"view": view}, hindsight=hindsight)[1]


def test_who_judged_is_named_and_a_cascade_s_student_too():
    assert "; `m` (1 vote a turn) read them" in write(judge=SERVER)[1]
    asked = SERVER | {"votes": 3, "temperature": 0.7, "cascade": {"student": "small"}}
    _, words = write(judge=asked)
    assert "; the student `small` where it is sure (from 0.9), and else `m` (3 votes a turn), read them" in words
