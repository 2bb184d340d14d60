"""A node over the EVM in this process: what `plimsoll.chain` asks of a node, thousands of times a second.

    node = EvmNode(evm)
    chain = Chain(node)
    signer = node.signer(chain, "keeper")

Every transaction is mined at once in a block of its own, at the EVM's present time; time moves only in `evm.advance`.
`down = True` makes every call fail as an unreachable node does. Old blocks can't be called: all calls see the present.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils import keccak
from hexbytes import HexBytes

from plimsoll.chain.abi import address_of
from plimsoll.chain.rpc import RpcClient, RpcError, RpcUnavailable
from plimsoll.chain.transactions import Chain, KeyWallet, Signer
from tests.support.evm import ANYONE, Evm, Halt, Revert

REVERTED = 3
METHOD_NOT_FOUND = -32601


class EvmNode(RpcClient):
    """JSON-RPC of an Evm, as far as it is needed."""

    def __init__(self, evm: Evm) -> None:
        super().__init__("http://evm.invalid")
        self.evm = evm
        self.down = False
        self.refused_ranges = 0
        """How many blocks eth_getLogs gives at most; 0 for any number."""
        self.sent: list[dict[str, Any]] = []
        """Receipts of all transactions sent through this node."""
        self.calls = 0
        self.forks = self.forked_at = 0
        """How often the chain was exchanged, from which block on the last time."""
        self._logs: list[dict[str, Any]] = []
        self._nonces: dict[str, int] = {}
        self._requests: dict[str, dict[str, str]] = {}
        self._first_block = evm.block_number

    def signer(self, chain: Chain, name: str) -> Signer:
        """A signer with ether whose key comes from its name."""
        wallet = KeyWallet(keccak(text=name))
        self.evm.set_balance(wallet.address, 10**20)
        return Signer(chain, wallet, name=name)

    # --- RpcClient ---

    def call(self, method: str, *params: Any) -> Any:
        self.calls += 1
        if self.down:
            raise RpcUnavailable("no answer from the node of the test")
        handler = getattr(self, "_" + method, None)
        if handler is None:
            raise RpcError(method, METHOD_NOT_FOUND, "the method does not exist")
        return handler(*params)

    def batch(
        self, calls: Iterable[tuple[str, Sequence[Any]]], *, size: int = 100, raise_errors: bool = True
    ) -> list[Any]:
        results: list[Any] = []
        for method, params in calls:
            try:
                results.append(self.call(method, *params))
            except RpcError as error:
                if raise_errors:
                    raise
                results.append(error)
        return results

    # --- methods ---

    def _eth_chainId(self) -> str:
        return hex(self.evm.chain_id)

    def _eth_blockNumber(self) -> str:
        return hex(self.evm.block_number)

    def _eth_getBlockByNumber(self, number: str, full: bool) -> dict[str, Any] | None:
        at = self._number(number)
        if at > self.evm.block_number:
            return None
        return {
            "number": hex(at),
            "timestamp": hex(self.evm.timestamp),
            "baseFeePerGas": "0x0",
            "gasLimit": hex(self.evm.gas_limit),
            "gasUsed": "0x0",
            "hash": self._hash(at),
            "parentHash": self._hash(at - 1),
        }

    def _eth_maxPriorityFeePerGas(self) -> str:
        return "0x0"

    def _eth_getCode(self, address: str, block: str) -> str:
        return "0x" + self.evm.code(address).hex()

    def _eth_getBalance(self, address: str, block: str) -> str:
        return hex(self.evm.balance(address))

    def _eth_getTransactionCount(self, address: str, block: str) -> str:
        return hex(self._nonces.get(address, 0))

    def _eth_call(self, request: dict[str, str], block: str) -> str:
        with self.evm.isolated():
            return "0x" + self._run("eth_call", request).hex()

    def _eth_estimateGas(self, request: dict[str, str], block: str = "latest") -> str:
        with self.evm.isolated():
            self._run("eth_estimateGas", request)
        return hex(1_000_000)

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = self._number(query["fromBlock"]), self._number(query["toBlock"])
        if self.refused_ranges and last - first >= self.refused_ranges:
            raise RpcError("eth_getLogs", -32005, "query returned too many results")
        addresses = query.get("address")
        wanted = None if addresses is None else {addresses} if isinstance(addresses, str) else set(addresses)
        return [
            log
            for log in self._logs
            if first <= int(log["blockNumber"], 16) <= last
            and (wanted is None or log["address"] in wanted)
            and _matches(log["topics"], query.get("topics", []))
        ]

    def _eth_sendRawTransaction(self, raw: str) -> str:
        data = bytes.fromhex(raw[2:])
        fields = TypedTransaction.from_bytes(HexBytes(data)).as_dict()
        sender = Account.recover_transaction(data)
        tx_hash = "0x" + keccak(data).hex()
        nonce = self._nonces.get(sender, 0)
        if fields["nonce"] != nonce:
            raise RpcError("eth_sendRawTransaction", -32000, f"nonce is {fields['nonce']}, expected {nonce}")
        self._nonces[sender] = nonce + 1
        self.evm.block_number += 1
        request = {
            "from": sender,
            "to": "0x" + bytes(fields["to"]).hex(),
            "data": "0x" + bytes(fields["data"]).hex(),
            "value": hex(fields["value"]),
            "gas": hex(fields["gas"]),
        }
        self._requests[tx_hash] = request
        try:
            self._run("eth_sendRawTransaction", request)
            status, logs = 1, self._take_logs(tx_hash)
        except RpcError:
            status, logs = 0, []
        self.sent.append(
            {
                "transactionHash": tx_hash,
                "status": hex(status),
                "blockNumber": hex(self.evm.block_number),
                "gasUsed": hex(21_000),
                "from": sender,
                "to": address_of(request["to"]),
                "logs": logs,
            }
        )
        return tx_hash

    def _eth_getTransactionReceipt(self, tx_hash: str) -> dict[str, Any] | None:
        return next((receipt for receipt in self.sent if receipt["transactionHash"] == tx_hash), None)

    def _eth_getTransactionByHash(self, tx_hash: str) -> dict[str, str]:
        request = dict(self._requests[tx_hash])
        return {**request, "input": request.pop("data")}

    # --- parts ---

    def record(self, receipt: Any) -> Any:
        """Make the logs of a transaction that went straight to the EVM known, in a block of its own; returns it."""
        self.evm.block_number += 1
        self._take_logs("0x" + keccak(text=f"{self.evm.block_number}").hex())
        return receipt

    def _take_logs(self, tx_hash: str) -> list[dict[str, Any]]:
        logs = []
        for index, log in enumerate(self.evm.last_result.logs):
            topics, data = log.data
            logs.append(
                {
                    "address": address_of(log.address),
                    "topics": ["0x" + bytes(topic).hex() for topic in topics],
                    "data": "0x" + bytes(data).hex(),
                    "blockNumber": hex(self.evm.block_number),
                    "transactionHash": tx_hash,
                    "logIndex": hex(index),
                }
            )
        self._logs += logs
        return logs

    def forget(self) -> None:
        """As if the chain had been started again."""
        self._logs.clear()

    def _run(self, method: str, request: dict[str, str]) -> bytes:
        gas = int(request["gas"], 16) if "gas" in request else None
        data = bytes.fromhex(request.get("data", request.get("input", "0x"))[2:])
        value = int(request.get("value", "0x0"), 16)
        try:
            return self.evm.call_raw(request.get("from", ANYONE), request["to"], data, value, gas)
        except Revert as revert:
            raise RpcError(method, REVERTED, "execution reverted", "0x" + revert.data.hex()) from None
        except Halt as halt:
            raise RpcError(method, -32000, f"execution reverted: {halt}", "0x") from None

    def _number(self, block: str) -> int:
        if block == "earliest":
            return 0
        return self.evm.block_number if block in ("latest", "pending") else int(block, 16)

    def _hash(self, number: int) -> str:
        return "0x" + keccak(text=f"{number} {self.forks if number >= self.forked_at else 0}").hex()


def _matches(topics: Sequence[str], wanted: Sequence[Any]) -> bool:
    if len(wanted) > len(topics):
        return False
    return all(
        want is None or topic in (want if isinstance(want, list) else [want])
        for topic, want in zip(topics, wanted, strict=False)
    )
