"""Times in the spellings that tables have."""

import polars as pl

from miners.columns import number

_FIRST, _END = pl.datetime(1970, 1, 1, time_zone="UTC"), pl.datetime(2101, 1, 1, time_zone="UTC")


def read_millis(text: pl.Expr) -> pl.Expr:
    """Read milliseconds since 1970, null where that is no time."""
    return _keep_years(number(text).value.cast(pl.Datetime("ms", "UTC")))


def read_pattern(text: pl.Expr, pattern: str) -> pl.Expr:
    """Read times by a strftime pattern, as UTC unless it holds an offset (`%z`); null where that is no time."""
    found = text.str.to_datetime(pattern, time_unit="ms", strict=False)
    return _keep_years(found.dt.convert_time_zone("UTC") if "%z" in pattern else found.dt.replace_time_zone("UTC"))


def _keep_years(time: pl.Expr) -> pl.Expr:
    """Refuse years outside 1970 to 2100, as all sources do: they are mistakes, and readers downstream refuse some."""
    return pl.when(time.is_between(_FIRST, _END, closed="left")).then(time)
