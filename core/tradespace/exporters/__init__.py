"""Plans as other tools' configurations: the contract of the hook ``tradespace_exporters`` and what runs an exporter."""

from __future__ import annotations

from tradespace.exporters.contract import CannotExport, Entry, Export, Exporter, Subject
from tradespace.exporters.run import export_plan, parse_settings

__all__ = ["CannotExport", "Entry", "Export", "Exporter", "Subject", "export_plan", "parse_settings"]
