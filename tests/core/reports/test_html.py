from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.designs import Choice, Composition, Space
from tradespace.errors import TradespaceError
from tradespace.problem import Metric
from tradespace.reports.html import embedded, explained, render, write, write_report
from tradespace.reports.payload import HISTORY, payload, question
from tradespace.reports.summary import Files, summarise
from tradespace.search import search

EVIL = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028&"


class Tags(HTMLParser):
    """Counts the elements of a page as a browser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.addresses += [v for k, v in attrs if k in ("src", "href") and v]


def tags(page: str) -> Tags:
    parser = Tags()
    parser.feed(page)
    return parser


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def summary(front: Any, bound: Any) -> Any:
    return summarise(front, bound, study="s1", files=Files("t.db", "r.html", "p.yaml"), command="tradespace search x")


@pytest.fixture(scope="module")
def page(front: Any, summary: Any) -> str:
    return render(summary, explained(front, summary))


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    seen = tags(page)
    assert seen.count["script"] == 3  # data, plotly, ours
    assert "link" not in seen.count or seen.addresses == ["data:,"]
    assert "default-src 'none'" in page  # and the browser enforces it
    assert "{{" not in page.replace(_plotly(page), "")


def _plotly(page: str) -> str:
    return page[page.index("plotly.js v") : page.rindex("</script>\n<script>\n")]


def test_the_data_is_that_of_the_summary(front: Any, summary: Any, page: str) -> None:
    data = data_of(page)
    assert [r["id"] for r in data["rows"]] == list(front.ids)
    assert data["rows"][data["start"]]["why"].find("knee") >= 0
    assert data["rows"][0]["values"][0] == pytest.approx(front.values[0, 0], rel=1e-6)
    assert data["facts"][0] == ["study", "s1"]
    assert data["command"] == "tradespace search x"
    assert [s["kind"] for s in data["sources"]].count("substitute") == 3
    codes = data["rows"][0]["codes"]["placement"]
    assert codes == front.designs["placement"][0].tolist()


def test_hostile_names_stay_text(make_chain: Any, make_front: Any, make_bound: Any) -> None:
    labels = ("fp16", "int8", EVIL)
    chain = make_chain(blocks=("embed", EVIL, "head"), labels=labels)
    front = make_front(chain)
    bound = make_bound(chain, workload=EVIL, target={"extends": EVIL, EVIL: EVIL})
    summary = summarise(front, bound, study="s", command=EVIL, files=Files(EVIL, EVIL, EVIL))
    page = render(summary, explained(front, summary))
    seen = tags(page)
    assert seen.count["script"] == 3
    assert "img" not in seen.count
    data = data_of(page)
    assert data["command"] == EVIL
    assert data["decisions"]["precision"]["options"] == list(labels)
    title = re.search("<title>(.*?)</title>", page, re.DOTALL)
    assert title and "<" not in title[1]


def test_embedded_json_cannot_leave_its_element() -> None:
    text = embedded({"a": EVIL})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"a": EVIL}
    with pytest.raises(ValueError, match="Out of range"):
        embedded({"a": float("nan")})


def test_template_marks_in_names_are_not_filled_in(front: Any, make_bound: Any, chain: Any) -> None:
    page = render(summarise(front, make_bound(chain, workload="{{js}}{{data}}")), {})
    assert data_of(page)["title"].startswith("{{js}}{{data}} on box")
    assert tags(page).count["script"] == 3


def test_a_long_history_is_thinned_and_keeps_its_ends(summary: Any) -> None:
    from dataclasses import replace

    long = tuple((i, i * 0.1, i / 1e5) for i in range(5000))
    history = payload(replace(summary, history=long), {})["history"]
    assert len(history) == HISTORY
    assert history[0][0] == 0 and history[-1][0] == 4999


def test_a_contiguous_placement_is_drawn_block_by_block(walk: Any) -> None:
    class Contiguous:
        space = Space(Choice("precision", ("int8", "int4"), 4), Composition("placement", 4, 3, entries=("a", "b", "c")))
        metrics = (Metric("cost", "1", "min"),)

        def price(self, designs: Any) -> Any:
            return {"cost": designs["placement"] @ np.array([3.0, 1.0, 2.0]) + designs["precision"].sum(axis=1)}

    front = search(Contiguous(), ["cost"], optimizer=walk, evaluations=512)
    data = payload(summarise(front), {})
    assert data["maps"] == [{"entries": ("0", "1", "2", "3"), "row": "placement", "colour": "precision", "rest": []}]
    assert data["decisions"]["placement"]["options"] == ("a", "b", "c")
    assert data["rows"][0]["codes"] == {"precision": [0, 0, 0, 0], "placement": [1, 1, 1, 1]}


def test_the_question_in_a_sentence(make_front: Any, chain: Any, bound: Any) -> None:
    found = make_front(chain, ["energy", "coverage"], ["latency<=20 ms"])
    assert question(summarise(found, bound)) == (
        "Which placement, precision and samples of the 10 entries of chain on box are worth having for low energy and "
        "high coverage, subject to latency<=20 ms?"
    )


def test_an_infeasible_search_has_a_page_too(make_front: Any, chain: Any, bound: Any) -> None:
    front = make_front(chain, constraints=["latency<=1 us"])
    summary = summarise(front, bound)
    data = data_of(render(summary, explained(front, summary)))
    assert "latency<=1 us" in data["notice"] and "no plan meets" in data["title"]
    assert [r["id"] for r in data["rows"]] == list(front.diagnosis.nearest.ids[:8])
    assert set(data["details"]["devices"]["table"]) == {r["id"] for r in data["rows"]}
    at = data["limits"].index("latency<=1 us")
    assert all(r["violations"][at] > 0 for r in data["rows"])


def test_one_objective_and_no_setting(make_front: Any, chain: Any, tmp_path: Path) -> None:
    found = make_front(chain, ["energy"])
    path = write_report(summarise(found), found, None, tmp_path / "r.html")
    assert len(data_of(path.read_text(encoding="utf-8"))["rows"]) == 1


def test_a_place_that_cannot_be_written(summary: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TradespaceError, match="results must be written"):
        write(tmp_path / "file" / "report.html", summary, {})
