"""tradespace: given this workload and this hardware, which deployments are worth having?"""

from __future__ import annotations
