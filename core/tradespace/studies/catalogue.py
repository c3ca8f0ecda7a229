"""Where studies live: ``studies/<system>/`` here, in this checkout, in every plugin's catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradespace.plugins import Registry

FILES = ("published.yaml", "study.yaml")


def study_folders(registry: Registry) -> dict[str, Path]:
    """System -> its folder. The current folder comes first, so a study of one's own may be tried under its name."""
    found: dict[str, Path] = {}
    for root in _roots(registry):
        if not root.is_dir():
            continue
        for folder in sorted(root.iterdir()):
            if any((folder / name).is_file() for name in FILES):
                found.setdefault(folder.name, folder)
    return dict(sorted(found.items()))


def _roots(registry: Registry) -> tuple[Path, ...]:
    checkout = Path(__file__).resolve().parents[3] / "studies"  # an editable install: the repository's own
    return (Path("studies"), checkout, *(c.folder / "studies" for c in registry.catalogues()))
