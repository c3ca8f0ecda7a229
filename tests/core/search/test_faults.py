"""Errors of evaluators and optimizers name the line that raised."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.search.toys import Plain

from tradespace.designs import Designs
from tradespace.errors import PluginError, UnknownName
from tradespace.search import search

HERE = Path(__file__).name


class Priced(Plain):
    def __init__(self, price: Callable[[Designs], Any]) -> None:
        super().__init__()
        self._price = price

    def price(self, designs: Designs) -> Any:
        return self._price(designs)


def _divide(designs: Designs) -> Any:
    return {"latency": 1 / 0}


def _in_a_library(designs: Designs) -> Any:
    return np.stack([np.ones(3), np.ones(4)])


def _misspelt(designs: Designs) -> Any:
    return {"latency": designs["devise"]}


def line_of(function: Callable[..., Any]) -> str:
    return f"{HERE}:{function.__code__.co_firstlineno + 1} in {function.__name__}"


@pytest.mark.parametrize(
    ("price", "cause"), [(_divide, ZeroDivisionError), (_in_a_library, ValueError)], ids=["own", "library"]
)
def test_the_line_is_named_and_the_error_is_chained(price: Callable[[Designs], Any], cause: type) -> None:
    with pytest.raises(PluginError, match=rf"price of Priced, reference designs.*{cause.__name__}") as caught:
        search(Priced(price), ["latency"])
    assert line_of(price) in str(caught.value) and isinstance(caught.value.__cause__, cause)
    assert "tradespace check" in str(caught.value)


def test_what_the_house_refuses_names_the_line_that_asked() -> None:
    with pytest.raises(UnknownName, match=r"unknown design variable 'devise'.*'device'") as caught:
        search(Priced(_misspelt), ["latency"])
    assert line_of(_misspelt) in str(caught.value)


def test_refusals_of_the_house_itself_name_no_line() -> None:
    with pytest.raises(PluginError, match="every declared metric") as caught:
        search(Priced(lambda designs: {}), ["latency"])
    assert ".py" not in str(caught.value)


def test_a_script_is_not_sent_to_the_kits(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import tradespace as ts\n"
        "class Mine:\n"
        "    space = ts.Space(ts.Choice('x', ('a', 'b'), 3))\n"
        "    metrics = (ts.Metric('cost', '1', 'min'),)\n"
        "    def price(self, designs):\n"
        "        return {'cost': undefined}\n"
        "ts.search(Mine(), ['cost'])\n"
    )
    with pytest.raises(PluginError, match=r"mine\.py:6 in price.*NameError") as caught:
        runpy.run_path(str(script), run_name="__main__")
    assert "check" not in str(caught.value)
