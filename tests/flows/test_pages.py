"""Pages show every value letter by letter: nothing in it styles, links or steers."""

from datetime import UTC, datetime
from io import StringIO

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from flows.feedback_pages import lay_out_feedback, lay_out_feedback_statistics
from flows.pages import lay_out_drops, lay_out_report, lay_out_row, show
from flows.summary import lay_out_funnel, lay_out_rules, write_loading
from miners.forums.mining.views import find_view
from schemas.drops import describe
from schemas.manifest import FunnelRow, ReleaseManifest, SplitSummary
from schemas.recipe import Custom
from schemas.statistics import Distribution, FeedbackStatistics
from warehouse.feedback_statistics import describe_users
from warehouse.inspection import Dropped, Row
from warehouse.root import Root
from warehouse.verification import Problem, Report

HOSTILE = "[bold]x[/bold] [link=https://evil.example.com]y[/link] \x1b[2J\x1b]0;title\x07 \x9b31m \u202eback"


def draw(page: RenderableType, width: int = 200) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=False, color_system=None, highlight=False)
    console.print(page)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def row(**values: object) -> Row:
    pair: dict[str, object] = {
        "uid": "0" * 32,
        "community": "bees.example.com",
        "group_id": "stackexchange/bees.example.com/1",
        "cluster_id": "stackexchange/bees.example.com/1",
        "split": "train",
        "license": "CC-BY-SA-4.0",
        "url": None,
        "attribution": None,
        "created_at": datetime(2020, 5, 17, 8, 30, tzinfo=UTC),
        "replies": 3,
        "margin": 4,
        "confidence": 0.914,
        "seconds_later": 5400,
        "language": "de",
        "views": ["worldpm", "shp"],
        "terms": "attribution",
        "prompt": [{"role": "user", "content": "How?"}],
    }
    for role in ("chosen", "rejected"):
        pair |= {f"{role}_{name}": 2 for name in ("score", "votes", "rank", "chars")}
        pair |= {f"{role}_accepted": role == "chosen", f"{role}_created_at": None}
        pair |= {f"{role}_language": "de", f"{role}_reward": None, f"{role}_order": 2 if role == "chosen" else 1}
        pair[role] = [{"role": "assistant", "content": f"the {role} answer"}]
    return Row("releases/a/b/train/part.parquet", 7, pair | values)


def drop(**values: str | None) -> Dropped:
    known: dict[str, str | None] = {"ref": "a/b/1", "file": None, "detail": None, "row": None}
    return Dropped(stage="threads", source="bees", reason="all_tied", words="all tied", offset=None, **(known | values))


def test_a_row_reads_from_the_question_to_where_it_came_from() -> None:
    page = draw(lay_out_row(row()))
    order = ["How?", "the chosen answer", "the rejected answer", "margin", "0" * 32, "part.parquet"]
    assert sorted(order, key=page.index) == order
    assert "2020-05-17 08:30 UTC" in page
    assert page.count("accepted") == 1


def test_a_row_says_how_sure_the_preference_is_and_what_may_lie_behind_it() -> None:
    page = draw(lay_out_row(row()))
    assert "0.914 that the chosen reply is the better one" in page
    assert "1.5 hours later (order 2 and 1)" in page
    assert "worldpm, shp" in page
    assert "rewards" not in page
    assert "rewards" in draw(lay_out_row(row(chosen_reward=1.5, rejected_reward=-0.25)))


def test_several_turns_keep_their_roles() -> None:
    page = draw(lay_out_row(row(prompt=[{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}])))
    assert "user: One" in page
    assert "assistant: Two" in page


@pytest.mark.parametrize(
    "page",
    [
        lay_out_row(row(prompt=[{"role": "user", "content": HOSTILE}])),
        lay_out_row(row(community=HOSTILE)),
        lay_out_row(row(url=HOSTILE)),
        lay_out_drops([drop(ref=HOSTILE)]),
        lay_out_drops([drop(row=HOSTILE)]),
        lay_out_report(Report(1, 1, 1, 1, 0, (Problem(HOSTILE, "is missing", "build"),))),
        lay_out_funnel([FunnelRow(stage=HOSTILE, source="a", rows_in=0, rows_out=0, dropped={})]),
    ],
)
def test_hostile_text_is_harmless_wherever_it_stands(page: RenderableType) -> None:
    drawn = draw(page)
    assert not set(drawn) & set("\x1b\x07\x9b\u202e")
    assert "[bold]x[/bold] [link=https://evil.example.com]y[/link]" in drawn


def test_escapes_in_the_json_of_a_dropped_row_are_taken_out_after_decoding() -> None:
    assert "\x1b" not in draw(lay_out_drops([drop(row='{"body": "\\u001b[31mred"}')]))


def test_half_a_character_can_be_printed() -> None:
    assert "body" in draw(lay_out_drops([drop(row='{"body": "\\ud83d"}')])).encode().decode()


@given(st.text())
def test_what_is_shown_keeps_every_letter_and_no_control(text: str) -> None:
    shown = show(text).plain
    assert all(letter in "\t\n" or not (letter < " " or "\x7f" <= letter <= "\x9f") for letter in shown)
    assert [letter for letter in text if letter.isalnum()] == [letter for letter in shown if letter.isalnum()]


def test_only_the_first_drops_are_laid_out_and_the_rest_counted() -> None:
    assert "and 5 more" in draw(lay_out_drops([drop()] * 25))


def test_the_funnel_sums_up_the_sources_of_a_stage() -> None:
    rows = [
        FunnelRow(stage="pairs", source=name, rows_in=10, rows_out=7, dropped={"all_tied": 3}, produced=1500)
        for name in ("a", "b")
    ]
    [line] = [line.split() for line in draw(lay_out_funnel(rows)).splitlines() if "pairs" in line]
    assert line == ["pairs", "20", "14", "3,000", "6", "all_tied"]


