"""Arithmetic on named numbers: "latency", "items / latency", "memory.dgpu <= 8 GB". Nothing is ever evaluated as code.

Grammar: sum = term (("+" | "-") term)*; term = factor (("*" | "/") factor)*;
factor = ["-"] (number | name | "(" sum ")").
A name is the longest known name at that place, so metric names may hold dots, brackets and hyphens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.errors import ProblemError, suggestion

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d][\w.\[\]-]*")
_LIMIT = 1000
_EXAMPLE = "Write it like 'memory.dgpu<=8 GB' or 'throughput>=20'."
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}

Node = float | str | tuple[str, Any, Any]


@dataclass(frozen=True)
class Expression:
    """A parsed expression; ``names`` are the metrics (or rows) it reads."""

    text: str
    root: Node
    names: tuple[str, ...]

    @property
    def single(self) -> str | None:
        """The metric's name when the expression is nothing else."""
        return self.root if isinstance(self.root, str) else None

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The value for numbers or equally shaped arrays; a division by zero gives inf or nan, never raises."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return _evaluate(self.root, values)


def parse(text: str, names: Iterable[str], *, kind: str = "metric", where: str | None = None) -> Expression:
    """Parse ``text`` over the known ``names``. Raises `ProblemError` naming the place and the closest name."""
    if not isinstance(text, str) or not text.strip() or len(text) > _LIMIT:
        raise ProblemError(f"an expression is text of 1 to {_LIMIT} characters", value=text, where=where)
    parser = _Parser(text, sorted(names, key=len, reverse=True), kind, where)
    root = parser.sum()
    parser.skip()
    if parser.at != len(text):
        raise parser.error("expected + - * / or the end")
    return Expression(text.strip(), root, tuple(dict.fromkeys(_names(root))))


def split_comparison(text: str, where: str | None = None) -> tuple[str, str, str]:
    """ "a <= b" as (left, "<=", right). Raises `ProblemError` unless there is exactly one of <= >=."""
    parts = re.split(r"(<=|>=)", text.replace("≤", "<=").replace("≥", ">=")) if isinstance(text, str) else []
    if len(parts) != 3 or not parts[0].strip() or not parts[2].strip():
        raise ProblemError(
            "a constraint compares an expression with a limit by <= or >=",
            value=text,
            where=where,
            remedy=_instead(text) if isinstance(text, str) else _EXAMPLE,
        )
    return parts[0].strip(), parts[1], parts[2].strip()


def _instead(text: str) -> str:
    """How to write what was meant by one < > = == instead."""
    parts = re.split(r"(<=|>=|==|=|<|>)", text)
    if len(parts) != 3 or not parts[0].strip() or not parts[2].strip() or parts[1] in ("<=", ">="):
        return _EXAMPLE
    left, sense, right = (part.strip() for part in parts)
    if sense in "<>":
        return f"Write '{left}{sense}={right}': a limit may be met, and one just inside it is a number of your choice."
    return f"Ask for both sides, ['{left}>={right}', '{left}<={right}'], or leave some room between them."


class _Parser:
    def __init__(self, text: str, names: list[str], kind: str, where: str | None) -> None:
        self.text, self.known, self.kind, self.where, self.at, self.depth = text, names, kind, where, 0, 0

    def error(self, rule: str, remedy: str | None = None) -> ProblemError:
        return ProblemError(f"{rule} at position {self.at + 1}", value=self.text, where=self.where, remedy=remedy)

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def symbol(self, allowed: str) -> str:
        self.skip()
        if self.at < len(self.text) and self.text[self.at] in allowed:
            self.at += 1
            return self.text[self.at - 1]
        return ""

    def sum(self) -> Node:
        left = self.term()
        while operator := self.symbol("+-"):
            left = (operator, left, self.term())
        return left

    def term(self) -> Node:
        left = self.factor()
        while operator := self.symbol("*/"):
            left = (operator, left, self.factor())
        return left

    def factor(self) -> Node:
        self.depth += 1
        if self.depth > 100:
            raise self.error("nested too deeply")
        try:
            if self.symbol("-"):
                return ("-", 0.0, self.factor())
            if self.symbol("("):
                inner = self.sum()
                if not self.symbol(")"):
                    raise self.error("expected ')'")
                return inner
            return self.atom()
        finally:
            self.depth -= 1

    def atom(self) -> Node:
        self.skip()
        for name in self.known:
            end = self.at + len(name)
            if self.text.startswith(name, self.at) and not re.match(r"[\w.\[]", self.text[end : end + 1]):
                self.at = end
                return name
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            value = float(number.group())
            if not math.isfinite(value):
                raise self.error("a number must be finite")
            return value
        word = _WORD.match(self.text, self.at)
        if word:
            raise self.error(f"unknown {self.kind} '{word.group()}'", suggestion(word.group(), self.known))
        raise self.error(f"expected a number or the name of a {self.kind}")


def _names(node: Node) -> list[str]:
    if isinstance(node, str):
        return [node]
    return _names(node[1]) + _names(node[2]) if isinstance(node, tuple) else []


def _evaluate(node: Node, values: Mapping[str, Any]) -> Any:
    if isinstance(node, str):
        return values[node]
    if isinstance(node, tuple):
        return _OPERATORS[node[0]](_evaluate(node[1], values), _evaluate(node[2], values))
    return node
