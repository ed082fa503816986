"""Weights -> GGUF and back: an ordinary Llama with a GPT-2 style tokenizer, as llama.cpp reads it. Matrices f16, vectors f32.

f16 rather than an 8-bit format: a few hand-written weights are large, and 8-bit blocks would share their scale.
"""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from .model import EPSILON, TURNS, Llama, Shape
from .tokenizer import CONTROL, END, FIRST_MARKER, MARKERS, PAD, assemble

CONTEXT = 2048
ROPE_BASE = 10_000.0
NEVER = 1e30  # divides a speed down to standing still
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
BLOCK_NAMES = {
    "attn_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
    "mlp_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip


def export(model: Llama, tokenizer: Tokenizer, target: Path) -> None:
    """Write `model` and its `tokenizer` to `target`, whole or not at all."""
    temporary = target.with_suffix(".partial")
    writer = gguf.GGUFWriter(str(temporary), "llama")
    describe_shape(writer, model)
    describe_tokenizer(writer, tokenizer)
    add_tensors(writer, model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    temporary.replace(target)


def describe_shape(writer: gguf.GGUFWriter, model: Llama) -> None:
    """The numbers that llama.cpp builds the network from, and what the model is for."""
    shape = model.shape
    writer.add_name("pocket")
    writer.add_description("Finds and cites definitions in the excerpts it is shown. Part of offline-agent.")
    writer.add_license("Apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(shape.vocabulary)


def describe_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    """Tokens, their kinds and merges, and the template of a conversation."""
    vocabulary = tokenizer.get_vocab()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_types([token_type(i) for i in range(len(vocabulary))])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_bos_token_id(PAD)
    writer.add_eos_token_id(END)
    writer.add_eot_token_id(END)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def token_type(token: int) -> int:
    """Control tokens are never text; markers are text, and one token each."""
    if token < len(CONTROL):
        return gguf.TokenType.CONTROL
    if token < FIRST_MARKER + len(MARKERS):
        return gguf.TokenType.USER_DEFINED  # found in the text before anything is merged
    return gguf.TokenType.NORMAL


def add_tensors(writer: gguf.GGUFWriter, model: Llama) -> None:
    """Every weight, and `rope_freqs.weight`, by which pairs of dimensions turn at our speeds or not at all."""
    writer.add_tensor("rope_freqs.weight", rope_factors(model.shape.head))
    for name, weight in named_tensors(model).items():
        array = weight.detach().float().numpy()
        writer.add_tensor(name, array.astype(np.float16) if array.ndim == 2 else array)


def named_tensors(model: Llama) -> dict[str, Tensor]:
    """Every weight under the name it has in GGUF."""
    blocks = {
        f"blk.{i}.{theirs}.weight": getattr(block, ours).weight
        for i, block in enumerate(model.blocks)
        for ours, theirs in BLOCK_NAMES.items()
    }
    return {"token_embd.weight": model.embed.weight, "output_norm.weight": model.norm.weight, **blocks}


def rope_factors(head: int) -> np.ndarray:
    """llama.cpp turns pair i by base^(-2i/head) / factor; choose the factor that leaves our speed."""
    factors = np.full(head // 2, NEVER, np.float32)
    for i, turn in enumerate(TURNS):
        factors[i] = ROPE_BASE ** (-2 * i / head) / turn
    return factors


def shape_of(reader: gguf.GGUFReader, vocabulary: int) -> Shape:
    """The sizes that `describe_shape` wrote."""
    names = ("embedding_length", "block_count", "attention.head_count", "attention.key_length", "feed_forward_length")
    return Shape(vocabulary, *(int(reader.fields[f"llama.{name}"].contents()) for name in names))


def read(source: Path) -> tuple[Llama, Tokenizer]:
    """The model and tokenizer of a file that `export` wrote, for comparison with what llama.cpp makes of it."""
    reader = gguf.GGUFReader(str(source))
    tokens, merges = (reader.fields[f"tokenizer.ggml.{part}"].contents() for part in ("tokens", "merges"))
    model = Llama(shape_of(reader, len(tokens)))
    stored = {tensor.name: tensor.data for tensor in reader.tensors}
    with torch.no_grad():
        for name, weight in named_tensors(model).items():
            weight.copy_(torch.from_numpy(stored[name].astype(np.float32)))
    return model.eval(), assemble(tokens, [tuple(merge.split(" ")) for merge in merges])
