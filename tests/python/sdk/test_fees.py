"""Typical transactions and what is reckoned of them: sizes, gas, shares, savings."""

from __future__ import annotations

import json
import random

import pytest
import rlp
from eth_account import Account

from plimsoll.core.units import WAD
from plimsoll.sdk.fees import report
from plimsoll.sdk.fees.fjord import L1Prices, estimated_size
from plimsoll.sdk.fees.flows import BATCH, GAS, Flow, flows
from plimsoll.sdk.fees.packed import UNPACK_GAS, pack, unpack
from tests.gas.__main__ import SNAPSHOT

CHEAP = report.Prices(L1Prices(10**9, 1, 1_368, 810_949), 10**6, 2_500 * WAD)
DEAR = report.Prices(L1Prices(50 * 10**9, 5 * 10**9, 1_368, 810_949), 10**6, 2_500 * WAD)
MEASURED = {  # but for the bridge, which is the OP stack's; its gas is measured with the rollup
    "deposit": "deposit",
    "withdraw": "withdraw",
    "place market": "place_market",
    "place limit": "place_stop",
    "place stop": "place_stop",
    "placeFor": "place_for",
    "cancel": "cancel",
    "cancelAll": "cancel_all",
    "execute": "execute_open",
    "execute with prices": "execute_open_with_update",
    "executeBatch": "execute_batch_10",
    "matchOrders": "match",
    "liquidate": "liquidate",
    "takeOver": "take_over",
    "absorb": "absorb",
    "deleverage": "deleverage",
    "update": "oracle_update",
}


@pytest.fixture(scope="module")
def made(built: None) -> dict[str, Flow]:
    return {flow.name: flow for flow in flows()}


def test_gas__every_flow__is_what_was_measured_within_two_hundredths() -> None:
    snapshot = json.loads(SNAPSHOT.read_text())
    wrong = {
        name: (gas, snapshot[MEASURED[name]]["gas"])
        for name, gas in GAS.items()
        if name in MEASURED and abs(gas - snapshot[MEASURED[name]]["gas"]) * 50 > gas
    }
    assert not wrong, f"flows.GAS (written down, measured): {wrong}; write down what was measured"


def test_flows__call_data__is_as_long_as_what_was_measured(made: dict[str, Flow]) -> None:
    snapshot = json.loads(SNAPSHOT.read_text())
    for name in MEASURED:
        flow = made[name]
        assert len(flow.data) // flow.orders == snapshot[MEASURED[name]]["calldata_bytes"], name


def test_flows__twice__are_the_same(made: dict[str, Flow]) -> None:
    assert list(made.values()) == flows()
    assert set(made) == set(GAS)


def test_unsigned__with_a_signature__is_the_signed_one(made: dict[str, Flow]) -> None:
    for flow in made.values():
        assert flow.signed[:1] == flow.unsigned[:1] == b"\x02"
        assert rlp.decode(flow.signed[1:])[:9] == rlp.decode(flow.unsigned[1:])
        assert Account.recover_transaction(flow.signed) == Account.recover_transaction(made["deposit"].signed)


def test_cost_of__a_batch__is_by_order(made: dict[str, Flow]) -> None:
    flow = made["executeBatch"]
    cost = report.cost_of(flow, DEAR, told=1_001)
    assert flow.orders == BATCH
    assert cost.l1_fee == -(-DEAR.l1.fee(flow.compressed) // BATCH)
    assert (cost.l2_fee, cost.told) == (flow.gas * 10**6, 101)
    assert cost.l1_fee < report.cost_of(made["execute"], DEAR).l1_fee


def test_cost_of__share__is_l1_data_by_all(made: dict[str, Flow]) -> None:
    cost = report.cost_of(made["execute"], DEAR)
    assert cost.size == estimated_size(made["execute"].compressed)
    assert cost.l1_share == cost.l1_fee * WAD // (cost.l1_fee + cost.l2_fee)
    free = report.Prices(L1Prices(0, 0, 0, 0), 0)
    assert report.cost_of(made["execute"], free).l1_share == 0


def test_pack__any_words__come_back(made: dict[str, Flow]) -> None:
    draw = random.Random(11)
    for _ in range(300):
        words = [
            draw.choice((b"\0", b"\xff")) * (32 - count) + draw.randbytes(count)
            for count in (draw.randrange(33) for _ in range(draw.randrange(12)))
        ]
        data = draw.randbytes(4) + b"".join(words) + draw.randbytes(draw.randrange(31))
        assert unpack(pack(data), len(data)) == data
    for flow in made.values():
        packed = pack(flow.data)
        assert unpack(packed, len(flow.data)) == flow.data
        assert len(packed) < len(flow.data) or flow.name == "cancelAll"


def test_saving_of__cheap_l1_data__is_a_loss_everywhere(made: dict[str, Flow]) -> None:
    for flow in made.values():
        saving = report.saving_of(flow, CHEAP)
        assert saving.wei < 0, flow.name
        assert saving.wei >= -UNPACK_GAS * CHEAP.l2_gas_price // flow.orders - 1, flow.name


def test_saving_of__dear_l1_data__is_a_tenth_of_a_cent_an_order_at_most(made: dict[str, Flow]) -> None:
    """The ground on which there is no compact encoding: an order pays half a dollar to whoever executes it."""
    for flow in made.values():
        assert (DEAR.dollars(report.saving_of(flow, DEAR).wei) or 0) <= WAD // 1_000, flow.name


def test_trade_of__market_order__adds_up(made: dict[str, Flow]) -> None:
    costs = [report.cost_of(flow, DEAR) for flow in made.values()]
    trade = report.trade_of(costs, DEAR, 10_000 * WAD, 6, WAD // 2)
    assert (trade.taker_fee, trade.execution_fee) == (6 * WAD, WAD // 2)
    assert trade.total == 6 * WAD + WAD // 2 + trade.network
    assert 0 < trade.l1_data < trade.network < WAD // 100
    assert trade.l1_share == trade.l1_data * WAD // trade.total
    with pytest.raises(ValueError, match="price of an ETH"):
        report.trade_of(costs, report.Prices(DEAR.l1, 1), WAD, 6, 0)


def test_money__no_price_of_an_eth__is_gwei() -> None:
    assert report.money(1_234_567_890, report.Prices(CHEAP.l1, 1)) == "1.234568 gwei"
    assert report.money(10**15, CHEAP) == "$2.500000"
