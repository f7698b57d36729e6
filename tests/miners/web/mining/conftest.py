"""Tokenizers that cut, drop and change characters, trained on a few lines."""

import pytest

LINES = [
    "Let $x \\in \\mathbb{R}$ be a real number. Then the sum of all numbers is a number, and the number is real.",
    "Émile naïvely wrote 是的。 Ünïcödé ẞ, ﬁne; the group of the real numbers is a group 😀 of numbers.",
    "\\begin{align} a &= b \\\\ c &= d \\end{align} and so on, and so forth, for all of the numbers in the group.",
] * 4


@pytest.fixture(scope="session")
def tokenizer_files(tmp_path_factory):
    """{name: path}: byte-level BPE as Llama's, the same behind NFKC, a lower-casing WordPiece as BERT's, a Unigram."""
    tokenizers = pytest.importorskip("tokenizers", reason="`tokenizers` is not installed: pip install tokenizers")
    folder = tmp_path_factory.mktemp("tokenizers")
    made = {
        "bytes": train_bytes(tokenizers),
        "normalized": train_bytes(tokenizers, tokenizers.normalizers.NFKC()),
        "lower": train_lower(tokenizers),
        "unigram": train_unigram(tokenizers),
    }
    for name, tokenizer in made.items():
        tokenizer.save(str(folder / f"{name}.json"))
    return {name: str(folder / f"{name}.json") for name in made}


def train_bytes(tokenizers, normalizer=None):
    level = tokenizers.pre_tokenizers.ByteLevel
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = level(add_prefix_space=False)
    tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=level.alphabet(), special_tokens=["<|end|>"], show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def train_lower(tokenizers):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.enable_truncation(8)  # as many files have it; documents are never truncated
    return tokenizer


def train_unigram(tokenizers):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.normalizer = tokenizers.normalizers.NFD()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=150, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer
