"""The registry: what loads, what is refused and how, and that a broken plugin costs only itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tradespace.errors import InputError, PluginError, UnknownName
from tradespace.hookspecs import CONTRACT
from tradespace.plugins import GROUPS, PluginStatus, Registry, registry

HEAD = "from tradespace.hookspecs import hookimpl\n"
Install = Callable[..., None]


def optimizers(mapping: str, head: str = HEAD) -> str:
    return f"{head}\n@hookimpl\ndef tradespace_optimizers():\n    return {mapping}\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put distributions on the path as pip would: modules beside a ``.dist-info`` folder with entry points."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def write(name: str, code: str | None, entry: str | None = None, version: str = "2.5") -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[tradespace.plugins]\n{entry or f'{name} = {name}'}\n")
        if code is not None:
            (site / f"{name}.py").write_text(code)

    yield write
    for module in [m for m, value in sys.modules.items() if str(site) in str(getattr(value, "__file__", None))]:
        del sys.modules[module]


def status(found: Registry, name: str) -> PluginStatus:
    (one,) = [plugin for plugin in found.plugins if plugin.name == name]
    return one


def test_built_ins_enter_by_the_same_door() -> None:
    assert {"edge", "optimizers"} <= {plugin.name for plugin in registry().plugins}
    assert all(plugin.error is None and not plugin.conflicts for plugin in registry().plugins)
    assert {"pgsam", "nsga2"} <= set(registry().names("optimizers"))
    assert registry() is registry()


def test_entry_points_are_the_plugin_packages() -> None:
    folder = Path(__file__).parents[2] / "plugins"
    packages = {init.parent.name for init in folder.glob("*/__init__.py")}
    import tomllib

    project = tomllib.loads((folder.parent / "pyproject.toml").read_text())["project"]
    assert set(project["entry-points"]["tradespace.plugins"].values()) == packages


def test_a_stranger_is_listed_with_distribution_version_and_names(install: Install) -> None:
    install("strange_good", optimizers("{'walk': 'strange_good:Walk'}") + "\nclass Walk: pass\n")
    found = Registry.discover()
    assert status(found, "strange_good") == PluginStatus(
        "strange_good", "strange_good", "2.5", CONTRACT, {"optimizers": ("walk",)}, module="strange_good"
    )
    assert found.load("optimizers", "walk").__name__ == "Walk"
    assert set(registry().names("optimizers")) < set(found.names("optimizers"))


BROKEN = {
    "import error": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "syntax": ("def tradespace_optimizers(:", "SyntaxError"),
    "raises at import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "exits at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "base exception": ("class Stop(BaseException): pass\nraise Stop('no')", "Stop: no"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "hook raises": (f"{HEAD}\n@hookimpl\ndef tradespace_kernels(): raise KeyError('x')", "KeyError"),
    "hook exits": (f"{HEAD}\n@hookimpl\ndef tradespace_kernels(): raise SystemExit('bye')", "SystemExit: bye"),
    "returns a list": (optimizers("['walk']"), "tradespace_optimizers returns a dict"),
    "returns nothing": (optimizers("None"), "tradespace_optimizers returns a dict"),
    "returns a class": (optimizers("{'walk': object}"), "'walk' maps to 'package.module:Attribute'"),
    "no colon": (optimizers("{'walk': 'strange.module.Walk'}"), "maps to 'package.module:Attribute'"),
    "call in a path": (optimizers("{'walk': 'os:system(1)'}"), "maps to 'package.module:Attribute'"),
    "relative path": (optimizers("{'walk': '.module:Walk'}"), "maps to 'package.module:Attribute'"),
    "bad name": (optimizers("{'My Walk': 'a:b'}"), "lower-case words"),
    "name is no text": (optimizers("{3: 'a:b'}"), "lower-case words"),
    "unknown hook": (
        f"{HEAD}\n@hookimpl\ndef tradespace_optimisers(): return {{}}",
        "no hook 'tradespace_optimisers'. Did you mean 'tradespace_optimizers'",
    ),
    "unknown unmarked hook": ("def tradespace_optimisers(): return {}", "Did you mean 'tradespace_optimizers'"),
    "forgotten decorator": ("def tradespace_optimizers(): return {}", "not marked with @hookimpl"),
    "wrong signature": (f"{HEAD}\n@hookimpl\ndef tradespace_kernels(registry): return {{}}", "PluginValidationError"),
    "no such folder": (
        f"{HEAD}\n@hookimpl\ndef tradespace_catalogue(): return '/nowhere/at/all'",
        "folder that exists",
    ),
    "relative folder": (f"{HEAD}\n@hookimpl\ndef tradespace_catalogue(): return 'catalogue'", "absolute path"),
    "other contract": ("TRADESPACE_CONTRACT = 999", f"plugin contract {CONTRACT}; got TRADESPACE_CONTRACT = 999"),
    "contract no number": ("TRADESPACE_CONTRACT = 'new'", f"plugin contract {CONTRACT}"),
    "lying attribute": ("def __getattr__(name): raise RuntimeError(name)", "RuntimeError: TRADESPACE_CONTRACT"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_only_itself(install: Install, case: str) -> None:
    code, message = BROKEN[case]
    install("strange_broken", code)
    install("strange_good", optimizers("{'walk': 'strange_good:Walk'}") + "\nclass Walk: pass\n")
    found = Registry.discover()
    broken = status(found, "strange_broken")
    assert message in str(broken.error)
    assert broken.names == {} and broken.distribution == "strange_broken" and broken.version == "2.5"
    assert "\n" not in str(broken.error)
    assert found.load("optimizers", "walk").__name__ == "Walk"
    assert set(registry().names("optimizers")) | {"walk"} == set(found.names("optimizers"))
    with pytest.raises(UnknownName, match="Plugin 'strange_broken' failed to load: "):
        found.load("optimizers", "wlk")


def test_a_plugin_is_taken_whole_or_not_at_all(install: Install) -> None:
    half = optimizers("{'half': 'a:b'}") + "\n@hookimpl\ndef tradespace_readers(): return 3\n"
    install("strange_half", half)
    found = Registry.discover()
    assert "half" not in found.names("optimizers")
    assert "tradespace_readers" in str(status(found, "strange_half").error)


def test_entry_points_that_lead_nowhere_are_listed(install: Install) -> None:
    install("strange_gone", None)
    install("strange_odd", "", entry="strange_odd = not a module!")
    found = Registry.discover()
    assert status(found, "strange_gone").error and status(found, "strange_odd").error


@pytest.mark.parametrize("text", [b"[tradespace.plugins]\nno equals sign\n", b"[tradespace.plugins]\na = \xff\xfe\n"])
def test_a_damaged_list_of_entry_points_costs_one_distribution(install: Install, tmp_path: Path, text: bytes) -> None:
    install("strange_damaged", "")
    (tmp_path / "site/strange_damaged-2.5.dist-info/entry_points.txt").write_bytes(text)
    found = Registry.discover()
    assert "entry points cannot be read" in str(status(found, "strange_damaged").error)
    assert found.names("optimizers") == registry().names("optimizers")


def test_an_error_says_where_it_was_raised(install: Install) -> None:
    install("strange_line", "x = 1\ny = 2\nraise ValueError('no good')\n")
    error = str(status(Registry.discover(), "strange_line").error)
    assert error.startswith("ValueError: no good (") and error.endswith("strange_line.py:3)")


def test_ctrl_c_is_not_swallowed(install: Install) -> None:
    install("strange_stop", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Registry.discover()


def test_two_paths_for_one_name_are_refused_and_both_named(install: Install) -> None:
    install(
        "strange_rival", optimizers("{'pgsam': 'strange_rival:Mine', 'other': 'strange_rival:Mine'}") + "\nMine = 1\n"
    )
    found = Registry.discover()
    with pytest.raises(PluginError) as caught:
        found.load("optimizers", "pgsam")
    assert "plugin 'optimizers' (tradespace_optimizers.pgsam:PGSAM)" in str(caught.value)
    assert "plugin 'strange_rival' (strange_rival:Mine)" in str(caught.value)
    for name in ("optimizers", "strange_rival"):
        (sentence,) = status(found, name).conflicts
        assert "optimizer 'pgsam' is claimed by" in sentence
    assert found.load("optimizers", "other") == 1
    assert found.claim("optimizers", "nsga2").plugin == "optimizers"


def test_the_same_path_twice_is_no_conflict(install: Install) -> None:
    install("strange_twin", optimizers("{'pgsam': 'tradespace_optimizers.pgsam:PGSAM'}"))
    found = Registry.discover()
    assert found.claim("optimizers", "pgsam").path == "tradespace_optimizers.pgsam:PGSAM"
    assert not any(plugin.conflicts for plugin in found.plugins)


def test_one_name_in_two_groups_is_no_conflict(install: Install) -> None:
    install("strange_group", f"{HEAD}\n@hookimpl\ndef tradespace_readers(): return {{'pgsam': 'os:sep'}}")
    found = Registry.discover()
    assert found.load("readers", "pgsam") and found.claim("optimizers", "pgsam")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.at:All", "No module named 'nowhere'"),
        ("os:sepp", "'os' has no attribute 'sepp'. Did you mean 'sep'"),
        ("strange_late:X", "ValueError: late"),
        ("strange_exit:X", "SystemExit: 4"),
    ],
)
def test_a_path_that_cannot_be_imported_is_a_plugin_error(install: Install, path: str, message: str) -> None:
    install("strange_paths", optimizers(f"{{'walk': '{path}'}}"))
    install("strange_late", "raise ValueError('late')", entry="ignored = os.path")
    install("strange_exit", "raise SystemExit(4)", entry="ignored2 = os.path")
    found = Registry.discover()
    assert status(found, "strange_paths").error is None
    with pytest.raises(PluginError, match="optimizer 'walk' of plugin 'strange_paths'") as caught:
        found.load("optimizers", "walk")
    assert message in str(caught.value)


def test_unknown_names_and_groups_get_suggestions() -> None:
    with pytest.raises(UnknownName, match=r"unknown optimizer 'pgsan'\. Did you mean 'pgsam'"):
        registry().load("optimizers", "pgsan")
    with pytest.raises(UnknownName, match=r"unknown device model 'rooflin'\. Did you mean 'roofline'"):
        registry().load("device_models", "rooflin")
    with pytest.raises(UnknownName, match="Did you mean 'optimizers'"):
        registry().names("optimiser")
    with pytest.raises(UnknownName, match="Did you mean 'targets'"):
        registry().catalogue_files("target")
    for group in GROUPS:
        assert registry().names(group) == tuple(sorted(registry().names(group)))


FILE = (
    optimizers("{'walk': f'{__name__}:Walk', 'run': 'mine:Run'}")
    + "\nfrom dataclasses import dataclass\n\n@dataclass\nclass Walk:\n    x: int = 1\n\nclass Run: pass\n"
)


def test_an_unpackaged_plugin_may_name_itself(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    found = Registry.discover([tmp_path / "mine.py"])
    mine = status(found, "mine")
    assert mine.error is None and mine.version.startswith("sha256:") and mine.distribution.endswith("mine.py")
    assert found.load("optimizers", "walk")().x == 1
    assert found.load("optimizers", "run").__name__ == "Run"
    assert "mine" not in sys.modules


def test_unpackaged_plugins_of_one_stem_do_not_meet(tmp_path: Path) -> None:
    for folder, name in (("a", "walk"), ("b", "run")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(
            optimizers(f"{{'{name}': f'{{__name__}}:X'}}") + f"\nX = '{folder}'\n"
        )
    found = Registry.discover([str(tmp_path / "a/mine.py"), str(tmp_path / "b/mine.py"), tmp_path / "a/mine.py"])
    assert (found.load("optimizers", "walk"), found.load("optimizers", "run")) == ("a", "b")
    assert [plugin.name for plugin in found.plugins].count("mine") == 2


def test_an_edited_file_is_loaded_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    for value in (1, 2):
        file.write_text(optimizers("{'walk': 'mine:X'}") + f"\nX = {value}\n")
        assert Registry.discover([file]).load("optimizers", "walk") == value


def test_an_unpackaged_folder_may_import_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "__init__.py").write_text(optimizers("{'walk': f'{__name__}.part:X'}"))
    (folder / "part.py").write_text("X = 7\n")
    assert Registry.discover([folder]).load("optimizers", "walk") == 7


def test_a_broken_file_is_listed_and_a_missing_one_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nowhere_to_be_found")
    found = Registry.discover([tmp_path / "bad.py"])
    assert "nowhere_to_be_found" in str(status(found, "bad").error)
    (tmp_path / "text.txt").write_text("")
    for path in (tmp_path / "no.py", tmp_path / "text.txt", tmp_path):
        with pytest.raises(InputError, match="Python file or a package folder"):
            Registry.discover([path])


def test_catalogue_files_are_sorted_and_carry_their_plugin(tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    for name in ("targets/b.yaml", "targets/a.yml", "targets/deep/c.yaml", "targets/note.txt", "workloads/w.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    code = f"{HEAD}\n@hookimpl\ndef tradespace_catalogue(): return {str(folder)!r}\n"
    (tmp_path / "mine.py").write_text(code)
    found = Registry.discover([tmp_path / "mine.py"])
    mine = [
        file.relative_to(folder).as_posix() for plugin, file in found.catalogue_files("targets") if plugin == "mine"
    ]
    assert mine == ["targets/a.yml", "targets/b.yaml", "targets/deep/c.yaml"]
    assert found.catalogues()[-1].folder == folder


def test_what_a_plugin_prints_does_not_reach_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loud.py").write_text("print('hello')")
    Registry.discover([tmp_path / "loud.py"])
    captured = capsys.readouterr()
    assert captured.out == "" and "hello" in captured.err


def test_discovering_imports_nothing_heavy() -> None:
    code = (
        "import sys, tradespace; assert 'pluggy' not in sys.modules;"
        "from tradespace.plugins import registry; registry();"
        "print(sorted({'numpy', 'numba', 'yaml', 'sqlalchemy', 'optuna', 'pymoo', 'hydra'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
