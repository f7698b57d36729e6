r"""HTML pages: their own text, without what stands around it, and every formula as LaTeX."""

# ruff: noqa: RUF001, ISC004, E501, SIM905 - signs of mathematics, and pages as they are

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from miners.text.formulas import find_formulas
from miners.text.mathml import write_mathml
from miners.text.pages import PAGE, render_pages

PAGE_OF_A_SITE = r"""<!DOCTYPE html>
<html lang="en"><head><title> Sums
 of squares </title><link rel="canonical" href="https://a.example/sums">
<script>var x = "<p>no</p>";</script><style>p { color: red }</style></head>
<body><header><h1>The site</h1></header><nav><a href="/">Home</a></nav>
<main><article><header><h2>Sums of squares</h2></header>
<p>We claim that \(n^2 < 2^n\), or $a_i * b_i$, for $5 or $10 a piece.</p>
<div role="complementary">Buy now</div><p hidden>secret</p><aside>See also</aside>
<form><p>All of it stands in a form.</p></form></article></main>
<noscript>Turn scripts on</noscript><div role="contentinfo">Imprint</div><footer>Contact</footer></body></html>"""


def render(html):
    table = render_pages(pa.array([html], pa.string()))
    assert table.schema.equals(PAGE)
    return table.to_pylist()[0]


def write(mathml):
    return write_mathml(LexborHTMLParser(f"<math>{mathml}</math>").css_first("math"))


def test_a_page_is_its_own_text_with_title_and_address():
    assert render(PAGE_OF_A_SITE) == {
        "text": (
            "## Sums of squares\n\n"
            "We claim that \\(n^2 < 2^n\\), or $a_i * b_i$, for $5 or $10 a piece.\n\n"
            "All of it stands in a form."
        ),
        "title": "Sums of squares",
        "url": "https://a.example/sums",
    }


SEMANTICS = "<semantics><mi>x</mi><annotation encoding='application/x-tex'>{}</annotation></semantics>"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (r'a <script type="math/tex">x_1 < y_2</script>, b', "a $x_1 < y_2$, b"),
        (r'<script type="math/tex; mode=display">\frac12</script>', r"$$\frac12$$"),
        (  # what MathJax 2 has drawn goes, its source stays
            '<span class="MathJax_Preview">x2</span><span class="MathJax"><span class="MathJax">x2</span></span>'
            '<script type="math/tex">x^2</script>',
            "$x^2$",
        ),
        ('<span class="MathJax">no source here</span>', "no source here"),
        (
            '<span class="katex-display"><span class="katex"><span class="katex-mathml"><math>'
            + SEMANTICS.format(r"\sum_i x_i")
            + '</math></span><span class="katex-html" aria-hidden="true">∑ixi</span></span></span>',
            r"$$\sum_i x_i$$",
        ),
        ('<math alttext="{\\displaystyle E=mc^{2}}"><mi>E</mi></math>', "$E=mc^{2}$"),
        ('<math display="block">' + SEMANTICS.format("a &lt; b") + "</math>", "$$a < b$$"),
        (  # Wikipedia hides the MathML and shows a picture
            '<span class="mwe-math-element"><span style="display: none"><math>' + SEMANTICS.format(r"{\displaystyle \pi }")
            + '</math></span><img class="mwe-math-fallback-image-inline" alt="{\\displaystyle \\pi }" src="//w.org/1"></span>',
            r"$\pi$",
        ),
        ('as <img class="latex" alt="\\alpha" src="//s0.wp.com/latex.php"> says', r"as $\alpha$ says"),
        ('<img src="https://latex.codecogs.com/svg.latex?x" alt="x_0">', "$x_0$"),
        ('<mjx-container display="true"><mjx-assistive-mml><math><msup><mi>x</mi><mn>2</mn></msup></math>'
         "</mjx-assistive-mml></mjx-container>", "$$x^{2}$$"),
        ('<script type="math/tex">  </script>nothing', "nothing"),
        ('<script type="math/tex">a\n\n\n b</script>', "$a\n b$"),
        # Dollars that would be taken for money, or for their neighbours', give way to brackets.
        ('<script type="math/tex">a</script><script type="math/tex">b</script>', r"\(a\)$b$"),
        ('<script type="math/tex">5</script>0 euros', r"\(5\)0 euros"),
        ('$<script type="math/tex">x</script>', r"$\(x\)"),
        ('<script type="math/tex">is even for ab cd</script>', r"\(is even for ab cd\)"),
    ],
)  # fmt: skip
def test_formulas_become_latex(html, text):
    assert render(f"<p>{html}</p>")["text"] == text


