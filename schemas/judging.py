"""What a judge is asked and what it says. A failure is a state of its own, and never a label."""

from enum import StrEnum

import pyarrow as pa

from schemas.inputs import UTC_MILLIS


class State(StrEnum):
    """How the asking of a question ended."""

    OK = "ok"
    UNPARSEABLE = "unparseable"  # an answer, but none of the rubric's
    REFUSED = "refused"  # the model or its filter declined
    TIMEOUT = "timeout"
    ERROR = "error"  # no answer: the server said no, or broke


class Origin(StrEnum):
    """Where a turn's label is from."""

    DIRECT = "direct"
    HINDSIGHT = "hindsight"
    REFUSAL = "refusal"


LEAST_PROBABILITY = 1e-6
"""For logarithms and powers: probabilities that were rounded to nothing are no impossibilities."""

QUESTION = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),  # 32 hex digits: all that can change the answer
        pa.field("uid", pa.string(), nullable=False),  # of the turn
        pa.field("vote", pa.int16(), nullable=False),  # from 0
        pa.field("text", pa.string(), nullable=False),  # the user's message; the system's is the rubric
    ]
)
"""What is to be asked about the turns of a partition."""

ANSWER = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),  # fingerprint of rubric, model and sampling
        pa.field("rubric", pa.string(), nullable=False),  # name and version
        pa.field("model", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # a State
        pa.field("answer", pa.string()),  # one of the rubric's answers; null unless ok
        pa.field("probs", pa.list_(pa.float32())),  # of the rubric's answers, in their order; null where unknown
        pa.field("prompt_tokens", pa.int32()),
        pa.field("completion_tokens", pa.int32()),
        pa.field("seconds", pa.float32(), nullable=False),  # from the first try to the end
        pa.field("tries", pa.int16(), nullable=False),
        pa.field("detail", pa.string()),  # what went wrong, for a reader
        pa.field("answered_at", UTC_MILLIS, nullable=False),
    ]
)
"""One row of the ledger: a question's end. Of several for one key an `ok` counts, else the newest."""

VERDICT = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # of the votes together: ok where one is
        pa.field("label", pa.int8()),  # from 1, in the order of the rubric's answers; null unless ok
        pa.field("label_probs", pa.list_(pa.float32())),
        pa.field("agreement", pa.float32()),  # share of the ok votes that are for the label
        pa.field("judge", pa.string(), nullable=False),
        pa.field("judge_model", pa.string(), nullable=False),
        pa.field("rubric", pa.string(), nullable=False),
    ]
)
"""What came out about each turn of a partition: one row a turn that was asked about, whatever its state."""
