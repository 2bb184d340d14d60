"""The L1 data fee against the rollup's own contract: GasPriceOracle's published code, in the in-process EVM."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from plimsoll.devnet.opstack.contracts import bedrock, bedrock_interface
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS
from plimsoll.sdk.fees.fjord import MILLION, SIGNATURE_BYTES, L1Prices, estimated_size, fastlz_size
from plimsoll.sdk.fees.flows import flows
from plimsoll.sdk.fees.oracle import GAS_PRICE_ORACLE
from tests.support.bedrock import activate_fjord, set_l1_prices
from tests.support.evm import ANYONE, Evm

PRICES = L1Prices(7 * 10**9, 3 * 10**8, 1_368, 810_949)

Ask = Callable[[bytes], int]


@pytest.fixture
def ask(evm: Evm) -> Ask:
    """What the real contract says that an unsigned transaction's data costs."""
    evm.set_code(GAS_PRICE_ORACLE, bedrock("GasPriceOracle").runtime)
    evm.set_code(PREDEPLOYS["L1Block"], bedrock("L1Block").runtime)
    activate_fjord(evm.call_raw)
    set_l1_prices(evm.call_raw, PRICES)
    function = bedrock_interface("GasPriceOracle").function("getL1Fee")

    def call(data: bytes) -> int:
        return int(function.decode(evm.call_raw(ANYONE, GAS_PRICE_ORACLE, function.encode([data]), static=True)))

    return call


def test_fee__any_data__is_what_the_contract_says(ask: Ask) -> None:
    """Random, repetitive, and both; around the lengths at which FastLZ changes its mind."""
    draw = random.Random(5)
    lengths = [0, 1, 2, 3, 11, 12, 13, 14, 15, 16, 17, 32, 33, 64, 65, 262, 263, 264, 265, 600, 8_191, 8_200, 9_000]
    for length in lengths:
        for letters in (1, 2, 5, 256):
            data = bytes(draw.randrange(letters) for _ in range(length))
            repeated = (data[: draw.randrange(1, length + 1)] * length)[:length] if length else b""
            for one in (data, repeated, data[: length // 2] + bytes(length - length // 2)):
                assert PRICES.fee(fastlz_size(one) + SIGNATURE_BYTES) == ask(one), one.hex()


def test_fee__every_flow__is_what_the_contract_says(ask: Ask) -> None:
    for flow in flows():
        assert PRICES.fee(fastlz_size(flow.unsigned) + SIGNATURE_BYTES) == ask(flow.unsigned), flow.name


def test_fee__signed__is_near_what_the_contract_assumes_of_a_signature(ask: Ask) -> None:
    for flow in flows():
        charged, told = PRICES.fee_of(flow.signed), ask(flow.unsigned)
        assert abs(charged - told) * 20 <= told, flow.name


def test_estimated_size__small_transactions__pay_for_a_hundred_bytes() -> None:
    """−42.5856 + 0.8365 × 170 = 99.6194, and of 171 it is 100.4559."""
    assert [estimated_size(size) for size in (0, 170, 171, 1_000)] == [
        100 * MILLION,
        100 * MILLION,
        100_455_900,
        793_914_400,
    ]


def test_scaled__base_fee_and_blobs__both_count() -> None:
    assert L1Prices(10**9, 0, 1_000, 500_000).scaled == 16 * 1_000 * 10**9
    assert L1Prices(0, 10**9, 1_000, 500_000).scaled == 500_000 * 10**9
    assert L1Prices(10**9, 10**9, 1_000, 500_000).fee(0) == 100 * (16 * 10**6 + 5 * 10**8)
