"""Hydra's side of ``tradespace search``: groups from the registry, composition, runs and sweeps.

Nothing is read from hydra's working folders and nothing is left in them: a study's log holds what hydra would write.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tradespace.cli.overrides import GROUPS, check_class, quote
from tradespace.errors import InputError, TradespaceError

if TYPE_CHECKING:
    from tradespace.plugins import Registry

CONFIG = "config"
BUDGETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {"evaluations": 2_000, "seconds": None, "stagnation": None},
    "default": {"evaluations": 10_000, "seconds": None, "stagnation": None},
    "long": {"evaluations": 200_000, "seconds": None, "stagnation": None},
}
STORAGES: Mapping[str, Mapping[str, Any]] = {
    "default": {"url": None, "keep_designs": False},
    "designs": {"url": None, "keep_designs": True},  # every design and price in the log, for pure evaluators too
}
_NOISE = ("full_key", "object_type", "Config search path", "provider=")
_NAMED: Mapping[str, tuple[str, str]] = {
    "workload": ("extends", "llama-3.2-1b"),
    "target": ("extends", "laptop"),
    "optimizer": ("name", "auto"),
}
"""Groups whose options are names of the registry: key of the name, and the default in config.yaml."""
_GROUP_KEYS = ("workload", "target", "optimizer", "budget", "storage")


def group_names(registry: Registry) -> Callable[[str], Sequence[str]]:
    """Group -> its names, files in the ``conf/`` folders of plugins included; looked up when asked for."""
    own = [path for _, path in registry.catalogue_files("conf")]
    known = _registered(registry)
    return lambda group: (*known(group), *(path.stem for path in own if path.parent.name == group))


def _registered(registry: Registry) -> Callable[[str], Sequence[str]]:
    """Group -> the names that need no file."""
    from tradespace.studies.catalogue import study_folders
    from tradespace.targets import target_names
    from tradespace.workloads import workload_names
    from tradespace.workloads.load import FILE

    sources: Mapping[str, Callable[[], Sequence[str]]] = {
        "workload": lambda: (*workload_names(registry), FILE),
        "target": lambda: target_names(registry),
        "optimizer": lambda: registry.names("optimizers"),
        "budget": lambda: tuple(BUDGETS),
        "storage": lambda: tuple(STORAGES),
        "study": lambda: tuple(n for n, folder in study_folders(registry).items() if (folder / "study.yaml").exists()),
    }
    return lambda group: sources[group]()


def plugin_paths(registry: Registry, arguments: Sequence[str]) -> tuple[str, ...]:
    """The arguments, with the ``conf/`` folders of plugins on hydra's search path unless the user sets that path."""
    folders = [c.folder / "conf" for c in registry.catalogues() if (c.folder / "conf").is_dir()]
    if not folders or any(word.lstrip("+").startswith("hydra.searchpath=") for word in arguments):
        return tuple(arguments)
    return (*arguments, f"hydra.searchpath=[{','.join(quote(f'file://{folder}') for folder in folders)}]")


def fits(override: str) -> bool:
    """Whether hydra's grammar takes an override as it is."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


@contextlib.contextmanager
def hydra_session(
    registry: Registry, files: Mapping[tuple[str, str], str], arguments: Sequence[str] = ()
) -> Iterator[Any]:
    """Hydra, with the groups of this registry and the presets that ``arguments`` name; its process-wide state is put
    back afterwards."""
    from hydra import initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    store = ConfigStore.instance()
    before = store.repo
    store.repo = dict(before)
    try:
        _fill(store, registry, files, arguments)
        with _refusals(), initialize_config_module("tradespace_conf", job_name="tradespace", version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            hydra.compose_config = _checked(hydra.compose_config)
            yield hydra
    finally:
        store.repo = before
        GlobalHydra.instance().clear()


def _checked(composing: Callable[..., Any]) -> Callable[..., Any]:
    """Hydra's composition, refusing what is not plain or names a class that is not hydra's, before hydra uses it."""

    def checked(*arguments: Any, **options: Any) -> Any:
        from omegaconf import OmegaConf

        config = composing(*arguments, **options)
        own: Any = OmegaConf.to_container(config, resolve=False)
        _check_plain({key: value for key, value in own.items() if key != "hydra"}, "")
        _check_classes(own.get("hydra"), "hydra")
        return config

    return checked


def compose(hydra: Any, arguments: Sequence[str], *, sweep: bool = False) -> Any:
    """The composed configuration, hydra's part included."""
    from hydra.types import RunMode

    mode = RunMode.MULTIRUN if sweep else RunMode.RUN
    return hydra.compose_config(CONFIG, list(arguments), run_mode=mode, with_log_configuration=False)


