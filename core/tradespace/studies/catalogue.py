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


def study_title(name: str, registry: Registry) -> str:
    """The publication's title, else that of the preset, else nothing.

    Raises:
        InputError: a file of the study cannot be read.
    """
    from tradespace.documents import read_document

    files = (study_folders(registry)[name] / file for file in FILES)
    titles = (str(read_document(file).get("title") or "").strip('" \n') for file in files if file.is_file())
    return next((" ".join(title.split()) for title in titles if title), "")


def _roots(registry: Registry) -> tuple[Path, ...]:
    checkout = Path(__file__).resolve().parents[3] / "studies"  # an editable install: the repository's own
    return (Path("studies"), checkout, *(c.folder / "studies" for c in registry.catalogues()))
