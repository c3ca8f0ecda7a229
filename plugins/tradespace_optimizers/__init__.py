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
        "nsga2": "tradespace_optimizers.pymoo_family:NSGA2",
        "nsga3": "tradespace_optimizers.pymoo_family:NSGA3",
        "unsga3": "tradespace_optimizers.pymoo_family:UNSGA3",
        "sms_emoa": "tradespace_optimizers.pymoo_family:SMSEMOA",
        "age_moea2": "tradespace_optimizers.pymoo_family:AGEMOEA2",
        "rvea": "tradespace_optimizers.pymoo_family:RVEA",
        "moead": "tradespace_optimizers.pymoo_moead:MOEAD",
        "tinynas": "tradespace_optimizers.tinynas:TinyNAS",
        "nas_evolution": "tradespace_optimizers.nas_evolution:NASEvolution",
        "rl_aco": "tradespace_optimizers.rl_aco:RLACO",
        "aco": "tradespace_optimizers.rl_aco:ACO",
        "reinforce": "tradespace_optimizers.rl_aco:Reinforce",
        "optuna_tpe": "tradespace_optimizers.optuna_samplers:TPE",
        "optuna_nsga2": "tradespace_optimizers.optuna_samplers:OptunaNSGA2",
    }
