"""Every folder under studies/: rows are well formed, identities hold, the page matches, nobody copies numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tradespace.plugins import Registry, registry
from tradespace.studies.catalogue import study_folders
from tradespace.studies.reproduction.document import BrokenRow, Published, Row, read_published
from tradespace.studies.reproduction.run import reproduce

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = sorted(path.parent.name for path in (ROOT / "studies").glob("*/published.yaml"))
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")


@pytest.fixture(params=SYSTEMS)
def published(request: pytest.FixtureRequest) -> Published:
    return read_published(ROOT / "studies" / request.param / "published.yaml")


def test_there_are_studies_and_the_command_finds_them() -> None:
    assert "qeil-v2" in SYSTEMS
    assert set(SYSTEMS) <= set(study_folders(registry()))


def test_rows_are_well_formed(published: Published) -> None:
    assert published.system == published.path.parent.name
    assert [row.error for row in published.rows if isinstance(row, BrokenRow)] == []
    assert all(row.source for row in published.rows if isinstance(row, Row))


def test_identities_hold(published: Published) -> None:
    rows = tuple(r for r in published.rows if isinstance(r, Row) and r.what[0] in ("expr", "none"))
    rows += tuple(_unpriced(r) for r in published.rows if isinstance(r, Row) and r.what[0] not in ("expr", "none"))
    system = reproduce(Published(published.system, published.path, "", "", "", (), rows), Registry.discover())
    verdicts = {r.id: r.verdict for r in system.results if r.role == "identity"}
    assert set(verdicts.values()) <= {"identity"}, verdicts


def _unpriced(row: Row) -> Row:
    """A row that keeps its published value and is not priced."""
    from dataclasses import replace

    return replace(row, what=("none", ""))


def test_the_page_was_written_from_these_rows(published: Published) -> None:
    readme = published.path.parent / "README.md"
    page = readme.read_text() if readme.exists() else ""
    missing = [row.id for row in published.rows if not re.search(rf"(\*\*|\| ){re.escape(row.id)}\b", page)]
    assert missing == [], f"run: tradespace reproduce {published.system} --write"


def test_the_page_tells_how_the_publication_is_read(published: Published) -> None:
    page = (published.path.parent / "README.md").read_text().replace("\\|", "|")
    readings = {row.id: row.reading for row in published.rows if isinstance(row, Row) and row.reading}
    unpriced = page.partition("## Not reproducible")[2]  # these say why instead
    missing = [name for name, reading in readings.items() if reading not in page and f"**{name} " not in unpriced]
    assert missing == [], f"run: tradespace reproduce {published.system} --write"


def test_rows_and_pages_name_only_what_a_reader_can_find(published: Published) -> None:
    """Nobody outside has the brief that a study was written from."""
    texts = [published.path.read_text(), (published.path.parent / "README.md").read_text()]
    assert [text for text in texts if re.search(r"\bbrief\b", text, re.IGNORECASE)] == []


def test_published_numbers_never_appear_in_plugin_code(published: Published) -> None:
    numbers = published_numbers(published)
    assert len(numbers) > 5
    found = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in (ROOT / "plugins").rglob("*.py")
        for text in copies(path.read_text(encoding="utf-8"), numbers)
    }
    assert found == set()


def test_the_guard_sees_a_copied_number() -> None:
    assert copies("gain = 2.86  # why not", {"2.86", "75.6"}) == {"2.86"}
    assert copies("x = 12.861 + y2.86 + 2.8", {"2.86"}) == set()


def published_numbers(published: Published) -> set[str]:
    """Published values of at least three significant digits, as people would type them."""
    values = [v for row in published.rows if isinstance(row, Row) for v in row.published if isinstance(v, float)]
    shown = {f"{v:.10g}" for v in values} | {
        f"{row.scale.shown(v):.10g}"
        for row in published.rows
        if isinstance(row, Row)
        for v in row.published
        if isinstance(v, float)
    }
    return {text for text in shown if len(text.replace(".", "").strip("0")) >= 3}


def copies(source: str, numbers: set[str]) -> set[str]:
    return {text for text in _NUMBER.findall(source) if f"{float(text):.10g}" in numbers}
