"""The compiled way gives to the byte what `render` does, or refuses; `render` is the oracle of every test here."""

import os
import shutil
from html import escape
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flows.samples import write_posts
from miners.text.compiled import reader, spans, writer
from miners.text.fast import digest_sources, render_known
from miners.text.markdown import render, render_compiled, render_markdown


def accepted(bodies):
    """The share of bytes that is not refused, after each accepted body has met the oracle."""
    rendered, refused = render_known(pa.array(bodies, pa.string()))
    pairs = [(html, given) for html, given in zip(bodies, rendered.to_pylist(), strict=True) if given is not None]
    assert [(html, given) for html, given in pairs if given != render(html)] == []
    assert len(pairs) == len(bodies) - refused.sum()
    return sum(len(html) for html, _ in pairs) / max(1, sum(map(len, bodies)))


def bodies_of(path):
    return [row.get("Body", "") for _, row in ET.iterparse(path) if row.tag == "row"]


def real_dumps():
    root = Path(os.environ.get("REVEALED_REAL_DATA", Path(__file__).parents[4] / "shared" / "data"))
    return sorted((root / "stackexchange").glob("*/Posts.xml"))


@pytest.fixture(scope="module")
def real_bodies():
    if not real_dumps():
        pytest.skip("no Stack Exchange dumps; set REVEALED_REAL_DATA to a folder with stackexchange/*/Posts.xml")
    return [body for dump in real_dumps() for body in bodies_of(dump)]


def test_real_bodies_agree_and_few_are_refused(real_bodies):
    assert accepted(real_bodies) > 0.95


def test_the_column_is_whole_and_in_order(real_bodies):
    bodies = [None, *real_bodies[:300], "<table><tr><td>a</td></tr></table>", None]
    expected = [None if body is None else render(body) for body in bodies]
    assert render_compiled(pa.array(bodies)).to_pylist() == expected
    assert render_compiled(pa.array(bodies, pa.large_string()).slice(7, 40)).to_pylist() == expected[7:47]


def test_sample_bodies_agree_and_few_are_refused(tmp_path):
    write_posts(tmp_path / "Posts.xml", 1_000_000)
    assert accepted(bodies_of(tmp_path / "Posts.xml")) > 0.95


KNOWN = {
    "inline": '<p><em>a</em><i>b</i> <strong>a <s>b</s></strong> <a href="http://a.org/x">[l]!</a> <code>`</code></p>',
    "addresses": '<p><a href="//a.org/(b)?c=1&amp;d">x</a> <a href="/r">y</a> <a href="http://b">http://b</a></p>',
    "lists": '<ol start="9"><li>a<ul><li><p>b</p><p>c</p></li><li></li></ul></li><li>d</li></ol><p>e</p>',
    "quotes": "<blockquote><p>a<br>b<br><br>c</p><blockquote><p>b</p></blockquote></blockquote><hr><h2>a<br>b</h2>",
    "code": '<ul><li><pre class="lang-py prettyprint"><code>a &lt; b\n\n```\n</code></pre></li></ul>',
    "image": '<p>!<img src="https://a.org/i.png" alt="an [i]  *"> \\<em>x</em> !<a href="http://a.org/x">y</a></p>',
    "scripts": "<p>x<sub>2</sub> <sub>3</sub><sup>a b</sup><sup>4</sup></p>",
    "escapes": "<p># 1</p><p>10. a</p><p>- b</p><p>[a]: b</p><p>5 * 3 *a a_b _a &amp;lt; &lt;b ~~ ](x) \\* \\x</p>",
    "formulas": "<p>$a &lt; b*c$, \\(x_1\\) $$\\begin{a}\n x<br>\\\\\n\\end{a}$$ $5 and $6</p><p>$\\text{a $b$}_c$</p>",
    "breaks waiting for text": "<br><pre><code></code></pre>x<p>a<br></p><p><br>b</p>",
    "entities": "<p>&amp;&quot;&#39;&nbsp;&mdash;&#233;&alpha;&#036;x&#036;&hellip;</p>",
    "nothing": "<p>&nbsp;</p>\n\n<p> </p>",
}


@pytest.mark.parametrize("html", KNOWN.values(), ids=KNOWN)
def test_known_bodies_are_accepted_and_agree(html):
    assert accepted([html]) == 1


REFUSED = {
    "tables": "<table><tr><td>a</td></tr></table>",
    "bare environments": "<p>\\begin{a}x\\end{a}</p>",
    "a tag in a formula": "<p>$a&lt;b c&gt;$</p>",
    "an autolink in a formula": "<p>$a&lt;b:c&gt;$</p>",
    "nested emphasis": "<p><em>a<i>b</i></em></p>",
    "relative images": '<p><img src="/i.png" alt="a"></p>',
    "controls": "<p>a\x01b\r</p>",
    "unclosed tags": "<p>a",
    "a mark across a formula": "<p><em>a $b</em> c^2$</p>",
    "an address beyond ASCII": '<p><a href="http://a.org/é">x</a></p>',
    "too many quotes": "<blockquote>" * 25 + "x" + "</blockquote>" * 25,
    "too much growth": "<blockquote>" * 20 + "<pre>" + "a\n" * 999 + "</pre>" + "</blockquote>" * 20,
}


