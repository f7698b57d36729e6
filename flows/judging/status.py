"""Status: what the ledger holds, by rubric, model and state, and what that cost."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Self

import polars as pl
from pydantic import Field
from rich.console import Group, RenderableType

from flows.pages import fill_table, make_table, show
from schemas.chat_sections import Judge
from schemas.judging import State
from schemas.manifest import Record
from warehouse.ledger import Ledger

_SHOWN_FAILURES = 5
_MILLION = 1_000_000
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Prices(Record):
    """What a model's tokens cost, in any currency a million."""

    model: str
    prompt: float
    completion: float

    @classmethod
    def of(cls, judge: Judge) -> Self | None:
        """Take them from a recipe; None where it gives none."""
        if judge.model is None or (judge.prompt_price is None and judge.completion_price is None):
            return None
        return cls(model=judge.model, prompt=judge.prompt_price or 0, completion=judge.completion_price or 0)


class StateStatus(Record):
    """The answers of one judge that ended in one state."""

    rubric: str
    model: str
    judge: str
    state: State
    answers: int
    share: float
    """Of the judge's answers."""
    questions: int
    """Of how many keys this is the end that counts."""
    tries: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    first: datetime
    last: datetime
    cost: float | None = None
    """None where no price of this model is known."""


class Failure(Record):
    """What went wrong, and how often."""

    rubric: str
    model: str
    state: State
    detail: str | None
    answers: int


class LedgerStatus(Record):
    """What was asked of judges, and what came of it."""

    states: tuple[StateStatus, ...] = ()
    failures: tuple[Failure, ...] = Field(default=())
    """The commonest first; all there are."""

    @property
    def cost(self) -> float | None:
        """Sum of what is known of the costs."""
        known = [state.cost for state in self.states if state.cost is not None]
        return sum(known) if known else None


def describe_ledger(ledger: Ledger, prices: Prices | None = None) -> LedgerStatus:
    """Describe all answers that were ever paid for."""
    asked = ["rubric", "model", "judge"]
    rows = ledger.summarise().with_columns(share=pl.col("answers") / pl.col("answers").sum().over(asked))
    if prices is not None:
        cost = (pl.col("prompt_tokens") * prices.prompt + pl.col("completion_tokens") * prices.completion) / _MILLION
        rows = rows.with_columns(cost=pl.when(pl.col("model") == prices.model).then(cost))
    return LedgerStatus(
        states=tuple(StateStatus.model_validate(row) for row in rows.to_dicts()),
        failures=tuple(Failure.model_validate(row) for row in ledger.list_failures().to_dicts()),
    )


def lay_out_status(status: LedgerStatus, now: datetime | None = None) -> Group:
    """Lay it out: a row for each state, the sums, and what went wrong most often."""
    if not status.states:
        return Group(show("the ledger is empty: no judge was asked yet"))
    judges = (list(own) for _, own in groupby(status.states, lambda one: (one.rubric, one.model, one.judge)))
    tables = [part for own in judges for part in _lay_out_judge(own, now or datetime.now(UTC))]
    answers, tokens = sum(one.answers for one in status.states), sum(map(_count_tokens, status.states))
    cost = "" if status.cost is None else f", cost {status.cost:,.2f}"
    parts: list[RenderableType] = [*tables, show(f"{answers:,} answers, {tokens:,} tokens{cost}", "bold")]
    if status.failures:
        wrong = make_table("rubric", "model", "state", "answers", "what went wrong", numbers=["answers"])
        parts.append(fill_table(wrong, (_lay_out_failure(one) for one in status.failures[:_SHOWN_FAILURES])))
    return Group(*parts)


def _lay_out_judge(states: Sequence[StateStatus], now: datetime) -> Iterator[RenderableType]:
    """Lay out a judge: who and when, then a row for each state."""
    one, first, last = states[0], min(one.first for one in states), max(one.last for one in states)
    when = f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    yield show(f"{one.model} by {one.rubric}, judge {one.judge[:8]}, {when}", "bold")
    costs = () if all(one.cost is None for one in states) else ("cost",)
    numbers = ("answers", "share", "in use", "tries", "tokens in", "tokens out", *costs, "age")
    rows = (_lay_out_state(one, now, has_cost=bool(costs)) for one in states)
    yield fill_table(make_table("state", *numbers, numbers=numbers), rows)


def _lay_out_state(one: StateStatus, now: datetime, *, has_cost: bool) -> tuple[object, ...]:
    sums = (one.answers, one.questions, one.tries, one.prompt_tokens, one.completion_tokens)
    answers, questions, *others = (f"{number:,}" for number in sums)
    costs = (None if one.cost is None else f"{one.cost:,.2f}",) if has_cost else ()
    return (one.state, answers, f"{one.share:.1%}", questions, *others, *costs, tell_age(one.last, now))


def _lay_out_failure(one: Failure) -> tuple[object, ...]:
    return one.rubric, one.model, one.state, f"{one.answers:,}", one.detail


def _count_tokens(one: StateStatus) -> int:
    return one.prompt_tokens + one.completion_tokens


def tell_age(then: datetime, now: datetime) -> str:
    """Tell how long ago something was, in its largest unit.

    >>> tell_age(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, 5, tzinfo=UTC))
    '2 d'
    """
    seconds = max(0, int((now - then).total_seconds()))
    return next((f"{seconds // size} {unit}" for size, unit in _AGES if seconds >= size), f"{seconds} s")
