"""Quantities as people write them ("119.5 GB/s", "16 GiB", "45 degC") to SI floats and back.

Inside tradespace only SI floats exist: s, J, W, B, FLOP/s, K, Hz. This module is the border. A unit is made of named
atoms ("J/B", "token/s"); an atom may carry a decimal prefix (k, M, G) and, for bytes and bits, a binary one (Ki, Mi).
"KB" and "Gb" are refused because people mean two different numbers by them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from tradespace.errors import UnitError, suggestion

MAX_LENGTH = 64
"""Longest text read as a quantity; longer ones are not quantities but mistakes or attacks."""

_NUMBER = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?)\s*(.*?)\s*", re.DOTALL)
_DECIMAL = {
    "f": -15,
    "p": -12,
    "n": -9,
    "u": -6,
    "µ": -6,
    "μ": -6,
    "m": -3,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5}


@dataclass(frozen=True, slots=True)
class _Atom:
    """One named unit: `factor` SI units of dimension `powers`, read with `prefixes`, shown with `shown` prefixes."""

    powers: tuple[tuple[str, int], ...]
    factor: str = "1"
    prefixes: str = ""
    shown: str = ""
    binary: bool = False


def _base(name: str, prefixes: str = "", shown: str = "", factor: str = "1", binary: bool = False) -> _Atom:
    return _Atom(((name, 1),), factor, prefixes, shown, binary)


_RATE = (("FLOP", 1), ("s", -1))
_ATOMS: Mapping[str, _Atom] = {
    "B": _base("B", "kMGTPE", "kMGTPE", binary=True),
    "byte": _base("B"),
    "bit": _base("B", "kMGTP", factor="0.125", binary=True),
    "bps": _Atom((("B", 1), ("s", -1)), "0.125", "kMGTP"),
    "FLOP": _base("FLOP", "kMGTPE", "kMGTPE"),
    "OP": _base("FLOP", "kMGTPE"),
    "MAC": _base("FLOP", "kMGTPE", factor="2"),  # one multiply and one add
    "FLOPS": _Atom(_RATE, "1", "kMGTPE"),
    "OPS": _Atom(_RATE, "1", "kMGTPE"),
    "s": _base("s", "fpnuµμm", "fpnum"),
    "min": _base("s", factor="60"),
    "h": _base("s", factor="3600"),
    "Hz": _base("Hz", "kMGT", "kMGT"),
    "J": _base("J", "fpnuµμmkMG", "fpnumkMG"),
    "Wh": _base("J", "mkMG", factor="3600"),
    "W": _Atom((("J", 1), ("s", -1)), "1", "pnuµμmkMG", "numkMG"),
    "V": _base("V", "m", "m"),
    "A": _base("A", "nuµμm", "num"),
    "K": _base("K", "m"),
    "degC": _base("K"),
    "°C": _base("K"),
    "%": _Atom((), "0.01"),
    "1": _Atom(()),
    "token": _base("token", "kM"),
    "sample": _base("sample"),
    "item": _base("item", "kM"),
    "image": _base("image"),
    "request": _base("request", "kM"),
    "cycle": _base("cycle", "kMG"),
}
_ZERO_CELSIUS = Decimal("273.15")
_PLURALS = {"tokens": "token", "samples": "sample", "items": "item", "images": "image", "requests": "request"}
_PLURALS |= {"cycles": "cycle", "bytes": "byte", "bits": "bit", "FLOPs": "FLOP", "OPs": "OP", "MACs": "MAC"}
_AMBIGUOUS = {"KB": "kB (1000 B) or KiB (1024 B)"} | {
    f"{p}b": f"{p}bit (bits) or {p}B (bytes)" for p in ("k", "K", "M", "G", "T")
}


@dataclass(frozen=True, slots=True)
class _Unit:
    """A parsed unit: value in SI = number * factor (+ 273.15 if `celsius`)."""

    factor: Decimal
    powers: tuple[tuple[str, int], ...]
    celsius: bool = False


def parse(value: object, unit: str, *, where: str | None = None, positive: bool | None = None) -> float:
    """Reads a quantity as an SI float.

    Args:
        value: text ("119.5 GB/s", "1e9") or a number, which is taken to be in `unit` already.
        unit: the unit needed, e.g. "B/s"; "1" for plain numbers. "K" takes temperatures ("45 degC" is 318.15);
            "delta K" takes differences and refuses degC.
        where: file and key, named in the error.
        positive: True: above zero; False: zero or above; None: any finite number.

    Returns:
        The value in `unit` (with "ms" as `unit` the value comes in seconds all the same).

    Raises:
        UnitError: not a quantity, another unit, not finite, or of a sign that makes no sense.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _refused(
            f"{_shown(unit) if unit == '1' else f'a quantity in {_shown(unit)}'} is needed", repr(value), unit, where
        )
    number = _read_text(value, unit, where) if isinstance(value, str) else _read_number(value, unit, where)
    if not math.isfinite(number):
        needs = "" if unit == "1" else f", in {_shown(unit)}"
        raise _refused(f"the number must be finite{needs}", repr(value), unit, where)
    if positive is True and number <= 0:
        raise _refused(f"must be above 0{_tail(unit)}", repr(value), unit, where)
    if positive is False and number < 0:
        raise _refused(f"must be 0{_tail(unit)} or above", repr(value), unit, where)
    return number


