"""Sites: hosts with their subdomains, and hosts with a path prefix; compared with parsed URLs, never as substrings.

`stackexchange.com` names `math.stackexchange.com`, but neither `notstackexchange.com` nor
`example.com/?from=stackexchange.com`. `example.com/forum` names `/forum` and all below it, but not `/forums`.
"""

from collections.abc import Sequence

import polars as pl

from schemas.errors import RecipeError

_URL = (
    r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?[/\\]{2}"  # browsers take a backslash for a slash, and so must what they visit
    r"(?:[^/\\?#@]*@)*"  # user and password
    r"(?<host>\[[0-9A-Fa-f:.]+\]|[^/\\?#@:\s]+)(?::[0-9]*)?(?<path>[/\\][^?#]*)?(?:[?#]|$)"
)
_SITE = r"^[^/\\:?#@*\s]+(?:/[^?#*\s]*)?$"


def name_host(urls: pl.Expr) -> pl.Expr:
    """Name the host of URLs, in small letters; null where there is none."""
    return _take_apart(urls).struct.field("host").str.to_lowercase().str.strip_suffix(".")


def is_of_sites(urls: pl.Series, sites: Sequence[str]) -> pl.Series:
    """Say which URLs are of one of the sites; null where there is no URL, or no host in it.

    Hosts are compared without case, paths to the letter and by whole segments. Raises RecipeError for what is no site.
    """
    parsed, found = _parse(urls), pl.lit(value=False)
    for (labels, segments), named in _parse(_check(sites)).group_by(_DEPTHS):
        keys = named.select(_key(pl.col("host"), pl.col("path"))).to_series()
        ends = _key(pl.col("host").list.tail(int(labels)), pl.col("path").list.head(int(segments)))
        found |= ends.is_in(keys.implode())
    return parsed.select(pl.when(pl.col("host").is_not_null()).then(found)).to_series()


_DEPTHS = (pl.col("host").list.len().alias("labels"), pl.col("path").list.len().alias("segments"))
"""A site of n labels and m segments can only be the last n labels and the first m segments of a URL."""


def _parse(urls: pl.Series) -> pl.DataFrame:
    """Take URLs apart: `host` as its labels, null where there is none, and `path` as its segments."""
    url = pl.col("url")
    path = _take_apart(url).struct.field("path").fill_null("").str.replace_all(r"[/\\]+", "/").str.strip_chars("/")
    given = urls.cast(pl.String).alias("url").to_frame()
    return given.select(
        host=name_host(url).str.split("."),
        path=pl.when(path == "").then(pl.lit([], pl.List(pl.String))).otherwise(path.str.split("/")),
    )


def _take_apart(urls: pl.Expr) -> pl.Expr:
    return urls.str.strip_chars().str.extract_groups(_URL)


def _key(host: pl.Expr, path: pl.Expr) -> pl.Expr:
    return pl.concat_str(host.list.join("."), path.list.join("/"), separator="/")


def _check(sites: Sequence[str]) -> pl.Series:
    """Answer the sites as URLs."""
    named = pl.Series(sites, dtype=pl.String)
    wrong = named.filter(~named.str.contains(_SITE))
    if wrong.len():
        raise RecipeError(
            f"`{wrong[0]}` is no site; expected a host such as `stackexchange.com` (its subdomains are included) or a "
            "host with a path such as `example.com/forum`"
        )
    return "//" + named
