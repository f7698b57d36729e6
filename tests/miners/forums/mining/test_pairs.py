from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.forums.mining.messages import SIGNAL, select_pairs
from miners.forums.mining.pairs import PAIR_STORE, mine_pairs
from miners.forums.mining.threads import assemble_threads
from miners.forums.mining.views import VIEWS, find_view
from schemas.errors import RecipeError

threads_of_scores = st.lists(st.lists(st.integers(-3, 5), min_size=2, max_size=9), min_size=1, max_size=5)


def thread_rows(posts, scores_by_thread):
    rows = []
    for n, scores in enumerate(scores_by_thread):
        rows.append(posts.question(f"q{n}", accepted_post_id=f"q{n}-a0"))
        rows += [posts.answer(f"q{n}-a{k}", score, f"q{n}", hours=k + 1) for k, score in enumerate(scores)]
    return rows


def naive_pairs(scores_by_thread):
    """All pairs of a thread whose scores, acceptance counted, differ: (chosen, rejected)."""
    found = set()
    for n, scores in enumerate(scores_by_thread):
        final = [score + (k == 0) for k, score in enumerate(scores)]
        for a, b in combinations(range(len(scores)), 2):
            if final[a] != final[b]:
                best, worst = (a, b) if final[a] > final[b] else (b, a)
                found.add((f"q{n}-a{best}", f"q{n}-a{worst}"))
    return found


def mine(posts, scores_by_thread, **options):
    threads = assemble_threads(posts.table(*thread_rows(posts, scores_by_thread))).kept
    return threads, mine_pairs(threads, **{"max_per_thread": 10_000} | options)


@given(scores=threads_of_scores)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_are_those_of_the_definition(posts, scores):
    _, outcome = mine(posts, scores)
    rows = outcome.kept.to_pylist()
    assert {(row["chosen_id"], row["rejected_id"]) for row in rows} == naive_pairs(scores)
    assert len({row["uid"] for row in rows}) == len(rows)
    for row in rows:
        assert row["margin"] == row["chosen_score"] - row["rejected_score"] > 0
        assert row["chosen_rank"] < row["rejected_rank"] <= row["replies"]
    outcome.tally()


