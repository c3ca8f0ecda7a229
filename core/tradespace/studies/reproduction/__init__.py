"""Reproduction: a published row is a search written down; nothing here knows any system.

``studies/<system>/published.yaml`` holds the rows; `grammar` lists every key, `run.reproduce` prices them.
"""

from __future__ import annotations
