"""Receipts of liquidations in a crash on a devnet: right where the contracts did right, wrong where they did not."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.chain.contracts import Deployed, artifact, interface
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Receipt
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.sdk.orders import limit_order
from plimsoll.sdk.receipts import receipt_of
from plimsoll.sdk.receipts.receipt import BY_EVENTS, NOTHING_BEFORE, TRACED
from tests.integration.receipts.conftest import ETH, Crash

pytestmark = pytest.mark.node

KEEPER_SHARE, OTHER_SHARE = bytes.fromhex("610bb8"), bytes.fromhex("610fa0")
"""PUSH2 of 3,000 and of 4,000 basis points."""


def figures(checked: Any) -> dict[str, tuple[int | None, int | None]]:
    return {one.name: (one.said, one.found) for one in checked.figures}


def test_receipt_of__a_close_out__is_right_figure_by_figure(crash: Crash) -> None:
    crash.fall()
    crash.devnet.advance(3)
    sent = crash.send(crash.close_out(crash.unhealthy))
    receipt = receipt_of(crash.contracts, "0x" + sent.tx_hash[2:].upper())
    assert receipt.is_right
    assert (receipt.known, receipt.earlier, receipt.stored, receipt.doubts) == (NOTHING_BEFORE, 0, (), ())
    [checked] = receipt.checked
    assert (checked.step.kind, checked.step.account) == ("close-out", crash.unhealthy)
    found = figures(checked)
    assert found["price"] == (None, 2_350 * WAD)
    assert found["health price"] == (2_350 * WAD, 2_350 * WAD)
    cost, kept = found["cost"][0], found["of it to the keeper"][0]
    assert cost is not None
    assert kept == cost * 3_000 // 10_000
    assert found["of it to the insurance fund"] == (cost - kept, cost - kept)
    assert all(said == again for said, again in found.values() if said is not None)
    assert {
        "publish time",
        "equity",
        "requirement",
        "size closed",
        "fill sum",
        "cash of the keeper after",
    } < found.keys()


def test_receipt_of__take_over_and_absorption__are_right(crash: Crash) -> None:
    crash.fall()
    taken = crash.check(crash.send(crash.take_over(crash.bargain, 20 * WAD, crash.taker)))
    assert taken.is_right
    found = figures(taken.checked[0])
    fee = found["taker's fee"][0]
    assert fee is not None
    parts = [found[f"of it to the {who}"][1] for who in ("pool", "insurance fund", "treasury")]
    assert sum(part or 0 for part in parts) == fee
    crash.devnet.advance(2)
    absorbed = crash.check(crash.send(crash.absorb(crash.bankrupt)))
    assert absorbed.is_right
    found = figures(absorbed.checked[0])
    assert found["positions"] == (2, 2)
    debt = found["debt"][0]
    assert debt is not None
    assert debt > 0
    assert found["borne by the insurance fund"] == (debt, debt)
    assert found["cash of the account after"] == (0, 0)


def test_receipt_of__all_kinds_in_one_block__each_is_right(crash: Crash) -> None:
    crash.fall()
    receipts = crash.send_together(
        [
            crash.close_out(crash.unhealthy),
            crash.take_over(crash.bargain, 20 * WAD, crash.taker),
            crash.absorb(crash.bankrupt),
            crash.close_out(crash.bargain),
        ]
    )
    checked = [crash.check(one) for one in receipts]
    assert [one.is_right for one in checked] == [True] * 4
    assert [one.known for one in checked] == [NOTHING_BEFORE, TRACED, TRACED, TRACED]
    assert [one.checked[0].step.kind for one in checked] == ["close-out", "take-over", "absorption", "close-out"]
    assert [one.stored for one in checked] == [()] * 4


def test_receipt_of__a_node_that_does_not_trace__is_right_and_says_so(
    crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash.fall()
    _, receipt = crash.send_together([crash.close_out(crash.unhealthy), crash.close_out(crash.bargain)])
    call = crash.chain.rpc.call

    def refuses(method: str, *params: Any) -> Any:
        if method.startswith("debug_"):
            raise RpcError(method, -32601, "the method does not exist")
        return call(method, *params)

    monkeypatch.setattr(crash.chain.rpc, "call", refuses)
    checked = crash.check(receipt)
    assert (checked.is_right, checked.known, len(checked.doubts)) == (True, BY_EVENTS, 1)


def test_receipt_of__several_in_one_transaction__each_is_right(crash: Crash) -> None:
    crash.fall()
    batcher = crash.batcher()
    taker = crash.devnet.deposit("keeper", 200_000, ids.pack(batcher.address))
    calls = [
        crash.close_out(crash.unhealthy),
        crash.take_over(crash.bargain, 10 * WAD, taker),
        crash.absorb(crash.bankrupt),
        crash.close_out(crash.bargain),
    ]
    targets, data = [one.to for one in calls], [one.data for one in calls]
    receipt = crash.check(batcher.transact(crash.keeper, "run", targets, data, gas=6_000_000))
    assert receipt.is_right
    assert [one.step.kind for one in receipt.checked] == ["close-out", "take-over", "absorption", "close-out"]
    assert receipt.checked[2].step.debt is not None


def test_receipt_of__a_liquidator_that_pays_the_keeper_more__is_found_wrong(crash: Crash) -> None:
    code = crash.chain.code(crash.liquidator.address)
    assert KEEPER_SHARE in code
    crash.chain.rpc.call(
        "anvil_setCode", crash.liquidator.address, "0x" + code.replace(KEEPER_SHARE, OTHER_SHARE).hex()
    )
    crash.fall()
    receipt = crash.check(crash.send(crash.close_out(crash.unhealthy)))
    assert not receipt.is_right
    assert receipt.is_decided
    [checked] = receipt.checked
    assert [one.name for one in checked.wrong] == [
        "of it to the keeper",
        "of it to the insurance fund",
        "cash of the keeper after",
        "cash of the insurance fund after",
    ]
    found = figures(checked)
    cost = found["cost"][1]
    assert cost is not None
    assert found["of it to the keeper"] == (cost * 4_000 // 10_000, cost * 3_000 // 10_000)
    assert len(checked.differ) == 2
    assert receipt.stored == ()


def test_receipt_of__a_vault_that_says_one_thing_and_stores_another__is_found_wrong(crash: Crash) -> None:
    """The code of the vault adds a wei to whoever is posted to once more; its events don't tell."""
    crash.fall()
    receipt = crash.send(crash.close_out(crash.unhealthy))
    storage = crash.chain.rpc.batch

    def lies(calls: Any, **rest: Any) -> Any:
        answers = storage(calls, **rest)
        return [
            hex(int(answer, 16) + 1) if method == "eth_getStorageAt" and int(params[2], 16) == receipt.block_number
            and params[0] == crash.contracts.vault.address else answer
            for (method, params), answer in zip(calls, answers, strict=True)
        ]  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crash.chain.rpc, "batch", lies)
        checked = crash.check(receipt)
    assert not checked.is_right
    assert checked.wrong == []
    assert f"balance of {crash.unhealthy:#x}" in checked.stored