@given(scores=threads_of_scores, cap=st.integers(1, 4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cap_keeps_the_same_pairs_that_it_would_draw_from_all(posts, scores, cap):
    _, every = mine(posts, scores)
    _, capped = mine(posts, scores, max_per_thread=cap)
    by_thread = {}
    for row in sorted(every.kept.to_pylist(), key=lambda row: row["draw"]):
        by_thread.setdefault(row["group_id"], []).append(row["uid"])
    assert sorted(capped.kept["uid"].to_pylist()) == sorted(uid for uids in by_thread.values() for uid in uids[:cap])
    assert capped.tally().rows_in == every.tally().rows_in


def test_the_columns_of_a_pair(posts):
    rows = [
        posts.question(accepted_post_id="3", author="ann"),
        posts.answer("2", 7, hours=1, upvotes=8, downvotes=1, author="bob", body="x" * 41),
        posts.answer("3", 7, hours=5, author="cee"),
    ]
    threads = assemble_threads(posts.table(*rows)).kept
    [row] = mine_pairs(threads, max_per_thread=9).kept.to_pylist()
    assert (row["chosen_id"], row["rejected_id"]) == ("3", "2")
    assert (row["chosen_votes"], row["chosen_score"], row["rejected_votes"], row["rejected_score"]) == (7, 8, 7, 7)
    assert (row["chosen_accepted"], row["rejected_accepted"], row["margin"]) == (True, False, 1)
    assert (row["chosen_rank"], row["rejected_rank"], row["replies"]) == (1, 2, 2)
    assert (row["rejected_upvotes"], row["rejected_downvotes"], row["chosen_upvotes"]) == (8, 1, None)
    assert (row["chosen_created_at"] - row["rejected_created_at"]).total_seconds() == 4 * 3600
    assert (row["rejected_chars"], row["rejected_author"], row["question_id"]) == (41, "bob", "1")
    assert row["rejected_tokens"] == (row["prompt_chars"] + 41) // 4


def test_a_uid_changes_with_the_text_and_with_nothing_else(posts):
    def uid(**answer):
        rows = [posts.question(), posts.answer("2", 2), posts.answer("3", 1, **answer)]
        return mine_pairs(assemble_threads(posts.table(*rows)).kept, max_per_thread=9).kept["uid"][0].as_py()

    assert uid() == uid(views=3, author="someone else", hours=7)
    assert uid() != uid(body="edited")
    assert len(uid()) == 32


def test_a_thread_of_thousands_of_replies_stays_small(posts):
    _, outcome = mine(posts, [list(range(3000))], max_per_thread=50)
    assert outcome.kept.num_rows == 50
    assert outcome.tally().dropped["over_pair_cap"] >= 2900


def test_what_goes_into_no_pair_is_counted(posts):
    rows = [posts.question(), *(posts.answer(f"a{n}", n) for n in range(9)), posts.comment("c1")]
    outcome = mine_pairs(assemble_threads(posts.table(*rows)).kept, max_per_thread=1)
    assert outcome.tally().dropped == {"not_a_candidate": 1, "over_pair_cap": 7}
    assert outcome.tally().produced == 1


def decisions(threads, **kept):
    groups = sorted(set(threads["group_id"].to_pylist()))
    return pa.table(
        {
            "group_id": groups,
            "cluster_id": [f"cluster of {group}" for group in groups],
            "kept": [kept.get(group.rpartition("/")[2], True) for group in groups],
        }
    )


def test_worldpm_draws_one_pair_a_thread_and_every_thread_is_drawn(posts):
    threads, pairs = mine(posts, [[5, 3, 1], [0, 2], [9, 9, 1, 1, 4]])
    outcome = select_pairs(pairs.kept, threads, decisions(threads), find_view("worldpm"))
    groups = outcome.kept["group_id"].to_pylist()
    assert sorted(groups) == sorted(set(threads["group_id"].to_pylist()))
    assert outcome.tally().dropped == {"not_drawn": pairs.kept.num_rows - 3}


def test_worldpm_draws_all_pairs_alike(posts):
    scores = [[2, 1, 0] for _ in range(600)]
    threads, pairs = mine(posts, scores)
    drawn = select_pairs(pairs.kept, threads, decisions(threads), find_view("worldpm")).kept.to_pylist()
    kinds = [(row["chosen_id"][-1], row["rejected_id"][-1]) for row in drawn]
    for kind in set(kinds):
        assert 150 < kinds.count(kind) < 250  # 200 expected, 4 standard deviations are 46
    assert len(set(kinds)) == 3


def test_another_seed_draws_other_pairs(posts):
    scores = [[3, 2, 1, 0] for _ in range(30)]
    drawn = []
    for seed in (0, 1):
        threads, pairs = mine(posts, scores, seed=seed)
        drawn.append(
            select_pairs(pairs.kept, threads, decisions(threads), find_view("worldpm")).kept["uid"].to_pylist()
        )
    assert drawn[0] != drawn[1]


def test_pairs_of_a_dropped_thread_go_first(posts):
    threads, pairs = mine(posts, [[1, 0], [1, 0]])
    outcome = select_pairs(pairs.kept, threads, decisions(threads, q1=False), find_view("every"))
    assert outcome.tally().dropped == {"thread_dropped": 1}
    assert outcome.kept["cluster_id"].to_pylist() == ["cluster of test/c.example/q0"]


def test_a_pair_is_written_out_for_a_trainer(posts):
    rows = [
        posts.question(title="Why?", body="It is so.", author_name="Ann"),
        posts.answer("2", 3, body="Because.", author_name="Bob", license="CC-BY-SA-3.0"),
        posts.answer("3", 1, body="No idea."),
    ]
    threads = assemble_threads(posts.table(*rows)).kept
    pairs = mine_pairs(threads, max_per_thread=9).kept
    table = select_pairs(pairs, threads, decisions(threads), find_view("worldpm")).kept
    assert table.schema == SIGNAL
    [row] = table.to_pylist()
    assert row["prompt"] == [{"role": "user", "content": "Why?\n\nIt is so."}]
    assert row["chosen"] == [{"role": "assistant", "content": "Because."}]
    assert row["rejected"] == [{"role": "assistant", "content": "No idea."}]
    assert row["license"] == "CC-BY-SA-3.0 AND CC-BY-SA-4.0"
    assert row["attribution"] == (
        "Question by Ann (https://c.example/1); replies by Bob (https://c.example/2) "
        "and its author (https://c.example/3)"
    )


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_names_its_source(name):
    assert find_view(name).source
    assert find_view(name).summary


def test_a_misspelt_view_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="did you mean `worldpm`"):
        find_view("wordpm")


def test_no_posts_give_no_pairs(posts):
    outcome = mine_pairs(assemble_threads(posts.table()).kept, max_per_thread=9)
    assert (outcome.kept.num_rows, outcome.kept.schema) == (0, PAIR_STORE)
