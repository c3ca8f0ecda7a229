"""From what people type to overrides that hydra's grammar takes: paths, lists, quoting, and refusals in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tradespace.errors import InputError, TradespaceError, UnknownName, suggestion

GROUPS = ("workload", "target", "optimizer", "budget", "storage", "study")
PLAIN = (
    "objectives", "constraints", "evaluator", "options", "fidelity", "promote", "baseline", "start", "seed", "name",
    "out", "batch",
)  # fmt: skip
LISTS = ("objectives", "constraints", "fidelity")
_TEXT = ("name", "out", "baseline", "start", "storage.url", "evaluator")
_OPEN = ("workload", "target", "optimizer", "options")  # their keys are checked by whoever reads them, with suggestions
_FIXED: Mapping[str, tuple[str, ...]] = {
    "budget": ("evaluations", "seconds", "stagnation"),
    "storage": ("url", "keep_designs"),
    "study": (),
}
_SWEEP = re.compile(r"(choice|range|interval|glob|shuffle|sort|tag)\(")
_KEY = re.compile(r"(\+\+?|~)?([^=]*)(?:=(.*))?", re.DOTALL)
_MAX = 200


@dataclass(frozen=True)
class Overrides:
    """Arguments as hydra gets them. ``files``: config option -> path, one for each path the user named."""

    arguments: tuple[str, ...]
    files: Mapping[tuple[str, str], str] = field(default_factory=dict)


def rewrite(
    words: Sequence[str],
    names: Callable[[str], Sequence[str]],
    fits: Callable[[str], bool],
    *,
    hint: Callable[[str, Sequence[str]], str] = suggestion,
    sweep: bool = False,
) -> Overrides:
    """Check and rewrite the words behind ``tradespace search``.

    Args:
        words: as typed; the first may be a path or a name without "=", the workload.
        names: group -> its known names.
        fits: whether hydra's grammar takes an override as it is.
        hint: what to say about an unknown name, given the known ones.
        sweep: ``-m``: several values at once are a sweep, not one text.

    Raises:
        UnknownName, InputError: a key or name nobody knows, or a word that is no override.
    """
    if len(words) > _MAX:
        raise InputError(f"a search takes at most {_MAX} overrides", value=len(words))
    rewriter = _Rewriter(names, fits, hint, sweep)
    if words and not words[0].startswith(("+", "~")) and ("=" not in words[0] or _exists(words[0])):
        words = [f"workload={words[0]}", *words[1:]]
    words = [word for word in words if word != "study=null"]  # the default, which hydra cannot be told
    return Overrides(tuple(rewriter.one(word) for word in words), rewriter.files)


class _Rewriter:
    def __init__(
        self,
        names: Callable[[str], Sequence[str]],
        fits: Callable[[str], bool],
        hint: Callable[[str, Sequence[str]], str],
        sweep: bool,
    ) -> None:
        self.names, self.fits, self.hint, self.sweep = names, fits, hint, sweep
        self.files: dict[tuple[str, str], str] = {}

    def one(self, word: str) -> str:
        match = _KEY.fullmatch(word)
        sign, key, value = (match[1] or "", match[2].strip(), match[3]) if match else ("", word, None)
        if value is None and sign != "~":
            raise InputError(
                "an override is KEY=VALUE",
                value=word,
                where="search",
                remedy=f"Keys: {', '.join((*GROUPS, *PLAIN))}. A path goes first.",
            )
        if re.split(r"[./@]", key, maxsplit=1)[0] == "hydra":
            return self.hydra(word, key, value or "")
        self.check_key(key)
        if value is None:
            return word
        if "${" in value:
            raise InputError("a value is plain, no ${...}", value=value, where=key)
        if key in GROUPS:
            return f"{key}={self.group(key, value)}"
        sign = "++" if key.partition(".")[0] in _OPEN and "." in key else sign
        return f"{sign}{key}={self.value(key, value)}"

    def check_key(self, key: str) -> None:
        head, _, rest = key.partition(".")
        if head not in (*GROUPS, *PLAIN):
            known = (*GROUPS, *PLAIN, *(f"{g}.{k}" for g, keys in _FIXED.items() for k in keys))
            raise UnknownName("key", key, known, where="search")
        if head in _FIXED and rest and rest not in _FIXED[head]:
            raise UnknownName(f"key of {head}", rest, _FIXED[head], where=key)
        if rest and head in PLAIN and head != "options":
            raise InputError(f"'{head}' has no parts", value=key, where="search")
        if not rest and head == "options":
            raise InputError("options are given one by one", value=key, remedy="Write it like options.samples=8.")

    def hydra(self, word: str, key: str, value: str) -> str:
        """Hydra's own settings pass, except classes that are no part of hydra or of an installed plugin of it."""
        if key == "hydra.mode":
            raise InputError("one run or a sweep is told by -m", value=word, where="search", remedy="Use or drop -m.")
        if "_target_" in key:
            check_class(value.strip("'\""), key)
        return word

    def group(self, key: str, value: str) -> str:
        if _SWEEP.match(value) and self.sweep:
            return value
        parts = split(value) if self.sweep else [value]
        return ",".join(self.option(key, part.strip().strip("'\"")) for part in parts)

    def option(self, group: str, value: str) -> str:
        """A name of the group, or a file that becomes an option of it."""
        known = self.names(group)
        if value in known:
            return value
        if group in ("workload", "target") and _is_path(value):
            option = f"file-{len(self.files) + 1}"
            self.files[group, option] = value
            return option
        if not self.sweep and "," in value:
            raise InputError("several values need a sweep", value=value, where=group, remedy="Add -m.")
        raise UnknownName(group, value[:80], known, where=f"{group}=", remedy=self.hint(value[:80], known))

    def value(self, key: str, value: str) -> str:
        if key in LISTS:
            return self.list_value(value)
        parts = split(value) if self.sweep and not _SWEEP.match(value) else [value]
        return ",".join(self.scalar(key, part) for part in parts)

    def list_value(self, value: str) -> str:
        """``[a,b]``, ``a,b`` and ``a`` are all one list; with -m, ``[a],[b]`` is a sweep over lists."""
        parts = split(value)
        if all(part.strip().startswith("[") and part.strip().endswith("]") for part in parts):
            lists = [split(part.strip()[1:-1]) for part in parts]
        else:
            lists = [parts]
        if len(lists) > 1 and not self.sweep:
            raise InputError("several lists need a sweep", value=value, remedy="Add -m.")
        return ",".join(f"[{','.join(self.text(item.strip()) for item in items if item.strip())}]" for items in lists)

    def scalar(self, key: str, value: str) -> str:
        if key in _TEXT and value.strip() not in ("null", ""):
            return self.text(value)
        plain = "," not in value or value[:1] in "[{\"'" or (self.sweep and _SWEEP.match(value))
        return value if plain and self.fits(f"x={value}") else quote(value)

    @staticmethod
    def text(value: str) -> str:
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        return value if quoted else quote(value)


