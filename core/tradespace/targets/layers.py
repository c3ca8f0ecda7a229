"""From references and files to one tree: sources inherited, `extends:` followed, overrides merged.

A tree is nested dicts whose ends are `Leaf` values. Each leaf knows the source and kind that hold for it and the file
it was written in, so a number that an override replaces loses the source of the number it replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from tradespace.documents import MAX_KEY, check_bounds, read_document
from tradespace.errors import InputError, UnknownName
from tradespace.plugins import Registry

KINDS = ("measured", "datasheet", "paper", "derived", "substitute", "fitted")
"""How a number came about. Without a `kind:` a number with a source is datasheet, one without is substitute."""

MAX_CHAIN = 8
"""Longest chain of `extends:`."""

INLINE = "target override"
"""What errors call a mapping that came from a command line, a plan or a published row instead of a file."""

OPEN = "choices"
"""Key of an open number, see `tradespace.open_numbers`."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or list at the end of the tree. `value` None deletes what it is merged onto."""

    value: Any
    source: str | None
    kind: str | None
    file: str

    def origin(self) -> tuple[str, str]:
        """(source, kind) with the defaults filled in."""
        if self.source is None:
            return f"stated without a source in {self.file}", self.kind or "substitute"
        return self.source, self.kind or "datasheet"


Tree = dict[str, Union["Tree", Leaf]]


def resolve(ref: str | Path | Mapping[str, Any], registry: Registry) -> tuple[str, Tree]:
    """(name, tree without `extends`) of a catalogue name, a YAML file or a mapping.

    Raises:
        InputError: a file or mapping out of form, a cycle of `extends`, an override that names nothing.
        UnknownName: no such target.
    """
    return _resolve(ref, registry, Path(), ())


def files_by_name(registry: Registry) -> dict[str, tuple[tuple[str, Path], ...]]:
    """Catalogue name (the file's stem) -> the files of that name; more than one is a conflict."""
    found: dict[str, tuple[tuple[str, Path], ...]] = {}
    for plugin, file in registry.catalogue_files("targets"):
        found[file.stem] = (*found.get(file.stem, ()), (plugin, file))
    return dict(sorted(found.items()))


def _resolve(
    ref: str | Path | Mapping[str, Any], registry: Registry, folder: Path, chain: tuple[str, ...]
) -> tuple[str, Tree]:
    if len(chain) > MAX_CHAIN:
        raise InputError(f"at most {MAX_CHAIN} targets extend each other", value=" -> ".join(chain))
    if isinstance(ref, Mapping):
        check_bounds(ref, INLINE)
        name, body = _named(ref, "custom", INLINE)
        return _extended(name, body, INLINE, registry, folder, (*chain, INLINE))
    if not isinstance(ref, (str, Path)):
        raise InputError("a target is a name, a path or a mapping", value=repr(ref))
    path = _find(ref, registry, folder)
    identity = str(path.resolve())
    if identity in chain:
        names = " -> ".join(Path(step).stem for step in (*chain[chain.index(identity) :], identity))
        raise InputError("targets extend each other in a circle", value=names, where=str(path))
    document = read_document(path)
    check_bounds(document, str(path))
    name, body = _named(document, path.stem, str(path))
    return _extended(name, body, path.name, registry, path.parent, (*chain, identity))


def _find(ref: str | Path, registry: Registry, folder: Path) -> Path:
    """The file a name or path stands for; names of the catalogue win over files of the same name."""
    text = str(ref)
    files = {} if isinstance(ref, Path) else files_by_name(registry)
    if text in files:
        if len(files[text]) > 1:
            sides = " and ".join(f"plugin '{plugin}' ({file})" for plugin, file in files[text])
            raise InputError(f"target '{text}' comes from {sides}", remedy="Remove one plugin, or give a path.")
        return files[text][0][1]
    path = Path(text).expanduser()
    if isinstance(ref, Path) or path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        return path if path.is_absolute() else folder / path
    raise UnknownName("target", text[:80], files, remedy=registry.hint(text[:80], tuple(files)))


