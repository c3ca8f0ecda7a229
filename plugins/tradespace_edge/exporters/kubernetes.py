"""Kubernetes: a Pod that asks for what a plan takes. Memory is the plan's own; devices are counted whole."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tradespace.exporters import CannotExport, Export, Subject
from tradespace.reports.plan import placement
from tradespace_edge.exporters.decoders import kv_precision
from tradespace_edge.exporters.devices import class_of, maker_of

RESOURCES: Mapping[tuple[str, str], str] = {
    ("gpu", "nvidia"): "nvidia.com/gpu",
    ("gpu", "amd"): "amd.com/gpu",
    ("gpu", "intel"): "gpu.intel.com/i915",
    ("npu", "intel"): "npu.intel.com/accel",
}
"""Names that the vendors' device plugins advertise."""
_NAME = re.compile(r"[^a-z0-9-]+")
_IMAGE = re.compile(r"[\w.:/@-]{1,255}")
_RESOURCE = re.compile(r"[a-z0-9.-]{1,190}/[A-Za-z0-9._-]{1,63}")


class Kubernetes:
    """A Pod with the resources a plan takes: memory, processors, accelerators."""

    name = "Kubernetes v1"
    writes = "YAML: a Pod with resource requests and limits"
    options: ClassVar[Mapping[str, str]] = {
        "image": "container image (needed)",
        "cpus": "processors to ask for (default: what 'threads' of the plan says, else 1)",
        "overhead": "memory of the runtime besides weights and cache, in MiB (default 512)",
        "device.*": "a device's resource name (nvidia.com/gpu ...), where its sources do not tell",
    }

    def export(self, subject: Subject, options: Mapping[str, str]) -> Export:
        import yaml

        resources = _resources(subject, options)
        image = options.get("image", "")
        if not _IMAGE.fullmatch(image):
            raise CannotExport("a Pod names its image", value=image or None, remedy="Give it with --set image=...")
        name = _NAME.sub("-", f"{subject.workload.name}-{subject.plan.id[:8]}".lower()).strip("-")[-63:].strip("-")
        document: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "annotations": {
                    "tradespace/plan": subject.plan.id,
                    "tradespace/title": subject.title[:250],
                    "tradespace/blocks": "; ".join(f"{span}: {choice}" for span, choice in placement(subject.plan)),
                    "tradespace/kv-precision": kv_precision(subject),
                },
            },
            "spec": {
                "restartPolicy": "Always",
                "containers": [{"name": "model", "image": image, "resources": resources}],
            },
        }
        notes = (
            "a Pod reserves resources; what runs where is in its annotations and in the export for the runtime",
            "accelerators are asked for whole: Kubernetes does not know a share of their memory",
        )
        return Export(yaml.safe_dump(document, sort_keys=False), document, notes)


def _resources(subject: Subject, options: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Requests and limits; extended resources and memory must be equal in both."""
    host = 0.0
    limits: dict[str, str] = {}
    for device in subject.devices:
        if class_of(device) == "cpu":
            host += float(subject.plan.values.get(f"memory.{device}", 0.0))
            continue
        resource = _resource(subject, device, options)
        limits[resource] = str(int(limits.get(resource, "0")) + 1)
        if _shares_host_memory(subject, device):
            host += float(subject.plan.values.get(f"memory.{device}", 0.0))
    overhead = options.get("overhead", "512")
    if not overhead.isdigit() or len(overhead) > 7:
        raise CannotExport("an overhead is a number of MiB", value=overhead, where="--set overhead")
    memory = f"{math.ceil(host / 2**20) + int(overhead)}Mi"
    cpus = str(subject.plan.design.get("threads", options.get("cpus", "1")))
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9])?", cpus) or float(cpus) <= 0:
        raise CannotExport("a number of processors is above 0", value=cpus, where="--set cpus")
    return {"requests": {"cpu": cpus, "memory": memory, **limits}, "limits": {"memory": memory, **limits}}


def _resource(subject: Subject, device: str, options: Mapping[str, str]) -> str:
    given = options.get(f"device.{device}")
    found = given or RESOURCES.get((class_of(device) or "", maker_of(subject, device) or ""))
    if found is None or not _RESOURCE.fullmatch(found):
        raise CannotExport(
            "Kubernetes knows accelerators by the names of device plugins", value=given,
            where=f"device '{device}'", remedy=f"Give it with --set device.{device}=vendor.example/gpu.",
        )  # fmt: skip
    return found


def _shares_host_memory(subject: Subject, device: str) -> bool:
    """Whether a CPU of the target works in the same memory."""
    memory = subject.target.memory_of(device).name
    return any(d.memory == memory and class_of(d.name) == "cpu" for d in subject.target.devices)
