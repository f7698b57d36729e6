import os
import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from miners.text.formulas import find_plain_formulas
from miners.text.markdown import parsed_tokens, render, render_markdown, tidy_tokens
from miners.text.tags import write

GOLDENS = {
    "inline": (
        '<p>An <em>even</em> <strong>bolder</strong> <a href="https://a.org/x">link</a>, <code>a_b</code>.</p>',
        "An *even* **bolder** [link](https://a.org/x), `a_b`.",
    ),
    "lists": (
        '<ol start="3"><li>three<ul><li>deep</li></ul></li><li>four</li></ol>',
        "3. three\n   - deep\n4. four",
    ),
    "loose list": ("<ul><li><p>a</p><p>b</p></li><li><p>c</p></li></ul>", "- a\n\n  b\n\n- c"),
    "quotes": (
        "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>",
        "> a\n>\n> > b\n\nc",
    ),
    "code": (
        '<pre class="lang-py prettyprint"><code>if a &lt; b:\n\n    print("```")\n</code></pre>',
        '````py\nif a < b:\n\n    print("```")\n````',
    ),
    "code in a list": ("<ul><li><p>a</p><pre><code>x\ny</code></pre></li></ul>", "- a\n\n  ```\n  x\n  y\n  ```"),
    "code with ticks": ("<p><code>`a`</code></p>", "`` `a` ``"),
    "heading, rule, break": ("<h2>H</h2><hr><p>a<br>b</p>", "## H\n\n---\n\na\\\nb"),
    "image": ('<img src="https://a.org/i.png" alt="an [i]">', r"![an \[i\]](https://a.org/i.png)"),
    "table": (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>$x_1$</td></tr></table>",
        "| a | b |\n| --- | --- |\n| 1 | $x_1$ |",
    ),
    "table that no table can hold": ("<table><tr><td>$|x|$</td><td>b</td></tr></table>", "- $|x|$; b"),
    "terms": ("<dl><dt>Term</dt><dd>what it is</dd></dl>", "**Term**\n\n- what it is"),
    "details": ("<details><summary>More</summary><p>x</p></details>", "**More**\n\nx"),
    "small things": (
        "<p>H<sub>2</sub>O, x<sup>2</sup>, <kbd>Ctrl</kbd>, <s>no</s>, <sup>a small print</sup></p>",
        "H_2O, x^2, Ctrl, ~~no~~, a small print",
    ),
    "formulas": (
        "<p>Let $a_1 &lt; b*c*d$ and $$\\begin{align}\na &amp;= b \\\\<br>\n  c\\,&gt; <em>d</em>\n\\end{align}$$</p>",
        "Let $a_1 < b*c*d$ and $$\\begin{align}\na &= b \\\\\n  c\\,> d\n\\end{align}$$",
    ),
    "a formula in a quote is a lazy line": ("<blockquote>$$a\n  b$$</blockquote>", "> $$a\n  b$$"),
    "escapes": (
        "<p># 1</p><p>1. a</p><p>- b</p><p>5 * 3, a_b, _c_, *d*, \\% \\$5, &amp;lt; [x](y)</p>",
        "\\# 1\n\n1\\. a\n\n\\- b\n\n5 * 3, a_b, \\_c\\_, \\*d\\*, \\\\% \\$5, \\&lt; [x\\](y)",
    ),
    "bare address": ('<a href="https://a.org/x_y">https://a.org/x_y</a>', "https://a.org/x_y"),
    "dropped addresses": ('<a href="/rel">a</a> <a href="//b.org/">b</a>', "a [b](https://b.org/)"),
    "Discourse": (
        '<p><img class="avatar" src="/i.png">a: <span class="math">x_1*y</span></p><div class="math">a &lt; b</div>',
        "a: $x_1*y$\n\n$$a < b$$",
    ),
    "white space": ("<p> a\n b&nbsp; c <em> d </em></p>\n\n\n<p></p><p>e</p>", "a b c *d*\n\ne"),
}

COMMONMARK = MarkdownIt("commonmark", {"html": True})


def assert_harmless(markdown):
    """A CommonMark renderer that passes HTML through finds none, and no address but of the allowed schemes."""
    env = {}
    tokens = COMMONMARK.parse(markdown, env)
    for token in [inner for block in tokens for inner in (block, *(block.children or []))]:
        assert not token.type.startswith("html"), (token.content, markdown)
        address = token.attrGet("href") or token.attrGet("src")
        if address:
            assert urlsplit(address).scheme.lower() in {"http", "https", "ftp", "mailto"} or address.startswith(
                ("mailto:", "http")
            ), (address, markdown)


