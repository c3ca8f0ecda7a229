"""Private environments for tools that tradespace itself does not depend on, made once under out/venvs."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HOME = Path(__file__).parents[1] / "out" / "venvs"


def python_with(name: str, *packages: str, minutes: float = 10) -> tuple[Path | None, str]:
    """(python, "") of an environment that has the packages; (None, reason) where they cannot be installed."""
    folder = HOME / name
    python, stamp = folder / "bin" / "python", folder / ".packages"
    wanted = "\n".join(packages)
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return python, ""
    print(f"making {folder} with {', '.join(packages)}", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * minutes, check=False)
    except subprocess.TimeoutExpired:
        return None, f"installing {', '.join(packages)} took more than {minutes:g} minutes"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["pip failed"]
        return None, f"{', '.join(packages)} cannot be installed: {lines[-1][:160]}"
    stamp.write_text(wanted)
    return python, ""
