"""Optimizers of general use."""

from __future__ import annotations

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_optimizers() -> dict[str, str]:
    return {
        "auto": "tradespace_optimizers.auto:Auto",
        "pgsam": "tradespace_optimizers.pgsam:PGSAM",
        "learned_chain": "tradespace_optimizers.learned_chain:LearnedChain",
        "random": "tradespace_optimizers.random_search:RandomSearch",
        "exhaustive": "tradespace_optimizers.exhaustive:Exhaustive",
        "chain_exact": "tradespace_optimizers.chain_exact:ChainExact",
        "milp": "tradespace_optimizers.chain_milp:MILP",
        "cpsat": "tradespace_optimizers.chain_cpsat:CPSAT",
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
        "schedule_search": "tradespace_optimizers.schedule_search:ScheduleSearch",
        "optuna_tpe": "tradespace_optimizers.optuna_samplers:TPE",
        "optuna_nsga2": "tradespace_optimizers.optuna_samplers:OptunaNSGA2",
        "optuna_nsga3": "tradespace_optimizers.optuna_samplers:OptunaNSGA3",
        "optuna_gp": "tradespace_optimizers.optuna_samplers:GP",
        "optuna_cmaes": "tradespace_optimizers.optuna_samplers:CMAES",
        "optuna_qmc": "tradespace_optimizers.optuna_samplers:QMC",
        "optuna_random": "tradespace_optimizers.optuna_samplers:OptunaRandom",
        "nevergrad": "tradespace_optimizers.nevergrad_search:Nevergrad",
        "smac": "tradespace_optimizers.smac_search:SMAC",
        "amosa": "tradespace_optimizers.amosa:AMOSA",
        "mosa": "tradespace_optimizers.mosa:MOSA",
    }
