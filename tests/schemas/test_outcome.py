import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.drops import QUARANTINE, DropReason, describe
from schemas.errors import CorruptError, InputError
from schemas.outcome import BalanceError, Outcome, Tally

tallies = st.builds(
    lambda out, dropped, produced: Tally(out + sum(dropped.values()), out, dropped, produced),
    st.integers(0, 100),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(0, 9)),
    st.none() | st.integers(0, 50),
)


@given(tallies, tallies, tallies)
def test_tallies_add_in_any_order(a, b, c):
    left, right = (a + b) + c, a + (b + c)
    assert (left.rows_in, left.rows_out, left.produced) == (right.rows_in, right.rows_out, right.produced)
    assert left.dropped == right.dropped
    assert left.rows_in == a.rows_in + b.rows_in + c.rows_in


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "dropped"), [(1, 0, {}), (0, 1, {}), (3, 1, {"a": 1}), (3, 3, {"a": 1})]
)
def test_a_sum_that_is_not_even_is_refused(rows_in, rows_out, dropped):
    with pytest.raises(BalanceError, match=f"{rows_in} rows came in, {rows_out} went on"):
        Tally(rows_in, rows_out, dropped)


def test_a_stage_that_changes_the_unit_balances_on_its_input():
    drops = pa.table({"reason": ["all_tied"], "ref": ["x"]})
    tally = Outcome(pa.table({"pair": [1, 2, 3, 4]}), drops, rows_in=3, consumed=2).tally()
    assert tally == Tally(3, 2, {"all_tied": 1}, 4)


def test_every_reason_is_described():
    assert all(describe(reason) for reason in DropReason)
    assert set(DropReason) >= QUARANTINE
    with pytest.raises(ValueError, match="nonsense"):
        describe("nonsense")


@pytest.mark.parametrize(
    "error", [InputError("f.xml", "is empty", "rows"), CorruptError("p.arrow", "is cut", "ab" * 16)]
)
def test_errors_travel_between_processes(error):
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), type(back)) == (str(error), type(error))
    assert vars(back) == vars(error)


def test_reasons_stand_in_their_own_order_whatever_that_of_the_rows():
    dropped = pa.table({"reason": ["too_short", "bot", "too_short", "nsfw"]})
    kept = pa.table({"uid": pa.array([], pa.string())})
    counts = Outcome(kept, dropped, rows_in=4).tally().dropped
    assert list(counts.items()) == [("bot", 1), ("nsfw", 1), ("too_short", 2)]
