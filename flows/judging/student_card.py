"""The card of a student: what taught it, how well it repeats its teacher, and what a cascade with it would save."""

import math
from collections.abc import Iterable

from flows.judging.calibration import Figure
from flows.judging.evaluation import Reading
from flows.judging.scales import Scale
from schemas.manifest import Record


class Threshold(Record):
    """What a cascade does at one `min_confidence`, on the held-out turns.

    saved: share of the turns that the teacher is not asked about. sure: how often the student, where it decides, says
    what the teacher says. whole: how often the cascade does; where the teacher is asked it agrees with itself.
    kappa: of the cascade and the teacher.
    """

    min_confidence: float
    saved: Figure
    sure: Figure
    whole: Figure
    kappa: float


class Distilled(Record):
    """A student, and how it does.

    turns: {part: turns}. Left out are others, {model: turns} of judges that did not teach it; copies, turns whose
    query, reply and follow-up another turn has; and cascaded, answers of builds in which a student answered first.
    """

    name: str
    rubric: str
    teacher: str
    teacher_judge: str
    turns: dict[str, int]
    units: int
    others: dict[str, int]
    copies: int
    cascaded: int
    sha256: str
    temperature: float
    reading: Reading
    """Of the student beside its teacher, who stands in the place of the gold."""
    curve: tuple[Threshold, ...]


def write_card(found: Distilled) -> str:
    """Write the card, in Markdown."""
    parts = (_introduce(found), _write_agreement(found), _write_calibration(found), _write_curve(found), _LIMITS)
    return "\n\n".join(part for part in parts if part) + "\n"


_CONFIDENCE = """`min_confidence` is asked of the probabilities that the student says, as they are above: its own
temperature is in them, and `feedback.temperature` of a recipe is not."""

_LIMITS = """## Limits

The teacher is taken for the truth here: where it errs the student learns to err, and no figure above shows it. To know
how right either is, read turns yourself and measure it: `revealed judge eval`. The student sees a turn's query, reply
and follow-up, and nothing of the history; a cascade asks its teacher about what the student is unsure of, but not about
what it is wrong and sure of. Bounds let the turns of a user vary together. A "-" in the place of bounds: too few
users, or a figure that is the same whoever of them counts. Its weights derive from the texts of the turns: look at
their licences before you share it."""


def _introduce(found: Distilled) -> str:
    turns = sum(found.turns.values())
    train, tune, held_out = found.turns.values()
    return f"""# {found.name}

A student of `{found.teacher}` for the rubric {found.rubric}: multinomial logistic regression on hashed n-grams and cues
of a follow-up, {found.sha256[:12]}. It learned from {turns:,} turns of {found.units:,} users (where no user is known:
conversations) that the teacher (judge {found.teacher_judge[:12]}) had answered: {train:,} to train on, {tune:,} for the
temperature ({found.temperature:g}), and {held_out:,} held out, on which all figures here are. No user is in two of
these, and no exchange twice.{_write_left_out(found)}"""


def _write_left_out(found: Distilled) -> str:
    judges = ", ".join(f"{model} ({count:,})" for model, count in found.others.items())
    copies = f" Left out: {found.copies:,} turns with the query, reply and follow-up of another."
    cascaded = f" Left out: {found.cascaded:,} answers of builds with a cascade, which ask only what a student doubts."
    others = f" Other judges in the ledger taught it nothing: {judges}."
    told = ((copies, found.copies), (cascaded, found.cascaded), (others, found.others))
    return "".join(words for words, count in told if count)


def _write_agreement(found: Distilled) -> str:
    labels, classes = found.reading.labels, found.reading.classes
    rows = [
        ("the same label", labels.accuracy),
        ("kappa", labels.kappa),
        ("kappa, linear weights", labels.linear),
        ("kappa, quadratic weights", labels.quadratic),
        ("the same of negative, neutral, positive", classes.accuracy),
        ("kappa of these", classes.kappa),
    ]
    figures = _table(
        ("agreement with the teacher", "", "between"), ((name, *_figure(one)) for name, one in rows if one)
    )
    return f"## Agreement\n\n{figures}\n\n{_write_labels(labels)}"


def _write_labels(scale: Scale) -> str:
    rows = (
        (
            one.name.replace("_", " "),  # a narrow terminal can break it
            f"{one.gold:,}",
            f"{one.said:,}",
            *(_short(part) for part in (one.precision, one.recall, one.f1)),
        )
        for one in scale.labels
    )
    return _table(("label", "teacher", "student", "precision", "recall", "F1"), rows)


def _write_calibration(found: Distilled) -> str:
    calibration = found.reading.label_calibration
    if calibration is None:
        return ""
    rows = ((f"{one.rows:,}", f"{one.confidence:.1%}", _short(one.accuracy)) for one in calibration.bins)
    table = _table(("turns", "probability of its label", "agrees"), rows)
    told = (
        f"Expected calibration error: {calibration.error:.3f}. A student of the same probabilities, all of them true, "
        f"would show {calibration.chance_error:.3f} on so many turns by chance."
    )
    return f"## Calibration\n\n{told}\n\n{table}"


def _write_curve(found: Distilled) -> str:
    rows = (
        (f"{at.min_confidence:g}", _short(at.saved), _short(at.sure), _short(at.whole), f"{at.kappa:.3f}")
        for at in found.curve
    )
    head = ("min_confidence", "questions saved", "agrees where it decides", "cascade agrees", "kappa of the cascade")
    return f"## Cascade\n\n{_CONFIDENCE}\n\n{_table(head, rows)}"


def _figure(figure: Figure) -> tuple[str, str]:
    if math.isnan(figure.value):
        return "-", "-"
    return f"{figure.value:.3f}", "-" if math.isnan(figure.low) else f"{figure.low:.3f} and {figure.high:.3f}"


def _short(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    bounds = "-" if math.isnan(figure.low) else f"{figure.low:.1%} to {figure.high:.1%}"
    return f"{figure.value:.1%} ({bounds})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
