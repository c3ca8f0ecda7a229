"""Fleets: task graphs and data streams on many machines."""

from __future__ import annotations

from pathlib import Path

from tradespace.hookspecs import hookimpl

TRADESPACE_CONTRACT = 1


@hookimpl
def tradespace_catalogue() -> str:
    return str(Path(__file__).parent / "catalogue")


@hookimpl
def tradespace_workloads() -> dict[str, str]:
    return {
        "task_graph": "tradespace_fleet.workloads:build_literal",
        "workflow": "tradespace_fleet.wfformat:build",
        "iot_task_set": "tradespace_fleet.workloads:build_iot",
        "job_shop": "tradespace_fleet.workloads:build_job_shop",
        "smtwtp": "tradespace_fleet.workloads:build_smtwtp",
        "flow_graph": "tradespace.workloads.flow:build",
        "trigger_chain": "tradespace_fleet.hep_daq:build",
        "agent_dag": "tradespace_fleet.ufo3_workload:build",
        "agent_dag_random": "tradespace_fleet.ufo3_workload:build_random",
    }


@hookimpl
def tradespace_readers() -> dict[str, str]:
    return {"dag-wfformat": "tradespace_fleet.wfformat:WfFormatReader"}


@hookimpl
def tradespace_device_models() -> dict[str, str]:
    return {
        "node": "tradespace_fleet.node:Node",
        "flow-node": "tradespace.costs.flow_nodes:FlowNode",
        "flow-processor": "tradespace.costs.flow_nodes:FlowProcessor",
        "agent-host": "tradespace_fleet.ufo3_host:AgentHost",
    }


@hookimpl
def tradespace_evaluators() -> dict[str, str]:
    return {
        "schedule": "tradespace_fleet.schedule:ScheduleFactory",
        "colony": "tradespace_fleet.colony:ColonyFactory",
        "queue": "tradespace_fleet.queue:QueueFactory",
        "flow": "tradespace.costs.flow:FlowFactory",
        "agents": "tradespace_fleet.ufo3:AgentsFactory",
    }


@hookimpl
def tradespace_optimizers() -> dict[str, str]:
    return {"list_schedulers": "tradespace_fleet.schedulers:ListSchedulers"}


@hookimpl
def tradespace_kernels() -> dict[str, str]:
    return {
        "trigger-scores": "tradespace_fleet.hep_daq_kernel:TriggerScores",
        "agent-sessions": "tradespace_fleet.ufo3_kernel:AgentSessions",
    }


@hookimpl
def tradespace_policies() -> dict[str, str]:
    names = ("heft", "cpop", "peft", "min_min", "max_min", "sufferage", "edf", "wspt", "arrival", "round_robin")
    return {name: f"tradespace_fleet.list_schedulers:{name}" for name in names}
