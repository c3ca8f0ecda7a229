"""What a workload runs on: devices, the memories they share, the links between memories. Frozen, SI floats only."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tradespace.errors import InputError, UnknownName, suggestion

ANY_PRECISION = "*"
"""Key of a by-precision constant that the file gives as one number for all precisions."""

ROUTE_BYTES = 2.0**20
"""Transfer size for which routes are compared: a route is fast if it carries 1 MiB fast (ours)."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """Where one number of a target comes from.

    Args:
        path: dotted, as an override would write it ("devices.dgpu.bandwidth").
        value: SI.
        unit: its SI unit ("1" for plain numbers).
        source: a sentence, document or name of a file.
        kind: measured, datasheet, paper, derived, substitute or fitted.
    """

    path: str
    value: float | str
    unit: str
    source: str
    kind: str


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory that one or more devices work in.

    Args:
        name: matches ``[a-z][a-z0-9_]*``.
        bandwidth: B/s, all its devices together.
        capacity: B.
        energy_per_byte: J/B of reading or writing, 0 if it is counted elsewhere (in the device's power).
        handoff: s until a second device of this memory may read what a first one wrote (no bytes move).
    """

    name: str
    bandwidth: float
    capacity: float
    energy_per_byte: float = 0.0
    handoff: float = 0.0


@dataclass(frozen=True)
class Device:
    """Something that computes.

    Constants that only its device model knows are attributes (``device.rows``) or, if they differ by precision,
    read with `at`.

    Args:
        name: matches ``[a-z][a-z0-9_]*``, unlike any memory's.
        model: registered name of its device model.
        memory: name of the memory it works in.
        runs: operator kinds it can execute.
        numbers: engine-common numbers (below) and the model's own, SI.
        by_precision: constant -> precision -> value, SI; the precision "*" stands for all.
        points: constant -> sizes -> value, SI: measured tables.
        of: names of the devices that this one is made of, in the model's order; () for a device of its own.
    """

    name: str
    model: str
    memory: str
    runs: tuple[str, ...]
    numbers: Mapping[str, float]
    by_precision: Mapping[str, Mapping[str, float]]
    points: Mapping[str, Mapping[tuple[int, ...], float]] = field(default_factory=dict)
    of: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> float:
        if name.startswith("_") or name in Device.__dataclass_fields__:  # not yet set: copy and pickle ask early
            raise AttributeError(name)
        try:
            return self.numbers[name]
        except KeyError:
            hint = suggestion(name, self.numbers)
            raise AttributeError(f"device '{self.name}' has no constant '{name}'. {hint}") from None

    def at(self, constant: str, precision: str) -> float | None:
        """A by-precision constant, SI; None if the device does not support that precision."""
        table = self.by_precision.get(constant)
        if table is None:
            return self.numbers.get(constant)
        return table.get(precision, table.get(ANY_PRECISION))

    def peak(self, precision: str) -> float | None:
        """Peak arithmetic rate in FLOP/s; None if the device does not compute in that precision."""
        return self.at("peak", precision)

    @property
    def bandwidth(self) -> float:
        """B/s the device alone can draw; never more than its memory gives."""
        return self.numbers["bandwidth"]

    @property
    def capacity(self) -> float:
        """B of its memory it may use; never more than the memory holds."""
        return self.numbers["capacity"]

    @property
    def idle_power(self) -> float:
        """W while powered and waiting."""
        return self.numbers["idle_power"]

    @property
    def dynamic_power(self) -> float:
        """W above idle at full load, leakage excluded."""
        return self.numbers["dynamic_power"]

    @property
    def thermal_resistance(self) -> float:
        """K/W from junction to ambient; 0 means it never warms up."""
        return self.numbers["thermal_resistance"]

    @property
    def ambient(self) -> float:
        """K of the air (or chassis) that takes the heat."""
        return self.numbers["ambient"]

    @property
    def max_temperature(self) -> float:
        """K above which it throttles."""
        return self.numbers["max_temperature"]

    @property
    def launch_overhead(self) -> float:
        """s from submitting an operator to its start."""
        return self.numbers["launch_overhead"]

    @property
    def leakage_power(self) -> float:
        """W of leakage at `reference_temperature`."""
        return self.numbers["leakage_power"]

    @property
    def reference_temperature(self) -> float:
        """K at which `leakage_power` holds."""
        return self.numbers["reference_temperature"]

    @property
    def leakage_scale(self) -> float:
        """K over which leakage grows by a factor e."""
        return self.numbers["leakage_scale"]


@dataclass(frozen=True, slots=True)
class Link:
    """A two-way connection; each end is a memory, or a device standing for a direct port of its own.

    Args:
        bandwidth: B/s in one direction.
        latency: s before the first byte arrives.
        energy_per_byte: J/B.
    """

    name: str
    between: tuple[str, str]
    bandwidth: float
    latency: float = 0.0
    energy_per_byte: float = 0.0


