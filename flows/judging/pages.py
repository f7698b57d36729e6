"""Pages of judges: what stands beside the gold, or beside each other, in tables."""

import math
from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType

from flows.judging.calibration import Calibration, Figure
from flows.judging.comparison import Comparison
from flows.judging.evaluation import Evaluation, Reading
from flows.judging.scales import Scale
from flows.pages import fill_table, make_table, show

_MOST_MISSED = 10


def lay_out_evaluation(found: Evaluation) -> Group:
    """Lay out an evaluation: what matched, then labels, the three classes, and what probabilities are worth."""
    return Group(*_lay_out(found))


def _lay_out(found: Evaluation) -> Iterator[RenderableType]:
    yield show(f"{found.what}, by {found.rubric}", "bold")
    judges = ", ".join(f"{model} {rows:,}" for model, rows in found.judges.items())
    yield show(f"{found.matched:,} of {found.gold:,} gold rows have a label: {judges or 'none'}")
    yield from _list_missed(found)
    if found.reading is None:
        if found.example is not None:
            yield show(f"no row of the gold is a turn that was judged: here conversations are called {found.example}")
        return
    yield from _lay_out_reading(found.reading)
    if found.readers is not None:
        yield _list_figures(found.readers, "the two readers of the gold beside each other, all rows")


def _list_missed(found: Evaluation) -> Iterator[RenderableType]:
    if not found.missed:
        return
    counts = Counter(one.reason for one in found.missed)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    names = ", ".join(f"{one.conversation_id}:{one.turn}" for one in found.missed[:_MOST_MISSED])
    more = len(found.missed) - _MOST_MISSED
    yield show(f"without one: {reasons} ({names}{f', and {more:,} more' if more > 0 else ''})", "yellow")


def _lay_out_reading(reading: Reading) -> Iterator[RenderableType]:
    yield _list_figures(reading, "agreement with the gold")
    for scale in (reading.labels, reading.classes):
        yield _lay_out_matrix(scale)
        yield _lay_out_labels(scale)
    yield show(_count_probabilities(reading))
    for name, calibration in (("labels", reading.label_calibration), ("classes", reading.class_calibration)):
        if calibration is not None:
            yield from _lay_out_calibration(name, calibration)
    yield from _write_recipe(reading.label_calibration)


def _count_probabilities(reading: Reading) -> str:
    """Say of how many rows probabilities can be held to their word."""
    rows = 0 if reading.label_calibration is None else reading.label_calibration.rows
    if not rows:
        return "none of these rows has probabilities: no calibration error, temperature or sets"
    return f"{rows:,} of {reading.labels.rows:,} rows have probabilities; of these:"


def _write_recipe(calibration: Calibration | None) -> Iterator[RenderableType]:
    """Write the line of a recipe that uses the temperature; it is that of the labels, which `min_probability` asks."""
    if calibration is None or (scaling := calibration.scaling) is None:
        return
    if scaling.loss_after < scaling.loss_before:
        line = f"feedback: {{temperature: {scaling.temperature:.2f}}}"
        yield show(f"for a recipe that asks for a `min_probability`: {line}")
    else:
        yield show("for a recipe: no `feedback.temperature`, for it makes nothing better on the other half")


def _list_figures(reading: Reading, title: str) -> RenderableType:
    table = make_table("figure", "labels", "between", "classes", "between ", numbers=("labels", "classes"), title=title)
    names = ("accuracy", "kappa", "linear", "quadratic")
    pairs = ((name, getattr(reading.labels, name), getattr(reading.classes, name)) for name in names)
    return fill_table(table, ((_NAMES.get(name, name), *_bounded(one), *_bounded(other)) for name, one, other in pairs))


_NAMES = {"linear": "linear kappa", "quadratic": "quadratic kappa"}


def _lay_out_matrix(scale: Scale) -> RenderableType:
    names = [_as_words(name) for name in scale.names]
    table = make_table("gold \\ judge", *names, numbers=names, title=f"{len(names)} labels")
    return fill_table(table, ((name, *row) for name, row in zip(names, scale.matrix, strict=True)))


def _as_words(name: str) -> str:
    """Write a label so that a narrow terminal can break it."""
    return name.replace("_", " ")


def _lay_out_labels(scale: Scale) -> RenderableType:
    numbers = ("gold", "judge", "precision", "recall", "F1")
    rows = (
        (_as_words(one.name), one.gold, one.said, *(_short(part) for part in (one.precision, one.recall, one.f1)))
        for one in scale.labels
    )
    return fill_table(make_table("label", *numbers, numbers=numbers), rows)


def _lay_out_calibration(name: str, found: Calibration) -> Iterator[RenderableType]:
    yield show(
        f"{name}: expected calibration error {found.error:.3f}, where a judge of the same probabilities, all of them "
        f"true, would show {found.chance_error:.3f} on so many rows by chance; log loss {found.loss:.3f}"
    )
    numbers = ("rows", "probability", "accuracy")
    rows = ((f"{one.rows:,}", f"{one.confidence:.1%}", _short(one.accuracy)) for one in found.bins)
    yield fill_table(make_table(*numbers, numbers=numbers, title=f"{name}: is a probability meant?"), rows)
    if (scaling := found.scaling) is None:
        yield show("too few rows to fit a temperature or a threshold")
        return
    yield show(
        f"temperature {scaling.temperature:.2f}, fitted on one half; on the other ({scaling.rows:,} rows) the error "
        f"goes from {scaling.error_before:.3f} to {scaling.error_after:.3f}, the log loss from "
        f"{scaling.loss_before:.3f} to {scaling.loss_after:.3f}"
    )
    columns = ("asked", "reached", "from probability", "labels a set")
    sets = (
        (f"{one.asked:.0%}", _short(one.reached), f"{1 - one.threshold:.3f}", f"{one.mean_size:.2f}")
        for one in found.coverages
    )
    yield fill_table(make_table(*columns, numbers=columns, title=f"{name}: sets that hold the right one"), sets)


def lay_out_comparison(found: Comparison) -> Group:
    """Lay out who was asked, and how far any two of them agree."""
    judges = fill_table(
        make_table("", "rubric", "model", "judge", "turns", numbers=("turns",), title="judges in the ledger"),
        (
            (str(at), one.rubric, one.model, one.judge[:12], f"{one.turns:,}")
            for at, one in enumerate(found.judges, start=1)
        ),
    )
    return Group(judges, _lay_out_pairs(found))


def _lay_out_pairs(found: Comparison) -> RenderableType:
    if not found.pairs:
        return show("one judge alone: nothing to compare it with")
    numbers = ("turns", "equal", "kappa")
    weights = "quadratic weights" if found.ordered else "no weights: the labels have no order"
    title = f"on turns of both; kappa: {weights}"
    table = make_table("", "turns", "equal", "between", "kappa", "between ", numbers=numbers, title=title)
    return fill_table(
        table,
        (
            (f"{one.first + 1} and {one.second + 1}", f"{one.turns:,}", *_bounded(one.equal), *_bounded(one.kappa))
            for one in found.pairs
        ),
    )


def _bounded(figure: Figure | None) -> tuple[str, str]:
    if figure is None or math.isnan(figure.value):
        return "-", ""
    return f"{figure.value:.3f}", "-" if math.isnan(figure.low) else f"{figure.low:.3f} and {figure.high:.3f}"


def _short(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    bounds = "-" if math.isnan(figure.low) else f"{figure.low:.0%} to {figure.high:.0%}"
    return f"{figure.value:.0%} ({bounds})"
