import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miners.forums.mining.threads import THREAD_POST, assemble_threads


def kept(outcome):
    return {row["post_id"]: row for row in outcome.kept.to_pylist()}


def reasons(outcome):
    return {row["ref"].rpartition("/")[2]: row["reason"] for row in outcome.dropped.to_pylist()}


def test_a_thread_with_two_unequal_replies_is_kept_whole(posts):
    outcome = assemble_threads(
        posts.table(posts.question(), posts.answer("2", 3), posts.answer("3", 1), posts.comment("c9"))
    )
    assert list(kept(outcome)) == ["1", "2", "3", "c9"]
    assert outcome.kept.schema == THREAD_POST
    assert kept(outcome)["1"]["group_id"] == "test/c.example/1"
    assert kept(outcome)["1"]["chars"] == len("Title 1\n\nBody of 1.")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (lambda p: [p.question(), p.answer("2", 3)], {"1": "too_few_replies", "2": "too_few_replies"}),
        (lambda p: [p.question(), p.answer("2", 3), p.answer("3", 3)], dict.fromkeys("123", "all_tied")),
        (lambda p: [p.answer("2", 3), p.answer("3", 1)], dict.fromkeys("23", "orphan_reply")),
        (lambda p: [p.comment("c1", thread=None)], {"c1": "orphan_comment"}),
        (
            lambda p: [p.question(), p.answer("2", 3), p.answer("3", 1, body=" \n"), p.answer("4", 1)],
            {"3": "empty_body"},
        ),
        (
            lambda p: [p.question(), p.answer("2", 3), p.answer("3", 1, body="<p></p>", markup="html")],
            {"3": "empty_body", "1": "too_few_replies", "2": "too_few_replies"},
        ),
        (
            lambda p: [p.question(title=" ", body=""), p.answer("2", 3), p.answer("3", 1)],
            {"1": "empty_body", "2": "orphan_reply", "3": "orphan_reply"},
        ),
        (
            lambda p: [p.question(), p.answer("2", 3), p.answer("3", 1), p.answer("3", 5, hours=1)],
            {"3": "duplicate_id"},
        ),
    ],
    ids=[
        "one reply",
        "all tied",
        "no question",
        "unfiled comment",
        "blank",
        "renders to nothing",
        "nothing asked",
        "id",
    ],
)
def test_what_is_dropped_says_why(posts, rows, expected):
    outcome = assemble_threads(posts.table(*rows(posts)))
    assert reasons(outcome) == expected
    outcome.tally()  # balances


def test_of_two_rows_with_one_id_the_newest_counts(posts):
    outcome = assemble_threads(
        posts.table(
            posts.question(),
            posts.answer("2", 3),
            posts.answer("3", 1),
            posts.answer("3", 9, edited_at=posts.answer("x", hours=5)["created_at"]),
        )
    )
    assert kept(outcome)["3"]["score"] == 9


def test_acceptance_counts_one_vote_and_breaks_a_tie(posts):
    outcome = assemble_threads(
        posts.table(posts.question(accepted_post_id="3"), posts.answer("2", 4), posts.answer("3", 4))
    )
    found = kept(outcome)
    assert (found["2"]["reply_score"], found["3"]["reply_score"]) == (4, 5)
    assert (found["2"]["accepted"], found["3"]["accepted"], found["3"]["score"]) == (False, True, 4)


def test_the_asker_is_known_among_the_repliers(posts):
    outcome = assemble_threads(
        posts.table(posts.question(author="ann"), posts.answer("2", 3, author="ann"), posts.answer("3", 1, author=None))
    )
    assert [kept(outcome)[ident]["author_is_asker"] for ident in "123"] == [True, True, None]


def test_html_is_rendered_and_markdown_is_left_alone(posts):
    outcome = assemble_threads(
        posts.table(
            posts.question(body="<p>Why <em>$a_1$</em>?</p>", markup="html"),
            posts.answer("2", 3, body="*so*"),
            posts.answer("3", 1),
        )
    )
    assert kept(outcome)["1"]["body"] == "Why *$a_1$*?"
    assert kept(outcome)["2"]["body"] == "*so*"
    assert {row["markup"] for row in outcome.kept.to_pylist()} == {"markdown"}


def test_a_sample_takes_whole_threads_and_counts_the_rest(posts):
    rows = [
        row
        for n in range(200)
        for row in (posts.question(f"q{n}"), posts.answer(f"a{n}", 2, f"q{n}"), posts.answer(f"b{n}", 1, f"q{n}"))
    ]
    outcome = assemble_threads(posts.table(*rows), sample=0.25)
    assert outcome.tally().dropped["not_sampled"] % 3 == 0
    assert 20 < outcome.kept.num_rows / 3 < 80
    assert outcome.kept.num_rows == assemble_threads(posts.table(*reversed(rows)), sample=0.25).kept.num_rows


@given(order=st.permutations(range(12)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_arrival_does_not_matter(posts, order):
    rows = [posts.question("q1"), posts.question("q2", hours=2), posts.comment("c1", "q1")]
    rows += [posts.answer(f"a{n}", n % 3, f"q{n % 2 + 1}", hours=n) for n in range(8)] + [posts.answer("a1", 7, "q2")]
    first = assemble_threads(posts.table(*rows))
    second = assemble_threads(posts.table(*(rows[at] for at in order)))
    assert first.kept == second.kept
    assert first.tally() == second.tally()
