"""The worker of the offline engine: runs in an interpreter that has vLLM, and talks over its standard pipes.

The first line that it reads names the model, and it answers a line when that is loaded. Each line after it is a batch
of questions, and is answered by a line with their ends, in OpenAI's words, in order. Needs vLLM, and nothing of ours.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Tell = Callable[[Any], None]

_LEAST = -9999.0  # what vLLM's server tells for minus infinity, which JSON cannot: a token that a constraint forbids


def work(tell: Tell) -> None:
    """Load the model, and answer batch after batch until there are no more."""
    engine: Any = None
    for line in sys.stdin.buffer:  # UTF-8, whatever the locale says
        asked = json.loads(line)
        if engine is None:
            engine = importlib.import_module("vllm").LLM(**asked)
            tell({"max_model_len": engine.model_config.max_model_len})
        else:
            tell(answer(engine, asked))


def answer(engine: Any, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer a batch: `system, texts, seeds, sampling`, and `form`, what may be answered, in a request's words.

    template: more arguments of the model's chat template.
    """
    prompts = [_tokenize(engine, batch, text) for text in batch["texts"]]
    room = engine.model_config.max_model_len - batch["sampling"]["max_tokens"]
    fit = [place for place, prompt in enumerate(prompts) if len(prompt) <= room]
    params = [_sample(batch, batch["seeds"][place]) for place in fit]
    ends = [_refuse(len(prompt), engine.model_config.max_model_len) for prompt in prompts]
    if fit:
        given = [{"prompt_token_ids": prompts[place]} for place in fit]
        for place, output in zip(fit, engine.generate(given, params, use_tqdm=False), strict=True):
            ends[place] = _write(output, batch["form"]["top_logprobs"])
    return ends


def _tokenize(engine: Any, batch: Mapping[str, Any], text: str) -> Sequence[int]:
    """Write the prompt by the model's own template, as a server does."""
    messages = [{"role": "system", "content": batch["system"]}, {"role": "user", "content": text}]
    ours = {"tokenize": True, "add_generation_prompt": True, "return_dict": False}
    tokens: Sequence[int] = engine.get_tokenizer().apply_chat_template(messages, **{**batch["template"], **ours})
    return tokens


def _sample(batch: Mapping[str, Any], seed: int | None) -> Any:
    params, form = importlib.import_module("vllm.sampling_params"), batch["form"]
    constraint = params.StructuredOutputsParams(**form["structured_outputs"])
    return params.SamplingParams(
        **batch["sampling"], seed=seed, logprobs=form["top_logprobs"], structured_outputs=constraint
    )


def _refuse(tokens: int, most: int) -> dict[str, Any]:
    return {"error": f"the question has {tokens} tokens, and with its answer more than the model's {most}"}


def _write(output: Any, logprobs: int) -> dict[str, Any]:
    """Write what a model said as a chat completion, so that it is read as a server's."""
    said = output.outputs[0]
    tokens = [_show(step, token, logprobs) for step, token in zip(said.logprobs, said.token_ids, strict=True)]
    choice = {
        "message": {"content": said.text},
        "finish_reason": said.finish_reason,
        "logprobs": {"content": tokens},
    }
    usage = {"prompt_tokens": len(output.prompt_token_ids), "completion_tokens": len(said.token_ids)}
    return {"choices": [choice], "usage": usage}


def _show(step: Mapping[int, Any], token: int, logprobs: int) -> dict[str, Any]:
    told = {
        place: {"token": one.decoded_token or "", "logprob": max(one.logprob, _LEAST)} for place, one in step.items()
    }
    return {**told[token], "top_logprobs": list(told.values())[:logprobs]}


def _open_tell() -> Tell:
    """Keep our output for answers alone: what vLLM prints goes where errors go."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lambda value: print(json.dumps(value), file=answers, flush=True)


if __name__ == "__main__":
    work(_open_tell())
