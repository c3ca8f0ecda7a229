from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tradespace.errors import TradespaceError
from tradespace.reports.files import write_atomic


def test_writes_whole_files_and_makes_folders(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a" / "b" / "x.html", "grüße")
    assert path.read_text(encoding="utf-8") == "grüße"
    assert os.listdir(path.parent) == ["x.html"]
    mask = os.umask(0o022)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask  # as open() would have made it


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(TradespaceError, match=r"report\.html: .*No space left on device.*free some space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_really_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(TradespaceError):
        write_atomic("/dev/full/report.html", "x")


def test_the_path_is_a_folder_or_runs_through_a_file(tmp_path: Path) -> None:
    with pytest.raises(TradespaceError, match="The path is a folder"):
        write_atomic(tmp_path, "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(TradespaceError, match=r"A part of the path is a file|Choose another"):
        write_atomic(tmp_path / "file" / "x.html", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TradespaceError, match="Choose a folder you may write to"):
        write_atomic(tmp_path / "x.html", "x")
