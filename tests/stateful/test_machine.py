"""The walk's handlers under Hypothesis, which shrinks what it finds to the shortest sequence of calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.stateful.handlers import DYING, Handler
from tests.stateful.world import World

T = TypeVar("T")
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


class Drawn:
    """Choices that Hypothesis draws, and can shrink."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def pick(self, items: Sequence[T]) -> T:
        return items[self.data.draw(st.integers(0, len(items) - 1))]

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def chance(self, percent: int) -> bool:
        return int(self.data.draw(st.integers(0, 99))) < percent


def _rule(name: str, handler: Handler) -> Callable[..., None]:
    def run(self: PlimsollMachine, data: Any) -> None:
        handler(self.world, Drawn(data))

    run.__name__ = name
    return rule(data=st.data())(run)


class PlimsollMachine(RuleBasedStateMachine):
    """Every handler is a rule; equality with the model and the three sums hold after each."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @invariant()
    def model_is_equal(self) -> None:
        self.world.compare(self.world.everyone)


for _name, (_handler, _) in DYING.items():
    setattr(PlimsollMachine, _name, _rule(_name, _handler))

PlimsollMachine.TestCase.settings = settings(
    max_examples=200 if DEEP else 8,
    stateful_step_count=120 if DEEP else 40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


TestMachine = PlimsollMachine.TestCase