@dataclass(frozen=True, slots=True)
class TransferPath:
    """What moving data from one place to another takes: `latency + bytes / bandwidth` s, `energy_per_byte` J/B.

    Within one memory nothing moves: `bandwidth` is inf and `energy_per_byte` 0.
    """

    bandwidth: float
    latency: float
    energy_per_byte: float
    links: tuple[str, ...] = ()

    def time(self, size: float) -> float:
        """Seconds for `size` bytes."""
        return self.latency + size / self.bandwidth


@dataclass(frozen=True)
class Target:
    """A machine. `sources` lists every number with its origin, defaults included."""

    name: str
    devices: tuple[Device, ...]
    memories: Mapping[str, Memory]
    links: tuple[Link, ...]
    sources: tuple[Sourced, ...]
    title: str = ""

    def device(self, name: str) -> Device:
        """Raises `UnknownName` with the close names."""
        for device in self.devices:
            if device.name == name:
                return device
        raise UnknownName("device", name, [d.name for d in self.devices], where=f"target '{self.name}'")

    def memory_of(self, device: str) -> Memory:
        """The memory a device works in. Raises `UnknownName`."""
        return self.memories[self.device(device).memory]

    @property
    def substitutes(self) -> tuple[Sourced, ...]:
        """The numbers that stand in for unknown ones; a result that uses them says so."""
        return tuple(sourced for sourced in self.sources if sourced.kind == "substitute")

    def path(self, a: str, b: str) -> TransferPath:
        """How data gets from `a` to `b`, each a device or a memory.

        Two devices on one memory exchange nothing but a signal (`Memory.handoff`), and not even that from a device
        made of others to one of these, which has just taken part. Otherwise the route that carries
        1 MiB fastest is taken; hops are pipelined, so the slowest of memories and links sets the bandwidth, latencies
        add up, and so do the energies of the links and of the two memories at the ends (read once, written once).

        Raises:
            UnknownName: neither a device nor a memory.
            InputError: no route (`load_target` refuses such targets already).
        """
        start, end = self._home(a), self._home(b)
        if a == b or (start == end and {a, b} & set(self.memories)):
            return TransferPath(math.inf, 0.0, 0.0)
        if start == end:
            joined = self._parts(b) <= self._parts(a)
            return TransferPath(math.inf, 0.0 if joined else self.memories[start].handoff, 0.0)
        links = self._route(a, b)
        if links is None:
            raise InputError(
                f"nothing connects '{a}' and '{b}'", where=f"target '{self.name}'", remedy="Add a link between them."
            )
        source, sink = self.memories[start], self.memories[end]
        return TransferPath(
            min(source.bandwidth, sink.bandwidth, *(link.bandwidth for link in links)),
            sum(link.latency for link in links),
            sum(link.energy_per_byte for link in links) + source.energy_per_byte + sink.energy_per_byte,
            tuple(link.name for link in links),
        )

    def reachable(self, place: str) -> frozenset[str]:
        """The devices and memories that data from `place` can get to, itself included."""
        found, queue = {place}, [place]
        while queue:
            for _, other, _ in self._neighbours(queue.pop()):
                if other not in found:
                    found.add(other)
                    queue.append(other)
        return frozenset(found)

    def _parts(self, name: str) -> frozenset[str]:
        """The devices that work when this one does."""
        of = next((device.of for device in self.devices if device.name == name), ())
        return frozenset(of or (name,))

    def _home(self, name: str) -> str:
        """The memory a place belongs to."""
        if name in self.memories:
            return name
        for device in self.devices:
            if device.name == name:
                return device.memory
        known = [*(d.name for d in self.devices), *self.memories]
        raise UnknownName("device or memory", name, known, where=f"target '{self.name}'")

    def _neighbours(self, place: str) -> Iterator[tuple[float, str, Link | None]]:
        for device in self.devices:  # a device reaches its own memory at once, and the other way round
            if place == device.name:
                yield 0.0, device.memory, None
            elif place == device.memory:
                yield 0.0, device.name, None
        for link in self.links:
            if place in link.between:
                other = link.between[1] if place == link.between[0] else link.between[0]
                yield link.latency + ROUTE_BYTES / link.bandwidth, other, link

    def _route(self, a: str, b: str) -> tuple[Link, ...] | None:
        """Dijkstra over memories and devices; ties fall to the fewer links, then to the order in the file."""
        order = itertools.count()
        queue: list[tuple[float, int, int, str, tuple[Link, ...]]] = [(0.0, 0, next(order), a, ())]
        done: set[str] = set()
        while queue:
            cost, _, _, place, links = heapq.heappop(queue)
            if place == b:
                return links
            if place in done:
                continue
            done.add(place)
            for step, other, link in self._neighbours(place):
                if other not in done:
                    more = (*links, link) if link else links
                    heapq.heappush(queue, (cost + step, len(more), next(order), other, more))
        return None
