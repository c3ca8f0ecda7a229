"""Optimizers of general use."""

from __future__ import annotations

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_optimizers() -> dict[str, str]:
    return {
        "pgsam": "tradespace_optimizers.pgsam:PGSAM",
        "random": "tradespace_optimizers.random_search:RandomSearch",
        "exhaustive": "tradespace_optimizers.exhaustive:Exhaustive",
        "chain_exact": "tradespace_optimizers.chain_exact:ChainExact",
        "nsga2": "tradespace_optimizers.pymoo_nsga2:NSGA2",
        "rl_aco": "tradespace_optimizers.rl_aco:RLACO",
        "aco": "tradespace_optimizers.rl_aco:ACO",
        "reinforce": "tradespace_optimizers.rl_aco:Reinforce",
        "optuna_tpe": "tradespace_optimizers.optuna_samplers:TPE",
        "optuna_nsga2": "tradespace_optimizers.optuna_samplers:OptunaNSGA2",
    }