def run(hydra: Any, arguments: Sequence[str], task: Callable[[Any], Any]) -> Any:
    """One run through hydra; returns what the task returned."""
    return hydra.run(CONFIG, task, list(arguments), with_log_configuration=False).return_value


def multirun(hydra: Any, arguments: Sequence[str], task: Callable[[Any], Any]) -> list[Any]:
    """Hydra's own multirun with whatever sweeper and launcher are configured; what the tasks returned, in order."""
    own = any(word.lstrip("+").startswith("hydra.sweep.dir=") for word in arguments)
    with tempfile.TemporaryDirectory(prefix="tradespace-sweep-") as scratch:
        arguments = [*arguments, *([] if own else [f"hydra.sweep.dir={scratch}", "hydra.sweep.subdir=."])]
        batches = hydra.multirun(CONFIG, task, arguments, with_log_configuration=False)
    return [
        job.return_value for batch in batches or [] for job in (batch if isinstance(batch, list | tuple) else [batch])
    ]


def _fill(store: Any, registry: Registry, files: Mapping[tuple[str, str], str], arguments: Sequence[str]) -> None:
    names = _registered(registry)
    for group, (key, default) in _NAMED.items():
        for name in {*names(group), default}:  # a default that nobody provides is missed where it is looked up
            store.store(group=group, name=name, node={key: name})
    for (group, option), path in files.items():
        store.store(group=group, name=option, node={"extends": path})
    for group, table in (("budget", BUDGETS), ("storage", STORAGES)):
        for name, node in table.items():
            store.store(group=group, name=name, node=dict(node))
    asked = ",".join(word.partition("=")[2] for word in arguments if word.startswith("study="))
    for name in names("study") if asked else ():  # a preset that is broken costs nobody who does not ask for it
        if name not in asked.split(",") and "(" not in asked:
            continue
        store.store(group="study", name=name, node=preset(name, registry), package="_global_")


def preset(name: str, registry: Registry) -> dict[str, Any]:
    """``studies/<name>/study.yaml`` as a node of the group ``study``: group choices become hydra's defaults list.

    Raises:
        TradespaceError: a key that is none of the search's, or a value that is not plain.
    """
    from tradespace.cli.overrides import PLAIN
    from tradespace.documents import read_document
    from tradespace.errors import UnknownName
    from tradespace.studies.catalogue import study_folders

    path = study_folders(registry)[name] / "study.yaml"
    document = read_document(path)
    _check_plain(document, str(path))  # first: hydra resolves what stands in a defaults list
    defaults: list[Any] = []
    node: dict[str, Any] = {}
    for key, value in document.items():
        if key not in (*_GROUP_KEYS, *PLAIN, "title"):
            raise UnknownName("key", key, (*_GROUP_KEYS, *PLAIN, "title"), where=str(path))
        if key == "title":
            continue
        if key not in _GROUP_KEYS:
            node[key] = value
            continue
        body = dict(value) if isinstance(value, dict) else {"extends": value}
        choice = body.pop("extends", None) or body.pop("name", None)
        if choice is not None:
            defaults.append({f"override /{key}": str(choice)})
        if body:
            node[key] = body
    return {"defaults": [*defaults, "_self_"], **node} if defaults else node


def _check_plain(value: Any, where: str) -> None:
    """No interpolation anywhere: configurations are data, and an environment is nobody's business."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, where)
    elif isinstance(value, str) and "${" in value:
        raise InputError("a value is plain, no ${...}", value=value, where=where)


def _check_classes(value: Any, where: str) -> None:
    """``_target_`` is instantiated by hydra, ``()`` and ``class`` by the logging it configures."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in ("_target_", "()") or (key == "class" and not str(item).startswith("logging.")):
                check_class(str(item), f"{where}.{key}")
            else:
                _check_classes(item, f"{where}.{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            _check_classes(item, f"{where}[{at}]")


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Hydra's refusals in one paragraph."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except TradespaceError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ or error
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        message = " ".join(dict.fromkeys(line for line in lines if not line.startswith(_NOISE)))
        raise InputError(
            "hydra cannot take these overrides",
            value=message[:400],
            where="search",
            remedy=f"Groups: {', '.join(GROUPS)}; see 'tradespace search --help'.",
        ) from error
