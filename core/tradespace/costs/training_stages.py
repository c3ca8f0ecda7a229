"""The pipeline stages of designs of one depth: what each holds, where it is, and the transports between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.collectives import Level, Transport, all_reduce, all_to_all, point_to_point, slowest
from tradespace.costs.training_sites import Layout, Rules, Sites
from tradespace.workloads.training import TrainingJob

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stages:
    """n designs with p stages each; arrays (n, p) unless said otherwise.

    Args:
        site: number of the site. layers: of the stage.
        flop: of a forward pass, a sequence; the head's at the last stage. body: of the layers; core: of attention.
        parameters: held, a tied embedding at both ends.
        experts: the part of them in routed experts. routed, routing: elements carried to experts, and layers that do.
        residual, inner, largest: elements kept for backward, see `TrainingJob`; the largest layer's.
        replicas, tensor, expert: (n,) widths of the groups; expert-parallel ones lie inside the data-parallel.
        network: between nodes of a stage.
    """

    job: TrainingJob
    sites: Sites
    site: Ints
    layers: Ints
    flop: Floats
    body: Floats
    core: Floats
    parameters: Floats
    experts: Floats
    routed: Floats
    routing: Floats
    residual: Floats
    inner: Floats
    largest: float
    replicas: Ints
    tensor: Ints
    expert: Ints
    network: Transport
    rules: Rules

    @classmethod
    def build(cls, job: TrainingJob, sites: Sites, rules: Rules, x: Layout, p: int, replicas: Ints) -> Stages:
        """Layers of a site are divided evenly over its stages, one more for the first ones where that does not fit."""
        index, ends = np.arange(p), np.cumsum(x.stages, axis=1)
        site = (index[None, :, None] >= ends[:, None, :]).sum(axis=2)
        rows = np.arange(len(x))[:, None]
        count, mine = x.stages[rows, site], x.layers[rows, site]
        inside = index[None, :] - (ends - x.stages)[rows, site]
        layers = mine // count + (inside < mine % count)
        stop = np.cumsum(layers, axis=1)

        def of(values: Floats) -> Floats:
            sums = np.concatenate([[0.0], np.cumsum(values)])
            return np.asarray(sums[stop] - sums[stop - layers])

        first, last = (index == 0).astype(np.float64), (index == p - 1).astype(np.float64)
        body, head = of(job.flop), job.head[1] - job.tied * (p == 1)
        return cls(
            job=job,
            sites=sites,
            site=site,
            layers=layers,
            flop=body + first * job.embedding[0] + last * job.head[0],
            body=body,
            core=of(job.attention),
            parameters=of(job.weights) + first * job.embedding[1] + last * head,
            experts=of(job.expert_weights),
            routed=of(job.routed),
            routing=of((job.routed > 0).astype(np.float64)),
            residual=of(job.residual),
            inner=of(job.inner),
            largest=float((job.residual + job.inner).max()),
            replicas=replicas,
            tensor=x.tensor,
            expert=x.expert,
            network=_own(sites, site) if rules.aware else _common(sites, x.stages > 0, p),
            rules=rules,
        )

    @property
    def per_node(self) -> Ints:
        """Ranks of a stage that share a node, at most what the node has."""
        return np.asarray(np.minimum((self.replicas * self.tensor)[:, None], self.sites.node[self.site]))

    def port(self, transport: Transport) -> Transport:
        """A transport of the sites, (C,), as that of each stage."""
        return Transport(transport.bandwidth[self.site], transport.latency[self.site])

    @property
    def inside(self) -> Ints:
        """Members of a data-parallel group that share a node."""
        return np.asarray(np.maximum(np.minimum(self.replicas[:, None], self.per_node // self.tensor[:, None]), 1))

    def group(self, of_experts: bool = False) -> tuple[Level, ...]:
        """The data-parallel communicators of a stage, or those of its experts, which the expert-parallel width divides.
        One ring through all ranks crosses each node's port once a step, at the pace of the slowest hop; hierarchically,
        ranks inside nodes exchange first and all use the port then. A node's communicators share its port."""
        tensor, fabric, inside = self.tensor[:, None], self.port(self.sites.fabric), self.inside
        expert = self.expert[:, None] if of_experts else np.ones_like(tensor)
        ranks = np.maximum(self.replicas[:, None] // expert, 1)
        near = np.maximum(inside // expert, 1)
        nodes = -(-ranks // near)
        if self.rules.hierarchical:
            return Level(near, fabric), Level(nodes, self.network, inside * tensor)
        rings = tensor * np.minimum(expert, inside)
        across = slowest([fabric, Transport(self.network.bandwidth / rings, self.network.latency)])
        bandwidth = np.where(nodes > 1, across.bandwidth, fabric.bandwidth)
        latency = np.where(nodes > 1, across.latency, fabric.latency)
        return (Level(np.broadcast_to(ranks, nodes.shape), Transport(bandwidth, latency)),)

    def dispatch(self, element: Floats) -> Floats:
        """(n, p) s to carry the tokens of a micro-batch to their experts and back, once through all layers;
        ``element`` (n, 1) B of one routed element of all its sequences, on one rank."""
        expert, fabric = self.expert[:, None], self.port(self.sites.fabric)
        far = expert > self.inside
        way = Transport(
            np.where(far, self.network.bandwidth / (self.inside * self.tensor[:, None]), fabric.bandwidth),
            np.where(far, self.network.latency, fabric.latency),
        )
        layers = np.maximum(self.routing, 1.0)
        return np.asarray(2.0 * self.routing * all_to_all(self.routed / layers * element, Level(expert, way)))

    def sends(self, size: Floats) -> Floats:
        """(n, p) s for ``size`` (n, 1) B of each rank from a stage to the next one, and from the last to the first."""
        way, sharing = self._way(np.roll(self.site, -1, axis=1))
        return point_to_point(size, way, sharing)

    def crossings(self, chunks: int) -> Floats:
        """(n, p) how often the activations of a micro-batch leave the site behind a stage."""
        other = self.site != np.roll(self.site, -1, axis=1)
        times = np.full(self.site.shape[1], float(chunks))
        times[-1] -= 1.0
        return np.asarray(other * times)

    def embedding(self, element: float) -> Floats:
        """(n, p) s of the all-reduce that keeps both copies of a tied embedding equal, at the two ends."""
        out: Floats = np.zeros(self.site.shape)
        if not self.job.tied or self.site.shape[1] == 1:
            return out
        way, sharing = self._way(np.roll(self.site, -1, axis=1))
        last = Transport(way.bandwidth[:, -1], way.latency[:, -1])
        size = self.job.tied * element / self.tensor
        out[:, 0] = out[:, -1] = all_reduce(size, [Level(2.0, last, sharing[:, -1])])
        return out

    def _way(self, other: Ints) -> tuple[Transport, Floats]:
        """Transport from each stage to one at ``other``, and how many ranks share its port."""
        here, fabric = self.site, self.port(self.sites.fabric)
        same, ranks = here == other, self.replicas * self.tensor
        inside = same & (2 * ranks[:, None] <= self.sites.node[here])
        bandwidth, latency = self.sites.between.bandwidth[here, other], self.sites.between.latency[here, other]
        if not self.rules.aware:
            bandwidth = np.minimum(bandwidth, self.network.bandwidth)
            latency = np.maximum(latency, self.network.latency)
        bandwidth = np.where(same, self.network.bandwidth, bandwidth)
        latency = np.where(same, self.network.latency, latency)
        way = Transport(np.where(inside, fabric.bandwidth, bandwidth), np.where(inside, fabric.latency, latency))
        return way, np.where(inside, 1.0, self.per_node.astype(np.float64))


def chunk_shares(layers: Ints, chunks: int) -> Floats:
    """(n, p, v) share of a stage's work in each of its chunks, by layers; the first ones have one more."""
    number = np.arange(chunks)
    counts = layers[:, :, None] // chunks + (number < layers[:, :, None] % chunks)
    return np.asarray(counts / np.maximum(layers[:, :, None], 1))


def _own(sites: Sites, site: Ints) -> Transport:
    return Transport(sites.network.bandwidth[site], sites.network.latency[site])


def _common(sites: Sites, used: NDArray[np.bool_], p: int) -> Transport:
    """The slowest of the networks of all sites in use and of the ways between them, (n, p)."""
    pairs = used[:, :, None] & used[:, None, :] & ~np.eye(len(sites), dtype=bool)
    bandwidth = np.minimum(
        np.where(used, sites.network.bandwidth, np.inf).min(axis=1),
        np.where(pairs, sites.between.bandwidth, np.inf).min(axis=(1, 2)),
    )
    latency = np.maximum(
        np.where(used, sites.network.latency, 0.0).max(axis=1),
        np.where(pairs, sites.between.latency, 0.0).max(axis=(1, 2)),
    )
    return Transport(np.repeat(bandwidth[:, None], p, axis=1), np.repeat(latency[:, None], p, axis=1))
