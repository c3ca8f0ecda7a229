"""The report in a real browser: it draws, reacts, and asks nobody for anything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tradespace.reports.html import explained, render
from tradespace.reports.summary import Files, summarise

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
EVIL = "<img src=x onerror=\"document.title='owned'\">"


def missing() -> str | None:
    """Why there is no browser here."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "the playwright package is not installed"
    return None if chromium() else "there is no chromium on the path"


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Heard:
    """What a page said and asked for."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    reason = missing()
    if reason and os.environ.get("TRADESPACE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"TRADESPACE_REQUIRE_BROWSER is set, but {reason}")
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def report(front: Any, bound: Any, chain: Any, tmp_path_factory: Any) -> Path:
    from tradespace.baseline import compare

    mine = chain.space.parse({"placement": "cpu", "precision": "int8"})
    baseline = compare(front.problem, mine, name=f"mine {EVIL}.yaml", front=front)
    files = Files("t.db", "r.html", "p.yaml")
    summary = summarise(front, bound, study="s1", files=files, baseline=baseline, command=f"tradespace {EVIL}")
    path = Path(tmp_path_factory.mktemp("report")) / "report.html"
    path.write_text(render(summary, explained(front, summary)), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Open a file; at the end nothing may have been complained about or asked for."""
    contexts: list[Any] = []
    heard = Heard()

    def opened(path: Path, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1320, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: heard.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: heard.complaints.append(str(error)))
        page.on("request", lambda request: heard.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#plans tbody tr, #notice:not([hidden])")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert heard.complaints == []
    assert [url for url in heard.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def lit(page: Any) -> list[int]:
    """Which cells of the placement map are set."""
    return page.eval_on_selector_all(".map .cell", "cells => cells.flatMap((c, i) => c.matches('.on') ? [i] : [])")  # type: ignore[no-any-return]


def test_every_part_is_drawn(visit: Any, report: Path, front: Any) -> None:
    page = visit(report)
    assert page.locator("#plans tbody tr").count() == len(front)
    assert page.locator("#scatter .scatterlayer .point").count() >= len(front)
    assert page.locator("#history .scatterlayer .js-line").count() >= 1
    assert page.locator("#blocks-a .barlayer .point").count() >= 10
    assert page.locator("#devices tbody tr").count() == 3
    assert page.locator("#sources tr.substitute").count() == 3
    assert page.locator("#baseline").is_visible()
    assert len(lit(page)) == 10  # each block is somewhere
    assert "knee" in page.inner_text("#plan-why")
    # hostile names are shown and not obeyed
    assert page.locator("img").count() == 0
    assert page.title() != "owned"
    assert EVIL in page.inner_text("#baseline-body")
    assert EVIL in page.inner_text("#command")


def test_a_row_leads_the_whole_page(visit: Any, report: Path, front: Any) -> None:
    page = visit(report)
    before = lit(page), page.inner_text("#devices"), page.inner_text("#plan-values"), page.inner_text("#breakdown-id")
    target = int(front.values[:, 1].argmin())  # everything on the fast device, unlike the knee
    page.click(f'#plans tr[data-index="{target}"]')
    after = lit(page), page.inner_text("#devices"), page.inner_text("#plan-values"), page.inner_text("#breakdown-id")
    assert page.inner_text("#plan-id") == front.short_ids[target]
    assert all(a != b for a, b in zip(before, after, strict=True))
    ring = page.evaluate("document.getElementById('scatter').layout.shapes.map((s) => [s.xanchor, s.yanchor])")
    assert ring == [pytest.approx((front.values[target, :2] * 1e3).tolist(), rel=1e-5)]
    assert page.inner_text("#plan-command") == f"tradespace explain s1:{front.short_ids[target]}"
    rows = [i // 10 for i in lit(page)]
    assert sorted(rows) == sorted(front.designs["placement"][target].tolist())


def test_a_plan_that_nobody_explained_is_put_together(
    visit: Any, front: Any, bound: Any, chain: Any, tmp_path: Path
) -> None:
    summary = summarise(front, bound, study="s1")
    plans = explained(front, summary)
    target = next(i for i in range(len(front)) if i not in summary.picked)
    plans.pop(front.ids[target], None)
    path = tmp_path / "report.html"
    path.write_text(render(summary, plans), encoding="utf-8")
    page = visit(path)
    page.click(f'#plans tr[data-index="{target}"]')
    assert "Put together from the blocks of other plans" in page.inner_text("#composed")
    drawn = page.evaluate("detailOf(data.rows[state.plan]).rows.map((r) => r[1].energy)")
    own = [row.costs["energy"] for row in chain.explain(front.designs.take([target])).rows]
    assert drawn == pytest.approx(own, rel=1e-5)
    per_device = page.evaluate("Object.fromEntries(detailOf(data.rows[state.plan]).devices)")
    assert {d: v["memory"] for d, v in per_device.items()} == pytest.approx(
        {d: front.scores.prices[f"memory.{d}"][target] for d in ("cpu", "npu", "dgpu")}, rel=1e-5
    )


def test_a_point_leads_the_whole_page(visit: Any, report: Path, front: Any) -> None:
    page = visit(report)
    target = int(front.values[:, 0].argmin())
    place = page.evaluate(
        """([x, y]) => {
            const plot = document.getElementById("scatter"), box = plot.getBoundingClientRect(), l = plot._fullLayout;
            return [box.left + l.xaxis._offset + l.xaxis.d2p(x), box.top + l.yaxis._offset + l.yaxis.d2p(y)];
        }""",
        [front.values[target, 0] * 1e3, front.values[target, 1] * 1e3],
    )
    page.mouse.move(*place)
    page.wait_for_selector("#scatter .hoverlayer .hovertext")
    page.mouse.click(*place)
    page.wait_for_function(f'document.getElementById("plan-id").textContent === "{front.short_ids[target]}"')
    assert sorted({i // 10 for i in lit(page)}) == sorted(set(front.designs["placement"][target].tolist()))


def test_axes_sorting_and_filters(visit: Any, report: Path) -> None:
    page = visit(report)
    page.select_option("#axis-x", label="memory.dgpu")
    page.select_option("#axis-c", label="none")
    assert "memory.dgpu" in page.text_content("#scatter .xtitle")
    page.check("#log")
    page.click("#plans th button >> text=latency")
    values = [float(v) for v in page.locator("#plans tbody td:nth-child(3)").all_inner_texts()]
    assert values == sorted(values)
    page.check("#only-picked")
    assert page.locator("#plans tbody tr").count() == 12
    page.check("#only-substitutes")
    assert page.locator("#sources tbody tr").count() == 3
    page.select_option("#cost-a", label="energy")
    assert "energy" in page.text_content("#blocks-a .ytitle")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_its_button(visit: Any, report: Path, scheme: str) -> None:
    page = visit(report, color_scheme=scheme)

    def brightness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(float(v) for v in colour[4:-1].split(",")) / 3

    assert (brightness() < 80) == (scheme == "dark")
    ink = page.evaluate("document.querySelector('#scatter .xtitle').style.fill")
    page.click("#theme")
    assert (brightness() < 80) == (scheme == "light")
    assert page.evaluate("document.querySelector('#scatter .xtitle').style.fill") != ink


def test_a_phone_scrolls_in_one_direction_only(visit: Any, report: Path, tmp_path: Path) -> None:
    page = visit(report, viewport={"width": 360, "height": 800}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#scatter").bounding_box()["width"] <= 360
    assert page.screenshot(path=str(tmp_path / "phone.png"), full_page=True)


def test_an_infeasible_search(visit: Any, make_front: Any, chain: Any, bound: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    front = make_front(chain, constraints=["latency<=1 us"])
    path.write_text(render(summarise(front, bound), {}), encoding="utf-8")
    page = visit(path)
    assert "'latency<=1 us' binds" in page.inner_text("#notice")
    assert page.inner_text("#plan-why") == "nearest"
    assert page.locator("#constraints td.bad").count() == 1