def test_receipt_of__more_than_the_caps_take__what_went_against_the_side_is_right(crash: Crash) -> None:
    bob = crash.client("bob")
    bob.deposit(300_000)
    for _ in range(2):
        account = crash.account(9, 74_000, {"ETH": "450"})
        placed = bob.place_market("ETH", "-450", slippage_bps=500)
        crash.devnet.advance(2)
        crash.devnet.record()
        crash.contracts.order_book.transact(crash.keeper, "execute", placed.order, [])
    crash.devnet.record({"ETH/USD": 2_320 * WAD})
    crash.devnet.advance(2)
    receipt = crash.check(crash.send(crash.absorb(account)))
    assert receipt.is_right
    found = figures(receipt.checked[0])
    said, again = found["size closed against the other side in market 1"]
    assert said == again
    assert said is not None
    assert said < 0
    assert found["part of that side in market 1"][0] != 0


def test_receipt_of__deleveraging_is_due_first__is_right_afterwards(crash: Crash) -> None:
    crash.pool_of(40_000)
    crash.devnet.record({"ETH/USD": 2_350 * WAD})
    receipt = crash.send(crash.close_out(crash.bargain))
    assert crash.contracts.market.events(receipt, "Deleveraged")
    assert crash.check(receipt).is_right


def test_receipt_of__a_flash_take_over__is_right(crash: Crash) -> None:
    bob = crash.client("bob")
    bob.deposit(100_000)
    crash.fall()
    arguments = [crash.liquidator.address, crash.contracts.order_book.address, crash.contracts.vault.address]
    constructor = interface("FlashTaker").encode_constructor([*arguments, crash.keeper.address])
    created = crash.keeper.deploy(artifact("FlashTaker").bytecode + constructor)
    maker = bob.signed(limit_order(bob.account(), ETH, 20 * WAD, 2_349 * WAD, salt=1))
    flash = Deployed(interface("FlashTaker"), created.contract_address, crash.chain)
    makers = [(maker.order, maker.signature, 20 * WAD)]
    sent = flash.transact(crash.keeper, "run", crash.bargain, ETH, 20 * WAD, 1, makers, [], gas=4_000_000)
    receipt = crash.check(sent)
    [checked] = receipt.checked
    assert checked.judged_later == ids.pack(flash.address)
    assert receipt.is_right


def test_receipt_of__what_can_not_be_checked__says_why(crash: Crash) -> None:
    def refused(receipt: Receipt | str) -> str:
        with pytest.raises(UserError) as caught:
            receipt_of(crash.contracts, receipt if isinstance(receipt, str) else receipt.tx_hash)
        return str(caught.value)

    assert "no liquidation in it" in refused(crash.devnet.record())
    assert "has none that was mined; is it the right network?" in refused("0x" + "12" * 32)
    assert "is not 0x and 64 hexadecimal digits" in refused("0x12")
    [failed] = crash.keeper.send_many([crash.close_out(crash.unhealthy)])
    assert "it reverted, so nothing was liquidated" in refused(failed)
