"""Runs inside the private environment of bench/llama_cpp.py: writes GGUF files, parses argument lists, runs them.

    python llama_cpp_child.py write FOLDER SHAPE.json     one file a format
    python llama_cpp_child.py parse ARGUMENTS.json        what llama.cpp's own parser makes of argument lists
    python llama_cpp_child.py run ARGUMENTS.json          tokens/s at those arguments

Prints one JSON document on the last line. xllamacpp is a build of llama.cpp as a Python extension; its shared object
exports llama.cpp's `common_params_parse` and `ggml_quantize_chunk`, which are called through ctypes.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

SERVER = 12
"""`LLAMA_EXAMPLE_SERVER` of llama.cpp's common/common.h."""
CLI = 5
_PARSE = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"


def library() -> Any:
    from xllamacpp import xllamacpp

    return ctypes.CDLL(xllamacpp.__file__)


# -- argument lists ----------------------------------------------------------------------------------------------------


def parsed(words: list[str]) -> Any:
    """`CommonParams` filled by llama.cpp's own parser; None where it refuses the words."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    address = _address(params)
    parse = getattr(library(), _PARSE)
    parse.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    parse.restype = ctypes.c_bool
    words = [word for word in words if word]
    argv = (ctypes.c_char_p * (len(words) + 1))(*[word.encode() for word in words], None)
    example = SERVER if words[0] == "llama-server" else CLI
    return params if parse(len(words), argv, address, example, None) else None


def _address(params: Any) -> int:
    """Where the C++ structure lies in the Python object: its first fields are found by values set through Python."""
    marks = (1234567, 7654321, 2345)
    kept = params.n_predict, params.n_ctx, params.n_batch
    params.n_predict, params.n_ctx, params.n_batch = marks
    words = list((ctypes.c_int32 * 64).from_address(id(params)))
    at = next(i for i in range(60) if tuple(words[i : i + 3]) == marks)
    params.n_predict, params.n_ctx, params.n_batch = kept
    return id(params) + 4 * at


def parse_all(path: str) -> list[dict[str, Any]]:
    found = []
    for words in json.loads(Path(path).read_text()):
        params = parsed(words)
        if params is None:
            found.append({"accepted": False})
            continue
        found.append({
            "accepted": True, "ngl": params.n_gpu_layers, "c": params.n_ctx, "b": params.n_batch,
            "ub": params.n_ubatch, "t": params.cpuparams.n_threads, "tb": params.cpuparams_batch.n_threads,
            "ctk": int(params.cache_type_k), "fa": int(params.flash_attn_type), "np": params.n_parallel,
            "ts": [float(v) for v in params.tensor_split[:4]], "ot": str(params.tensor_buft_overrides),
        })  # fmt: skip
    return found


# -- files -------------------------------------------------------------------------------------------------------------


def write_all(folder: str, shape_file: str) -> dict[str, int]:
    """One file a format with the same random weights. Returns bytes."""
    shape = json.loads(Path(shape_file).read_text())
    sizes = {}
    for kind in shape["formats"]:
        path = Path(folder) / f"{kind}.gguf"
        if not path.is_file():
            _write(path, kind, shape)
        sizes[kind] = path.stat().st_size
    return sizes


def _write(path: Path, kind: str, shape: dict[str, Any]) -> None:
    import gguf
    import numpy as np

    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    hidden, layers, ffn, vocab = (int(shape[k]) for k in ("hidden", "layers", "ffn", "vocab"))
    heads, kv_heads, head_dim = (int(shape[k]) for k in ("heads", "kv_heads", "head_dim"))
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocab)
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{i:02X}>".encode() for i in range(256))]
    tokens += [f"t{i}".encode() for i in range(vocab - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (vocab - 259))
    rng = np.random.default_rng(0)
    target = gguf.GGMLQuantizationType[kind.upper()]

    def add(name: str, *dims: int) -> None:
        values = rng.standard_normal(dims, dtype=np.float32) * np.float32(dims[-1] ** -0.5)
        writer.add_tensor(name, _quantised(values, target), raw_dtype=target)

    ones = np.ones(hidden, np.float32)
    add("token_embd.weight", vocab, hidden)
    for i in range(layers):
        writer.add_tensor(f"blk.{i}.attn_norm.weight", ones)
        writer.add_tensor(f"blk.{i}.ffn_norm.weight", ones)
        add(f"blk.{i}.attn_q.weight", heads * head_dim, hidden)
        add(f"blk.{i}.attn_k.weight", kv_heads * head_dim, hidden)
        add(f"blk.{i}.attn_v.weight", kv_heads * head_dim, hidden)
        add(f"blk.{i}.attn_output.weight", hidden, heads * head_dim)
        add(f"blk.{i}.ffn_gate.weight", ffn, hidden)
        add(f"blk.{i}.ffn_up.weight", ffn, hidden)
        add(f"blk.{i}.ffn_down.weight", hidden, ffn)
    writer.add_tensor("output_norm.weight", ones)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(part, path)


def _quantised(values: Any, kind: Any) -> Any:
    """Rows in a format of ggml, by ggml's own quantiser (importance matrix: none)."""
    import numpy as np

    if kind.name == "F16":
        return values.astype(np.float16)
    rows, width = values.shape
    row_bytes = {"Q8_0": 34, "Q4_0": 18, "Q5_0": 22}.get(kind.name, 0) * width // 32
    row_bytes = row_bytes or {"Q4_K": 144, "Q6_K": 210, "Q2_K": 84}[kind.name] * width // 256
    out = np.empty((rows, row_bytes), np.uint8)
    quantise = library().ggml_quantize_chunk
    quantise.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    quantise.restype = ctypes.c_size_t
    written = quantise(int(kind), values.ctypes.data, out.ctypes.data, 0, rows, width, None)
    assert written == out.nbytes, (written, out.nbytes)
    return out


