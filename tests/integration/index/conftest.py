"""Half an hour of a crash on a devnet: orders of all kinds, matches, close-outs, take-overs, absorptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from plimsoll.core.units import WAD
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.index.mirror import Mirror
from plimsoll.replay.onchain import OnChain, deployment_of
from plimsoll.replay.run import OPENING_SECONDS, Replay
from plimsoll.replay.stored import Ledger
from plimsoll.risk.scenario import prices
from plimsoll.sdk.contracts import Contracts
from tests.python.replay.setting import crash, scenario
from tests.support.mirrored import layout_of, mirrored, stored

HABITS = {"book_share": WAD // 2, "stop_share": WAD // 3, "relayed_share": WAD // 2, "delegate_share": WAD // 4}


@dataclass
class Traded:
    """A devnet on which was traded, and the replay that did it."""

    devnet: Devnet
    contracts: Contracts
    replay: Replay

    def at_chain(self, mirror: Mirror) -> tuple[Ledger, Ledger]:
        """(what the contracts store, what the mirror says) of all accounts that either knows of."""
        layout = layout_of(mirror, self.replay.mirror.model.state.accounts)
        return stored(self.contracts, layout), mirrored(mirror, layout)


@contextmanager
def played(accounts: int, minutes: int) -> Iterator[Traded]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(prices.DATA_VARIABLE, "")
        chosen = scenario(accounts=accounts, population=HABITS, seed=2)
        history = crash(chosen, minutes)
        with boot_devnet(
            timestamp=history.start - OPENING_SECONDS - 60, prices={}, trader_dollars=0, pool_dollars=0, fund_dollars=0
        ) as devnet:
            replay = Replay(chosen, history, devnet.parameters, at=deployment_of(devnet))
            chain = OnChain(devnet, replay.roles, replay.keys)
            replay.run(chain)
            assert chain.first_difference == ""
            yield Traded(devnet, Contracts(devnet.chain, devnet.addresses), replay)


@pytest.fixture(scope="module")
def traded(built: None) -> Iterator[Traded]:
    with played(60, 30) as found:
        yield found


@pytest.fixture
def fork(built: None) -> Iterator[Traded]:
    """A shorter one of its own, of which blocks may be exchanged."""
    with played(30, 6) as found:
        yield found