def format(value: float, unit: str, *, digits: int = 4) -> str:
    """Shows an SI value with a prefix that suits it: 1.195e11 B/s is "119.5 GB/s".

    A unit that already has a scale is kept as asked: `format(318.15, "degC")` is "45.0 degC", `format(0.0412, "ms")`
    is "41.2 ms", `format(0.35, "%")` is "35 %". Units this module does not know are appended as they are.

    Args:
        value: in SI.
        unit: the unit to show, e.g. "B/s".
        digits: significant digits.
    """
    unit = unit.removeprefix("delta ") or "1"
    if not math.isfinite(value):
        return f"{value} {unit}".removesuffix(" 1")
    if unit in ("degC", "°C"):
        return f"{value - float(_ZERO_CELSIUS):.1f} {unit}"
    try:
        known = _unit(unit)
    except UnitError:
        return f"{_digits(value, digits)} {unit}"
    if known.factor != 1:
        return f"{_digits(value / float(known.factor), digits)} {unit}"
    head = re.split(r"[/*]", unit, maxsplit=1)[0]
    atom = _ATOMS.get(_PLURALS.get(head, head))
    exponent, prefix = _prefix_for(value, atom.shown if atom else "", digits)
    shown = _digits(value / 10.0**exponent, digits)
    return f"{shown} {prefix}{unit}" if unit != "1" else shown


def dimension(unit: str) -> tuple[tuple[str, int], ...]:
    """Powers of the base units, sorted: two units fit if these are equal.

    Raises:
        UnitError: an unknown unit.
    """
    return _unit(unit.removeprefix("delta ")).powers


def _read_number(value: int | float, unit: str, where: str | None) -> float:
    try:
        return float(value)
    except OverflowError:
        raise _refused("the number must be finite", "an integer beyond 1e308", unit, where) from None


def _read_text(text: str, unit: str, where: str | None) -> float:
    if len(text) > MAX_LENGTH:
        raise _refused(f"a quantity has at most {MAX_LENGTH} characters", repr(text[:40] + "…"), unit, where)
    match = _NUMBER.fullmatch(text)
    if match is None or match[2].startswith((",", ".", "_")):
        raise _refused(f"{text!r} is not a quantity, needs {_shown(unit)}", None, unit, where)
    number, given = Decimal(match[1]), match[2]
    if given in ("", unit) and not _scaled(given):  # a unit that only a plugin knows fits itself
        return float(number)
    try:
        found = _unit(given)
        needed = _unit(unit.removeprefix("delta ")) if _known(unit) else None
    except UnitError as error:
        raise _refused(f"{text!r}: {error.rule}, needs {_shown(unit)}", None, unit, where, error.remedy) from None
    if needed is None or found.powers != needed.powers:
        raise _refused(f"{text!r} is {_name(found.powers)}, needs {_shown(unit)}", None, unit, where)
    if found.celsius and unit.startswith("delta "):
        raise _refused(f"{text!r} is a temperature, needs a difference in K", None, unit, where)
    return float(number * found.factor + (_ZERO_CELSIUS if found.celsius else 0))


