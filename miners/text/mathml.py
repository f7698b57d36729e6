r"""MathML to LaTeX, for formulas that a page gives in no other way; by what the elements of MathML Core (W3C) mean.

The words and signs of leaves become TeX's; what has no counterpart (colours, sizes, phantoms) is left out.
"""
# ruff: noqa: RUF001, SIM905 - signs that look like letters are what this is about; lists of them are easier to read so

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from selectolax.lexbor import LexborNode

_DEEPEST = 100
"""Of what is nested deeper, only the text is kept."""

_COMMAND = re.compile(r"\\[A-Za-z]+\Z")
_TIGHT = re.compile(r"(?:.|\\[A-Za-z]+(?:\{[^{}]*\})?|\\.|[0-9.]+)?", re.DOTALL)
_SPECIAL = re.compile(r"[#$%&_{}^~\\]")

_FUNCTIONS = frozenset(
    """
    sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min sup inf
    det dim gcd ker deg arg hom Pr
    """.split()
)
_COMMANDS = """
    α alpha β beta γ gamma δ delta ε varepsilon ϵ epsilon ζ zeta η eta θ theta ϑ vartheta ι iota κ kappa λ lambda μ mu
    ν nu ξ xi π pi ρ rho σ sigma ς varsigma τ tau υ upsilon φ varphi ϕ phi χ chi ψ psi ω omega
    Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega
    ∑ sum ∏ prod ∫ int ∬ iint ∮ oint ∂ partial ∇ nabla ∞ infty ℓ ell ℏ hbar ℜ Re ℑ Im ℵ aleph
    ∈ in ∉ notin ∋ ni ⊂ subset ⊆ subseteq ⊃ supset ⊇ supseteq ∪ cup ∩ cap ∅ emptyset ∖ setminus
    ∀ forall ∃ exists ¬ neg ∧ land ∨ lor ⊢ vdash ⊨ models ⊥ perp ∥ parallel ∣ mid ∠ angle △ triangle □ square
    ≤ le ⩽ leqslant ≥ ge ⩾ geqslant ≠ ne ≈ approx ≡ equiv ≅ cong ≃ simeq ∼ sim ∝ propto ≪ ll ≫ gg
    → to ← leftarrow ↔ leftrightarrow ⇒ Rightarrow ⇐ Leftarrow ⇔ Leftrightarrow ↦ mapsto
    × times ⋅ cdot · cdot ÷ div ± pm ∓ mp ∘ circ ⊕ oplus ⊗ otimes √ surd † dagger
    … dots ⋯ cdots ⋮ vdots ⋱ ddots ⟨ langle ⟩ rangle ⌊ lfloor ⌋ rfloor ⌈ lceil ⌉ rceil ‖ | ′ prime
""".split()
_BLACKBOARD = dict(zip("ℕℤℚℝℂℙ", "NZQRCP", strict=True))
_SIGNS: Mapping[str, str] = MappingProxyType(
    {
        **{sign: f"\\{command}" for sign, command in zip(_COMMANDS[::2], _COMMANDS[1::2], strict=True)},
        **{sign: f"\\mathbb{{{letter}}}" for sign, letter in _BLACKBOARD.items()},
        **dict.fromkeys("\u2061\u2062\u2063\u2064\u200b", ""),  # invisible operators
        "−": "-",
        "∗": "*",
        "\xa0": " ",
        "\\": "\\backslash",
        "^": "\\hat{}",
        "~": "\\sim",
    }
)
_ACCENTS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("¯", "‾", "_", "\\_", "―"), "overline"),
        **dict.fromkeys(("^", "ˆ", "\\hat{}"), "hat"),
        **dict.fromkeys(("~", "˜", "\\sim"), "tilde"),
        **dict.fromkeys(("\\to", "⃗"), "vec"),
        "˙": "dot",
        "¨": "ddot",
        "⏞": "overbrace",
    }
)
_LIMITS = re.compile(r"\\(?:sum|prod|i*int|oint|lim|max|min|sup|inf|det|gcd|Pr|bigcup|bigcap)\b|\\(?:over|under)brace")


def write_mathml(formula: LexborNode) -> str:
    r"""Write a `<math>` element as LaTeX, without delimiters. Any tree is accepted."""
    return _write(formula, 0).strip()