# -- runs --------------------------------------------------------------------------------------------------------------


def run_all(path: str) -> list[dict[str, Any]]:
    """Each argument list in a server of its own, in this process. At one thread a rate is per second of processor time:
    the wall clock's over the share of the processor that the process got."""
    import xllamacpp

    job = json.loads(Path(path).read_text())
    found = []
    for words in job["arguments"]:
        params = parsed(words)
        if params is None:
            raise SystemExit(f"llama.cpp refuses {words}")
        params.port = 0
        params.n_parallel = 1
        server = xllamacpp.Server(params)
        rates: dict[str, list[float]] = {key: [] for key in ("decode", "prefill", "decode wall", "prefill wall")}
        for repeat in range(job["repeats"] + 1):
            tokens = [1, *((300 + 7919 * repeat + 31 * i) % 30000 + 300 for i in range(job["prompt"] - 1))]
            request = {
                "prompt": tokens, "n_predict": job["generate"], "ignore_eos": True, "temperature": 0.0,
                "samplers": ["temperature"], "cache_prompt": False, "seed": 1,
            }  # fmt: skip
            clock, processor = time.perf_counter(), time.process_time()
            answer = server.handle_completions(request)
            share = (time.process_time() - processor) / (time.perf_counter() - clock)
            answer = json.loads(answer) if isinstance(answer, str | bytes) else answer
            timings = (answer[0] if isinstance(answer, list) else answer)["timings"]
            if not repeat:  # the first warms up
                continue
            for phase, key in (("decode", "predicted_per_second"), ("prefill", "prompt_per_second")):
                rates[f"{phase} wall"].append(timings[key])
                rates[phase].append(timings[key] / (min(share, 1.0) if params.cpuparams.n_threads == 1 else 1.0))
        found.append(rates)
        print(words[2], words[words.index("-t") + 1], rates, file=sys.stderr, flush=True)
        del server
    return found


if __name__ == "__main__":
    action = {"write": write_all, "parse": parse_all, "run": run_all}[sys.argv[1]]
    print(json.dumps(action(*sys.argv[2:])))
