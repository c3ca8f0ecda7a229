"""What fuzzing found stays fixed, and a little fuzzing goes on with every test run."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from fuzz.judge import mutated, place, reading, verdict
from fuzz.mutate import mutant
from fuzz.targets import REGRESSIONS, targets

TARGETS = targets()
OWN = [name for name, target in TARGETS.items() if not target.contained]


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_fixed(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    kept = [file for file in sorted((REGRESSIONS / name).glob("*")) if file.suffix != ".txt"]
    if kept and target.reader in ("onnx", "tflite"):
        pytest.importorskip(target.reader)
    read = reading(target) if kept else None
    for file in kept:
        folder = tmp_path / file.name
        folder.mkdir()
        for other, data in target.beside.items():
            (folder / other).write_bytes(data)
        assert read is not None
        assert verdict(read, place(target, folder, file.read_bytes(), 0)) in ("workload", "refusal"), file.name


@pytest.mark.parametrize("name", OWN)
def test_some_mutated_files_become_workloads_or_refusals(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds, read = target.make(), reading(target)
    for other, data in target.beside.items():
        (tmp_path / other).write_bytes(data)
    for number, data in enumerate(seeds):
        assert verdict(read, place(target, tmp_path, data, 0)) == "workload" or number, name
    outcomes = [verdict(read, place(target, tmp_path, mutated(target, seeds, 2, i), 0)) for i in range(150)]
    assert set(outcomes) <= {"workload", "refusal"}
    assert "refusal" in outcomes  # mutations do reach the parser


def test_a_number_gives_the_same_file_anywhere() -> None:
    target = TARGETS["wfformat"]
    seeds = target.make()
    assert mutated(target, seeds, 1, 7) == mutated(target, seeds, 1, 7) == mutant(seeds, Random("1:wfformat:7"))
    assert len({mutated(target, seeds, 1, i) for i in range(50)}) > 40


def test_a_reader_that_breaks_is_found(tmp_path: Path) -> None:
    def broken(path: Path) -> object:
        raise KeyError(path.name)

    (tmp_path / "x").write_bytes(b"")
    assert verdict(broken, tmp_path / "x").startswith("KeyError: 'x'")
