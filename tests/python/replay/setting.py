"""A short replay of the synthetic crash with few accounts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from plimsoll.deploy import parameters as deployment
from plimsoll.deploy.parameters import Parameters
from plimsoll.replay.cli import around_the_low
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import Deployment, Roles
from plimsoll.replay.run import Replay
from plimsoll.risk.scenario.population import PopulationParameters
from plimsoll.risk.scenario.scenario import KeeperBehaviour, PriceHistory, PriceSettings, Scenario

START = 1_700_000_000


def parameters() -> Parameters:
    return deployment.load("devnet")


PLAIN: Mapping[str, int] = dict.fromkeys(("book_share", "stop_share", "relayed_share", "delegate_share"), 0)
"""A population that trades against the pool only, by itself."""


def scenario(
    accounts: int = 30, seed: int = 1, population: Mapping[str, int] | None = None, **keepers: Any
) -> Scenario:
    return Scenario(
        name="a made-up crash",
        seed=seed,
        prices=PriceSettings(source="synthetic"),
        population=PopulationParameters(accounts=accounts, **(population or {})),  # type: ignore[arg-type]
        keepers=dataclasses.replace(KeeperBehaviour(), **keepers),
    )


def replay(minutes: int = 10, **options: Any) -> Replay:
    chosen = scenario(**options)
    return Replay(chosen, crash(chosen, minutes), parameters())


def crash(chosen: Scenario, minutes: int) -> PriceHistory:
    return around_the_low(chosen.load_prices(), minutes)


def staged(minutes: int = 10, **options: Any) -> Replay:
    """Opened, with the first prices recorded, nothing traded, and a block open a second later."""
    done = replay(minutes=minutes, **options)
    done._open()
    done._publish(done.ticks[0], 0)
    done.mirror.begin(done.mirror.now + 1)
    return done


def mirror() -> Mirror:
    """Two markets without prices, nobody has anything."""
    return Mirror(parameters(), Roles.named(), Deployment(), now=START)
