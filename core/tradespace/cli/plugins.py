"""`tradespace plugins`: what loaded, from where, which names, what failed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import PluginStatus, Registry


def plugins() -> None:
    """List the plugins: distribution, version, the names each provides, and what failed and why."""
    registry = registry_from_context()
    if json_wanted():
        print_json(document(registry))
    else:
        _show(registry)


def document(registry: Registry) -> dict[str, Any]:
    """The JSON document: `{contract, plugins: [...], failed, conflicts}`."""
    from tradespace.hookspecs import CONTRACT

    folders = {catalogue.plugin: str(catalogue.folder) for catalogue in registry.catalogues()}
    listed = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "contract": plugin.contract,
            "names": {group: list(names) for group, names in plugin.names.items()},
            "catalogue": folders.get(plugin.name),
            "error": plugin.error,
            "conflicts": list(plugin.conflicts),
        }
        for plugin in registry.plugins
    ]
    return {
        "contract": CONTRACT,
        "plugins": listed,
        "failed": [plugin.name for plugin in registry.plugins if plugin.error],
        "conflicts": sorted({sentence for plugin in registry.plugins for sentence in plugin.conflicts}),
    }


def _show(registry: Registry) -> None:
    from tradespace.cli.printing import print_heading, print_pairs, print_table

    print_table(
        ("plugin", "distribution", "version", "provides"),
        ((p.name, p.distribution, p.version, _provides(p, registry)) for p in registry.plugins),
    )
    failed = [plugin for plugin in registry.plugins if plugin.error]
    if failed:
        print_heading(f"\n{len(failed)} failed; everything else works without {'it' if len(failed) == 1 else 'them'}")
        print_pairs((plugin.name, plugin.error) for plugin in failed)
    conflicts = sorted({sentence for plugin in registry.plugins for sentence in plugin.conflicts})
    if conflicts:
        print_heading("\nnames that cannot be used, because two plugins claim them")
        print_pairs((sentence.split("'")[1], sentence) for sentence in conflicts)


def _provides(plugin: PluginStatus, registry: Registry) -> str:
    from tradespace.cli.catalogue import located

    if plugin.error:
        return "failed, see below"
    parts = [f"{group.replace('_', ' ')}: {', '.join(names)}" for group, names in plugin.names.items()]
    for kind in ("targets", "workloads", "studies"):
        files = [name for name, owner, _ in located(kind, registry) if owner == plugin.name]
        if files:
            parts.append(f"{kind} (files): {', '.join(files)}")
    return "\n".join(parts)
