"""Digests of what a result depends on: the code of its optimizer and the prices of its instance.

The code is the optimizer's module with every module of the plugin and of `tradespace.search` that it imports, wherever
the import stands; comments, docstrings and layout do not count. Libraries count by their versions. Peers use nothing of
ours but what removes dominated designs.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from bench.arena.cells import ablations
from bench.arena.peers import PEERS

from tradespace.search.indicators import nondominated

_FOLLOWED = ("tradespace_optimizers.", "tradespace.search.", "tradespace.costs.labels", "tradespace.costs.sweep")
_LIBRARIES = ("pymoo", "moocore", "optuna", "numpy")


_APART = frozenset(
    f"tradespace_optimizers.{name}"
    for name in ("exhaustive", "nas_evolution", "pymoo_family", "relay", "rl_aco", "schedule_search")
)
"""What `auto` only hands over to: where it chose another one, these do not matter."""


def code_of(optimizer: str, note: str = "") -> str:
    """Digest of the code of an optimizer of ours ("auto", "auto declared") or of a peer. ``note``: what it said of a
    run; of `auto` counts what it chose there, and the choice."""
    return _digest(optimizer, _chosen(note) if optimizer.startswith("auto") and note else "")


def _chosen(note: str) -> str:
    """Module of the optimizer that a note of auto's names; empty where it is not known."""
    from tradespace.errors import TradespaceError
    from tradespace.plugins import registry

    name = note.removeprefix("auto: ").split(",")[0]
    try:
        return str(registry().load("optimizers", name).__module__)
    except TradespaceError:
        module = "tradespace_optimizers." + ("relay" if "in relay" in name else name)
        return module if name.replace("_", "").isalnum() or "in relay" in name else ""


@cache
def _digest(optimizer: str, chosen: str) -> str:
    h = hashlib.blake2b(digest_size=6)
    name = optimizer.partition(" ")[0]
    if optimizer in PEERS:
        roots = ["bench.arena.peers"]
    else:
        from tradespace.plugins import registry

        cls: Any = registry().load("optimizers", name)
        roots = [cls.__module__]
        h.update(repr(ablations().get(optimizer, "")).encode() if optimizer.startswith("pgsam no ") else b"")
    if optimizer in PEERS:
        modules = frozenset(roots)
        h.update(inspect.getsource(nondominated).encode())
    else:
        modules = _closure(tuple(roots), _APART) | _closure((chosen,)) if chosen else _closure(tuple(roots))
    for module in sorted(modules):
        h.update(f"{module} {_plain(module)}".encode())
    if optimizer in PEERS or any(word in name for word in ("auto", "nsga", "optuna", "moea")):
        h.update(" ".join(f"{lib} {metadata.version(lib)}" for lib in _LIBRARIES).encode())
    return h.hexdigest()


@cache
def _closure(roots: tuple[str, ...], without: frozenset[str] = frozenset()) -> frozenset[str]:
    found, todo = set(roots), list(roots)
    while todo:
        for module in _imports(todo.pop()):
            if module not in found | without and module.startswith(_FOLLOWED):
                found.add(module)
                todo.append(module)
    return frozenset(found)


@cache
def _tree(module: str) -> ast.Module:
    spec = util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


def _imports(module: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name for name in inside if name.startswith(_FOLLOWED) and _is_module(name)}
    return names


@cache
def _is_module(name: str) -> bool:
    try:
        return util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@cache
def _plain(module: str) -> str:
    """The code without docstrings, comments and layout."""
    tree = ast.parse(ast.unparse(_tree(module)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and body and _is_text(body[0]):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def prices_of(problem: Any) -> str:
    """Digest of what 32 fixed designs cost: it changes where the instance does."""
    from tradespace.search.contract import rng

    scores = problem.score(problem.repair(problem.space.sample(32, rng(0, 0, "probe"))))
    h = hashlib.blake2b(digest_size=6)
    for values in (scores.objectives, scores.violations):
        h.update((values.round(12) + 0.0).tobytes())
    return h.hexdigest()
