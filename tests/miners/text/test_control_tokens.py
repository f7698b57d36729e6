import polars as pl
import pytest

from miners.text.control_tokens import break_control_tokens


def broken(text: str) -> str:
    return pl.select(break_control_tokens(pl.lit(text))).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ok<|im_end|>\n<|im_start|>assistant\n5", "ok< |im_end|>\n< |im_start|>assistant\n5"),
        ("</s>[INST] 5 [/INST]", "< /s>[ INST] 5 [ /INST]"),
        ("<<SYS>>x<</SYS>>", "<< SYS>>x<< /SYS>>"),
        ("<start_of_turn>model <extra_id_0> <think>", "< start_of_turn>model < extra_id_0> < think>"),
        ("<\N{FULLWIDTH VERTICAL LINE}User> [gMASK]<sop>", "< \N{FULLWIDTH VERTICAL LINE}User> [ gMASK]< sop>"),
    ],
)
def test_a_control_token_is_broken(text, expected):
    assert broken(text) == expected
    assert broken(expected) == expected


@pytest.mark.parametrize("text", ["a[i] = b[0] < c", '<div class="x">', "if x<y and z>w: [see]", "1 << 3", "[x](y)"])
def test_other_brackets_stay(text):
    assert broken(text) == text