@pytest.mark.parametrize("html", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_rendered_all_the_same(html):
    _, refused = render_known(pa.array([html]))
    assert refused.tolist() == [True]
    assert render_compiled(pa.array(["a", html, None])).to_pylist() == ["a", render(html), None]


NAMES = ["p", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "sub", "sup", "h2", "s", "a"]
PIECES = [f"<{name}>" for name in NAMES] + [f"</{name}>" for name in NAMES]
PIECES += [
    '<a href="http://b.org/?x&amp;y">',
    '<a href="ftp://b.org/(">',
    '<img src="http://a.org/">',
    "<br>",
    "<hr />",
]
PIECES += [
    "&amp;",
    "&#39;",
    "&lt;",
    "&nbsp;",
    "&xx;",
    "&#8232;",
    "&",
    "\0",
    "\r",
    "\x1c",
    "\x0c",
    "\x85",
    "\u3000",
    "é",
    "²",
]
PIECES += [
    "$",
    "$$",
    "\\",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\\text{",
    "}",
    "`",
    "*",
    "_",
    "~~",
    "[",
    "](",
    "]:",
    "!",
    "#",
    "1.",
]
PIECES += ["- ", "=", "x", "yz", "5", " ", "\n", "\n\n", "<", ">", '"', ":", "@", ";", "\U0001d538", "\u02b9", "\u0663"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@st.composite
def trees(draw, depth=3):
    """Well nested HTML, most of it tidy: what the compiled way mostly takes."""
    pieces = draw(st.lists(st.sampled_from([*PIECES[28:], *"abc $_*"]), max_size=5))
    for _ in range(draw(st.integers(0, 3)) if depth else 0):
        name, inner = draw(st.sampled_from(NAMES)), draw(trees(depth=depth - 1))
        attributes = ' href="http://b.org/"' if name == "a" else ""
        pieces.append(
            f"<{name}{attributes}><li>{inner}</li></{name}>"
            if name in "ulol"
            else f"<{name}{attributes}>{inner}</{name}>"
        )
        pieces += draw(st.lists(st.sampled_from(PIECES[28:]), max_size=2))
    return "".join(pieces)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(TEXT, trees()), min_size=1, max_size=8))
@example(["<p>a</p>"])
def test_any_mixture_agrees_or_is_refused(bodies):
    accepted(bodies)


PROSE = st.text(alphabet="ab1 \n*_[](){}!#>-+.=|\\`~&;:$<é\u2019\u00a0²", max_size=40)


@settings(max_examples=200, deadline=None)
@given(st.lists(PROSE, min_size=1, max_size=8), st.sampled_from(["p", "em", "h2", "li", "blockquote", "pre", "sup"]))
def test_any_prose_agrees_or_is_refused(texts, name):
    inside = [f"<{name}>{escape(text)}</{name}>" for text in texts]
    accepted([f"<ul>{html}</ul>" if name == "li" else html for html in inside])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_mutated_real_bodies_agree_or_are_refused(real_bodies, data):
    html = data.draw(st.sampled_from(real_bodies[::97]))[:1500]
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(html)))
        end = data.draw(st.integers(start, min(len(html), start + 8)))
        html = html[:start] + data.draw(st.sampled_from([*PIECES, html[start:end] * 2])) + html[end:]
    accepted([html])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from(PIECES).map(str.encode), max_size=20), st.integers(1, 4))
def test_bytes_that_are_no_text_do_no_harm(pieces, cuts):
    data = b"".join(pieces)
    offsets = np.linspace(0, len(data), cuts + 1).astype(np.int32)
    broken = pa.Array.from_buffers(pa.string(), cuts, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    rendered, refused = render_known(broken)
    assert rendered.null_count == refused.sum()


@given(st.lists(st.none() | TEXT, max_size=12), st.integers(0, 12), st.integers(0, 12))
@settings(deadline=None)
def test_slices_and_nulls_keep_their_rows(bodies, start, length):
    part = bodies[start : start + length]
    expected = [None if body is None else render(body) for body in part]
    column = pa.array(bodies, pa.string()).slice(start, length)
    assert render_compiled(column).to_pylist() == expected
    assert render_compiled(column).equals(render_compiled(pa.array(part, pa.string())))


def test_a_large_column_is_rendered_in_pieces_as_a_small_one_is(real_bodies):
    bodies = pa.array([None, *real_bodies[:300]] * 40, pa.string())
    assert bodies.nbytes > 4 << 20
    expected = [None, *map(render, real_bodies[:300])] * 40
    assert render_markdown(bodies).to_pylist() == expected


def test_no_bodies_give_no_markdown():
    assert render_markdown(pa.array([], pa.string())).to_pylist() == []


def test_compiled_code_is_made_anew_when_any_of_its_sources_changes(tmp_path):
    folder = Path(reader.__file__).parent
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    digest = digest_sources(folder)
    assert {step._cache._cache_file._source_stamp for step in (reader.read, spans.find, writer.write)} == {digest}
    for path in (tmp_path / "copy").glob("*.py"):
        whole = path.read_bytes()
        path.write_bytes(whole + b"# changed")
        assert digest_sources(tmp_path / "copy") != digest, path.name
        path.write_bytes(whole)
    assert digest_sources(tmp_path / "copy") == digest
