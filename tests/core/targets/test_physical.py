"""No machine that cannot be: every number of every catalogue target, wrong in every way, is refused by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tradespace.errors import TradespaceError
from tradespace.open_numbers import find
from tradespace.plugins import registry
from tradespace.targets import load_target
from tradespace.targets.constants import DEVICE, LINK, MEMORY, Number, model_facts
from tradespace.targets.layers import resolve
from tradespace.targets.loader import target_names

WRONG = {
    "negative": "-1 {unit}",
    "nan": ".nan",
    "infinite": ".inf",
    "infinite text": "inf {unit}",
    "huge": "1e400 {unit}",
    "unknown unit": "1 parsec",
    "other unit": "1 {other}",
    "text": "plenty",
    "boolean": "true",
    "list": "[1, 2]",
    "zero": "0 {unit}",
}


def facts() -> Iterator[tuple[str, str, Number]]:
    """(target, path of one number in it, what it may be), each kind of number once."""
    seen = set()
    for name in target_names(registry()):
        if any(find(resolve(name, registry())[1], "target")):
            continue
        target = load_target(name, registry())
        parts = [(f"memories.{m}", "memory", MEMORY) for m in target.memories]
        parts += [(f"links.{link.name}", "link", LINK) for link in target.links]
        for device in target.devices:
            own = model_facts(device.model, registry(), "test").constants
            parts += [(f"devices.{device.name}", "device", DEVICE), (f"devices.{device.name}", device.model, own)]
        for path, owner, numbers in parts:
            for key, number in numbers.items():
                if (owner, key) not in seen and not number.by_point:
                    seen.add((owner, key))
                    yield name, f"{path}.{key}", number


FACTS = list(facts())


def refusal(folder: Path, target: str, path: str, text: str) -> str:
    """What is said to a file that extends a target with one other value; empty if it is taken."""
    file = folder / "mine.yaml"
    file.write_text(f"mine:\n  extends: {target}\n  kind: datasheet\n  source: a test\n  {path}: {text}\n")
    try:
        load_target(file, registry())
    except TradespaceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("wrong", WRONG)
def test_a_number_that_cannot_be_is_refused(wrong: str, tmp_path: Path) -> None:
    """The message names the file, the key, the unit, and what would be allowed."""
    missed = []
    for target, path, number in FACTS:
        unit = number.unit.removeprefix("delta ")
        shown = "" if unit == "1" else unit
        if (wrong == "zero" and number.zero) or (wrong == "negative" and unit == "K" and not shown):
            continue
        text = WRONG[wrong].format(unit=shown, other="s" if unit != "s" else "W").strip()
        said = refusal(tmp_path, target, path, text)
        parts = ["mine.yaml", path, shown]
        if not said or any(part not in said for part in parts) or "Traceback" in said:
            missed.append(f"{target} {path}: {text} -> {said or 'TAKEN'} (unit {shown or '1'})")
    assert not missed, f"{len(missed)}:\n" + "\n".join(missed[:40])


def test_no_number_was_left_out() -> None:
    """Every device model that a catalogue target uses is among the facts."""
    models = {d.model for t in {name for name, _, _ in FACTS} for d in load_target(t, registry()).devices}
    assert len(FACTS) > 100 and len(models) >= 8


@pytest.mark.parametrize(
    ("target", "change", "said"),
    [
        ("akd1000", {"devices.npu.cores": 79, "devices.npu.tiles": 78}, ("cores", "at most", "tiles", "79")),
        ("akd1000", {"devices.npu.cores": 1.5}, ("cores", "whole number from 1")),
        ("toy-array", {"devices.array.rows": 0.5}, ("rows", "whole number from 1", "0.5")),
        ("scale-sim-os", {"devices.array.cols": 2.5}, ("cols", "whole number from 1", "2.5")),
        ("eyeriss", {"devices.array.rows": "2000000000"}, ("rows", "whole number from 1 to 1000000000")),
        ("a100-ib", {"devices.ib.nodes": 1.5}, ("nodes", "whole number from 1")),
        ("a100-ib", {"devices.ib.efficiency": 1.2}, ("efficiency", "above 0 and at most 1", "1.2")),
        ("cloud-fleet", {"devices.g4.cores": 1.5}, ("cores", "whole number from 1")),
        ("cloud-fleet", {"devices.g4.count": 5000}, ("count", "whole number from 1 to 1024", "5000")),
        ("antminer-s19-pro", {"devices.asic.cores": 0.5}, ("cores", "whole number from 1")),
        ("pim-aim", {"devices.pim.banks": 1.5}, ("banks", "whole number from 1")),
        ("laptop", {"devices.cpu.max_temperature": "20 degC"}, ("max_temperature", "above ambient", "20.0 degC")),
        ("laptop", {"devices.cpu.model": "rooflin"}, ("rooflin", "roofline", "devices.cpu.model")),
        ("laptop", {"devices.cpu.memory": "drm"}, ("drm", "dram", "devices.cpu.memory")),
        ("laptop", {"devices.cpu.peek": "1 TFLOPS"}, ("peek", "peak")),
        ("laptop", {"devices.cpu.peak.fp15": "1 TFLOPS"}, ("fp15", "fp16")),
        ("laptop", {"devices.cpu.runs": "[matmull]"}, ("matmull", "matmul")),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(
    target: str, change: dict[str, object], said: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    lines = "".join(f"  {key}: {value}\n" for key, value in change.items())
    file.write_text(f"mine:\n  extends: {target}\n  kind: datasheet\n  source: a test\n{lines}")
    with pytest.raises(TradespaceError) as caught:
        load_target(file, registry())
    message = str(caught.value)
    assert all(part in message for part in ("mine", *said)), message