def _write(node: LexborNode, depth: int) -> str:
    tag = (node.tag or "").removeprefix("m:")
    if tag in _LEAVES:
        return _LEAVES[tag](" ".join(node.text().split()))
    if tag in _SILENT:
        return ""
    if depth > _DEEPEST:
        return _escape(node.text())
    parts = [_write(child, depth + 1) for child in node.iter()]
    size, act = _FIXED.get(tag, (len(parts), None))
    if act and len(parts) == size:
        return act(*parts)
    return _FREE[tag](node, parts) if tag in _FREE else _join(parts)


def _join(parts: list[str]) -> str:
    joined = ""
    for part in parts:
        joined += f" {part}" if part[:1].isalpha() and _COMMAND.search(joined) else part  # `\alpha` and `x` are two
    return joined


def _escape(word: str) -> str:
    return _SPECIAL.sub(lambda found: _SIGNS.get(found[0], f"\\{found[0]}"), word)


def _sign(word: str) -> str:
    return _join([_SIGNS.get(sign, _escape(sign)) for sign in word])


def _name(word: str) -> str:
    """Write an identifier: one letter as it is, a function as TeX's, any other word upright."""
    if word in _FUNCTIONS:
        return f"\\{word}"
    return f"\\mathrm{{{_escape(word)}}}" if len(word) > 1 and word.isalpha() else _sign(word)


def _operate(word: str) -> str:
    return _name(word) if word.isalpha() and len(word) > 1 else _sign(word)


def _quote(words: str) -> str:
    return f"\\text{{{_escape(words)}}}" if words else ""


def _base(part: str) -> str:
    """Put braces round what an index would otherwise take the end of."""
    return part if _TIGHT.fullmatch(part) or _LIMITS.match(part) else f"{{{part}}}"


def _under(base: str, under: str) -> str:
    return f"{base}_{{{under}}}" if _LIMITS.match(base) else f"\\underset{{{under}}}{{{base}}}"


def _over(base: str, over: str) -> str:
    if over in _ACCENTS:
        return f"\\{_ACCENTS[over]}{{{base}}}"
    return f"{base}^{{{over}}}" if _LIMITS.match(base) else f"\\overset{{{over}}}{{{base}}}"


def _under_over(base: str, under: str, over: str) -> str:
    return f"{base}_{{{under}}}^{{{over}}}" if _LIMITS.match(base) else _over(_under(base, under), over)


def _fence(node: LexborNode, parts: list[str]) -> str:
    opening, closing = node.attributes.get("open", "("), node.attributes.get("close", ")")
    comma = (node.attributes.get("separators") or ",").strip()[:1]
    return f"\\left{_sign(opening or '') or '.'} {comma.join(parts)} \\right{_sign(closing or '') or '.'}"


_LEAVES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"mi": _name, "mn": _escape, "mo": _operate, "mtext": _quote, "ms": _quote}
)
_SILENT = frozenset(["annotation", "annotation-xml", "mspace", "mphantom", "maligngroup", "malignmark", "none"])
_FIXED: Mapping[str, tuple[int, Callable[..., str]]] = MappingProxyType(
    {
        "mfrac": (2, lambda top, bottom: f"\\frac{{{top}}}{{{bottom}}}"),
        "mroot": (2, lambda of, index: f"\\sqrt[{index}]{{{of}}}"),
        "msup": (2, lambda base, sup: f"{_base(base)}^{{{sup}}}"),
        "msub": (2, lambda base, sub: f"{_base(base)}_{{{sub}}}"),
        "msubsup": (3, lambda base, sub, sup: f"{_base(base)}_{{{sub}}}^{{{sup}}}"),
        "munder": (2, _under),
        "mover": (2, _over),
        "munderover": (3, _under_over),
    }
)
_FREE: Mapping[str, Callable[[LexborNode, list[str]], str]] = MappingProxyType(
    {
        "msqrt": lambda _, parts: f"\\sqrt{{{_join(parts)}}}",
        "mtr": lambda _, parts: " & ".join(parts),
        "mtable": lambda _, parts: "\\begin{matrix} " + " \\\\ ".join(parts) + " \\end{matrix}",
        "mfenced": _fence,
    }
)
