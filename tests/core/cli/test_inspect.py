"""`tradespace inspect` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradespace.cli.main import main

KEYS = {"kind", "operators", "macs", "parameters", "weight_bytes", "peak_activation_bytes", "precisions"}


def test_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "llama-3.2-1b", "phase=decode", "context=100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) >= KEYS
    assert document["parameters"] == 1_235_814_400
    found = {"bf16": {"weight_bytes": 2 * 1_235_814_400, "parameters": 1_235_814_400, "stated": True}}
    assert document["precisions"] == found and document["weight_bytes"] == 2 * 1_235_814_400
    assert document["operators"]["matmul"] == 16 * 7 + 1
    assert document["macs"] == 1_235_814_400 - 33 * 2048 + 2 * 100 * 32 * 64 * 16
    assert document["tokens"] == 1 and document["facts"]["context"] == 100
    assert set(document["weight_bytes_in"]) == {"fp32", "fp16", "bf16", "int8", "int4"}


def test_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "gpt2"]) == 0
    out = capsys.readouterr().out
    for part in ("124,439,808", "GFLOP", "model card", "matmul", "int4 70.0 MB"):
        assert part in out


def test_a_file_of_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 100, **shape}))
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["native_precision"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lama-3.2-1b"], "Did you mean 'llama-3.2-1b'"),
        (["gpt2", "phase"], "KEY=VALUE"),
        (["gpt2", "phase=[1"], "valid YAML"),
        (["gpt2", "pase=decode"], "Did you mean 'phase'"),
        (["gpt2", "batch=-1"], "whole number"),
        (["none.gguf"], "does not exist"),
    ],
)
def test_mistakes_end_with_2_and_one_paragraph(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1