@pytest.mark.parametrize(
    ("mathml", "tex"),
    [
        ("<mi>x</mi><mo>+</mo><mn>12</mn>", "x+12"),
        ("<mfrac><mn>1</mn><mrow><mi>n</mi><mo>!</mo></mrow></mfrac>", r"\frac{1}{n!}"),
        ("<msup><mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow><mn>2</mn></msup>", "{(a)}^{2}"),
        ("<msubsup><mi>a</mi><mi>i</mi><mn>2</mn></msubsup>", "a_{i}^{2}"),
        ("<msqrt><mi>a</mi><mi>b</mi></msqrt><mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt{ab}\sqrt[3]{x}"),
        (
            "<munderover><mo>∑</mo><mrow><mi>k</mi><mo>=</mo><mn>0</mn></mrow><mi>∞</mi></munderover><msub><mi>x</mi><mi>k</mi></msub>",
            r"\sum_{k=0}^{\infty}x_{k}",
        ),
        ("<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder>", r"\lim_{x\to0}"),
        ("<mover><mi>x</mi><mo>¯</mo></mover><mover><mi>v</mi><mo>→</mo></mover>", r"\overline{x}\vec{v}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>θ</mi>", r"\sin\theta"),
        ("<mi>α</mi><mi>x</mi><mo>∈</mo><mi>ℝ</mi>", r"\alpha x\in\mathbb{R}"),
        ("<mi>Hom</mi><mo>−</mo><mtext>if  50% &amp; so</mtext>", r"\mathrm{Hom}-\text{if 50\% \& so}"),
        ("<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr><mtr><mtd><mn>0</mn></mtd><mtd><mi>i</mi></mtd></mtr></mtable>",
         r"\begin{matrix} 1 & 0 \\ 0 & i \end{matrix}"),
        ('<mfenced open="["><mi>a</mi><mi>b</mi></mfenced>', r"\left[ a,b \right)"),
        ("<mo>{</mo><mi>x</mi><mo>}</mo><mphantom><mi>y</mi></mphantom><mspace/>", r"\{x\}"),
        ("<mfrac><mn>1</mn></mfrac><semantics><mi>y</mi><annotation>why</annotation></semantics>", "1y"),
        (  # as MathJax writes it, with spaces and comments
            "<msub> <mi> Irr </mi> <mrow> <mi> &#x03B5; <!-- ε --> </mi> </mrow> </msub> <mo> &#x2061; <!-- ⁡ --> </mo>"
            "<msub> <mo> &#x2016; </mo> <mn> 2 </mn> </msub> <mo> &#x2A7D; </mo>",
            r"\mathrm{Irr}_{\varepsilon}\|_{2}\leqslant",
        ),
        ("", ""),
    ],
)  # fmt: skip
def test_mathml_is_written_anew(mathml, tex):
    assert write(mathml) == tex


TAGS = "math mrow mi mo mn mtext msup msub msubsup mfrac msqrt mroot munder mover munderover mtable mtr mtd mfenced".split()
TREES = st.recursive(
    st.text(st.characters(exclude_characters="<>&\0", exclude_categories=["Cs"]), max_size=4),
    lambda inner: st.tuples(st.sampled_from(TAGS), st.lists(inner, max_size=4)).map(
        lambda tree: f"<{tree[0]}>{''.join(tree[1])}</{tree[0]}>"
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(TREES)
def test_any_mathml_gives_text_whose_braces_pair_up(tree):
    tex = write(tree)
    bare = tex.replace("\\\\", "").replace("\\{", "").replace("\\}", "")
    assert bare.count("{") == bare.count("}")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("ab 12^_{}\\<>$*`&\n", max_size=8).filter(str.strip), min_size=1, max_size=4), st.text("x 1$\n")
)
def test_sources_stay_formulas_whatever_stands_around_them(sources, around):
    html = around.join(f'<script type="math/tex">{source}</script>' for source in sources if "</script" not in source)
    text = render(f"<p>{html}</p>")["text"]
    harmless = [source for source in sources if not set(source) & set("$`<>&{}\\\n")]
    if len(harmless) == len(sources) and "$" not in around:
        assert len(find_formulas(text)) == len(sources)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        (" \n", ""),
        ("no tags at all", "no tags at all"),
        ("<", "<"),
        ("a <p", "a"),
        ("a <math>", "a"),
        ("a <math><mfrac><mn>1</mn>", "a $1$"),
        ("\ufffd \0 x", "\ufffd x"),
        ("<head><title>t</title>", ""),
        ("<frameset><frame src=a></frameset>", ""),
    ],
)
def test_any_string_is_a_page(html, text):
    assert render(html)["text"] == text


def test_nulls_stay_nulls_and_rows_their_order():
    pages = pa.chunked_array([["<p>a</p>", None], ["<p>b</p>"]])
    assert render_pages(pages)["text"].to_pylist() == ["a", None, "b"]
    assert render_pages(pages.slice(0, 0)).num_rows == 0


def test_pages_nested_without_end_keep_their_text():
    assert render("<div>" * 5000 + "deep <b>text</b>")["text"] == "deep text"
    nested = "<mrow>" * 1500 + "<mi>x</mi>" + "</mrow>" * 1500
    assert render(f"<p>so <math>{nested}</math></p>")["text"] == "so $x$"
    many = "<nav><nav hidden>" * 900
    assert render(f"<p>all</p>{many}gone")["text"] == "all"
