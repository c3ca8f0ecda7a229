"""Kits and their reports. A kit is a list of small named checks; a run states its count and skips nothing silently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, NoReturn, TypeVar

from tradespace.errors import PluginError, suggestion

Subject = TypeVar("Subject")
Outcome = Literal["passed", "failed", "expected failure", "not applicable"]


class CheckFailed(AssertionError):
    """A subject breaks the rule of a check."""


class NotApplicable(Exception):
    """A check has nothing to look at in this subject; the reason goes into the report."""


def fail(reason: str) -> NoReturn:
    """End the running check: the subject breaks its rule."""
    raise CheckFailed(reason)


def not_applicable(reason: str) -> NoReturn:
    """End the running check: the subject has no part that the rule is about."""
    raise NotApplicable(reason)


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, the rule (first sentence of its docstring), what came out, and why."""

    name: str
    rule: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class KitReport:
    """What a kit found in one subject. A test says ``assert report.passed, str(report)``."""

    kit: str
    subject: str
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """True if checks ran and none failed unexpectedly."""
        return bool(self.checks) and not self.failures and any(c.outcome == "passed" for c in self.checks)

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        return tuple(check for check in self.checks if check.outcome == "failed")

    @property
    def summary(self) -> str:
        """One line with the count of every outcome."""
        counts = [f"{self._count(outcome)} {outcome}" for outcome in ("passed", "failed")]
        rare: tuple[Outcome, ...] = ("expected failure", "not applicable")
        counts += [f"{self._count(outcome)} {outcome}" for outcome in rare if self._count(outcome)]
        return f"{self.kit} {self.subject}: {len(self.checks)} checks, {', '.join(counts)}"

    def _count(self, outcome: Outcome) -> int:
        return sum(check.outcome == outcome for check in self.checks)

    def __str__(self) -> str:
        told = [check for check in self.checks if check.outcome != "passed"]
        return "\n".join(
            [self.summary, *(f"  {check.outcome}: {check.name} ({check.rule}) {check.reason}" for check in told)]
        )


@dataclass(frozen=True)
class Kit(Generic[Subject]):
    """Named checks for one kind of subject. A check returns None, or ends through `fail` or `not_applicable`."""

    name: str
    checks: tuple[Callable[[Subject], None], ...]

    def run(self, subject: Subject, label: str, expected: Mapping[str, str] | None = None) -> KitReport:
        """Run every check; whatever one raises is its failure.

        Args:
            subject: what is checked.
            label: how the report calls it.
            expected: check name -> reason, for known failures. They are strict: passing one is a failure.

        Raises:
            PluginError: `expected` names a check that the kit does not have.
        """
        expected = expected or {}
        names = [check.__name__ for check in self.checks]
        for name in expected:
            if name not in names:
                raise PluginError(f"the kit '{self.name}' has no check '{name}'", remedy=suggestion(name, names))
        results = tuple(_run(check, subject, expected.get(check.__name__)) for check in self.checks)
        return KitReport(self.name, label, results)


def _run(check: Callable[[Subject], None], subject: Subject, expected: str | None) -> CheckResult:
    from tradespace.plugin_loading import describe

    name, rule = check.__name__, " ".join((check.__doc__ or "").split())
    try:
        check(subject)
    except NotApplicable as why:
        return CheckResult(name, rule, "not applicable", str(why))
    except CheckFailed as why:
        reason = str(why)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = f"raised {describe(error)}"
    else:
        if expected is None:
            return CheckResult(name, rule, "passed")
        return CheckResult(name, rule, "failed", f"passes, though it was expected to fail: {expected}")
    if expected is not None:
        return CheckResult(name, rule, "expected failure", f"{expected} ({reason})")
    return CheckResult(name, rule, "failed", reason)
