"""The cross product: every kind of workload on every target prices, or declines with a reason a person understands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tradespace.cli import main
from tradespace.matrix import Pair, matrix
from tradespace.plugins import registry
from tradespace.settings import has_open_numbers
from tradespace.targets.loader import target_names
from tradespace.workloads import load_workload, workload_names


def kinds() -> list[str]:
    """One workload for each kind, each set of operator kinds: the smallest name of it."""
    found: dict[Any, str] = {}
    for name in workload_names(registry()):
        if has_open_numbers(name, registry()):
            found[name] = name
            continue
        workload = load_workload(name, registry())
        operators = getattr(workload, "operators", None)
        needs = tuple(sorted(set(getattr(operators, "kind", ()))))
        found.setdefault((workload.kind, needs), name)
    return list(found.values())


@pytest.fixture(scope="module")
def pairs() -> tuple[Pair, ...]:
    return matrix(kinds(), target_names(registry()), registry())


def test_no_accepted_pair_fails(pairs: tuple[Pair, ...]) -> None:
    assert [(p.workload, p.target, p.reason) for p in pairs if p.failed] == []


def test_every_refusal_says_why(pairs: tuple[Pair, ...]) -> None:
    for pair in pairs:
        assert pair.prices == (not pair.reason)
        if pair.reason:
            assert len(pair.reason) > 20
            assert "Traceback" not in pair.reason
            assert " object at 0x" not in pair.reason


def test_every_target_and_every_kind_is_priced_somewhere(pairs: tuple[Pair, ...]) -> None:
    priced = [p for p in pairs if p.prices]
    assert {p.workload for p in priced} == {p.workload for p in pairs}
    assert {p.target for p in priced} == {p.target for p in pairs}


def test_what_can_run_in_no_format_does_not_price() -> None:
    """Residues of encrypted numbers have a format of their own, in which this machine has no peak."""
    (pair,) = matrix(["he-ntt-c"], ["this-cpu"], registry())
    assert not pair.prices and "number format" in pair.reason and not pair.failed


def test_worlds_meet(pairs: tuple[Pair, ...]) -> None:
    """A network made for a microcontroller runs on a server, a language model on a phone."""
    found = matrix(["mobilenet-v2", "llama-3.2-1b"], ["h100", "phone", "stm32h743"], registry())
    priced = {(p.workload, p.target) for p in found if p.prices}
    assert {("mobilenet-v2", "h100"), ("mobilenet-v2", "stm32h743"), ("llama-3.2-1b", "phone")} <= priced
    assert ("llama-3.2-1b", "stm32h743") not in priced


def test_the_command_gives_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "-w", "mobilenet*", "-t", "*3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {tuple(sorted(pair)) for pair in document["pairs"]} == {
        ("evaluator", "prices", "reason", "target", "workload")
    }
    assert any(pair["prices"] for pair in document["pairs"])


def test_the_table_shows_dots_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "-w", "mobilenet-v2", "-t", "*a*"]) == 0
    shown = capsys.readouterr().out
    assert "●" in shown
    assert "declined" in shown


def test_a_pattern_that_matches_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", "-t", "laptp"]) == 2
    assert "laptop" in capsys.readouterr().err
