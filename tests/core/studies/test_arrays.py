from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradespace.errors import StudyError
from tradespace.studies import arrays
from tradespace.studies.arrays import pack, unpack


def test_arrays_come_back_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    given = {
        "codes": rng.integers(-128, 128, (7, 3), dtype=np.int8),
        "ttft[a]/b": rng.standard_normal(5) * np.array([1e-300, 1, 1e300, -0.0, 3]),
        "digest": rng.integers(0, 2**63, 4).astype(np.uint64) * 2,
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 4)),
        "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
        "big-endian": np.arange(3, dtype=">i4"),
    }
    back = unpack(pack(given), "here")
    assert list(back) == list(given)
    for name, array in given.items():
        assert back[name].tobytes() == np.ascontiguousarray(array).astype(back[name].dtype).tobytes()
        assert back[name].shape == array.shape


def test_objects_are_not_written() -> None:
    with pytest.raises(StudyError, match="arrays of numbers"):
        pack({"a": np.array([object()])})


def test_long_arrays_of_strangers_are_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = pack({"zeros": np.zeros(100_000)})
    assert len(blob) < 8000
    monkeypatch.setattr(arrays, "MAX_BYTES", 10_000)
    with pytest.raises(StudyError, match="too long or cut off"):
        unpack(blob, "here")


def test_every_cut_is_noticed() -> None:
    blob = pack({"a": np.arange(50), "b": np.arange(3.0)})
    for length in range(len(blob)):
        with pytest.raises(StudyError):
            unpack(blob[:length], "here")


@given(st.binary(max_size=200))
def test_any_bytes_end_in_one_kind_of_error(data: bytes) -> None:
    import zlib

    for blob in (data, zlib.compress(data), zlib.compress(len(data).to_bytes(4, "little") + data)):
        with contextlib.suppress(StudyError):
            assert unpack(blob, "here") == {}  # "[]" is the header of no arrays; anything else is refused
