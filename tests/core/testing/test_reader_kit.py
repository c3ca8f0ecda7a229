"""The reader kit passes honest readers and catches each way of breaking the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.testing.readers import check_reader


@dataclass(frozen=True)
class Trace:
    name: str
    kind: str = "request-trace"
    sources: Mapping[str, str] = field(default_factory=dict)


class Honest:
    """Reads {"requests": [...]} from files named *.trace.json or model.json."""

    name = "trace"
    reads = "a request trace in JSON"

    def recognises(self, path: Path) -> bool:
        return path.is_file() and path.suffix == ".json"

    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        for key in options:
            raise UnknownName("key", key, ())
        try:
            document = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise InputError("a trace is JSON", where=str(path)) from None
        if not isinstance(document, dict) or "requests" not in document:
            raise InputError("a trace has 'requests'", where=str(path))
        return Trace(path.stem)


@pytest.fixture
def good(tmp_path: Path) -> list[Path]:
    (tmp_path / "good.json").write_text('{"requests": [1, 2]}')
    return [tmp_path / "good.json"]


def test_an_honest_reader_passes(good: list[Path]) -> None:
    report = check_reader(Honest(), good=good)
    assert report.passed and all(check.outcome == "passed" for check in report.checks), str(report)
    assert "3 not applicable" in check_reader(Honest()).summary


class Nameless(Honest):
    reads = ""


class Opens(Honest):
    def recognises(self, path: Path) -> bool:
        return path.read_text().startswith("{")


class Truthy(Honest):
    def recognises(self, path: Path) -> Any:
        return path.suffix if path.is_file() and path.suffix == ".json" else ""


class Greedy(Honest):
    def recognises(self, path: Path) -> bool:
        return True

    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        raise InputError("no")


class Trusting(Honest):
    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        return Trace(json.loads(path.read_bytes())["requests"][0])


class Guesses(Honest):
    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        return {"requests": []}


class Picky(Honest):
    def recognises(self, path: Path) -> bool:
        return False


class Unranked(Honest):
    priority = "high"


class Fragile(Honest):
    """Trusts a file that begins well."""

    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        data = path.read_bytes()
        if data.startswith(b'{"requests"'):
            data.decode("ascii")
        return super().read(path, options)


class TakesOptions(Honest):
    def read(self, path: Path, options: Mapping[str, Any]) -> Any:
        return super().read(path, {})


MUTANTS = {
    "describes_itself": (Nameless, Unranked),
    "recognising_never_raises": (Opens, Truthy),
    "does_not_claim_everything": (Greedy,),
    "damaged_files_are_refused": (Trusting, Guesses),
    "good_files_are_read": (Picky, Guesses),
    "mutated_files_are_read_or_refused": (Fragile,),
    "unknown_options_are_refused": (TakesOptions,),
}


@pytest.mark.parametrize(
    ("check", "mutant"), [(check, mutant) for check, mutants in MUTANTS.items() for mutant in mutants]
)
def test_a_wrong_reader_fails(check: str, mutant: Any, good: list[Path]) -> None:
    report = check_reader(mutant(), good=good)
    assert check in [failure.name for failure in report.failures], str(report)
