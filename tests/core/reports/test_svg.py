from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from tradespace.reports.summary import summarise
from tradespace.reports.svg import HEIGHT, WIDTH, picture


def test_a_small_valid_picture_with_every_plan(front: Any, bound: Any) -> None:
    text = picture(summarise(front, bound))
    root = ET.fromstring(text)
    assert len(text) < 60_000
    dots = sum(len(p.get("d", "").split("M")) - 1 for p in root.iter() if p.get("stroke-linecap") == "round")
    assert dots == len(front)
    words = [t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text")]
    for start in (
        f"chain on box: {len(front)} plans",
        "knee: ",
        "best energy: ",
        "loss ",
        "energy (mJ)",
        "latency (ms)",
    ):
        assert any(w.startswith(start) for w in words), start
    for circle in root.iter("{http://www.w3.org/2000/svg}circle"):
        assert 0 < float(circle.get("cx", "-1")) < WIDTH and 0 < float(circle.get("cy", "-1")) < HEIGHT


def test_hostile_names_are_escaped(front: Any, make_bound: Any, chain: Any) -> None:
    root = ET.fromstring(picture(summarise(front, make_bound(chain, workload='"><script>x</script>'))))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_two_objectives(make_front: Any, chain: Any) -> None:
    found = make_front(chain, ["energy", "coverage"])
    root = ET.fromstring(picture(summarise(found)))
    words = [t.text or "" for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("energy" in w for w in words) and any("coverage" in w for w in words)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) >= 2  # the two extremes at least