def quote(value: str) -> str:
    """Any text as one quoted value of hydra's grammar."""
    body = re.sub(r'(\\*)"', r"\1\1\"", value)
    body = re.sub(r"(\\+)$", r"\1\1", body)
    return f'"{body}"'


def split(value: str) -> list[str]:
    """Split at commas outside of quotes and brackets."""
    parts, depth, quoted, start = [], 0, "", 0
    for at, c in enumerate(value):
        if quoted:
            quoted = "" if c == quoted else quoted
        elif c in "\"'":
            quoted = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth <= 0:
            parts.append(value[start:at])
            start = at + 1
    return [*parts, value[start:]]


def check_class(name: str, where: str) -> None:
    """Refuse to let a configuration name a class that hydra would instantiate, unless it belongs to hydra."""
    if not name.startswith(("hydra._internal.", "hydra_plugins.", "hydra.experimental.callbacks.")):
        raise TradespaceError(
            "a configuration instantiates only hydra and its installed plugins",
            value=name,
            where=where,
            remedy="Use hydra/launcher=NAME or hydra/sweeper=NAME with an installed hydra plugin.",
        )


def _is_path(value: str) -> bool:
    from tradespace.workloads.load import looks_like_path

    return looks_like_path(value) or _exists(value)


def _exists(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # a name too long, or with a null byte
        return False
