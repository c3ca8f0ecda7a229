"""A target from a catalogue name, a YAML file or `{extends: name, "devices.cpu.dynamic_power": "20 W"}`.

```yaml
toy-array:                                  # file name = target name
  title: A weight-stationary array beside a vector unit
  source: SCALE-Sim v2 test folder          # holds for every number below; so does kind:
  memories: {dram: {bandwidth: 25.6 GB/s, capacity: 4 GB, kind: substitute}}
  devices:
    array:  {model: weight-stationary, memory: dram, rows: 32, cols: 32, clock: 1 GHz}
    vector: {model: roofline, memory: dram, peak: {fp16: {value: 25.6 GFLOPS, source: data sheet}}}
    # pair: {model: split, memory: dram, of: [array, vector]}      a device made of devices
  links: {}                                 # name: {between: [memory, memory], bandwidth: ..., latency: ...}
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tradespace.errors import InputError, UnknownName
from tradespace.plugins import Registry
from tradespace.targets import constants as table
from tradespace.targets.constants import ModelFacts, Number
from tradespace.targets.layers import Leaf, Tree, files_by_name, resolve
from tradespace.targets.model import ANY_PRECISION, Device, Link, Memory, Sourced, Target
from tradespace.units import format as show
from tradespace.units import parse

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_PARTS = 256
"""Most devices, memories or links of one target."""
_TOP = ("title", "memories", "devices", "links")


def load_target(ref: str | Path | Mapping[str, Any], registry: Registry) -> Target:
    """Load, check and convert to SI.

    Args:
        ref: catalogue name, path of a YAML file, or a mapping with the same keys (usually `extends` and dotted keys).
        registry: provides the catalogue, the device models and the precisions.

    Raises:
        UnknownName: a target, model, memory, precision or operator kind that does not exist.
        InputError: a file that breaks the form or a machine that cannot be (no device, memories nothing connects).
        UnitError: a number that is missing its unit, has another one, or is not physical.
        PluginError: a device model that breaks its contract.
    """
    return build_target(*resolve(ref, registry), registry)


def build_target(name: str, tree: Tree, registry: Registry) -> Target:
    """The target of a resolved tree; raises as `load_target`."""
    return _Builder(name, registry).target(tree)


def target_names(registry: Registry) -> tuple[str, ...]:
    """Names in the catalogues of all plugins, sorted. Reads no file."""
    return tuple(files_by_name(registry))


class _Builder:
    """Turns one tree into one `Target`, collecting the source of every number on the way."""

    def __init__(self, name: str, registry: Registry) -> None:
        self.name, self.registry = name, registry
        self.sources: list[Sourced] = []

    def target(self, tree: Tree) -> Target:
        self.check_keys(tree, _TOP, "")
        title = self.text(tree, "title", "", default="")
        memories = {key: self.memory(key, body) for key, body in self.section(tree, "memories")}
        devices = tuple(self.device(key, body, memories) for key, body in self.section(tree, "devices"))
        if not devices:
            raise InputError("a target has at least one device", where=self.name, remedy="Add it under 'devices:'.")
        check_composites(devices, self.name)
        devices = tuple(narrowed(device, devices) for device in devices)
        both = {device.name for device in devices} & set(memories)
        if both:
            raise InputError("devices and memories have different names", value=sorted(both), where=self.name)
        places = {*memories, *(device.name for device in devices)}
        links = tuple(self.link(key, body, places) for key, body in self.section(tree, "links"))
        target = Target(self.name, devices, memories, links, tuple(self.sources), title)
        self.check_routes(target)
        return target

    def memory(self, name: str, body: Tree) -> Memory:
        path = f"memories.{name}"
        self.check_keys(body, tuple(table.MEMORY), path)
        return Memory(name, **{key: self.number(body, key, spec, path) for key, spec in table.MEMORY.items()})

    def device(self, name: str, body: Tree, memories: Mapping[str, Memory]) -> Device:
        path = f"devices.{name}"
        model, memory = self.text(body, "model", path), self.text(body, "memory", path)
        if memory not in memories:
            raise UnknownName("memory", memory, memories, where=self.where(body.get("memory"), f"{path}.memory"))
        facts = table.model_facts(model, self.registry, self.where(body.get("model"), f"{path}.model"))
        self.check_keys(body, (*table.DEVICE_KEYS, *table.DEVICE, *facts.constants), path)
        numbers = {key: self.common(body, key, spec, path, memories[memory]) for key, spec in table.DEVICE.items()}
        tables: dict[str, Mapping[str, float]] = {}
        points: dict[str, Mapping[tuple[int, ...], float]] = {}
        for key, spec in facts.constants.items():
            if spec.by_precision:
                tables[key] = self.by_precision(body, key, spec, path)
            elif spec.by_point:
                points[key] = self.by_point(body, key, spec, path)
            else:
                numbers[key] = self.number(body, key, spec, path)
        if numbers["max_temperature"] <= numbers["ambient"]:
            hot, air = show(numbers["max_temperature"], "degC"), show(numbers["ambient"], "degC")
            raise InputError(
                "max_temperature must be above ambient", value=f"{hot} and {air}", where=f"{self.name}: {path}"
            )
        of = self.parts(body, facts, model, path)
        device = Device(name, model, memory, self.runs(body, facts, model, path), numbers, tables, points, of)
        if facts.check is not None:
            try:
                facts.check(device)
            except InputError as error:
                raise InputError(error.rule, value=error.value, where=self.where(None, path)) from None
        return device

    def parts(self, body: Tree, facts: ModelFacts, model: str, path: str) -> tuple[str, ...]:
        """The names under `of`; `check_composites` looks at the devices."""
        leaf, where = body.get("of"), self.where(body.get("of"), f"{path}.of")
        if not facts.parts and leaf is not None:
            raise InputError(f"a device of model '{model}' is not made of others", where=where, remedy="Delete 'of'.")
        if not facts.parts:
            return ()
        names = leaf.value if isinstance(leaf, Leaf) else None
        listed = names if isinstance(names, (list, tuple)) and all(isinstance(n, str) for n in names) else ()
        if len(set(listed)) != facts.parts or len(listed) != facts.parts:
            raise InputError(
                f"a device of model '{model}' names the {facts.parts} different devices that it is made of",
                value=repr(names)[:80],
                where=where,
                remedy="of: [gpu, npu]",
            )
        return tuple(listed)

    def link(self, name: str, body: Tree, places: set[str]) -> Link:
        path = f"links.{name}"
        self.check_keys(body, ("between", *table.LINK), path)
        leaf = body.get("between")
        ends = leaf.value if isinstance(leaf, Leaf) else None
        where = self.where(leaf, f"{path}.between")
        if not isinstance(ends, (list, tuple)) or len(ends) != 2 or ends[0] == ends[1]:
            raise InputError(
                "a link has two different ends", value=repr(ends), where=where, remedy="between: [dram, vram]"
            )
        for end in ends:
            if end not in places:
                raise UnknownName("memory or device", str(end), places, where=where)
        numbers = {key: self.number(body, key, spec, path) for key, spec in table.LINK.items()}
        return Link(name, (ends[0], ends[1]), **numbers)

    def runs(self, body: Tree, facts: ModelFacts, model: str, path: str) -> tuple[str, ...]:
        leaf = body.get("runs")
        if leaf is None:
            return facts.runs
        kinds = leaf.value if isinstance(leaf, Leaf) else leaf
        return table.check_kinds(kinds, facts, model, self.where(leaf, f"{path}.runs"))

    def common(self, body: Tree, key: str, spec: Number, path: str, memory: Memory) -> float:
        """An engine-common number; bandwidth and capacity never exceed the memory's."""
        if key not in table.MEMORY_GIVES:
            return self.number(body, key, spec, path)
        limit: float = getattr(memory, key)
        if key in body:
            return min(self.number(body, key, spec, path), limit)
        self.sources.append(Sourced(f"{path}.{key}", limit, spec.unit, f"that of memory '{memory.name}'", "derived"))
        return limit

    def number(self, body: Tree, key: str, spec: Number, path: str) -> float:
        leaf, here = body.get(key), f"{path}.{key}"
        if leaf is None:
            if spec.default is None:
                raise InputError(f"'{key}' is missing", where=self.where(None, path), remedy=_needs(key, spec))
            self.sources.append(Sourced(here, spec.default, spec.unit, f"not given: {spec.why}", "substitute"))
            return spec.default
        if not isinstance(leaf, Leaf):
            found = ", ".join(map(repr, list(leaf)[:4]))
            raise InputError(f"'{key}' is one number", value=f"keys {found}", where=self.where(None, here))
        return self.leaf(leaf, spec, here)

    def by_precision(self, body: Tree, key: str, spec: Number, path: str) -> dict[str, float]:
        """precision -> value; one number stands for all precisions under the key "*"."""
        given, here = body.get(key), f"{path}.{key}"
        if not isinstance(given, dict):
            return {ANY_PRECISION: self.number(body, key, spec, path)}
        if not given:
            raise InputError(f"'{key}' names no precision", where=self.where(None, here), remedy=_needs(key, spec))
        values: dict[str, float] = {}
        for precision, leaf in given.items():
            where = f"{here}.{precision}"
            table.check_precision(precision, self.registry, self.where(leaf, where))
            if not isinstance(leaf, Leaf):
                raise InputError("one number a precision", value=leaf, where=self.where(None, where))
            values[precision] = self.leaf(leaf, spec, where)
        return values

    def by_point(self, body: Tree, key: str, spec: Number, path: str) -> dict[tuple[int, ...], float]:
        """sizes -> value; all points have as many sizes."""
        given, here = body.get(key), f"{path}.{key}"
        remedy = f"{key}: {{4096x4096x1: 511 us, ...}} in {spec.unit}."
        if not isinstance(given, dict) or not 1 <= len(given) <= table.MAX_POINTS:
            rule = f"'{key}' is a table of 1 to {table.MAX_POINTS} points"
            raise InputError(rule, where=self.where(given, here), remedy=remedy)
        values: dict[tuple[int, ...], float] = {}
        for text, leaf in given.items():
            sizes, where = table.read_point(text), f"{here}.{text}"
            if sizes is None or len(sizes) != len(next(iter(values), sizes)) or not isinstance(leaf, Leaf):
                rule = "a point of a table is positive whole numbers joined by x, as many as in the others"
                raise InputError(rule, value=text, where=self.where(leaf, here), remedy=remedy)
            values[sizes] = self.leaf(leaf, spec, where)
        return values

    def leaf(self, leaf: Leaf, spec: Number, path: str) -> float:
        value = parse(leaf.value, spec.unit, where=self.where(leaf, path), positive=not spec.zero)
        self.sources.append(Sourced(path, value, spec.unit.removeprefix("delta "), *leaf.origin()))
        return value

    def section(self, tree: Tree, key: str) -> list[tuple[str, Tree]]:
        body = tree.get(key, {})
        if not isinstance(body, dict):
            raise InputError(f"'{key}' is a mapping of names", value=repr(body.value), where=self.where(body, key))
        if len(body) > MAX_PARTS:
            raise InputError(f"at most {MAX_PARTS} {key}", value=len(body), where=self.where(body, key))
        for name, value in body.items():
            if not _NAME.fullmatch(name):
                raise InputError(
                    "a name is a letter, then at most 31 letters, digits and underscores, all lower case",
                    value=name,
                    where=self.where(None, key),
                )
            if not isinstance(value, dict):
                raise InputError(
                    "a mapping of keys is needed", value=repr(value.value), where=f"{value.file}: {key}.{name}"
                )
        return [(name, value) for name, value in body.items() if isinstance(value, dict)]

    def text(self, body: Tree, key: str, path: str, default: str | None = None) -> str:
        leaf, here = body.get(key), f"{path}.{key}".lstrip(".")
        if leaf is None and default is not None:
            return default
        value = leaf.value if isinstance(leaf, Leaf) else None
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            rule = f"'{key}' is missing" if leaf is None else f"'{key}' is text of at most 200 characters"
            raise InputError(rule, value=None if leaf is None else repr(value), where=self.where(leaf, here))
        return value.strip()

    def check_keys(self, body: Tree, known: tuple[str, ...], path: str) -> None:
        for key, value in body.items():
            if key not in known:
                raise UnknownName("key", key, known, where=self.where(value, f"{path}.{key}".lstrip(".")))

    def where(self, value: Tree | Leaf | None, path: str) -> str:
        """ "file: dotted.key"; the target's name where the key has no one file."""
        while isinstance(value, dict) and value:
            value = next(iter(value.values()))
        return f"{value.file if isinstance(value, Leaf) else self.name}: {path}"

    def check_routes(self, target: Target) -> None:
        """Every two memories exchange data somehow, else a plan over both could not be priced."""
        first, *others = target.memories
        reached = target.reachable(first)
        for other in others:
            if other not in reached:
                raise InputError(
                    f"no route leads from memory '{first}' to memory '{other}'",
                    where=self.name,
                    remedy=f"Under 'links:' add 'name: {{between: [{first}, {other}], bandwidth: 16 GB/s}}'.",
                )


def check_composites(devices: Sequence[Device], where: str) -> None:
    """Raises `UnknownName` or `InputError` unless composite devices are made of plain ones in their own memory."""
    by_name = {device.name: device for device in devices}
    for device in devices:
        for name in device.of:
            here = f"{where}: devices.{device.name}.of"
            if name not in by_name or name == device.name:
                raise UnknownName("device", name, [n for n in by_name if n != device.name], where=here)
            if by_name[name].of:
                raise InputError("a device is made of devices that are not made of others", value=name, where=here)
            if by_name[name].memory != device.memory:
                raise InputError(f"its parts work in its memory '{device.memory}'", value=name, where=here)


def narrowed(device: Device, devices: Sequence[Device]) -> Device:
    """A composite device runs no kind that none of its parts runs."""
    if not device.of:
        return device
    able = {kind for part in devices if part.name in device.of for kind in part.runs}
    return replace(device, runs=tuple(kind for kind in device.runs if kind in able))


def _needs(key: str, spec: Number) -> str:
    many = " (one number, or one a precision)" if spec.by_precision else ""
    return f"Give '{key}' in {spec.unit.replace('delta K', 'K')}{many}."
