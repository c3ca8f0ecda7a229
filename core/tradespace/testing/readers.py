"""What every file reader must do: recognise files without ever raising, and refuse damaged ones with a sentence.

from tradespace.testing import check_reader
report = check_reader(MyReader(), good=[Path("model.xyz")])
assert report.passed, str(report)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tradespace.errors import TradespaceError
from tradespace.testing.report import Kit, KitReport, fail, not_applicable
from tradespace.workloads.readers import Workload

SUFFIXES = ("", ".json", ".gguf", ".yaml", ".yml", ".onnx", ".tflite", ".txt", ".csv", ".bin", ".safetensors", ".pt")
NAMES = ("config", "model", "trace", "workflow")
CONTENTS: Mapping[str, bytes] = {
    "empty": b"",
    "zeros": bytes(4096),
    "noise": bytes((i * 197 + 31) % 256 for i in range(4096)),
    "text": b"this is no model\n" * 8,
    "empty mapping": b"{}",
    "a list": b"[]",
    "a number": b"1e999",
    "deep": b"[" * 50_000,
    "magic only": b"GGUF",
    "absurd counts": b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16,
    "not UTF-8": b'{"model_type": "\xff\xfe"}',
    "another JSON": b'{"answer": 42, "items": [1, 2, 3]}',
    "a table": b"a,b,c\n1,2,3\n",
}

MUTATED_BYTES = 1 << 18
MUTATIONS = 40


@dataclass(frozen=True)
class ReaderSubject:
    """A reader, and good files that it reads, if there are any."""

    reader: Any
    good: tuple[Path, ...] = ()


def check_reader(
    reader: Any, label: str | None = None, *, good: Sequence[Path] = (), expected: Mapping[str, str] | None = None
) -> KitReport:
    """Run the kit on a reader. `good`: files it must read. `expected`: check -> reason (strict)."""
    return KIT.run(ReaderSubject(reader, tuple(good)), label or str(getattr(reader, "name", reader)), expected)


@contextmanager
def _damaged() -> Iterator[list[Path]]:
    """Damaged files under many names, an empty folder, and a folder where a file is expected."""
    with tempfile.TemporaryDirectory(prefix="tradespace-reader-kit-") as name:
        folder, found = Path(name), []
        for number, content in enumerate(CONTENTS.values()):
            for suffix in SUFFIXES:
                path = folder / str(number) / f"{NAMES[number % len(NAMES)]}{suffix}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
                found.append(path)
            config = folder / str(number) / "config.json"  # the name that matters in a model's folder
            config.write_bytes(content)
            found += [config, config.parent]
        for suffix in SUFFIXES:
            (folder / f"folder{suffix}").mkdir()
            found.append(folder / f"folder{suffix}")
        yield found


def describes_itself(subject: ReaderSubject) -> None:
    """Has a name, and one line that says what it reads."""
    for key in ("name", "reads"):
        value = getattr(subject.reader, key, None)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            fail(f"{key} is {value!r}")
    rank = getattr(subject.reader, "priority", 0)
    if not isinstance(rank, int) or isinstance(rank, bool):
        fail(f"priority is {rank!r}, not a whole number")


def recognising_never_raises(subject: ReaderSubject) -> None:
    """`recognises` answers True or False for any file or folder, damaged or not."""
    with _damaged() as paths:
        for path in (*paths, *subject.good):
            answer = subject.reader.recognises(path)
            if not isinstance(answer, bool):
                fail(f"answers {answer!r} for {path.name}")


def does_not_claim_everything(subject: ReaderSubject) -> None:
    """Leaves files of other formats to other readers."""
    with _damaged() as paths:
        claimed = sum(subject.reader.recognises(path) for path in paths)
        if claimed > len(paths) / 2:
            fail(f"recognises {claimed} of {len(paths)} arbitrary files and folders")


def damaged_files_are_refused(subject: ReaderSubject) -> None:
    """Reading a damaged file that it recognises raises a TradespaceError, never anything else."""
    with _damaged() as paths:
        for path in paths:
            if subject.reader.recognises(path):
                _refuses(subject.reader.read, path, {})


def _refuses(read: Callable[[Path, Mapping[str, Any]], Any], path: Path, options: Mapping[str, Any]) -> None:
    try:
        found = read(path, options)
    except TradespaceError:
        return
    if not isinstance(found, Workload):
        fail(f"{path.name} became {type(found).__name__}")


def good_files_are_read(subject: ReaderSubject) -> None:
    """Recognises its good files and makes workloads of them."""
    if not subject.good:
        not_applicable("no good file was given")
    for path in subject.good:
        if not subject.reader.recognises(path):
            fail(f"does not recognise {path}")
        if not isinstance(subject.reader.read(path, {}), Workload):
            fail(f"{path} became no workload")


def mutated_files_are_read_or_refused(subject: ReaderSubject) -> None:
    """Good files with bytes cut off or changed become workloads or a TradespaceError, never another error."""
    files = [path for path in subject.good if path.is_file() and path.stat().st_size <= MUTATED_BYTES]
    if not files:
        not_applicable("no small good file was given")
    random = Random(1)
    with tempfile.TemporaryDirectory(prefix="tradespace-reader-kit-") as name:
        for path in files:
            for _ in range(MUTATIONS):
                data = bytearray(path.read_bytes())
                if random.random() < 0.3:
                    del data[random.randrange(len(data) + 1) :]
                for _ in range(random.choice((0, 1, 4, 16)) if data else 0):
                    data[random.randrange(len(data))] = random.choice(
                        (0, 0x22, 0x5B, 0x7F, 0xFF, random.randrange(256))
                    )
                mutated = Path(name) / path.name
                mutated.write_bytes(data)
                if subject.reader.recognises(mutated):
                    _refuses(subject.reader.read, mutated, {})


def unknown_options_are_refused(subject: ReaderSubject) -> None:
    """An option it does not know is refused by a TradespaceError."""
    if not subject.good:
        not_applicable("no good file was given")
    try:
        subject.reader.read(subject.good[0], {"no_such_option": 1})
    except TradespaceError:
        return
    fail("takes the option 'no_such_option'")


KIT: Kit[ReaderSubject] = Kit(
    "reader kit",
    (
        describes_itself,
        recognising_never_raises,
        does_not_claim_everything,
        damaged_files_are_refused,
        good_files_are_read,
        mutated_files_are_read_or_refused,
        unknown_options_are_refused,
    ),
)
