"""What a device of a target is to other tools: a CPU, GPU or NPU, and whose. Read from its name and its sources.

A target says nothing on drivers. The class is read from the device's name, the maker from the words of its numbers'
sources (ours); where neither tells, the exporter asks for ``--set device.NAME=...``.
"""

from __future__ import annotations

import re
from typing import Literal

from tradespace.exporters import CannotExport, Subject

Class = Literal["cpu", "gpu", "npu"]
_CLASSES: tuple[tuple[Class, str], ...] = (("npu", r"npu|ane|tpu|dsp"), ("gpu", r"gpu"), ("cpu", r"cpu|core"))
_MAKERS = (
    ("nvidia", r"nvidia|geforce|\brtx\b|jetson"),
    ("apple", r"\bapple\b"),
    ("qualcomm", r"qualcomm|adreno|hexagon|snapdragon"),
    ("amd", r"\bamd\b|radeon|instinct"),
    ("intel", r"\bintel\b"),
    ("arm", r"\barm\b|\bmali\b|raspberry"),
)


def class_of(device: str) -> Class | None:
    """ "cpu", "gpu" or "npu" from a device's name; None where it does not tell."""
    return next((kind for kind, pattern in _CLASSES if re.search(pattern, device)), None)


def maker_of(subject: Subject, device: str) -> str | None:
    """The maker named in the sources of the device's own peaks, then of its other numbers, then in the title."""
    own = [s for s in subject.target.sources if s.path.startswith(f"devices.{device}.")]
    peaks = " ".join(s.source for s in own if s.path.startswith(f"devices.{device}.peak"))
    for text in (peaks, " ".join(s.source for s in own), subject.target.title):
        found = [maker for maker, pattern in _MAKERS if re.search(pattern, text.lower())]
        if len(found) == 1:
            return found[0]
    return None


def ask(subject: Subject, device: str, tool: str, needs: str) -> CannotExport:
    """The refusal that asks for a device's name in the other tool."""
    return CannotExport(
        f"{tool} needs {needs} of device '{device}'",
        where=f"target '{subject.target.name}'",
        remedy=f"Give it with --set device.{device}=...",
    )
