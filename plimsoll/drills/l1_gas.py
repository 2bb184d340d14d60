"""L1 at 2,230 gwei, as on 19 May 2021 in the minute of the lowest price: what keepers earn or lose, and who goes on.

The node charges for the data of each transaction as OP-stack rollups do since Fjord, from what it is told of L1.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from plimsoll.chain.transactions import Chain
from plimsoll.core.units import WAD
from plimsoll.deploy.manifest import Manifest
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.boot import Report, deploy_in_process
from plimsoll.devnet.opstack.contracts import bedrock
from plimsoll.drills.notes import Figure, Notes, usd
from plimsoll.drills.stage import ETH, PRICES, Stage, staged
from plimsoll.drills.world import HAND, Said
from plimsoll.replay.actions import CloseOut
from plimsoll.replay.modelled import BASEFEE
from plimsoll.risk.config import Gas
from plimsoll.risk.liquidation import GAS_COST_MAX
from plimsoll.sdk.gas import L1_BLOCK, read_fee_per_byte

GWEI = 10**9
BASE_FEE_SLOT, SCALARS_SLOT, BLOB_FEE_SLOT = 1, 3, 7
"""Of L1Block's storage, where nodes read them."""


class Rollup(NamedTuple):
    """How a rollup pays for its data: in millionths of L1's base fee and of its blobs' fee."""

    base_fee_scalar: int
    blob_fee_scalar: int


ROLLUPS = {"data in blobs": Rollup(5_227, 1_014_213), "data in blocks of L1": Rollup(684_000, 0)}
"""OP Mainnet's scalars, since and before Ecotone."""
L1_GWEI = (100, 2_230)
"""Of a unit of gas, and of blobs' as well, which is more than it ever was with both."""
SIZES = {"smallest": 1_020, "middle": 20_000, "large": 200_000}
"""Dollars of positions at 20x; the smallest that is allowed is $1,000."""
FALLEN = {market: price * 975 // 1_000 for market, price in PRICES.items()}
MARGIN_BPS = 530


def play(notes: Notes) -> None:
    notes.parameters |= {
        "ETH": usd(FALLEN[ETH]),
        "base fee of the rollup": f"{BASEFEE} wei",
        "scalars": {name: [*one] for name, one in ROLLUPS.items()},
        "positions": {name: f"${dollars:,}" for name, dollars in SIZES.items()},
        "gas is paid for up to": usd(GAS_COST_MAX),
    }
    cells = {f"{gwei} gwei, {name}": (gwei, rollup) for name, rollup in ROLLUPS.items() for gwei in L1_GWEI}
    traders = [f"{cell}, {size}" for cell in cells for size in SIZES]
    with staged(notes, *traders, deploy=_deploy_on_a_rollup) as stage:
        _open(stage, cells)
        stage.publish(FALLEN)
        for cell, (gwei, rollup) in cells.items():
            _tell_of_l1(stage, gwei, rollup)
            _liquidate(stage, cell)
        notes.promise("nobody is left who could be liquidated", not stage.liquidatable(), stage.liquidatable())


def _deploy_on_a_rollup(parameters: Parameters, chain: Chain, path: Path, report: Report) -> Manifest:
    """The OP stack's L1Block first: the liquidator looks for it when it is deployed."""
    if not chain.code(L1_BLOCK):
        chain.rpc.call("anvil_setCode", L1_BLOCK, "0x" + bedrock("L1Block").runtime.hex())
    return deploy_in_process(parameters, chain, path, report)


def _open(stage: Stage, cells: dict[str, tuple[int, Rollup]]) -> None:
    positions = [(f"{cell}, {size}", dollars) for cell in cells for size, dollars in SIZES.items()]
    stage.deposit({name: dollars * MARGIN_BPS // 10_000 + 1 for name, dollars in positions})
    price = PRICES[ETH] // WAD
    stage.open(PRICES, *((name, ETH, dollars * WAD // price) for name, dollars in positions))


def _tell_of_l1(stage: Stage, gwei: int, rollup: Rollup) -> None:
    """What the first transaction of each block does on a rollup."""
    scalars = rollup.base_fee_scalar << 96 | rollup.blob_fee_scalar << 64
    words = {BASE_FEE_SLOT: gwei * GWEI, SCALARS_SLOT: scalars, BLOB_FEE_SLOT: gwei * GWEI}
    chain = stage.devnet.chain
    for slot, word in words.items():
        chain.rpc.call("anvil_setStorageAt", L1_BLOCK, hex(slot), f"0x{word:064x}")
    stage.mirror.gas = Gas(BASEFEE, read_fee_per_byte(chain))


def _liquidate(stage: Stage, cell: str) -> None:
    """Each account of a cell, in a transaction of its own with nothing else in it."""
    notes, found = stage.notes, {}
    stage.publish(FALLEN)
    for size in SIZES:
        account = stage.account(f"{cell}, {size}")
        keeper = stage.roles.liquidator.address
        before = stage.devnet.chain.balance(keeper)
        (step,) = stage.do(CloseOut(account, stage.market_ids[ETH]))[0].result
        spent = (before - stage.devnet.chain.balance(keeper)) * stage.price(ETH) // WAD
        found[size] = step.keeper, spent
    figures: dict[str, Figure] = {
        size: {"reward": usd(reward), "gas and data": usd(spent), "earned": usd(reward - spent)}
        for size, (reward, spent) in found.items()
    }
    notes.figure(f"close-outs at {cell}", figures)
    notes.figure(f"a record at {cell}", usd(_cost_of_a_record(stage)))
    losses = [size for size, (reward, spent) in found.items() if reward < spent]
    notes.promise(f"{cell}: every liquidation pays for itself", not losses, losses)
    topped = max(reward for reward, _ in found.values())
    limit = stage.mirror.model.state.liquidation_params.keeper_max
    notes.promise(f"{cell}: liquidations go on, and no reward passes its bound", topped <= limit, usd(topped))


def _cost_of_a_record(stage: Stage) -> int:
    """What whoever publishes pays for one market and all of its pull sources, WAD dollars."""
    chain, hand = stage.devnet.chain, stage.devnet.signers[HAND].address
    before = chain.balance(hand)
    stage.say({ETH: dict.fromkeys(stage.world.names(ETH), Said(FALLEN[ETH]))})
    return (before - chain.balance(hand)) * stage.price(ETH) // WAD
