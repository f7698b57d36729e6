"""Sites are told by parsed host and path. What a substring search would get wrong is here."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miners.web.mining.sites import is_of_sites, name_host
from schemas.errors import RecipeError

OF_IT = [
    "https://stackexchange.com",
    "https://math.stackexchange.com/questions/1",
    "HTTPS://Math.StackExchange.COM.:443/",
    "//stackexchange.com#top",
    "ftp://user:p@stackexchange.com/x",
    " http://stackexchange.com?q=1 ",
]
NOT_OF_IT = [
    "https://notstackexchange.com/",
    "https://stackexchange.com.example.org/",
    "https://example.org/?from=stackexchange.com",
    "https://example.org/stackexchange.com/",
    "https://example.org/#//stackexchange.com",
    "https://stackexchange.com@example.org/",
    "https://stackexchange.com:80@example.org/",
    r"https://example.org\@stackexchange.com",
    "https://[::1]/stackexchange.com",
]


def tell(url, *sites):
    return is_of_sites(pl.Series([url], dtype=pl.String), sites).item()


@pytest.mark.parametrize("url", OF_IT)
def test_a_host_names_itself_and_its_subdomains(url):
    assert tell(url, "example.net", "StackExchange.com") is True


@pytest.mark.parametrize("url", NOT_OF_IT)
def test_a_host_names_no_other(url):
    assert tell(url, "stackexchange.com") is False


@pytest.mark.parametrize("url", [None, "", "stackexchange.com", "mailto:a@stackexchange.com", "https:///x", "x y"])
def test_without_a_host_nobody_knows(url):
    assert tell(url, "stackexchange.com") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/forum", True),
        ("https://www.example.com//forum/a?b", True),
        ("https://example.com/forum?x#y", True),
        ("https://example.com/forums", False),
        ("https://example.com/a/forum", False),
        ("https://example.com/Forum", False),
        ("https://example.com/", False),
        ("https://example.com/?p=/forum", False),
    ],
)
def test_a_path_names_what_lies_below_it(url, expected):
    assert tell(url, "example.com/forum/") is expected


def test_of_no_site_is_nothing_and_of_many_each():
    urls = pl.Series(["https://a.org/x", "https://b.c.d.org/y/z", "https://e.org"])
    assert is_of_sites(urls, []).to_list() == [False, False, False]
    assert is_of_sites(urls, ["e.org", "d.org/y", "a.org/y", "co.uk"]).to_list() == [False, True, True]


@pytest.mark.parametrize("site", ["", "https://a.org", "*.a.org", "a.org:80", "a b", "a.org?x", "/path", "a@b.org"])
def test_what_is_no_site_is_refused(site):
    with pytest.raises(RecipeError, match=r"is no site; expected a host such as `stackexchange.com`"):
        tell("https://a.org", "b.org", site)


LABEL = st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=4)


@given(HOST, HOST, st.lists(LABEL, max_size=3), st.lists(LABEL, max_size=2))
def test_labels_and_segments_are_compared_whole(host, site, path, prefix):
    """The definition, in plain Python."""
    expected = host[-len(site) :] == site and path[: len(prefix)] == prefix
    assert tell(f"http://{'.'.join(host)}/{'/'.join(path)}", "/".join([".".join(site), *prefix])) is expected


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (" HTTPS://u:p@Math.StackExchange.COM.:443/x", "math.stackexchange.com"),
        (r"https:\\a.example\x@b.example", "a.example"),
        ("a.example/x", None),
        (None, None),
    ],
)
def test_the_host_that_is_named_is_the_one_that_is_compared(url, host):
    assert name(url) == host
    assert tell(url, "math.stackexchange.com", "a.example") is (host and True)


def test_a_host_may_be_a_number():
    assert (name("//[::1]:80?x"), name("http://127.0.0.1/")) == ("[::1]", "127.0.0.1")


def name(url):
    return pl.select(name_host(pl.lit(url, pl.String))).item()
