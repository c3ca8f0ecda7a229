"""The precision kit finds formats whose bytes or codec are not what they say; the rows kit, rows with no meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tradespace.cli.main import main
from tradespace.plugins import registry
from tradespace.precisions import INT8, Codec, Precision
from tradespace.testing import check_precision
from tradespace.testing.run import ROWS_KIT

CODEC = INT8.codec
assert CODEC is not None
ENCODE, DECODE = CODEC.encode, CODEC.decode


@pytest.mark.parametrize("name", registry().names("precisions"))
def test_built_in_formats_pass(name: str) -> None:
    report = check_precision(registry().load("precisions", name))
    assert report.passed and len(report.checks) == 7, str(report)


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (replace(INT8, codec=Codec(lambda v: ENCODE(v)[:-1], CODEC.decode)), "encodes_into_the_bytes_it_states"),
        (replace(INT8, codec=Codec(CODEC.encode, lambda d, n: DECODE(d, n)[1:])), "decodes_what_it_encodes"),
        (replace(INT8, codec=Codec(CODEC.encode, lambda d, n: DECODE(d, n) + 1)), "keeps_zero"),
        (replace(INT8, codec=Codec(CODEC.encode, lambda d, n: np.full(n, np.nan, np.float32))), "has_an_error"),
        (replace(INT8, source=" "), "has_a_source"),
        (replace(INT8, codec=None, error=2.0), "has_an_error"),
    ],
)
def test_what_is_wrong_is_named(broken: Precision, check: str) -> None:
    assert check in [failure.name for failure in check_precision(broken).failures]


def test_a_format_without_a_codec_is_not_checked_for_one() -> None:
    report = check_precision(replace(INT8, codec=None, error=0.01))
    assert report.passed and {c.outcome for c in report.checks} == {"passed", "not applicable"}


def test_rows_that_mean_nothing_fail_the_kit(tmp_path: Path) -> None:
    file = tmp_path / "published.yaml"
    row = "{id: A, metric: latency, value: 1, band: {equals: true}, setting: {workload: gpt2, target: h100}"
    file.write_text(f"rows:\n  - {row}}}\n")
    assert ROWS_KIT.run(file, "mine").passed
    file.write_text(f"rows:\n  - {row}, rolle: fitted}}\n")
    (failure,) = ROWS_KIT.run(file, "mine").failures
    assert failure.name == "has_whole_rows"
    assert all(part in failure.reason for part in ("published.yaml", "A", "rolle", "role"))
    file.write_text("rows: 3\n")
    assert [f.name for f in ROWS_KIT.run(file, "mine").failures] == ["can_be_read"]


def test_the_command_checks_the_rows_of_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "qeil-v2"]) == 0
    assert "rows kit qeil-v2: 2 checks, 2 passed, 0 failed" in capsys.readouterr().out