@pytest.mark.parametrize(("html", "markdown"), GOLDENS.values(), ids=GOLDENS)
def test_goldens(html, markdown):
    assert render(html) == markdown


ATTACKS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "$&lt;script&gt;alert(1)&lt;/script&gt;$",
    "$a&lt;img src=$ onerror=alert(1)&gt;",
    '$a&lt;img src="$ x" onerror="alert(1)"&gt;',
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext><style><img src onerror=alert(1)></style></mtext></math>",
    "<noscript><p title='</noscript><img src onerror=alert(1)>'>",
    "<iframe srcdoc='&lt;script&gt;alert(1)&lt;/script&gt;'></iframe>",
    "<object data=javascript:alert(1)>",
    "<a href='java&#9;script:alert(1)'>evil</a>",
    "<a href='&#1;javascript:alert(1)'>evil</a>",
    "<a href=' JaVaScRiPt&colon;alert(1)'>evil</a>",
    "<a href='data:text/html,evil'>evil</a>",
    "<a href='vbscript:x'>evil</a>",
    "<img src='data:image/svg+xml,evil' alt=x>",
    "[evil]<b></b>(javascript:alert(1))",
    "[evil <em>$](javascript:alert(1))$</em>",
    "<a href='http://a.org/'>x](javascript:alert(1)) [y</a>",
    "<a href='http://a.org/) [evil](javascript:alert(1)'>x</a>",
    "[evil]: javascript:alert(1)<br><br>[evil]",
    "[evil] $a\n# b\n[evil]: javascript:alert(1)\n$",
    "&lt;javascript:alert(1)&gt;",
    "\\&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\<code>&lt;script&gt;alert(1)&lt;/script&gt;</code>",
    "$a`b$ <code>&lt;script&gt;alert(1)&lt;/script&gt;</code>",
    "$a\n~~~\nb$<pre>~~~\n&lt;script&gt;alert(1)&lt;/script&gt;</pre>",
    "<code>a\n\n&lt;script&gt;alert(1)&lt;/script&gt;</code>",
    "<pre>```\n&lt;script&gt;alert(1)&lt;/script&gt;</pre>",
    "<<em></em>script>alert(1)<</i>/script>",
    "&lt;<b></b>script&gt;",
    "&amp;lt;script&amp;gt;",
    "<img alt='](javascript:alert(1))' src='http://a.org/'>",
    "<img alt='&lt;script&gt;' src='http://a.org/'>",
    "&lt;!-- x --&gt; &lt;?php x ?&gt; &lt;![CDATA[x]]&gt;",
    "<xmp><script>alert(1)</script></xmp><plaintext><script>alert(1)",
    "<p \"><script>alert(1)</script>\" a='<script>'>",
]


@pytest.mark.parametrize("html", ATTACKS)
def test_attacks_come_out_harmless(html):
    assert_harmless(render(html))
    assert_harmless(render(f"<ul><li>{html}</li></ul><blockquote>{html}</blockquote>"))


TAGS = ["p", "div", "em", "strong", "a", "code", "pre", "ul", "ol", "li", "blockquote", "h2", "br", "hr", "sub"]
TAGS += ["table", "tr", "td", "th", "sup", "s", "dl", "dt", "dd", "script", "b"]
PIECES = st.one_of(
    st.sampled_from([f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS] + ATTACKS),
    st.sampled_from(['<a href="http://a.org/">', '<a href="javascript:x">', "&lt;b&gt;", "$", "$x$", "\\", "`", "~~~"]),
    st.text(alphabet="ab1 \n*_[](){}!#>-+.=|\\`~&;:$<", max_size=8),
)


@given(st.lists(PIECES, max_size=14).map("".join))
@example("<p>\\<em>`</em></p>")
def test_any_mixture_is_harmless_and_repeatable(html):
    markdown = render(html)
    assert_harmless(markdown)
    assert render(html) == markdown


@given(st.text(max_size=80))
@example("\ud800 \0 &#0; &#1; &#xd800; \r\n")
def test_any_text_is_rendered(text):
    markdown = render(text)
    assert not re.search("[\0-\b\x0e-\x1f\ud800-\udfff]", markdown)
    markdown.encode()


FORMULAS = st.text(alphabet="ab1_*^\\{}<>&|[]()-+=~# .,!", min_size=1, max_size=20).map(lambda tex: f"$x={tex}y$")


@given(st.lists(FORMULAS, max_size=3), st.sampled_from(["p", "li", "em", "blockquote", "h2", "td", "dd"]))
def test_planted_formulas_come_out_verbatim(formulas, tag):
    text = " and ".join(formulas)
    markdown = render(f"<{tag}>so {escape(text)} it is</{tag}>")
    for start, end in find_plain_formulas(text):
        assert text[start:end] in markdown


