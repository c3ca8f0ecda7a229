"""The whole plugin contract. A hook returns names; nothing heavy is imported until a name is used.

Every mapping hook returns ``{name: "package.module:Attribute"}``. Names are lower case, words joined by ``-`` or ``_``.
A plugin is a module with ``@hookimpl`` functions, found through the entry-point group ``tradespace.plugins``.
"""

from __future__ import annotations

import pluggy

CONTRACT = 1
"""Version of this contract. A plugin may state ``TRADESPACE_CONTRACT = 1``; another number is refused."""

hookspec = pluggy.HookspecMarker("tradespace")
hookimpl = pluggy.HookimplMarker("tradespace")


@hookspec
def tradespace_catalogue() -> str:
    """Folder with any of ``targets/ workloads/ studies/ conf/``, each holding YAML files."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_workloads() -> dict[str, str]:
    """Workload types: callables ``(options: Mapping) -> Workload`` that catalogue files name with ``type:``."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_readers() -> dict[str, str]:
    """File readers: ``Reader`` classes that turn a file or folder into a workload."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_device_models() -> dict[str, str]:
    """``DeviceModel`` classes that target files name with ``model:``."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_evaluators() -> dict[str, str]:
    """``EvaluatorFactory`` classes: which pairs of workload and target they accept, and how they price them."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_optimizers() -> dict[str, str]:
    """``Optimizer`` classes, built from ``(view, options)``."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_precisions() -> dict[str, str]:
    """``Precision`` objects: number formats with bits, blocks and scales."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_policies() -> dict[str, str]:
    """numba functions of a published signature: schedulers, routers, admission."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_kernels() -> dict[str, str]:
    """``Kernel`` classes: native code with a reference, a check and a timing."""
    raise NotImplementedError  # abstract


@hookspec
def tradespace_exporters() -> dict[str, str]:
    """``Exporter`` classes: a plan as another tool's configuration."""
    raise NotImplementedError  # abstract
