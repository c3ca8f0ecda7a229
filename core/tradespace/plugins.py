"""Finding plugins and looking their names up.

Discovering is not importing: a plugin's hooks return ``"package.module:Attribute"`` paths, and a path is imported when
somebody uses its name. A broken plugin costs only itself: it stays listed with its error, and is named again when a
name that it may have provided is missed. A plugin is taken whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tradespace.errors import PluginError, TradespaceError, UnknownName, suggestion

ENTRY_POINTS = "tradespace.plugins"
GROUPS = (
    "workloads",
    "readers",
    "device_models",
    "evaluators",
    "optimizers",
    "precisions",
    "policies",
    "kernels",
    "exporters",
)
CATALOGUE_KINDS = ("targets", "workloads", "studies", "conf")
NOUNS = {group: group.removesuffix("s").replace("_", " ") for group in GROUPS} | {"policies": "policy"}


@dataclass(frozen=True)
class Catalogue:
    """A folder of YAML files that a plugin ships: ``targets/ workloads/ studies/ conf/``."""

    plugin: str
    folder: Path


@dataclass(frozen=True)
class PluginStatus:
    """What one plugin brought, or why it brought nothing.

    Attributes:
        name: its entry-point name, or the stem of an unpackaged file.
        distribution: the installed distribution, or the path of an unpackaged file.
        version: the distribution's version, or ``sha256:`` and 12 digits of an unpackaged file's content.
        contract: the contract the plugin states, else the one this tradespace speaks.
        names: group -> names, sorted; empty after a failure.
        error: one paragraph, or None if the plugin is in use.
        module: the module it was loaded from.
        conflicts: sentences about names that two plugins claim with different paths; such a name cannot be used.
    """

    name: str
    distribution: str
    version: str
    contract: int
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    error: str | None = None
    module: str = ""
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """One plugin's word that `path` is what a name stands for."""

    plugin: str
    path: str


@dataclass(frozen=True, eq=False)
class Registry:
    """Every name that the plugins of this process provide. Immutable; hashed by identity, so it can key a cache."""

    plugins: tuple[PluginStatus, ...]
    claims: Mapping[tuple[str, str], tuple[Claim, ...]]
    """(group, name) -> who provides it; more than one distinct path is a conflict."""
    _catalogues: tuple[Catalogue, ...] = ()

    @classmethod
    def discover(cls, extra: Sequence[str | Path] = ()) -> Registry:
        """Load all installed plugins and the unpackaged ones in `extra` (``.py`` files or package folders).

        Never raises for a plugin's fault: that is in ``plugins``.

        Raises:
            InputError: a path in `extra` is no such file or folder.
        """
        from tradespace.plugin_loading import discover

        loaded = discover(tuple(Path(path) for path in extra))
        claims: dict[tuple[str, str], tuple[Claim, ...]] = {}
        for plugin in loaded:
            for key, path in plugin.paths.items():
                claims[key] = (*claims.get(key, ()), Claim(plugin.status.name, path))
        return cls(
            plugins=tuple(_with_conflicts(plugin.status, plugin.paths, claims) for plugin in loaded),
            claims=claims,
            _catalogues=tuple(Catalogue(p.status.name, p.catalogue) for p in loaded if p.catalogue is not None),
        )

    def names(self, group: str) -> tuple[str, ...]:
        """Sorted names of a group, names in conflict included.

        Raises:
            UnknownName: `group` is not one of ``GROUPS``.
        """
        if group not in GROUPS:
            raise UnknownName("group", group, GROUPS)
        return tuple(sorted(name for owner, name in self.claims if owner == group))

    def claim(self, group: str, name: str) -> Claim:
        """Who provides a name, and its path; imports nothing.

        Raises:
            UnknownName: nobody does; close names and failed plugins are listed.
            PluginError: two plugins do, with different paths.
        """
        found = self.claims.get((group, name))
        if found is None:
            known = self.names(group)
            raise UnknownName(NOUNS[group], name, known, remedy=self.hint(name, known))
        if _conflict(found):
            raise PluginError(
                _conflict_sentence(group, name, found), remedy="Remove one of the plugins or rename its entry."
            )
        return found[0]

    def load(self, group: str, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            UnknownName, PluginError: as in `claim`; PluginError also if the import fails or lacks the attribute.
        """
        from tradespace.plugin_loading import import_path

        claim = self.claim(group, name)
        return import_path(claim.path, f"{NOUNS[group]} '{name}' of plugin '{claim.plugin}'")

    def each(self, group: str) -> Iterator[tuple[str, Any]]:
        """(name, object) of all that load: for work that wants every one and can do without a broken one."""
        for name in self.names(group):
            with contextlib.suppress(TradespaceError):
                yield name, self.load(group, name)

    def hint(self, name: str, known: Sequence[str]) -> str:
        """Close names, then the plugins that failed: one of them may have provided `name`."""
        failed = [f"Plugin '{plugin.name}' failed to load: {plugin.error}" for plugin in self.plugins if plugin.error]
        more = [f"{len(failed) - 3} more plugins failed: see `tradespace plugins`."] if len(failed) > 3 else []
        return " ".join([suggestion(name, known), *failed[:3], *more])

    def catalogues(self) -> tuple[Catalogue, ...]:
        """The catalogue folders, in the order of the plugins."""
        return self._catalogues

    def catalogue_files(self, kind: str) -> tuple[tuple[str, Path], ...]:
        """(plugin, YAML file) for every file under ``<catalogue>/<kind>/``, sorted within each plugin.

        Raises:
            UnknownName: `kind` is not one of ``CATALOGUE_KINDS``.
        """
        if kind not in CATALOGUE_KINDS:
            raise UnknownName("kind of catalogue file", kind, CATALOGUE_KINDS)
        return tuple(
            (catalogue.plugin, file)
            for catalogue in self._catalogues
            for file in sorted((catalogue.folder / kind).rglob("*"))
            if file.suffix in (".yaml", ".yml") and file.is_file()
        )


@contextlib.contextmanager
def foreign(what: str) -> Iterator[None]:
    """Around every call into a plugin's code: whatever it raises becomes a `PluginError` that names `what`.

    Errors of tradespace pass as they are, and so does the user's Ctrl-C. A caller that has other plugins to turn to
    catches TradespaceError and goes on.

    Raises:
        PluginError: the code raised anything else, SystemExit included.
    """
    try:
        yield
    except (TradespaceError, KeyboardInterrupt):
        raise
    except BaseException as error:
        from tradespace.plugin_loading import describe

        raise PluginError(f"the plugin failed: {describe(error)}", where=what) from error


@functools.cache
def registry() -> Registry:
    """The process-wide registry of installed plugins. Functions take a Registry; only outermost callers use this."""
    return Registry.discover()


def _conflict(claims: Sequence[Claim]) -> bool:
    return len({claim.path for claim in claims}) > 1


def _conflict_sentence(group: str, name: str, claims: Sequence[Claim]) -> str:
    sides = " and ".join(f"plugin '{claim.plugin}' ({claim.path})" for claim in claims)
    return f"{NOUNS[group]} '{name}' is claimed by {sides}; one name has one meaning"


def _with_conflicts(
    status: PluginStatus, paths: Mapping[tuple[str, str], str], claims: Mapping[tuple[str, str], tuple[Claim, ...]]
) -> PluginStatus:
    sentences = tuple(_conflict_sentence(*key, claims[key]) for key in sorted(paths) if _conflict(claims[key]))
    return replace(status, conflicts=sentences)
