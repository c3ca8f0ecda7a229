"""Loading plugins, each in its own try, and importing the paths that their hooks return."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from tradespace import hookspecs
from tradespace.errors import InputError, PluginError, TradespaceError, suggestion
from tradespace.plugins import ENTRY_POINTS, GROUPS, PluginStatus

PREFIX = "tradespace_"
NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*(?:\.[^\W\d]\w*)*")
MAXIMUM_FILE = 2**22  # bytes of an unpackaged plugin


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin's status, the paths of its names by (group, name), and its catalogue folder."""

    status: PluginStatus
    paths: Mapping[tuple[str, str], str]
    catalogue: Path | None = None


def discover(extra: tuple[Path, ...]) -> tuple[LoadedPlugin, ...]:
    """Installed plugins sorted by entry point, then the unpackaged ones in the given order."""
    installed: dict[str, list[LoadedPlugin]] = {}
    for distribution in filter(_has_plugins, distributions()):
        name, version = _identity(distribution)
        if name not in installed:  # the first on the path is the one that Python imports
            installed[name] = list(_installed(distribution, name, version))
    found = sorted(itertools.chain(*installed.values()), key=lambda p: (p.status.name, p.status.distribution))
    return (*found, *(_unpackaged(path) for path in dict.fromkeys(path.absolute() for path in extra)))


def import_path(path: str, what: str) -> Any:
    """The attribute that ``"module:Attribute"`` names; `what` says in errors whose path it is.

    Raises:
        PluginError: the path is malformed, importing it raises anything, or the attribute is missing.
    """
    if not PATH.fullmatch(path):
        raise PluginError("a path reads 'package.module:Attribute'", value=path, where=what)
    module_name, _, attribute = path.partition(":")
    try:
        with _quiet():
            found: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"importing '{module_name}' failed: {describe(error)}", where=what) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            remedy = suggestion(part, [name for name in dir(found) if not name.startswith("_")])
            raise PluginError(f"'{module_name}' has no attribute '{attribute}'", where=what, remedy=remedy)
        found = getattr(found, part)
    return found


def describe(error: BaseException, limit: int = 400) -> str:
    """One paragraph: type, message and the innermost line that raised."""
    text = " ".join(str(error).split())
    text = text if len(text) <= limit else text[:limit] + "…"
    if isinstance(error, TradespaceError):
        return text
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "importlib" not in code.co_filename and code.co_filename != __file__:
            place = f" ({code.co_filename}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def _has_plugins(distribution: Distribution) -> bool:
    """Looks at the raw text first: parsing the metadata of everything installed would cost ten times as much."""
    try:
        return ENTRY_POINTS in (distribution.read_text("entry_points.txt") or "")
    except UnicodeError:
        return True
    except OSError:
        return False


def _identity(distribution: Distribution) -> tuple[str, str]:
    """Name and version; metadata of strangers may be damaged, which must not stop the others."""
    try:
        return str(distribution.name), str(distribution.version)
    except Exception:
        return f"unreadable metadata {id(distribution)}", "unknown"


def _installed(distribution: Distribution, name: str, version: str) -> Iterator[LoadedPlugin]:
    """The plugins of one distribution; an unreadable list of entry points is the failure of that distribution."""
    try:
        points = sorted((point.name, point) for point in distribution.entry_points.select(group=ENTRY_POINTS))
    except Exception as error:
        status = PluginStatus(name, name, version, hookspecs.CONTRACT)
        yield LoadedPlugin(replace(status, error=f"its entry points cannot be read: {describe(error)}"), {})
        return
    for plugin, point in points:
        module = point.value.partition(":")[0].strip()
        yield _isolated(PluginStatus(plugin, name, version, hookspecs.CONTRACT, module=module), point.load)


def _unpackaged(path: Path) -> LoadedPlugin:
    """A ``.py`` file or a package folder, under a module name that its place and content make unique."""
    file = path / "__init__.py" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".py":
        raise InputError("a plugin is a Python file or a package folder", value=path, where="--plugin")
    if file.stat().st_size > MAXIMUM_FILE:
        raise InputError(f"a plugin file has at most {MAXIMUM_FILE} bytes", value=file.stat().st_size, where=str(file))
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    unique = hashlib.sha256(str(file).encode() + content).hexdigest()[:12]
    stem = path.name if path.is_dir() else path.stem
    module_name = f"_tradespace_plugin_{unique}"
    status = PluginStatus(stem, str(path), f"sha256:{digest}", hookspecs.CONTRACT, module=module_name)
    loaded = _isolated(status, lambda: _import_file(module_name, file))
    # Such a file cannot know the module name it gets, so its stem stands for it; f"{__name__}:Attribute" works as well.
    own = {key: re.sub(rf"^{re.escape(stem)}(?=[.:])", module_name, value) for key, value in loaded.paths.items()}
    return replace(loaded, paths=own)


