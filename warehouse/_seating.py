"""Seating: rows over windows, so that no two of one class share one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from warehouse._conflicts import Codes

Flags = npt.NDArray[np.bool_]
"""Yes or no for each row."""


@dataclass(frozen=True, slots=True)
class Seating:
    """Of each row its window, -1 for none, and whether it came there in a bundle."""

    window: Codes
    hard: Flags

    def spread(self, at: Codes, rows: int) -> "Seating":
        """Bring the seats of rows `at` to all rows, of which the others have none."""
        window, hard = np.full(rows, -1, np.int64), np.zeros(rows, np.bool_)
        window[at], hard[at] = self.window, self.hard
        return Seating(window, hard)


def seat(owner: Codes, echo: Codes, bundles: pl.DataFrame, windows: int, room: tuple[int, int]) -> Seating:
    """Seat rows, which come in the release's order, in so many windows.

    owner, echo: two classes of each row; no two rows of a class share a window.
    bundles: `row, bundle` of rows to be seated together, if they can be. They may share an owner.
    room: rows a window, and how many of them may be bundled.

    Bundles come first, then the rows of large classes, which have the fewest windows to choose from. Each takes the
    emptiest window that it may, and of these the next from where it stands in the order. If no row has two kinds of
    company, that seats every row there is room for.
    """
    numbered = [np.unique(codes, return_inverse=True)[1] for codes in (owner, echo)]  # the kernel counts from 0
    bundled = bundles.sort("bundle", "row")
    counts = bundled.group_by("bundle", maintain_order=True).len()["len"].to_numpy()
    sequence = np.concatenate([bundled["row"].to_numpy(), _by_need(owner, echo)])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([counts, np.ones(len(owner), np.int64)]))]).astype(np.int64)
    return Seating(*_seat(sequence, offsets, numbered[0], numbered[1], np.array([windows, *room])))


def _by_need(owner: Codes, echo: Codes) -> Codes:
    """Order rows by the larger of their classes, the largest first and each class together; rows alone come last."""
    rows = pl.DataFrame({"owner": owner, "echo": echo}).with_row_index("row")
    sizes = rows.with_columns(by_owner=pl.len().over("owner"), by_echo=pl.len().over("echo"))
    owned = pl.col("by_owner") >= pl.col("by_echo")
    largest = pl.max_horizontal("by_owner", "by_echo")
    leading = pl.when(largest == 1).then(None).when(owned).then("owner").otherwise("echo")
    ordered = sizes.sort(largest, owned, leading, "row", descending=[True, True, False, False])
    return ordered["row"].to_numpy().astype(np.int64)


@njit(cache=True, nogil=True)
def _seat(sequence: Codes, offsets: Codes, owner: Codes, echo: Codes, limits: Codes) -> tuple[Codes, Flags]:
    """Seat unit after unit of `sequence[offsets[i]:offsets[i + 1]]`; limits: windows, rows a window, bundled ones."""
    windows, rows = limits[0], len(owner)
    seats, hard = np.full(rows, -1, np.int64), np.zeros(rows, np.bool_)
    load, met = np.zeros((windows, 2), np.int64), np.full(windows, -1, np.int64)
    last, before = np.full((2, rows), -1, np.int64), np.full((2, rows), -1, np.int64)
    for unit in range(len(offsets) - 1):
        members = sequence[offsets[unit] : offsets[unit + 1]]
        if seats[members[0]] >= 0:  # a single row that has come in a bundle
            continue
        for row in members:
            _avoid(last[0, owner[row]], before[0], seats, met, unit)
            _avoid(last[1, echo[row]], before[1], seats, met, unit)
        window = _choose(load, met, unit, len(members), members[0] * windows // rows, limits)
        if window < 0:
            continue
        load[window, 0] += len(members)
        load[window, 1] += len(members) if len(members) > 1 else 0
        for row in members:
            seats[row], hard[row] = window, len(members) > 1
            before[0, row], last[0, owner[row]] = last[0, owner[row]], row
            before[1, row], last[1, echo[row]] = last[1, echo[row]], row
    return seats, hard


@njit(cache=True, nogil=True)
def _avoid(row: int, before: Codes, seats: Codes, met: Codes, unit: int) -> None:
    """Mark the windows of a class's seated rows, which are chained from the last to the first."""
    while row >= 0:
        met[seats[row]] = unit
        row = before[row]


@njit(cache=True, nogil=True)
def _choose(load: Codes, met: Codes, unit: int, count: int, home: int, limits: Codes) -> int:
    """Choose the emptiest window that is not met and has room for `count` rows, the next from `home` on; else -1."""
    best = -1
    for step in range(len(load)):
        window = home + step if home + step < len(load) else home + step - len(load)
        if met[window] == unit or load[window, 0] + count > limits[1]:
            continue
        if count > 1 and load[window, 1] + count > limits[2]:
            continue
        if best < 0 or load[window, 0] < load[best, 0]:
            best = window
    return best