def test_a_stage_with_many_reasons_names_the_four_largest() -> None:
    dropped = {f"reason_{n}": n for n in range(1, 7)}
    page = draw(lay_out_funnel([FunnelRow(stage="a", source="b", rows_in=21, rows_out=0, dropped=dropped)]))
    assert "6 reason_6, 5 reason_5, 4 reason_4, 3 reason_3, and 2 more" in page


def test_of_the_models_of_a_release_the_commonest_are_shown_and_the_rest_counted() -> None:
    some = Distribution(rows=1, mean=1, min=1, p5=1, p25=1, median=1, p75=1, p95=1, max=1)
    measures = ("rows_per_conversation", "turn", "prompt_chars", "response_chars", "feedback_chars")
    counts = ("splits", "communities", "licenses", "failures", "published", "origins", "judges")
    models = {f"model-{at}": 10 for at in range(25)}
    names = ("rejection", "correction", "neutral", "positive_engagement", "satisfaction")
    shares = {name: {"rows": 9, "share": 0.087, "low": 0.0214, "high": 0.176} for name in names}
    by = {f"a-model-of-a-long-name-{at}": {"rows": 123_456, "shares": shares} for at in range(12)}
    statistics = FeedbackStatistics.model_validate(
        {name: {} for name in (*counts, "rubrics", "languages", "countries")}
        | dict.fromkeys(measures, some)
        | {"release": "a", "build": "b", "rows": 250, "funnel": (), "better": 0, "conversations": 1, "models": models}
        | {"users": describe_users(pl.Series([2, 8]), 250), "failures": {"timeout": 3}}
        | {"judged": shares, "labels": {}, "labels_by": {"model": by, "language": {}}}
    )
    page = draw(lay_out_feedback_statistics(statistics, manifest()))
    assert "turns a user" in page
    narrow = draw(lay_out_feedback_statistics(statistics, manifest()), width=100)
    assert "labels of all turns by model: %, and its 95% interval (2 rarer ones are not shown)" in narrow
    lines = [line for line in narrow.splitlines() if "123,456" in line]
    assert [line.count("8.7 2.1-18") for line in lines] == [5] * 10  # no cell is broken
    assert page.count("model model-") == 20
    [rest] = [line.split() for line in page.splitlines() if "model, and" in line]
    assert rest == ["model,", "and", "5", "more", "50"]
    assert page.index("timeout") < page.rindex("of the released turns") < page.index("model model-0")


@pytest.mark.parametrize(
    ("rubric", "probabilities"),
    [("nof@1", "UR1 0.10, UR2 0.05, UR3 0.05, UR4 0.05, UR5 0.05"), ("of before@1", "1 0.10")],
)
def test_a_rated_turn_is_shown_in_words_and_letter_by_letter(rubric: str, probabilities: str) -> None:
    texts = {"prompt": [{"role": "user", "content": HOSTILE}], "response": HOSTILE, "feedback": HOSTILE}
    label = {"label": 6, "category": "none", "ordinal": None, "label_probs": [0.1, *[0.05] * 4, 0.7], "rubric": rubric}
    judge = {"judge_model": "m", "judge": "b" * 64, "agreement": 2 / 3, "origin": "direct", "first_label": 6}
    place = {"model": "some-model", "turn": 2, "tokens": 1234, "community": "wildchat", "created_at": None}
    names = ("uid", "group_id", "cluster_id", "user", "split", "language", "country", "license")
    page = draw(lay_out_feedback(Row("a", 0, {**dict.fromkeys(names), **texts, **label, **judge, **place})))
    assert probabilities in page
    assert page.count("[bold]x[/bold] [link=https://evil.example.com]y[/link]") == 3
    assert not set("\x1b\x9b\u202e") & set(page)
    for words in ("turn 2 (from 0)", "about 1,234 tokens", "none, label 6 of the rubric", "67% of the judge's votes"):
        assert words in page


def test_every_rule_of_a_view_says_how_many_pass_and_how_many_fail() -> None:
    funnel = [
        FunnelRow(stage="draw", source="a", rows_in=10, rows_out=4, dropped={"tied": 1, "not_later": 5}),
        FunnelRow(stage="draw", source="b", rows_in=10, rows_out=10, dropped={}),
    ]
    view = find_view("custom", Custom(later_and_higher=True, min_confidence=0.8))
    rules = {" ".join(line[:-3]): line[-3:] for line in map(str.split, draw(lay_out_rules(funnel, view)).splitlines())}
    found = {
        reason: next(numbers for words, numbers in rules.items() if describe(reason) in words)
        for reason in view.reasons()
    }
    assert found["tied"] == ["20", "19", "1"]
    assert found["low_confidence"] == ["19", "19", "0"]
    assert found["not_later"] == ["19", "14", "5"]


def manifest() -> ReleaseManifest:
    split = SplitSummary(rows=1, shards=1, rows_per_shard=1, tail_rows=0)
    return ReleaseManifest(
        name="a",
        build="b",
        route="forums",
        recipe={},
        code_version="0",
        columns_hash={},
        splits={"train": split},
        shards=(),
        funnel=(),
        licenses={},
        communities={},
        catch_curve=(),
    )


def test_a_release_in_a_store_is_loaded_by_its_files() -> None:
    written = write_loading(manifest(), Root("memory://root"))
    assert 'load_dataset("parquet", data_files={"train": "memory:///root/releases/a/b/trl/train/*.parquet"})' in written
