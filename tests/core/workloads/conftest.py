"""A GGUF writer for tests: the `gguf` package makes the files that our own reader reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import gguf
import numpy as np
import pytest

Shape = tuple[int, ...]

TOY: Mapping[str, int] = {"layers": 2, "hidden": 64, "ffn": 128, "heads": 4, "kv_heads": 2, "vocab": 320}


def llama_tensors(layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, vocab: int) -> dict[str, Shape]:
    """Name -> shape (rows, columns) of a llama, embedding tied."""
    cache = hidden // heads * kv_heads
    shapes: dict[str, Shape] = {"token_embd.weight": (vocab, hidden), "output_norm.weight": (hidden,)}
    for layer in range(layers):
        block = {
            "attn_norm": (hidden,), "attn_q": (hidden, hidden), "attn_k": (cache, hidden), "attn_v": (cache, hidden),
            "attn_output": (hidden, hidden), "ffn_norm": (hidden,), "ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden),
            "ffn_down": (hidden, ffn),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes


def gpt2_tensors(layers: int, hidden: int, ffn: int, vocab: int, context: int) -> dict[str, Shape]:
    shapes: dict[str, Shape] = {
        "token_embd.weight": (vocab, hidden), "position_embd.weight": (context, hidden),
        "output_norm.weight": (hidden,), "output_norm.bias": (hidden,),
    }  # fmt: skip
    for layer in range(layers):
        block = {
            "attn_norm.weight": (hidden,), "attn_norm.bias": (hidden,), "ffn_norm.weight": (hidden,),
            "ffn_norm.bias": (hidden,), "attn_qkv.weight": (3 * hidden, hidden), "attn_qkv.bias": (3 * hidden,),
            "attn_output.weight": (hidden, hidden), "attn_output.bias": (hidden,), "ffn_up.weight": (ffn, hidden),
            "ffn_up.bias": (ffn,), "ffn_down.weight": (hidden, ffn), "ffn_down.bias": (hidden,),
        }  # fmt: skip
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return shapes


@dataclass(frozen=True)
class GGUFFiles:
    """Writes GGUF files into a folder. `toy` is the shape of the model that is written by default."""

    folder: Path
    toy: Mapping[str, int] = field(default_factory=lambda: dict(TOY))

    def llama(self) -> dict[str, Shape]:
        return llama_tensors(**self.toy)

    def gpt2(self, **shape: int) -> dict[str, Shape]:
        return gpt2_tensors(**shape)

    def write(
        self,
        tensors: Mapping[str, Shape],
        keys: Mapping[str, int] = TOY,
        *,
        kind: str = "F16",
        architecture: str = "llama",
        name: str = "toy.gguf",
        extra: Mapping[str, int] = MappingProxyType({}),
    ) -> Path:
        """Matrices in type `kind`, vectors in F32, all zero."""
        writer = gguf.GGUFWriter(self.folder / name, architecture)
        writer.add_name("A toy")
        writer.add_block_count(keys["layers"])
        writer.add_embedding_length(keys["hidden"])
        writer.add_feed_forward_length(keys["ffn"])
        writer.add_head_count(keys["heads"])
        writer.add_head_count_kv(keys.get("kv_heads", keys["heads"]))
        writer.add_context_length(keys.get("context", 4096))
        writer.add_token_list([f"token {i}" for i in range(keys["vocab"])])
        writer.add_token_scores([float(i) for i in range(keys["vocab"])])
        for key, value in extra.items():
            writer.add_uint32(key, value)
        quantised = gguf.GGMLQuantizationType[kind]
        for tensor, shape in tensors.items():
            values = np.zeros(shape, np.float32)
            if len(shape) == 1:
                writer.add_tensor(tensor, values)
            else:
                writer.add_tensor(tensor, gguf.quants.quantize(values, quantised), raw_dtype=quantised)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return self.folder / name


@pytest.fixture
def ggufs(tmp_path: Path) -> GGUFFiles:
    return GGUFFiles(tmp_path)
