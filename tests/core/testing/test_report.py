"""Kits count what they ran, skip nothing silently and hold known failures to their word."""

from __future__ import annotations

import pytest

from tradespace.errors import PluginError
from tradespace.testing.report import Kit, fail, not_applicable


def is_positive(subject: int) -> None:
    """Above zero."""
    if subject <= 0:
        fail(f"is {subject}")


def divides(subject: int) -> None:
    """Twelve can be divided by it."""
    12 // subject


def is_even(subject: int) -> None:
    """Even, if it is large."""
    if subject < 10:
        not_applicable("is small")
    assert subject % 2 == 0


def exits(subject: int) -> None:
    """Does not end the process."""
    if subject == 13:
        raise SystemExit(2)


KIT: Kit[int] = Kit("number kit", (is_positive, divides, is_even, exits))


def test_a_good_subject_passes_and_the_report_counts() -> None:
    report = KIT.run(12, "twelve")
    assert report.passed
    assert report.summary == "number kit twelve: 4 checks, 4 passed, 0 failed"
    assert str(report) == report.summary


def test_what_does_not_apply_is_told_with_its_reason() -> None:
    report = KIT.run(4, "four")
    assert report.passed
    assert "1 not applicable" in report.summary
    assert "not applicable: is_even (Even, if it is large.) is small" in str(report)


def test_every_exception_is_a_failure_with_a_reason() -> None:
    report = KIT.run(0, "zero")
    assert not report.passed
    assert [(check.name, check.outcome) for check in report.checks][:2] == [
        ("is_positive", "failed"),
        ("divides", "failed"),
    ]
    assert report.checks[0].reason == "is 0"
    assert "raised ZeroDivisionError" in report.checks[1].reason
    exit_code = KIT.run(13, "thirteen").checks[3]
    assert exit_code.outcome == "failed" and "SystemExit" in exit_code.reason


def test_expected_failures_are_strict_and_carry_their_reason() -> None:
    report = KIT.run(-2, "minus two", {"is_positive": "known since 2.1"})
    assert report.passed and "1 expected failure" in report.summary
    assert "known since 2.1 (is -2)" in str(report)
    healed = KIT.run(2, "two", {"is_positive": "known since 2.1"})
    assert not healed.passed
    assert "passes, though it was expected to fail: known since 2.1" in str(healed)


def test_an_expectation_of_an_unknown_check_is_refused() -> None:
    with pytest.raises(PluginError, match=r"has no check 'is_positiv'.*Did you mean 'is_positive'"):
        KIT.run(1, "one", {"is_positiv": "typo"})


def test_a_run_in_which_nothing_passed_is_no_pass() -> None:
    assert not Kit("empty kit", ()).run(1, "one").passed
    assert not Kit("idle kit", (is_even,)).run(1, "one").passed


def test_ctrl_c_ends_a_run() -> None:
    def stop(subject: int) -> None:
        """Stops."""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Kit("stopped kit", (stop,)).run(1, "one")


@pytest.mark.parametrize(
    "module",
    ["optimizers", "evaluators", "factories", "workloads", "targets", "device_models", "kernels", "readers", "run"],
)
def test_every_check_states_its_rule(module: str) -> None:
    import importlib

    kits = [value for value in vars(importlib.import_module(f"tradespace.testing.{module}")).values()
            if isinstance(value, Kit)]  # fmt: skip
    assert kits
    for kit in kits:
        names = [check.__name__ for check in kit.checks]
        assert len(set(names)) == len(names)
        assert all((check.__doc__ or "").strip() for check in kit.checks)
