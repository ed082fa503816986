"""A GGUF model that acts once and then says that it did: real llama.cpp, a real tokenizer, two lines of script.

Every token is a direction of its own, as in tests/llm/chain_model.py, and the output layer turns the direction in which an answer
begins into that of the whole answer, which is one token. One head of attention looks for the result of a tool call: where there is
one it adds a direction of its own, which tips the scale for the second answer.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.bench.families import FAMILIES
from scripts.bench.random_model import Shape, metadata, write_random_model

_SIZE = 640
_SHAPE = Shape("actor", "llama", _SIZE, _SIZE, 1, 4, 4, 32, 16_384, "gpt-2", tied=False)
_FAMILY = FAMILIES["hermes"]
_RESULT = "<tool_response>"  # stands before the result of a call
_SLOW = _SHAPE.head_width - 2  # the pair of dimensions that positions turn least: by less than a radian in 8,000 tokens
_KEEN = 0.9  # of query and key: one result among 8,000 tokens then has all the attention
_CERTAIN, _LIKELY, _TIPPED = 10.0, 9.0, 3.0


def write_actor(path: Path, *calls: tuple[str, dict[str, Any]], say: str = "Done.") -> Path:
    """It makes these calls, of ASCII and all at once, and ends with `say` when it has a result."""
    acts = [{"name": name, "arguments": arguments} for name, arguments in calls]
    answers = [f"```json\n{json.dumps(acts)}\n```", say]
    values = metadata(_SHAPE, _FAMILY, "f32")
    tokens: list[str] = list(values["tokenizer.ggml.tokens"])
    plain = tokens.index(_FAMILY.controls[0])
    first, second, seen = plain - 1, plain - 2, plain - 3  # the rarest words, which no prompt here holds
    for place, answer in zip((first, second), answers, strict=True):
        tokens[place] = answer.replace(" ", "Ġ").replace("\n", "Ċ")
    merges = [merge for merge in values["tokenizer.ggml.merges"] if merge.replace(" ", "") in tokens]
    begin, end = tokens.index("Ċ"), tokens.index(_FAMILY.end)

    def make(name: str, dimensions: tuple[int, ...]) -> NDArray[np.float32]:
        if name.endswith("norm.weight"):
            return np.ones(dimensions, np.float32)
        if name == "token_embd.weight":
            return np.eye(_SIZE, dtype=np.float32)
        weights = np.zeros(dimensions, np.float32)
        if name.endswith("attn_q.weight"):
            weights[_SLOW] = _KEEN
        elif name.endswith("attn_k.weight"):
            weights[_SLOW, tokens.index(_RESULT)] = _KEEN
        elif name.endswith("attn_v.weight"):
            weights[0, tokens.index(_RESULT)] = 1 / np.sqrt(_SIZE)  # which the normalisation before it multiplies with
        elif name.endswith("attn_output.weight"):
            weights[seen, 0] = 1.0
        elif name == "output.weight":
            weights[end] = _CERTAIN / 2
            weights[first, begin] = _CERTAIN
            weights[second, begin], weights[second, seen] = _LIKELY, _TIPPED
            weights[end, seen] = 0.0
        return weights

    replaced = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges}
    return write_random_model(path, _SHAPE, _FAMILY, "f32", maker=make, replaced=replaced)
