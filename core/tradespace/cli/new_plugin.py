"""`tradespace new-plugin`: the skeleton of a plugin package that passes its own tests and the kits."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tradespace.cli.context import json_wanted, print_json, registry_from_context

if TYPE_CHECKING:
    from tradespace.plugins import Registry

NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
LONGEST = 40
FILES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "src/%%MODULE%%/__init__.py": "__init__.py",
    "src/%%MODULE%%/py.typed": "",
    "src/%%MODULE%%/saturating.py": "saturating.py",
    "src/%%MODULE%%/catalogue/targets/%%NAME%%-board.yaml": "target.yaml",
    "src/%%MODULE%%/catalogue/workloads/%%NAME%%-decoder.yaml": "workload.yaml",
    "tests/test_plugin.py": "test_plugin.py",
}
"""File of the skeleton -> its template in the folder `scaffold`; no template: an empty file."""


def new_plugin(
    name: str = typer.Argument(help="Name of the package: lower-case words joined by '-'."),
    folder: Path = typer.Option(Path(), help="Where to put it; the package becomes FOLDER/NAME."),  # noqa: B008 - typer's way
) -> None:
    """Write the skeleton of a plugin package: entry point, one target, one workload, one device model, tests."""
    check_name(name, registry_from_context())
    written = write(name, folder.expanduser())
    home = folder.expanduser() / name
    if json_wanted():
        print_json({"name": name, "folder": str(home), "files": written})
        return
    typer.echo(f"{home}: a plugin with a target, a workload, a device model and tests")
    for file in written:
        typer.echo(f"  {file}")
    typer.echo(f"Next: pip install -e {home} && tradespace check {name}")


def check_name(name: str, registry: Registry) -> None:
    """A name that can be a distribution, a module and a plugin, and that nothing else has.

    Raises:
        InputError: it cannot, or something has it.
    """
    from tradespace.errors import InputError

    if not NAME.fullmatch(name) or len(name) > LONGEST:
        plain = "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:LONGEST].strip("-")
        raise InputError(
            f"a plugin's name is lower-case words joined by '-', at most {LONGEST} characters, a letter first",
            value=name,
            where="new-plugin",
            remedy=f"'{plain}' would do." if NAME.fullmatch(plain) else None,
        )
    taken = [f"plugin '{plugin.name}' of {plugin.distribution}" for plugin in registry.plugins if plugin.name == name]
    module = module_of(name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or _importable(module):
        taken.append(f"the Python module '{module}'")
    if taken:
        raise InputError(
            "the name of a new plugin is free", value=name, where="new-plugin", remedy=f"{taken[0]} has it."
        )


def module_of(name: str) -> str:
    """The import package of a plugin's name."""
    return name.replace("-", "_")


def write(name: str, folder: Path) -> list[str]:
    """Write the skeleton to `folder`/`name`, whole or not at all. Returns the files, relative to it.

    Raises:
        InputError: the folder exists.
        OSError: the place cannot be written to.
    """
    import shutil
    import tempfile

    from tradespace.errors import InputError

    home = folder / name
    if home.exists() or home.is_symlink():
        raise InputError("the folder of a new plugin does not exist yet", value=home, remedy="Choose another --folder.")
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder))
    try:
        written = [_fill(draft, file, template, name) for file, template in FILES.items()]
        draft.chmod(0o755)
        draft.rename(home)  # fails if somebody made a folder with files there meanwhile
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return sorted(written)


def _fill(draft: Path, file: str, template: str, name: str) -> str:
    scaffold = Path(__file__).parent / "scaffold"
    text = (scaffold / f"{template}.tmpl").read_text(encoding="utf-8") if template else ""
    place = _named(file, name)
    (draft / place).parent.mkdir(parents=True, exist_ok=True)
    (draft / place).write_text(_named(text, name), encoding="utf-8")
    return place


def _named(text: str, name: str) -> str:
    return text.replace("%%NAME%%", name).replace("%%MODULE%%", module_of(name))


def _importable(module: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return True