@lru_cache(maxsize=512)
def _unit(text: str) -> _Unit:
    """Parses "pJ/bit", "K/W", "FLOP*s": atoms joined by "*" or "/", each slash dividing by the atom after it."""
    if text in ("degC", "°C"):
        return _Unit(Decimal(1), (("K", 1),), celsius=True)
    pieces = re.split(r"([/*])", text)
    factor, powers = Decimal(1), dict[str, int]()
    for operator, piece in zip(["*", *pieces[1::2]], pieces[0::2], strict=True):
        scale, atom_powers = _atom(piece.strip(), text)
        sign = -1 if operator == "/" else 1
        factor = factor * scale if sign > 0 else factor / scale
        for name, power in atom_powers:
            powers[name] = powers.get(name, 0) + sign * power
    return _Unit(factor, tuple(sorted((name, power) for name, power in powers.items() if power)))


def _atom(text: str, whole: str) -> tuple[Decimal, tuple[tuple[str, int], ...]]:
    if text in _AMBIGUOUS:
        raise UnitError(f"{text!r} means two things", remedy=f"Write {_AMBIGUOUS[text]}.")
    text = _PLURALS.get(text, text)
    if text in _ATOMS:
        return Decimal(_ATOMS[text].factor), _ATOMS[text].powers
    for name, atom in _ATOMS.items():
        prefix = text.removesuffix(name)
        if prefix == text:
            continue
        if atom.binary and prefix in _BINARY:
            return Decimal(atom.factor) * Decimal(1024) ** _BINARY[prefix], atom.powers
        if len(prefix) == 1 and prefix in atom.prefixes:
            return Decimal(atom.factor).scaleb(_DECIMAL[prefix]), atom.powers
    raise UnitError(f"the unit {whole!r} is unknown", remedy=_close(text))


def _prefix_for(value: float, shown: str, digits: int) -> tuple[int, str]:
    """The largest shown prefix not above the rounded value; the smallest one for tiny values."""
    if not shown or value == 0:
        return 0, ""
    rounded = abs(float(f"{value:.{max(digits, 1) - 1}e}"))
    steps = sorted([(0, ""), *((_DECIMAL[prefix], prefix) for prefix in shown)])
    fitting = [step for step in steps if rounded >= 10.0 ** step[0] * (1 - 1e-12)]
    return fitting[-1] if fitting else steps[0]


def _digits(value: float, digits: int) -> str:
    """Significant digits without an exponent where a person would not write one."""
    if value == 0:
        return "0"
    if 10.0**digits <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def _name(powers: tuple[tuple[str, int], ...]) -> str:
    """A dimension in words people know: (J, 1), (s, -1) is W."""
    if not powers:
        return "a plain number"
    for name, atom in _ATOMS.items():
        if atom.powers == powers and atom.factor == "1":
            return "FLOP/s" if name == "FLOPS" else name
    above = "*".join(name for name, power in powers for _ in range(power))
    below = "".join(f"/{name}" for name, power in powers for _ in range(-power))
    return f"{above or '1'}{below}"


def _known(unit: str) -> bool:
    try:
        _unit(unit.removeprefix("delta "))
    except UnitError:
        return False
    return True


def _scaled(unit: str) -> bool:
    parsed = _unit(unit.removeprefix("delta ")) if _known(unit) else None
    return parsed is not None and (parsed.factor != 1 or parsed.celsius)


def _close(text: str) -> str | None:
    hint = suggestion(text, _ATOMS)
    return hint if hint.startswith("Did") else None


def _tail(unit: str) -> str:
    return "" if unit == "1" else f" {unit.removeprefix('delta ')}"


def _shown(unit: str) -> str:
    return "a plain number" if unit == "1" else unit.replace("delta K", "K (a difference)")


def _example(unit: str) -> str | None:
    examples = {"B/s": "119.5 GB/s", "B": "16 GiB", "FLOP/s": "9.2 TFLOPS", "W": "28 W", "Hz": "1 GHz", "s": "8 us"}
    examples |= {"J/B": "5 pJ/bit", "K": "45 degC", "K/W": "0.6 K/W", "1": "0.35", "J": "3 mJ", "delta K": "30 K"}
    return examples.get(unit)


def _refused(rule: str, value: str | None, unit: str, where: str | None, remedy: str | None = None) -> UnitError:
    example = _example(unit)
    hint = remedy or (f"Write for example '{example}'." if example else None)
    return UnitError(rule, value=value, where=where, remedy=hint)