@given(st.text(alphabet="ab`~<>*_\\$\n ", min_size=1, max_size=40).filter(str.strip))
def test_code_blocks_are_verbatim(code):
    (block,) = COMMONMARK.parse(render(f"<pre><code>{escape(code)}</code></pre>"))
    assert block.content.removesuffix("\n") == code.removesuffix("\n")


@given(st.text(alphabet="ab`~<>*_\\$ ", min_size=1, max_size=40).filter(str.strip))
def test_code_spans_are_verbatim(code):
    (_, inline, _) = COMMONMARK.parse(render(f"<p>x <code>{escape(code)}</code> y</p>"))
    assert code in [token.content for token in inline.children]


@given(st.text(alphabet="ab1*_`<>&;[]()#\\!~ -+=.", max_size=40))
def test_prose_reads_the_same_after_a_markdown_renderer(text):
    blocks = COMMONMARK.parse(render(f"<p>{escape(text)}</p>"))
    seen = "".join(child.content for block in blocks for child in block.children or [])
    assert seen == " ".join(text.split())


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "x",
        "<blockquote>x" * 100_000,
        "<ul><li>x" * 100_000,
        "<blockquote>x" * 1_900,
        "<em><strong>x" * 900,
        "x" + "<" * 200_000,
        "x" + "&" * 200_000,
        "x<pre>" * 1_000,
        "<p>x</p>" * 20_000,
        "x" + "</p></li></ul></td></table>" * 1_000,
    ],
    ids=lambda html: html[:16],
)
def test_degenerate_input_is_rendered(html):
    assert "x" in render(html)


def test_rows_stay_rows():
    bodies = pa.array(["<p>a</p>", None, ""])
    assert render_markdown(bodies).to_pylist() == ["a", None, ""]
    assert render_markdown(pa.chunked_array([bodies, bodies])).to_pylist() == ["a", None, ""] * 2
    assert render_markdown(pa.chunked_array([], pa.string())).to_pylist() == []


@pytest.fixture(scope="module")
def real_bodies():
    root = Path(os.environ.get("REVEALED_REAL_DATA", Path(__file__).parents[4] / "shared" / "data"))
    dumps = sorted((root / "stackexchange").glob("*/Posts.xml"))
    if not dumps:
        pytest.skip(f"no Stack Exchange dumps under {root}")
    return [row.get("Body", "") for dump in dumps for _, row in ET.iterparse(dump) if row.tag == "row"]


def texts(html):
    """The text of each block of a tidy body, code replaced by NUL: an oracle that shares nothing with the renderer."""
    html = re.sub(r"<(pre|code)\b[^>]*>.*?</\1>", "\0", html, flags=re.DOTALL)
    blocks = re.split(r"</?(?:p|li|ul|ol|h\d|t[dhr]|table|blockquote|hr|div|pre)\b[^>]*>", html)
    return [unescape(re.sub(r"<[^>]*>", "", re.sub(r"<img[^>]*>", "\0", block))) for block in blocks]


def test_every_real_formula_is_verbatim(real_bodies):
    found = 0
    for html in real_bodies:
        if "$" not in html and "\\" not in html:
            continue
        markdown = render(html)
        for text in texts(html):
            spans = find_plain_formulas(text)
            found += len(spans)
            assert [text[start:end] for start, end in spans if text[start:end] not in markdown] == []
    assert found > 10_000


def test_both_ways_agree_on_every_real_body(real_bodies):
    tidy = [(html, tokens) for html in real_bodies if (tokens := tidy_tokens(html)) is not None]
    assert len(tidy) > 0.98 * len(real_bodies)
    assert [html for html, tokens in tidy if write(tokens) != write(parsed_tokens(html))] == []


def test_a_sixteenth_of_real_bodies_is_harmless_and_neat(real_bodies):
    for html in real_bodies[::16]:
        markdown = render(html)
        assert_harmless(markdown)
        if "<pre" not in html and "$" not in html:
            assert not re.search(r"[ \t]$|\n\n\n", markdown, flags=re.MULTILINE)


NAMES = ["p", "em", "ul", "li", "code", "pre", "strong", "blockquote"]
TIDY = [f"<{name}>" for name in NAMES] + [f"</{name}>" for name in NAMES]
TIDY += ['<a href="http://b.org/">', "</a>", "<br>", "<br />", "&amp;", "&#39;", "&lt;", "&nbsp;", "x", " ", "\n"]


@given(st.lists(st.sampled_from(TIDY), max_size=12).map("".join))
def test_both_ways_agree_on_any_tidy_body(html):
    tokens = tidy_tokens(html)
    assert tokens is None or write(tokens) == write(parsed_tokens(html))
