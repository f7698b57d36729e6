"""Language models: a folder of Hugging Face's transformers, or a server of vLLM's."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from flows.audit.perplexity import Likelihood, Question, Tokens
from flows.audit.scoring import OK
from flows.audit.servers import TOKENIZE, Answer, Server, dig
from schemas.errors import FatalError, InputError

_BATCH = 8  # questions a forward pass or request; what they take grows with the model's vocabulary


@dataclass(frozen=True, slots=True)
class FolderModel:
    """A causal language model and its tokenizer, as transformers saves them. `open_folder` makes one."""

    name: str
    tokenizer: Any
    network: Any
    torch: Any

    @property
    def start(self) -> Tokens:
        """BOS, or the end-of-text token that GPT-2's kin have in its place."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        return [token for token in known if token is not None][:1]

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Put texts into tokens, without special ones."""
        return [list(map(int, tokens)) for tokens in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def rate(self, questions: Sequence[Question]) -> Iterator[Likelihood]:
        """Rate questions, some at a time; those of like length together, since the longest sets the cost."""
        order = sorted(range(len(questions)), key=lambda at: len(questions[at].context) + len(questions[at].tokens))
        values: dict[int, float] = {}
        for batch in _divide(order):
            values |= zip(batch, self._rate_batch([questions[at] for at in batch]), strict=True)
        return (Likelihood(values[at], OK) for at in range(len(questions)))

    def _rate_batch(self, batch: Sequence[Question]) -> list[float]:
        """Rate questions in one forward pass, padded at their ends, where no token looks back from."""
        torch = self.torch
        texts = [question.context + question.tokens for question in batch]
        longest = max(map(len, texts))
        ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts], device=self.network.device)
        mask = torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in texts], device=ids.device)
        with torch.inference_mode():
            logits = self.network(input_ids=ids, attention_mask=mask).logits
            return [_sum_up(torch, logits[at], ids[at], question) for at, question in enumerate(batch)]


def _sum_up(torch: Any, logits: Any, ids: Any, question: Question) -> float:
    """Add the log-probabilities of a question's tokens; each is foreseen at the place before it."""
    first, last = len(question.context), len(question.context) + len(question.tokens)
    likely = torch.log_softmax(logits[first - 1 : last - 1].float(), dim=-1)
    return float(likely.gather(1, ids[first:last, None]).double().sum())


def open_folder(path: Path) -> FolderModel:
    """Load a model; raises FatalError where transformers or torch are not installed, InputError where it is none."""
    try:
        transformers, torch = import_module("transformers"), import_module("torch")
    except ImportError as error:
        raise FatalError(
            f"a model in a folder needs `transformers` and `torch`, and {error.name} is not installed; "
            "install both, or name a server with --url"
        ) from None
    if not (path / "config.json").is_file():
        raise InputError(str(path), "no model lies there", "a folder with config.json, as save_pretrained writes it")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        network = transformers.AutoModelForCausalLM.from_pretrained(path, local_files_only=True, dtype="auto")
    except (OSError, ValueError, KeyError) as error:
        problem = f"transformers cannot load it ({' '.join(str(error).split())[:300]})"
        raise InputError(str(path), problem, "a causal language model with its tokenizer") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return FolderModel(path.name, tokenizer, network.to(device).eval(), torch)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model behind vLLM's OpenAI server, which gives the probabilities of a prompt's own tokens."""

    server: Server
    name: str

    @property
    def start(self) -> Tokens:
        """Find out with which token the server's tokenizer begins a text."""
        return self._tokenize([""], special=True)[0][:1]

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Put texts into tokens by the server, without special ones; raises FatalError where it does not."""
        return self._tokenize(texts, special=False)

    def rate(self, questions: Sequence[Question]) -> Iterator[Likelihood]:
        """Rate questions, some a request; where a request fails, none of its questions has a value."""
        batches = list(_divide(questions))
        for batch, answer in zip(batches, self.server.ask_all(self._ask, batches), strict=True):
            for at, question in enumerate(batch):
                yield _read(answer, at, question)

    def _ask(self, batch: list[Question]) -> Answer:
        prompts = [question.context + question.tokens for question in batch]
        body = {"model": self.name, "prompt": prompts, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        return self.server.ask("/completions", body)

    def _tokenize(self, texts: Sequence[str], *, special: bool) -> list[Tokens]:
        def ask(text: str) -> Answer:
            body = {"model": self.name, "prompt": text, "add_special_tokens": special}
            return self.server.ask(TOKENIZE, body)

        answers = self.server.ask_all(ask, texts)
        tokens = [dig(answer.body, "tokens") for answer in answers]
        for answer, given in zip(answers, tokens, strict=True):
            if not isinstance(given, list):
                url = self.server.url
                raise FatalError(f"{url}: `/tokenize` gave no tokens ({answer.state}); expected a vLLM server")
        return tokens


def _read(answer: Answer, at: int, question: Question) -> Likelihood:
    """Read the log-probabilities of one question's tokens: a mapping a token, its own id among the keys."""
    if answer.state != OK:
        return Likelihood(None, answer.state)
    given = dig(answer.body, "choices", at, "prompt_logprobs")
    own = given[len(question.context) :] if isinstance(given, list) else []
    values = [dig(known, str(token), "logprob") for known, token in zip(own, question.tokens, strict=False)]
    numbers = [value for value in values if isinstance(value, float | int) and math.isfinite(value)]
    whole = len(numbers) == len(question.tokens) == len(own)
    return Likelihood(float(sum(numbers)), OK) if whole else Likelihood(None, "unparseable")


def _divide(items: Sequence[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