def _named(document: Mapping[str, Any], stem: str, where: str) -> tuple[str, Mapping[str, Any]]:
    """(name, body) of ``{name: body}``, or of a bare body, which takes the name of its file."""
    if len(document) == 1:
        ((name, body),) = document.items()
        if isinstance(body, Mapping) and name not in ("devices", "memories", "links") and "." not in name:
            return str(name), body
    if not {"devices", "extends"} & set(document):
        raise InputError(
            "a target file holds one target",
            value=f"keys {', '.join(map(repr, list(document)[:6]))}",
            where=where,
            remedy="Write 'name: {memories: ..., devices: ...}' or 'name: {extends: ...}'.",
        )
    return stem, document


def _extended(
    name: str, body: Mapping[str, Any], file: str, registry: Registry, folder: Path, chain: tuple[str, ...]
) -> tuple[str, Tree]:
    own = {key: value for key, value in body.items() if key != "extends"}
    base: Tree = {}
    if "extends" in body:
        if not isinstance(body["extends"], (str, Path)):
            raise InputError("'extends' takes the name or path of one target", value=repr(body["extends"]), where=file)
        base_name, base = _resolve(body["extends"], registry, folder, chain)
        name = base_name if file == INLINE and name == "custom" else name
    plain = annotate({key: value for key, value in own.items() if "." not in key}, file)
    tree = _merge(base, plain, file, "")
    scope = {key: value for key, value in own.items() if key in ("source", "kind")}
    for key, value in own.items():
        if "." in key:
            override = annotate({**scope, key: value}, file)[key]
            tree = _put(tree, key.split("."), override, file, key)
    return name, tree


def annotate(
    body: Mapping[str, Any], file: str, source: str | None = None, kind: str | None = None, path: str = ""
) -> Tree:
    """The tree of a YAML mapping: `source:` and `kind:` hold for everything below them and vanish from it.

    Raises:
        InputError: an unknown kind, a source that is not text, or a `{value: ...}` with other keys.
    """
    source = _text(body, "source", file, path) or source
    kind = _kind(body, file, path) or kind
    tree: Tree = {}
    for key, value in body.items():
        if key in ("source", "kind"):
            continue
        here = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and "value" in value:
            extra = set(value) - {"value", "source", "kind"}
            if extra or isinstance(value["value"], Mapping):
                raise InputError(
                    "a number is {value, source, kind}", value=f"{key}: {dict(value)}", where=f"{file}: {here}"
                )
            own_source, own_kind = _text(value, "source", file, here), _kind(value, file, here)
            tree[key] = Leaf(value["value"], own_source or source, own_kind or kind, file)
        elif isinstance(value, Mapping):
            tree[key] = annotate(value, file, source, kind, here)
        else:
            tree[key] = Leaf(value, source, kind, file)
    return tree


def _text(body: Mapping[str, Any], key: str, file: str, path: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_KEY or not value.isprintable():
        rule = f"'{key}' is printable text of at most {MAX_KEY} characters"
        raise InputError(rule, value=repr(value), where=f"{file}: {path}".rstrip(": "))
    return value


def _kind(body: Mapping[str, Any], file: str, path: str) -> str | None:
    kind = _text(body, "kind", file, path)
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of number", kind, KINDS, where=f"{file}: {path}".rstrip(": "))
    return kind


def _merge(base: Tree, over: Tree, file: str, path: str) -> Tree:
    """`over` laid onto `base`, deep; a null deletes."""
    merged = dict(base)
    for key, value in over.items():
        here = f"{path}.{key}" if path else key
        below = merged.get(key)
        if isinstance(value, Leaf) and value.value is None:
            if key not in merged:
                raise InputError(
                    f"'{key}' has no value, and there is no inherited one to delete", where=f"{file}: {here}"
                )
            del merged[key]
        elif isinstance(value, dict):
            merged[key] = _merge(below if isinstance(below, dict) else {}, value, file, here)
        else:
            merged[key] = value
    return merged


def _put(tree: Tree, keys: list[str], value: Tree | Leaf, file: str, path: str) -> Tree:
    """A dotted override: everything but its last key must exist already, so a typing error is not a new device."""
    key, rest = keys[0], keys[1:]
    if not rest:
        return _merge(tree, {key: value}, file, path.rpartition(".")[0])
    below = tree.get(key)
    if rest == [OPEN] and not isinstance(below, dict):  # an open number takes the place of a number
        return {**tree, key: {OPEN: value}}
    if not isinstance(below, dict):
        raise UnknownName("key", key, [k for k, v in tree.items() if isinstance(v, dict)], where=f"{file}: {path}")
    return {**tree, key: _put(below, rest, value, file, path)}
