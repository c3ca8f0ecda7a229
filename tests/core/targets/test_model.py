"""Routes between memories and devices."""

from __future__ import annotations

import math
from itertools import permutations

import pytest

from tradespace.errors import InputError, UnknownName
from tradespace.targets import Device, Link, Memory, Target


def _target(links: tuple[Link, ...], memories: str = "abc") -> Target:
    """Devices da, db, ... each in its own memory a, b, ...; da2 shares a."""
    devices = [Device(f"d{m}", "roofline", m, ("matmul",), {}, {}) for m in memories]
    devices.append(Device("da2", "roofline", "a", ("matmul",), {}, {}))
    stores = {m: Memory(m, 100e9, 1e9, energy_per_byte=1e-12, handoff=7e-6) for m in memories}
    return Target("t", tuple(devices), stores, links, ())


AB = Link("ab", ("a", "b"), 10e9, 1e-6, 1e-10)
BC = Link("bc", ("b", "c"), 5e9, 2e-6, 2e-10)


def test_one_memory_needs_a_signal_but_no_copy() -> None:
    target = _target((AB, BC))
    path = target.path("da", "da2")
    assert (path.bandwidth, path.latency, path.energy_per_byte, path.links) == (math.inf, 7e-6, 0.0, ())
    assert path.time(1e9) == 7e-6
    for here in (("da", "da"), ("a", "a"), ("da", "a"), ("a", "da2")):
        assert target.path(*here).time(1e9) == 0.0


def test_hops_take_the_slowest_rate_and_the_sum_of_latencies() -> None:
    path = _target((AB, BC)).path("da", "dc")
    assert path.links == ("ab", "bc")
    assert path.bandwidth == 5e9
    assert path.latency == pytest.approx(3e-6)
    assert path.energy_per_byte == pytest.approx(3e-10 + 2e-12)  # links, one read and one write
    assert path.time(5e9) == pytest.approx(1.000003)


def test_a_slow_memory_limits_the_copy() -> None:
    fast = Link("ab", ("a", "b"), 1e12)
    assert _target((fast, BC)).path("a", "b").bandwidth == 100e9


def test_paths_are_symmetric_and_places_stand_for_their_memory() -> None:
    target = _target((AB, BC))
    for one, other in permutations(["da", "db", "dc", "a", "b", "c"], 2):
        there, back = target.path(one, other), target.path(other, one)
        assert there.time(1e6) == pytest.approx(back.time(1e6))
        assert there.links == tuple(reversed(back.links))
    assert target.path("da", "dc") == target.path("a", "c")


def test_the_route_that_carries_a_mebibyte_fastest_wins() -> None:
    slow_direct = Link("ac", ("a", "c"), 1e9)
    assert _target((AB, BC, slow_direct)).path("a", "c").links == ("ab", "bc")
    fast_direct = Link("ac", ("a", "c"), 4e9)
    assert _target((AB, BC, fast_direct)).path("a", "c").links == ("ac",)
    late_direct = Link("ac", ("a", "c"), 4e9, latency=1e-3)
    assert _target((AB, BC, late_direct)).path("a", "c").links == ("ab", "bc")


def test_of_equal_links_the_first_is_taken() -> None:
    twins = (Link("x", ("a", "b"), 10e9), Link("w", ("a", "b"), 10e9), BC)
    assert _target(twins).path("a", "b").links == ("x",)


def test_a_link_may_join_ports_of_devices() -> None:
    bridge = Link("bridge", ("da", "db"), 50e9)
    target = _target((AB, BC, bridge))
    assert target.path("da", "db").links == ("bridge",)
    assert target.path("da2", "db").links == ("bridge",)  # through the shared memory and the port of da


def test_unconnected_places_are_refused() -> None:
    target = _target((AB,))
    with pytest.raises(InputError, match=r"target 't': nothing connects 'da' and 'dc'. Add a link between them"):
        target.path("da", "dc")
    with pytest.raises(UnknownName, match=r"target 't': unknown device or memory 'dd'"):
        target.path("da", "dd")
    assert target.reachable("da") == {"da", "da2", "a", "b", "db"}
