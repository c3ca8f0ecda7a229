"""YAML from strangers: everything hostile ends in one paragraph, quickly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradespace.documents import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_document
from tradespace.errors import InputError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\nb: {<<: [*a, *a]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"file.yaml:2: aliases \(\*name\) are not used in these files; got \*a"),
        (MERGES, r"aliases \(\*name\)"),
        ("a: &a [*a]\n", r"aliases \(\*name\)"),
        ("<<: {a: 1}\n", "not valid YAML"),
        ("a: " + "[" * 100 + "]" * 100, f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep"),
        ("a: " + "[" * 200_000, f"at most {MAX_NODES} values, nested at most {MAX_DEPTH} deep"),
        ("a: [" + "1," * 2 * MAX_NODES + "]", f"at most {MAX_NODES} values"),
        ("a: " + "x" * MAX_BYTES, f"the file must be at most {MAX_BYTES} bytes"),
        ("a: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
        ("a: !!python/name:os.system\n", "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", r"file.yaml:3: the key 'a' stands twice. Keep one of them"),
        ("1: 2\n", "file.yaml:1: a key must be text; got 1. Put it in quotes"),
        ("no: 2\n", "file.yaml:1: a key must be text; got False"),
        ("[a]: 2\n", "file.yaml:1: a key must be text"),
        ("a: [1\n", r"file.yaml:\d: the file is not valid YAML"),
        ("a: 2026-13-45\n", "a value of the file cannot be read"),
        ("a: " + "9" * 10_000 + "\n", "a value of the file cannot be read"),
        ("- a\n", "the file must hold one mapping; got list"),
        ("", "the file must hold one mapping; got NoneType"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
    ],
)
def test_hostile_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_document(file)


def test_what_is_not_a_text_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a file is needed"):
        read_document(tmp_path)
    with pytest.raises(InputError, match="a file is needed"):
        read_document(Path("/dev/zero"))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="must be UTF-8 text; got byte 3"):
        read_document(binary)


def test_plain_data_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text("a: {b: 1e9, c: [1, 2.5], d: yes}\n")
    assert read_document(file) == {"a": {"b": "1e9", "c": [1, 2.5], "d": True}}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(text=st.text(st.characters(codec="utf-8"), max_size=200) | st.text("ab:-{}[],&*!|>'\"\n 1", max_size=80))
def test_any_text_is_read_or_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(text, newline="")
    try:
        assert isinstance(read_document(file), dict)
    except InputError as error:
        assert len(str(error)) < 600
