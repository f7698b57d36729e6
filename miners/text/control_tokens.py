"""Control tokens: what a chat template marks its turns with, and a text from outside must not be able to say."""

import polars as pl

_TOKENS = r"(<)([|\x{FF5C}]|/?[\p{L}_][\p{L}\p{N}_-]*>)|(\[)(/?(?:[A-Z][A-Z_]+|gMASK)\])"
"""`<|im_end|>` and its like, `</s>`, `<start_of_turn>`, `<<SYS>>`, `[/INST]`. Not a tag with attributes, nor `a[i]`."""


def break_control_tokens(text: pl.Expr) -> pl.Expr:
    """Put a space into whatever a tokenizer may take for a control token; with it, it is text like any other.

    Servers and engines tokenize a prompt after the chat template is put round it: a `<|im_end|>` inside a message would
    end the turn for real. HTML's bare tags look the same, and are broken too: a reader minds it little.
    """
    return text.str.replace_all(_TOKENS, "${1}${3} ${2}${4}")
