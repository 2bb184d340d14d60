"""A mirror that hears every transaction of an EVM in this process, as a node would tell of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Interface, interface
from plimsoll.chain.transactions import Block, Log
from plimsoll.index.mirror import Mirror
from plimsoll.keepers.ledger import Ledger
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Happened, PriceRecorded, decode
from tests.support.core import Core
from tests.support.evm import Evm


class Heard(NamedTuple):
    """A transaction, in a block of its own."""

    number: int
    time: int
    logs: list[Log]
    to: str
    data: bytes


class Listener:
    """Notes the raw logs of every transaction, as a node would give them."""

    def __init__(self) -> None:
        self.blocks: list[Heard] = []
        self.is_deaf = False
        """While something is only tried."""
        self._done = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        original = Evm.call_raw
        listener = self

        def call_raw(
            evm: Evm, sender: Any, to: Any, data: bytes, value: int = 0, gas: int | None = None, static: bool = False
        ) -> bytes:
            output = original(evm, sender, to, data, value, gas, static)
            if not static and not listener.is_deaf:
                number = len(listener.blocks) + 1
                logs = [
                    Log(one.address, tuple(one.data[0]), bytes(one.data[1]), number, hex(number), place)
                    for place, one in enumerate(evm.last_result.logs)
                ]
                listener.blocks.append(Heard(number, evm.timestamp, logs, address_of(to), data))
            return output

        isolated = Evm.isolated

        @contextmanager
        def tried(evm: Evm) -> Iterator[None]:
            before, listener.is_deaf = listener.is_deaf, True
            try:
                with isolated(evm):
                    yield
            finally:
                listener.is_deaf = before

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Evm, "call_raw", call_raw)
            patch.setattr(Evm, "isolated", tried)
            yield

    def heard(self) -> list[Heard]:
        """What came since the last time."""
        done, self._done = self._done, len(self.blocks)
        return self.blocks[done:]


class Ear:
    """Makes records of what was heard of a core."""

    def __init__(self, core: Core) -> None:
        addresses = {
            "MarginVault": core.vault, "PerpMarket": core.market, "OrderBook": core.order_book,
            "Liquidator": core.liquidator, "OracleAggregator": core.oracle, "MarketConfigurator": core.configurator,
            "LiquidityPool": core.pool, "InsuranceFund": core.fund,
        }  # fmt: skip
        self.interfaces: dict[str, Interface] = {one.address: interface(name) for name, one in addresses.items()}
        self._oracle = core.oracle
        self._recorded: Counter[int] = Counter()

    def records(self, heard: Heard) -> list[Happened]:
        return self._recording(heard) or self._records(heard.logs)

    def _records(self, logs: list[Log]) -> list[Happened]:
        found = (self.interfaces[log.address].decode_log(log) for log in logs if log.address in self.interfaces)
        records = (decode(one) for one in found if one is not None)
        return [one for one in records if one is not None]

    def _recording(self, heard: Heard) -> list[Happened]:
        """The event of the aggregator that these tests have a mock of."""
        oracle = self._oracle
        is_mock = "record" in oracle.contract_type.functions
        if not is_mock or heard.to != oracle.address or heard.data[:4] != oracle.record.selector:
            return []
        words = [int.from_bytes(heard.data[at : at + 32], "big") for at in range(4, len(heard.data), 32)]
        market_id, price, confidence, published_at, state = words
        self._recorded[market_id] += 1
        return [
            PriceRecorded(
                block_number=heard.number, log_index=0, tx_hash=hex(heard.number), market_id=market_id, price=price,
                confidence=confidence, published_at=published_at, state=state, sequence=self._recorded[market_id],
                sources=0,
            )
        ]  # fmt: skip


class HeardLedger(Ledger):
    """What a keeper's process would have of a core: a mirror of all that was heard up to now."""

    def __init__(self, contracts: Contracts, core: Core, listener: Listener) -> None:
        super().__init__(contracts)
        pool, fund = (int(one.address, 16) for one in (core.pool, core.fund))
        self.mirror = Mirror(pool=pool, fund=fund, token_unit=core.unit)
        self._listener = listener
        self._ear = Ear(core)

    def at(self, block: Block) -> Mirror:
        for heard in self._listener.heard():
            self.mirror.apply(heard.number, heard.time, self._ear.records(heard))
        return self.mirror

    def time(self, block: Block) -> int:
        return block.timestamp
