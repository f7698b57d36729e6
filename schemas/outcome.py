"""What a stage function answers: the rows that go on, the rows it dropped, and a sum that must come out even."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import RevealedError


class BalanceError(RevealedError):
    """A stage lost or invented rows: a fault of ours, never of the input."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows of one stage: `rows_in == rows_out + sum(dropped)`, always.

    A stage that changes the unit (posts to pairs, say) balances on its input, and counts the new unit in `produced`.
    """

    rows_in: int = 0
    rows_out: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    produced: int | None = None

    def __post_init__(self) -> None:
        """Refuse a sum that does not come out even."""
        if self.rows_in != self.rows_out + sum(self.dropped.values()):
            raise BalanceError(
                f"{self.rows_in} rows came in, {self.rows_out} went on and {dict(self.dropped)} were dropped"
            )

    def __add__(self, other: "Tally") -> "Tally":
        """Add two tallies of the same stage."""
        reasons = {**self.dropped, **other.dropped}
        produced = None if self.produced is None and other.produced is None else 0
        return Tally(
            self.rows_in + other.rows_in,
            self.rows_out + other.rows_out,
            {name: self.dropped.get(name, 0) + other.dropped.get(name, 0) for name in sorted(reasons)},
            produced if produced is None else (self.produced or 0) + (other.produced or 0),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call of a stage function made of its input.

    kept: the rows that go on, or the rows of the new unit.
    dropped: the rows that do not, each with a `reason` (a DropReason) and, where it has one, a `ref`; further columns
        as the stage likes (`file`, `offset`, `detail`, `row` as in `schemas.drops.DROP`).
    rows_in: how many rows the stage was given.
    consumed: for a stage that changes the unit, how many input rows went into the new unit; else None.
    """

    kept: pa.Table
    dropped: pa.Table
    rows_in: int
    consumed: int | None = None

    def tally(self) -> Tally:
        """Count it; raises BalanceError where rows were lost or invented."""
        counts = pc.value_counts(self.dropped["reason"]) if self.dropped.num_rows else []
        dropped = dict(sorted((str(item["values"].as_py()), item["counts"].as_py()) for item in counts))
        changes_unit = self.consumed is not None
        rows_out = self.consumed if self.consumed is not None else self.kept.num_rows
        return Tally(self.rows_in, rows_out, dropped, self.kept.num_rows if changes_unit else None)


NOTHING_DROPPED = pa.table({"reason": pa.array([], pa.string()), "ref": pa.array([], pa.string())})
"""For stages that drop nothing."""
