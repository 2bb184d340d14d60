"""The harness of `tests.support.evm` on an anvil, where gas is what a chain charges.

Every call is a transaction in a block of its own, so that nothing is warm that would not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from plimsoll.chain.abi import address_of
from plimsoll.chain.rpc import RpcClient, RpcError
from tests.support.evm import DEPLOYER, Evm, Revert, known

GAS_LIMIT = 30_000_000


class AnvilEvm(Evm):
    """An `Evm` whose chain is an anvil: senders are impersonated, time is set for each block."""

    def __init__(self, rpc: RpcClient, timestamp: int) -> None:
        self.rpc = rpc
        self.chain_id = int(rpc.call("eth_chainId"), 16)
        self._now = timestamp
        self._last: Any = None
        self.calldata_bytes = 0
        rpc.call("anvil_autoImpersonateAccount", True)
        rpc.call("anvil_setBlockTimestampInterval", 0)
        rpc.call("evm_setNextBlockTimestamp", timestamp)
        rpc.call("evm_mine")

    @property
    def timestamp(self) -> int:
        return self._now

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        self._now = value
        self.rpc.call("evm_setNextBlockTimestamp", value)
        self.rpc.call("evm_mine")

    def advance(self, seconds: int, blocks: int = 1) -> None:
        self.timestamp = self._now + seconds

    def nonce(self, account: Any) -> int:
        return int(self.rpc.call("eth_getTransactionCount", address_of(account), "latest"), 16)

    def code(self, account: Any) -> bytes:
        return bytes.fromhex(self.rpc.call("eth_getCode", address_of(account), "latest")[2:])

    def storage(self, account: Any, slot: int) -> int:
        return int(self.rpc.call("eth_getStorageAt", address_of(account), hex(slot), "latest"), 16)

    @property
    def last_result(self) -> Any:
        return self._last

    def deploy_code(self, code: bytes, sender: Any = DEPLOYER, value: int = 0, gas: int | None = None) -> str:
        receipt = self._send({"from": self._payer(sender), "data": "0x" + code.hex(), "value": hex(value)})
        return address_of(receipt["contractAddress"])

    def call_raw(
        self, sender: Any, to: Any, data: bytes, value: int = 0, gas: int | None = None, static: bool = False
    ) -> bytes:
        request = {"from": address_of(sender), "to": address_of(to), "data": "0x" + data.hex(), "value": hex(value)}
        try:
            output = self.rpc.call("eth_call", {**request, "gas": hex(GAS_LIMIT)}, "latest")
        except RpcError as error:
            raw = bytes.fromhex(str(error.data or "0x")[2:])
            name, values = known().registry.decode_error(raw) or (None, ())
            raise Revert(raw, name, values, 0) from None
        if not static:
            self._payer(sender)
            receipt = self._send(request)
            self.calldata_bytes = len(data)
            logs = [
                SimpleNamespace(
                    address=address_of(log["address"]),
                    data=([bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:])),
                )
                for log in receipt["logs"]
            ]
            self._last = SimpleNamespace(gas_used=int(receipt["gasUsed"], 16), logs=logs)
        return bytes.fromhex(output[2:])

    @contextmanager
    def isolated(self) -> Iterator[None]:
        yield

    def _payer(self, sender: Any) -> str:
        address = address_of(sender)
        if int(self.rpc.call("eth_getBalance", address, "latest"), 16) < 10**20:
            self.rpc.call("anvil_setBalance", address, hex(10**24))
        return address

    def _send(self, request: dict[str, str]) -> dict[str, Any]:
        fields = {**request, "gas": hex(GAS_LIMIT)}
        self.rpc.call("evm_setNextBlockTimestamp", self._now)
        receipt: dict[str, Any] = self.rpc.wait_for_receipt(self.rpc.call("eth_sendTransaction", fields))
        assert int(receipt["status"], 16) == 1, f"a transaction failed that its simulation passed: {request}"
        return receipt