def _import_file(module_name: str, file: Path) -> ModuleType:
    if module_name in sys.modules:
        return sys.modules[module_name]
    folder = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(module_name, file, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise PluginError("Python cannot load this file", where=str(file))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # before it runs: dataclasses and "module:Attribute" paths look it up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _isolated(status: PluginStatus, load: Callable[[], Any]) -> LoadedPlugin:
    """Load a plugin and call its hooks; whatever it raises becomes its error, except the user's Ctrl-C."""
    try:
        with _quiet():
            plugin = load()
            status = replace(status, contract=_contract(plugin))
            return _call_hooks(status, plugin)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return LoadedPlugin(replace(status, error=describe(error)), {})


def _contract(plugin: Any) -> int:
    stated = getattr(plugin, "TRADESPACE_CONTRACT", hookspecs.CONTRACT)
    if type(stated) is not int or stated != hookspecs.CONTRACT:
        raise PluginError(
            f"this tradespace speaks plugin contract {hookspecs.CONTRACT}",
            value=f"TRADESPACE_CONTRACT = {stated!r}",
            remedy="Install versions of tradespace and of the plugin that belong together.",
        )
    return hookspecs.CONTRACT


def _call_hooks(status: PluginStatus, plugin: Any) -> LoadedPlugin:
    """One pluggy manager per plugin: pluggy verifies its signatures, and its hooks are called alone."""
    manager = pluggy.PluginManager("tradespace")
    manager.add_hookspecs(hookspecs)
    _refuse_misnamed(manager, plugin)
    manager.register(plugin, name=status.name)  # raises PluginValidationError for a wrong signature
    manager.check_pending()
    paths: dict[tuple[str, str], str] = {}
    catalogue: Path | None = None
    for caller in sorted(manager.get_hookcallers(plugin) or [], key=lambda caller: caller.name):
        results = caller()
        value = results[0] if len(results) == 1 else None
        group = caller.name.removeprefix(PREFIX)
        if group in GROUPS:
            paths.update({(group, name): path for name, path in _checked_names(caller.name, value)})
        else:
            catalogue = _checked_folder(caller.name, value)
    names = {group: tuple(sorted(name for owner, name in paths if owner == group)) for group in GROUPS}
    return LoadedPlugin(replace(status, names={g: n for g, n in names.items() if n}), paths, catalogue)


def _refuse_misnamed(manager: pluggy.PluginManager, plugin: Any) -> None:
    """pluggy ignores a hook that is misspelt or lacks its decorator, which would silently cost all its names."""
    known = tuple(sorted(name for name in vars(hookspecs) if name.startswith(PREFIX)))
    for name in dir(plugin):
        marked = manager.parse_hookimpl_opts(plugin, name) is not None
        if not marked and not _own_function(plugin, name):
            continue
        if name not in known:
            raise PluginError(f"there is no hook '{name}'", remedy=suggestion(name, known))
        if not marked:
            remedy = "Write `from tradespace.hookspecs import hookimpl` and `@hookimpl` above it."
            raise PluginError(f"{name} is not marked with @hookimpl", remedy=remedy)


def _own_function(plugin: Any, name: str) -> bool:
    value = getattr(plugin, name, None) if name.startswith(PREFIX) else None
    return inspect.isfunction(value) and value.__module__ == getattr(plugin, "__name__", None)


def _checked_names(hook: str, value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        raise PluginError(
            f'{hook} returns a dict {{name: "package.module:Attribute"}}', value=f"{type(value).__name__} {value!r}"
        )
    for name, path in value.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise PluginError(f"{hook}: a name is lower-case words joined by '-', '_' or '.'", value=repr(name))
        if not isinstance(path, str) or not PATH.fullmatch(path):
            raise PluginError(f"{hook}: '{name}' maps to 'package.module:Attribute'", value=repr(path))
        yield name, path


def _checked_folder(hook: str, value: object) -> Path:
    if not isinstance(value, str | Path) or not Path(value).is_absolute() or not Path(value).is_dir():
        raise PluginError(
            f"{hook} returns the absolute path of a folder that exists",
            value=repr(value),
            remedy='Use str(Path(__file__).parent / "catalogue") and ship the folder with the package.',
        )
    return Path(value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a plugin prints while it loads goes to stderr: stdout may be a JSON document."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
