"""What settings cost when they were priced last, kept while no file that could change the answer has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradespace.studies.provenance import LIBRARIES, Provenance, file_digest
from tradespace.studies.reproduction.priced import Priced

if TYPE_CHECKING:
    from tradespace.plugins import Registry

_CODE = (".py", ".c", ".h", ".yaml", ".json", ".csv")
_MOST = 64 * 1024 * 1024  # bytes of memory that are read back


def code_digest(registry: Registry) -> str:
    """Of every source and catalogue file of the core and of all plugins, and the versions of the libraries."""
    import tradespace

    digest = hashlib.blake2b(digest_size=12)
    provenance = Provenance.of(None, registry)
    digest.update(json.dumps([dict(provenance.versions), dict(provenance.plugins), LIBRARIES]).encode())
    roots = {Path(str(tradespace.__file__)).parent, *(c.folder.parent for c in registry.catalogues())}
    for root in sorted(roots):
        for file in sorted(root.rglob("*")):
            if file.suffix in _CODE and file.is_file():
                digest.update(f"{file.relative_to(root)}:{file_digest(file)}".encode())
    return digest.hexdigest()


@dataclass
class Memory:
    """Prices by setting, in one file of the user's cache folder, named by the digest of the code.

    ``fresh``: forget what was priced before. A broken or half-written line costs itself; a folder that cannot be
    written costs the memory alone.
    """

    path: Path
    fresh: bool = False
    _known: dict[str, Priced] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fresh:
            self.path.unlink(missing_ok=True)
        for line in self._lines():
            try:
                entry = json.loads(line)
                self._known[entry["key"]] = Priced(**entry["priced"])
            except (ValueError, TypeError, KeyError):
                continue

    @classmethod
    def of(cls, registry: Registry, *, fresh: bool = False) -> Memory:
        from tradespace.kernels.build import cache_folder

        return cls(cache_folder() / "reproduce" / f"{code_digest(registry)}.jsonl", fresh)

    def get(self, setting: Mapping[str, Any]) -> Priced | None:
        return self._known.get(key_of(setting))

    def keep(self, setting: Mapping[str, Any], priced: Priced) -> None:
        key = key_of(setting)
        self._known[key] = priced
        try:
            line = json.dumps({"key": key, "priced": asdict(priced)})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except (OSError, TypeError, ValueError):
            return

    def _lines(self) -> list[str]:
        try:
            if self.path.stat().st_size > _MOST:
                return []
            return self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []


def key_of(setting: Mapping[str, Any]) -> str:
    """A setting and the files it names, as a digest."""
    text = json.dumps(setting, sort_keys=True, default=str)
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for path in sorted(set(_paths(setting))):
        digest.update(f"{path}:{file_digest(path)}".encode())
    return digest.hexdigest()


def _paths(value: Any) -> Iterator[Path]:
    """Files that a setting names."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _paths(inner)
    elif isinstance(value, str) and ("/" in value or "." in value) and len(value) < 500:
        path = Path(value).expanduser()
        try:
            if path.is_file():
                yield path
            elif path.is_dir():
                yield from (p for p in sorted(path.iterdir())[:64] if p.is_file())
        except (OSError, ValueError):
            return
