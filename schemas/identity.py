"""Identity: hashes that stay the same across versions, machines and partitions, for ids, splits, orders and draws.

Polars' own `hash` promises nothing between versions; these do (xxHash and SHA-256 are specified).
"""

import polars as pl
from polars_hash import CryptographicHashingNameSpace, NonCryptographicHashingNameSpace

_SEPARATOR = "\x1f"  # the unit separator: no id holds it, so joined parts cannot be confused


def join_parts(*parts: pl.Expr | str) -> pl.Expr:
    """Join columns (by name or expression) into one text to be hashed; nulls count as empty."""
    columns = [pl.col(part) if isinstance(part, str) else part for part in parts]
    return pl.concat_str([column.cast(pl.String).fill_null("") for column in columns], separator=_SEPARATOR)


def hash64(*parts: pl.Expr | str) -> pl.Expr:
    """64-bit xxh3 of the joined parts, as UInt64: for buckets, draws, orders and references."""
    return NonCryptographicHashingNameSpace(join_parts(*parts)).xxh3_64()


def digest(*parts: pl.Expr | str) -> pl.Expr:
    """First 32 hex digits of the SHA-256 of the joined parts: for ids that leave the house."""
    return CryptographicHashingNameSpace(join_parts(*parts)).sha2_256().str.head(32)


def below_share(number: pl.Expr, share: float) -> pl.Expr:
    """Whether a 64-bit hash lies in the lowest `share` of its range."""
    return pl.lit(value=True) if share >= 1 else number < int(share * 2**64)


def hash_author(user: pl.Expr | str, community: pl.Expr | str, salt: str) -> pl.Expr:
    """Hash an author's id, null for none and for an empty one: 32 hex digits of SHA-256 over salt, community and id.

    user: a column's name, or an expression. community: its name, or an expression where the rows say it.
    """
    column = (pl.col(user) if isinstance(user, str) else user).cast(pl.String)
    place = pl.lit(community) if isinstance(community, str) else community
    return pl.when(column.str.len_bytes() > 0).then(digest(pl.lit(salt), place, column))
