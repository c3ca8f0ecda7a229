"""CMS's data acquisition: golden numbers of the publication, the simulated trigger, the kernel, what each part does."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradespace.costs.flow_nodes import FlowNode, FlowProcessor
from tradespace.errors import InputError, TradespaceError, UnitError, UnknownName
from tradespace.plugins import registry
from tradespace.search.api import search
from tradespace.settings import Setting, bind
from tradespace.studies.reproduction.document import read_published
from tradespace.targets import load_target
from tradespace.testing.device_models import check_device_model
from tradespace.testing.evaluators import check_evaluator
from tradespace.testing.kernels import check_kernel
from tradespace.testing.targets import check_target
from tradespace.testing.workloads import check_workload
from tradespace.workloads import load_workload
from tradespace.workloads.classifiers import empirical
from tradespace_fleet.hep_daq import Coincidence, build_coincidence, mean_energy, triggered
from tradespace_fleet.hep_daq_kernel import TriggerScores, pchip, philox, reference_scores, tables

ROOT = Path(__file__).parents[3]
UPGRADES = {"device.hlt": "gpu", "smart.inner_tracker": 1}
TRACKS = {"stages.l1t.classifier.boost": 0.4}
FEW = {"stages.l1t.classifier.events": 20_000}
STORED = {
    "stages.l1t.classifier": {"model": "point", "false_positive": 0.01868, "true_positive": 0.48316},
}


def price(workload: Any, design: Any = None, target: Any = "cms-daq", **options: Any) -> dict[str, float]:
    evaluator = bind(Setting(workload, target, None, options), registry()).evaluator
    return {k: float(v[0]) for k, v in evaluator.price(evaluator.space.parse(design or {})).items()}


def cms(over: Mapping[str, Any] | None = None, pileup: int = 200) -> dict[str, Any]:
    return {"extends": f"cms-pileup-{pileup}", **FEW, **(over or {})}


# -- golden numbers of the publication --------------------------------------------------------------------------------


def test_power_of_the_published_systems_is_within_half_a_percent() -> None:
    assert price(cms(pileup=60))["power"] == pytest.approx(0.3224e6, rel=5e-3)
    assert price(cms())["power"] == pytest.approx(51.61e6, rel=5e-3)
    assert price(cms(), {"device.hlt": "gpu"})["power"] == pytest.approx(25.85e6, rel=5e-3)
    assert price(cms(TRACKS), UPGRADES)["power"] == pytest.approx(20.44e6, rel=5e-3)


def test_sizes_are_the_published_ones() -> None:
    for pileup, size in ((60, 1_740_667), (140, 5_833_000), (200, 8_165_000)):
        assert load_workload(cms(pileup=pileup), registry()).facts["event_bytes"] == pytest.approx(size, abs=1)
    found = price(cms())
    assert found["size.l1t"] == 8_425_000
    assert found["power.l1t"] * math.exp(1.8717361) == pytest.approx(505_499.99, rel=1e-6)  # the notebook prints it


def test_bookkeeping_of_the_stored_operating_point() -> None:
    """The closed form: threshold 2.540, 3364 relevant events of 7507 kept."""
    found = price(cms(STORED))
    assert found["rate.l1t"] == pytest.approx(0.01868 * (40e6 - 7504) + 0.48316 * 7504, abs=2)
    assert found["output_rate"] * found["precision"] == pytest.approx(3364, abs=2)
    assert found["output_rate"] == pytest.approx(7507, abs=2)
    for name in ("f1", "precision", "recall"):
        assert found[name] == pytest.approx(0.4481, abs=2e-4)
    assert found["fpr.hlt"] == pytest.approx(0.5 * math.erfc(2.540 / math.sqrt(2)), rel=5e-3)


def test_the_simulated_trigger_finds_the_published_operating_point() -> None:
    found = price("cms-pileup-200")
    assert found["fpr.l1t"] == pytest.approx(0.01868, rel=0.01)
    assert found["tpr.l1t"] == pytest.approx(0.48316, rel=0.02)  # the authors' runs print 0.4795 to 0.4838
    assert found["f1"] == pytest.approx(0.448, rel=0.02)


def test_every_published_row_is_inside_its_band() -> None:
    from tradespace.studies.reproduction.run import reproduce

    scored = reproduce(read_published(ROOT / "studies/hep-daq/published.yaml"), registry())
    assert [(r.id, r.verdict) for r in scored.results if r.verdict != "inside"] == []


# -- what each part does ----------------------------------------------------------------------------------------------


def test_without_the_simulation_quality_is_far_off() -> None:
    """A trigger that cannot tell events apart keeps one relevant event in 53: F1 falls from 0.45 to 0.02."""
    blind = {"stages.l1t.classifier": {"model": "gaussian", "separation": 0}}
    assert price(cms(blind))["f1"] < 0.03
    assert price(cms())["f1"] > 0.4


def test_tracks_help_f1_and_nothing_else() -> None:
    plain, tracks = price(cms()), price(cms(TRACKS))
    assert tracks["f1"] > 1.8 * plain["f1"]
    assert tracks["power"] == pytest.approx(plain["power"], rel=1e-3)


def test_own_rates_of_the_triggers_give_harder_events() -> None:
    objects = {"jet": 0.282, "muon": 0.364, "egamma": 0.444, "tau": 0.18}
    own = {f"stages.l1t.classifier.objects.{name}.share": share for name, share in objects.items()}
    assert price(cms(own))["f1"] > price(cms())["f1"] * 1.05


def test_links_hardly_matter_and_the_year_does() -> None:
    base, led = price(cms()), price(cms(), {"link.detector": "micro_led", "link.concentrator": "micro_led_up"})
    assert base["link_power"] < 1e-3 * base["power"]
    assert led["link_power"] < 0.12 * base["link_power"]
    assert price(cms(), year=2022)["power"] / base["power"] == pytest.approx(6.4996, rel=1e-4)


def test_units_and_latency() -> None:
    found = price(cms())
    operations = 1.4117322e-7 * 8.425e6 + 1.88331373e-13 * 8.425e6**2 + 2.22744368e-20 * 8.425e6**3
    level1 = 8.425 / 2 * 2.97e-6
    assert found["units"] == pytest.approx(found["rate.l1t"] * operations * 0.331 / 128 + 40e6 * level1 / 500, rel=1e-6)
    assert found["latency"] == pytest.approx(4 * 900e-9 + level1 + operations * 0.331, rel=1e-6)


# -- the simulation ---------------------------------------------------------------------------------------------------


def spec(**over: Any) -> Coincidence:
    raw = _raw() | over
    found = build_coincidence(raw, "test")
    assert isinstance(found, Coincidence)
    return found


def _raw() -> dict[str, Any]:
    from tradespace.workloads.load import resolve

    options, _ = resolve("cms-pileup-200", registry())
    return {k: v for k, v in options["stages"]["l1t"]["classifier"].items() if k != "model"}


def test_random_words_are_philox() -> None:
    """Known answers of Random123 (kat_vectors): counters and keys of all zeros and of all ones."""
    zero = philox(0, np.zeros(1, np.uint64), 0, 0)[:, 0]
    assert [hex(int(w)) for w in zero] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    ones = philox(2**64 - 1, np.array([2**64 - 1], np.uint64), 0xFFFFFFFF, 0xFFFFFFFF)[:, 0]
    assert [hex(int(w)) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_one_event_in_plain_python() -> None:
    """The scores of single events with integers, math.log and bisection: the same to the last digits."""
    kernel, rng = TriggerScores(), np.random.default_rng(3)
    inputs = kernel.shaped(300, 4, 20, 6, rng)
    scores = reference_scores(inputs)
    for event in (0, 7, 128, 299):
        for kind in (0, 1):
            assert scores[kind, event] == pytest.approx(_score(inputs, event, kind), rel=1e-12, abs=1e-12)


def _score(inputs: Any, event: int, kind: int) -> float:
    seed, total = int(inputs["seed"][0]), 0.0
    draw = (_words(seed, event, 0xFFFFFFFF, kind)[0] + 0.5) / 2**32
    row = sum(draw >= edge for edge in inputs["mix"][:-1].tolist())
    words = _words(seed, event, 0, kind)
    for o in range(4):
        u, below = (words[o] + 0.5) / 2**32, float(inputs["below"][o])
        p = u * (1 - below) + below if kind and inputs["above"][row, o] else u * below
        energy = -math.log(1 - p) * float(inputs["scale"][o])
        knots = [k for k in inputs["knots"][o].tolist() if k < math.inf]
        at = min(max(sum(k <= energy for k in knots) - 1, 0), len(knots) - 2)
        x, c = energy - knots[at], inputs["cubic"][:, o, at].tolist()
        total += min(max(c[0] + c[1] * x + c[2] * x**2 + c[3] * x**3, 0.0), 1.0)
    return total


def _words(seed: int, event: int, block: int, kind: int) -> list[int]:
    a, b, c, d, k, m = event & 0xFFFFFFFF, event >> 32, block, kind, seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q & 0xFFFFFFFF, (p >> 32) ^ d ^ m, p & 0xFFFFFFFF
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return [a, b, c, d]


def test_the_kernel_has_the_bits_of_its_reference() -> None:
    report = check_kernel(TriggerScores())
    assert report.passed, str(report)


def test_counts_above_any_threshold_are_equal_and_distributions_never_fall() -> None:
    kernel = TriggerScores()
    inputs = kernel.shaped(30_000, 4, 41, 12, np.random.default_rng(5))
    native, plain = np.array(kernel.run(inputs)), kernel.reference(inputs)
    levels = np.linspace(0, 4, 101)
    counts = [[(scores[kind] > x).sum() for x in levels] for scores in (native, plain) for kind in (0, 1)]
    assert counts[:2] == counts[2:]
    curve = empirical(*np.sort(native, axis=1))
    assert (np.diff(curve.negatives) >= 0).all()
    assert (np.diff(curve.positives) >= 0).all()


def test_energies_follow_the_law_and_the_thresholds() -> None:
    """A curve that is the energy itself: scores of one object are its energies, exponential below or above."""
    curve, events = (np.array([0.0, 1000.0]), np.array([0.0, 1.0])), 200_000
    inputs = tables([curve], [50.0], [30.0], [1.0], [[True]], events, 1)
    null, positive = reference_scores(inputs) * 1000
    assert null.max() <= 30 <= positive.min()
    share = 1 - math.exp(-30 / 50)
    assert positive.mean() == pytest.approx(80, rel=0.01)  # memoryless: threshold + mean
    assert share * null.mean() + (1 - share) * positive.mean() == pytest.approx(50, rel=0.01)


def test_curves_are_monotone_and_pass_their_points() -> None:
    scipy = pytest.importorskip("scipy.interpolate")
    for trigger in spec().triggers:
        x, y = np.array(trigger.curve).T
        assert pchip(x, y) == pytest.approx(scipy.PchipInterpolator(x, y).c[::-1], rel=1e-9, abs=1e-15)


def test_spectra_meet_the_share_or_come_closest() -> None:
    for trigger in spec().triggers:
        x, y = np.array(trigger.curve).T
        rate = 1 / mean_energy(x, y, trigger.share)
        found = triggered(x, y, np.array([rate]))[0]
        most = triggered(x, y, np.geomspace(1e-5, 1, 400)).max()
        assert found == pytest.approx(min(trigger.share, most), rel=1e-4)
        if most > trigger.share:
            assert triggered(x, y, np.array([1.01 * rate]))[0] < found  # the soft spectrum of the two


def test_seeds_differ_and_boosts_share_their_events() -> None:
    one, two, boosted = (spec(events=5000, seed=s, boost=b).operating() for s, b in ((0, 0), (1, 0), (0, 0.4)))
    assert not np.array_equal(one.positives, two.positives)
    assert boosted.negatives[-2] <= 1.0
    assert spec(events=5000, boost=50.0).operating().positives[5000] == 0.0  # all null events score below


# -- search, other worlds, bad input ----------------------------------------------------------------------------------


def test_the_front_beats_the_papers_own_decision() -> None:
    ratios = {"stages.l1t.ratio": [20, 1000], "stages.hlt.ratio": [10, 1000]}
    workload = cms({"relevant": 1 / 5330, **ratios, "stages.l1t.classifier.boost": {"choices": [0, 0.4]}})
    evaluator = bind(Setting(workload, "cms-daq"), registry()).evaluator
    own = evaluator.price(
        evaluator.space.parse({"stages.l1t.classifier.boost": 0.4, "ratio.l1t": 53.3, "ratio.hlt": 100, **UPGRADES})
    )
    front = search(evaluator, ["power", "f1", "productivity"], optimizer="nsga2", evaluations=3000, seed=0)
    better = (
        (front.values[:, 0] <= own["power"])
        & (front.values[:, 1] >= own["f1"])
        & (front.values[:, 2] >= own["productivity"])
    )
    assert better.any()


def test_a_second_collider_is_one_file() -> None:
    found = price("fcc-hh-pileup-950")
    assert found["size.l1t"] == pytest.approx(43.75e6)
    assert found["power"] > price(cms())["power"]


def test_other_worlds_meet_this_one() -> None:
    """Language models and networks on the farm; the farm's work on a server's GPU and a laptop."""
    names = registry()
    for workload in ("llama-3.2-1b", "mobilenet-v2"):
        evaluator = bind(Setting(workload, "cms-daq"), names).evaluator
        prices = evaluator.price(evaluator.repair(evaluator.space.parse({})))
        assert 0 < prices["latency"][0] < 60
    for target in ("h100", "laptop", "stm32h743"):  # the last computes in integers only
        assert price(cms(), target=target)["units"] > 1


def test_kits() -> None:
    names = registry()
    for report in (
        check_target(lambda: load_target("cms-daq", names)),
        check_workload(lambda: load_workload("cms-pileup-60", names)),
        check_evaluator(bind(Setting(cms({"stages.hlt.ratio": [10, 500]}), "cms-daq"), names).evaluator, "cms"),
    ):
        assert report.passed, str(report)


@pytest.mark.parametrize(
    ("over", "error", "text"),
    [
        ({"boots": 1}, UnknownName, "boost"),
        ({"events": 3}, InputError, "from 100 to"),
        ({"objects": {}}, InputError, "1 to 8 objects"),
        ({"mix": [{"share": 0.5, "above": ["jet"]}]}, InputError, "add up to 1"),
        ({"mix": [{"share": 1, "above": ["jets"]}]}, UnknownName, "jet"),
        (
            {"objects": {"a": {"threshold": 0, "share": 0.5, "energy": [1, 2], "efficiency": [0, 1]}}},
            UnitError,
            "above 0",
        ),
        (
            {"objects": {"a": {"threshold": 1, "share": 0.5, "energy": [2, 1], "efficiency": [0, 1]}}},
            InputError,
            "rise",
        ),
        (
            {"objects": {"a": {"threshold": 1, "share": 0.5, "energy": [1, 2], "efficiency": [0, 2]}}},
            InputError,
            "0 to 1",
        ),
        (
            {"objects": {"a": {"threshold": 1, "share": 0.5, "energy": [1, 2], "efficiency": [0, 0]}}},
            InputError,
            "triggers",
        ),
    ],
)
def test_bad_classifiers_are_refused(over: dict[str, Any], error: type[TradespaceError], text: str) -> None:
    with pytest.raises(error, match=text):
        spec(**over)


def test_open_numbers_take_the_place_of_numbers() -> None:
    """In a study the mapping {choices: ...} arrives as a dotted key on a number."""
    evaluator = bind(Setting(cms({"stages.l1t.classifier.boost.choices": [0, 0.4]}), "cms-daq"), registry()).evaluator
    assert "stages.l1t.classifier.boost" in evaluator.space


def test_every_flow_node_passes_its_kit() -> None:
    devices = load_target("cms-daq", registry()).devices
    for model, kinds in ((FlowNode, "flow-node"), (FlowProcessor, "flow-processor")):
        report = check_device_model(model, devices=[d for d in devices if d.model == kinds])
        assert report.passed, str(report)


def test_no_published_value_stands_in_the_code() -> None:
    numbers = {"0.3224", "51.61", "25.85", "20.44", "0.448", "0.84", "0.0652", "0.065", "0.31", "0.814", "0.122"}
    files = [
        *(ROOT / "plugins/tradespace_fleet").glob("hep_daq*.py"),
        *(ROOT / "core/tradespace/costs").glob("flow*.py"),
    ]
    for file in files:
        stated = set(re.findall(r"\d+\.\d+", file.read_text(encoding="utf-8")))
        assert not stated & numbers, file.name
