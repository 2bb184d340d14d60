"""Reading a chain and sending transactions to it, with nonces of our own and reverts that have names.

Nothing here knows a contract; `plimsoll.chain.contracts` builds the calls and reads the results.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from eth_account import Account
from eth_utils import keccak, to_checksum_address

from plimsoll.chain.abi import Registry, address_of
from plimsoll.chain.rpc import RpcClient, RpcError, RpcUnavailable
from plimsoll.core.errors import UserError

GAS_MARGIN_PERCENT = 125
"""An estimate is of the present state; by the time of execution a little more may be due."""
RECEIPT_SECONDS = 60.0
NUDGE_SECONDS = 2.0

_FEE_SECONDS = 2.0
_METHOD_NOT_FOUND = -32601
_NO_METHOD = ("not found", "not supported", "unsupported", "does not exist", "not available")
_KNOWN = ("already known", "already imported", "known transaction", "nonce too low", "nonce is too low")
_LOW_FEE = ("less than block base fee", "fee cap less", "underpriced", "max fee per gas")

BlockId = int | str
"""A block's number, or "latest", "pending", "earliest", "safe", "finalized"."""


class Reverted(Exception):
    """A call or a transaction reverted. `name` and `values` are the custom error's, where a known contract declares it.

    `name` is "Error" with `values["message"]` for a plain reason, "Panic" with `values["code"]`, "" when unknown.
    `data` is the raw revert data; `receipt` that of the transaction, None where nothing was sent.
    """

    def __init__(
        self, data: bytes, name: str = "", values: Mapping[str, Any] | None = None, receipt: Receipt | None = None
    ) -> None:
        self.data = data
        self.name = name
        self.values = dict(values or {})
        self.receipt = receipt
        super().__init__(self.reason)

    @property
    def reason(self) -> str:
        """In one line: `Vault_Refused(account=1, amount=2)`."""
        if self.name == "Error":
            return f"reverted: {self.values.get('message', '')}"
        if self.name:
            return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.values.items())})"
        return f"reverted with {'0x' + self.data.hex() if self.data else 'no data'}"


@dataclass(frozen=True, slots=True)
class Log:
    """One event's log."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    tx_hash: str
    index: int
    block_hash: str = ""

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Log:
        return Log(
            address=address_of(raw["address"]),
            topics=tuple(_bytes(topic) for topic in raw["topics"]),
            data=_bytes(raw["data"]),
            block_number=int(raw["blockNumber"] or "0x0", 16),
            tx_hash=raw["transactionHash"],
            index=int(raw["logIndex"] or "0x0", 16),
            block_hash=raw.get("blockHash") or "",
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `fee` is gas × price in wei, without what a rollup charges for L1 data."""

    tx_hash: str
    status: int
    block_number: int
    gas_used: int
    gas_price: int
    sender: str
    to: str | None
    contract_address: str | None
    logs: tuple[Log, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == 1

    @property
    def fee(self) -> int:
        return self.gas_used * self.gas_price

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Receipt:
        to, created = raw.get("to"), raw.get("contractAddress")
        return Receipt(
            tx_hash=raw["transactionHash"],
            status=int(raw["status"], 16),
            block_number=int(raw["blockNumber"], 16),
            gas_used=int(raw["gasUsed"], 16),
            gas_price=int(raw.get("effectiveGasPrice") or "0x0", 16),
            sender=to_checksum_address(raw["from"]),
            to=to_checksum_address(to) if to else None,
            contract_address=to_checksum_address(created) if created else None,
            logs=tuple(Log.from_json(log) for log in raw["logs"]),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Block:
    """What is needed of a block. `timestamp` in Unix seconds, `base_fee` in wei (0 where there is none)."""

    number: int
    timestamp: int
    base_fee: int
    gas_limit: int
    gas_used: int
    hash: str
    parent_hash: str

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Block:
        return Block(
            number=int(raw["number"], 16),
            timestamp=int(raw["timestamp"], 16),
            base_fee=int(raw.get("baseFeePerGas") or "0x0", 16),
            gas_limit=int(raw["gasLimit"], 16),
            gas_used=int(raw["gasUsed"], 16),
            hash=raw["hash"],
            parent_hash=raw["parentHash"],
        )


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is ready to be made or sent: `decode` turns return data into values.

    `value` is in wei; `gas` None means an estimate with a margin when it is sent. `to` None creates a contract.
    """

    to: str | None
    data: bytes
    value: int = 0
    gas: int | None = None
    decode: Callable[[bytes], Any] = bytes
    label: str = ""


class SignedCall(NamedTuple):
    """A signed transaction that may be sent."""

    tx_hash: str
    nonce: int
    raw: bytes

    @staticmethod
    def of(raw: bytes, nonce: int) -> SignedCall:
        return SignedCall(_hash(raw), nonce, raw)


class Chain:
    """One node of one chain. Threads may share it."""

    def __init__(
        self,
        uri: str | RpcClient,
        *,
        registry: Registry | None = None,
        poll_seconds: float = 0.1,
        nudge: Callable[[], None] | None = None,
    ) -> None:
        """Opens nothing yet. `registry` names errors, by default those of every compiled contract.

        `nudge` is called now and then while transactions that were sent together wait to be mined.
        """
        self.rpc = uri if isinstance(uri, RpcClient) else RpcClient(uri)
        self.poll_seconds = poll_seconds
        self.nudge = nudge
        self.has_sync = True
        """Whether the node may know eth_sendRawTransactionSync; found out by the first transaction."""
        self.max_tip: int | None = None
        """Wei of a unit of gas, where a node's suggestion may be more than the chain needs."""
        self._registry = registry
        self._fees: tuple[float, int, int] | None = None

    @property
    def uri(self) -> str:
        """The node's address as messages show it, without what may be secret."""
        return self.rpc.name

    @cached_property
    def chain_id(self) -> int:
        return int(self.rpc.call("eth_chainId"), 16)

    @property
    def registry(self) -> Registry:
        """Errors and events of the known contracts."""
        if self._registry is None:
            from plimsoll.chain.contracts import known

            self._registry = known()
        return self._registry

    # --- reading ---

    def call(
        self, to: str, data: bytes, *, sender: Any = None, value: int = 0, block: BlockId = "latest", gas: int = 0
    ) -> bytes:
        """Return data of a call. Raises Reverted."""
        try:
            return _bytes(self.rpc.call("eth_call", _request(to, data, sender, value, gas), _block(block)))
        except RpcError as error:
            raise self.reverted(error) from None

    def read(self, calls: Sequence[Call], *, block: BlockId = "latest", raise_errors: bool = True) -> list[Any]:
        """Decoded results of many calls, in batches. With `raise_errors` false a Reverted stands where one failed.

        For results of one moment name the block.
        """
        requests = [("eth_call", [_request(call.to, call.data, None, call.value, 0), _block(block)]) for call in calls]
        results = []
        for call, raw in zip(calls, self.rpc.batch(requests, raise_errors=False), strict=True):
            if not isinstance(raw, RpcError):
                results.append(call.decode(_bytes(raw)))
                continue
            error = self.reverted(raw)
            if raise_errors:
                raise error
            results.append(error)
        return results

    def estimate(self, to: str | None, data: bytes, *, sender: Any = None, value: int = 0) -> int:
        """Gas that a transaction would need now, without a margin. Raises Reverted."""
        try:
            return int(self.rpc.call("eth_estimateGas", _request(to, data, sender, value, 0)), 16)
        except RpcError as error:
            raise self.reverted(error) from None

    def estimates(self, calls: Sequence[Call], *, sender: Any) -> list[int | Reverted]:
        """As `estimate`, of many calls in batches, each by itself; a Reverted stands where one would be refused.

        At the newest block: by default some nodes carry out all of their pool first, for every single one.
        """
        requests = [
            ("eth_estimateGas", [_request(call.to, call.data, sender, call.value, 0), "latest"]) for call in calls
        ]
        found: list[int | Reverted] = []
        for raw in self.rpc.batch(requests, raise_errors=False):
            error = self.reverted(raw) if isinstance(raw, RpcError) else None
            if error is not None and not isinstance(error, Reverted):
                raise error
            found.append(error or int(raw, 16))
        return found

    def simulate(self, calls: Sequence[Call], *, sender: Any) -> list[Any]:
        """Decoded results of calls as transactions in the newest block, each by itself; a Reverted where one failed, or
        where its gas was not enough.

        Of several nodes another one is asked than reads were made at.
        """
        requests = [
            ("eth_call", [_request(call.to, call.data, sender, call.value, call.gas or 0), "latest"]) for call in calls
        ]
        found: list[Any] = []
        for call, raw in zip(calls, self.rpc.second_opinion(requests), strict=True):
            error = self.reverted(raw) if isinstance(raw, RpcError) else None
            if error is not None and not isinstance(error, Reverted):
                if "gas" not in str(error).lower():
                    raise error
                error = Reverted(b"")
            found.append(error or call.decode(_bytes(raw)))
        return found

    def block(self, block: BlockId = "latest") -> Block:
        """Raises UserError if there is no such block."""
        raw = self.rpc.call("eth_getBlockByNumber", _block(block), False)
        if raw is None:
            raise UserError(f"{self.uri}: has no block {block}")
        return Block.from_json(raw)

    @property
    def block_number(self) -> int:
        return int(self.rpc.call("eth_blockNumber"), 16)

    def balance(self, address: Any, block: BlockId = "latest") -> int:
        """Wei."""
        return int(self.rpc.call("eth_getBalance", address_of(address), _block(block)), 16)

    def nonce(self, address: Any, block: BlockId = "pending") -> int:
        return int(self.rpc.call("eth_getTransactionCount", address_of(address), _block(block)), 16)

    def code(self, address: Any) -> bytes:
        return _bytes(self.rpc.call("eth_getCode", address_of(address), "latest"))

    def storage(self, address: Any, slot: int) -> int:
        return int(self.rpc.call("eth_getStorageAt", address_of(address), hex(slot), "latest"), 16)

    def logs(
        self,
        address: Any = None,
        topics: Sequence[Any] = (),
        *,
        from_block: BlockId = "earliest",
        to_block: BlockId = "latest",
    ) -> list[Log]:
        """Logs of one address or several, in their order. A topic is bytes, None (any) or a list of alternatives."""
        query: dict[str, Any] = {"fromBlock": _block(from_block), "toBlock": _block(to_block)}
        if address is not None:
            many = isinstance(address, list | tuple | set)
            query["address"] = [address_of(one) for one in address] if many else address_of(address)
        if topics:
            query["topics"] = [_topic(topic) for topic in topics]
        return [Log.from_json(raw) for raw in self.rpc.call("eth_getLogs", query)]

    def receipt(self, tx_hash: str) -> Receipt | None:
        """None while it isn't mined."""
        raw = self.rpc.call("eth_getTransactionReceipt", tx_hash)
        return None if raw is None else Receipt.from_json(raw)

    def wait_for(self, tx_hash: str, timeout_seconds: float = RECEIPT_SECONDS) -> Receipt:
        """A transaction's receipt, polled for. Raises RpcUnavailable if it isn't mined in time."""
        return Receipt.from_json(self.rpc.wait_for_receipt(tx_hash, timeout_seconds=timeout_seconds))

    def fees(self, *, fresh: bool = False) -> tuple[int, int]:
        """(max fee, priority fee) per gas in wei: twice the base fee and the tip on top. Kept for two seconds.

        The tip is what the node suggests, `max_tip` at most.
        """
        now = time.monotonic()
        if fresh or self._fees is None or now - self._fees[0] > _FEE_SECONDS:
            raw, tip = self.rpc.batch(
                [("eth_getBlockByNumber", ["latest", False]), ("eth_maxPriorityFeePerGas", [])], raise_errors=False
            )
            if isinstance(raw, RpcError):
                raise raw
            priority = 0 if isinstance(tip, RpcError) else int(tip, 16)
            priority = priority if self.max_tip is None else min(priority, self.max_tip)
            self._fees = now, 2 * Block.from_json(raw).base_fee + priority, priority
        return self._fees[1], self._fees[2]

    # --- naming reverts ---

    def reverted(self, error: RpcError) -> Exception:
        """What to raise for a refused call: Reverted where the contract refused it, else the error itself."""
        data = _revert_data(error.data)
        if data is None and "revert" not in error.message.lower():
            return error
        return self.revert_of(data or b"")

    def revert_of(self, data: bytes, receipt: Receipt | None = None) -> Reverted:
        """Revert data by name."""
        known = self.registry.errors.get(data[:4])
        if known is not None and (found := self.registry.decode_error(data)) is not None:
            return Reverted(data, found[0], dict(zip(known.names, map(plain, found[1]), strict=True)), receipt)
        return Reverted(data, receipt=receipt)

    def why(self, receipt: Receipt) -> Reverted:
        """Why a mined transaction reverted: by its trace, or else by the call repeated at its block."""
        try:
            trace = self.rpc.call("debug_traceTransaction", receipt.tx_hash, {"tracer": "callTracer"})
            if isinstance(trace, dict) and isinstance(trace.get("output"), str) and len(trace["output"]) > 2:
                return self.revert_of(_bytes(trace["output"]), receipt)
        except RpcError:
            pass
        raw = self.rpc.call("eth_getTransactionByHash", receipt.tx_hash)
        request = {key: raw[key] for key in ("from", "to", "value", "input", "gas") if raw.get(key) is not None}
        for block in (receipt.block_number, receipt.block_number - 1):
            try:
                self.rpc.call("eth_call", request, hex(block))
            except RpcError as error:
                if isinstance(found := self.reverted(error), Reverted):
                    found.receipt = receipt
                    return found
        return Reverted(b"", receipt=receipt)

    def close(self) -> None:
        self.rpc.close()


class Wallet(Protocol):
    """What can sign: an address and a way to turn a transaction's fields into its signed bytes."""

    @property
    def address(self) -> str: ...

    def sign(self, fields: dict[str, Any]) -> bytes:
        """Raw signed transaction from chainId, nonce, to, value, data, gas, maxFeePerGas, maxPriorityFeePerGas."""
        ...


class KeyWallet:
    """A private key held in memory."""

    def __init__(self, key: str | bytes | int) -> None:
        """Raises UserError where `key` is no private key."""
        try:
            self._account = Account.from_key(key)
        except Exception:  # eth_account raises many kinds; none of them may show the key
            raise UserError("private key: not 0x and 64 hexadecimal digits of a valid key") from None

    @property
    def address(self) -> str:
        return str(self._account.address)

    @property
    def key(self) -> str:
        return "0x" + bytes(self._account.key).hex()

    @property
    def account(self) -> Any:
        """The eth_account account, for signing messages."""
        return self._account

    def sign(self, fields: dict[str, Any]) -> bytes:
        return bytes(self._account.sign_transaction({**fields, "type": 2}).raw_transaction)


class Signer:
    """Sends transactions from one address and counts its nonces itself; they are read again after any trouble.

    Threads may share it, each transaction takes its nonce under a lock. Two signers of one address would collide.
    """

    def __init__(self, chain: Chain, wallet: Wallet | str | bytes | int, *, name: str = "") -> None:
        """`wallet` may be a private key. Raises UserError where it is none."""
        self.chain = chain
        self.wallet: Wallet = KeyWallet(wallet) if isinstance(wallet, str | bytes | int) else wallet
        self.name = name
        self._nonce: int | None = None
        self._lock = threading.RLock()

    @property
    def address(self) -> str:
        return self.wallet.address

    @property
    def key(self) -> str:
        """The private key as hex. Raises UserError where the wallet keeps it to itself."""
        if not isinstance(self.wallet, KeyWallet):
            raise UserError(f"{self.address}: the wallet does not give its key away")
        return self.wallet.key

    @property
    def balance(self) -> int:
        """Wei."""
        return self.chain.balance(self.address)

    @property
    def nonce(self) -> int:
        """The next one."""
        with self._lock:
            if self._nonce is None:
                self._nonce = self.chain.nonce(self.address)
            return self._nonce

    def forget_nonce(self) -> None:
        """Read it from the chain before the next transaction: after a snapshot was restored, for example."""
        with self._lock:
            self._nonce = None

    def sign_message(self, signable: Any) -> bytes:
        """Signature of an eth_account `SignableMessage` (65 bytes). Raises UserError where the wallet can't."""
        if isinstance(self.wallet, KeyWallet):
            return bytes(self.wallet.account.sign_message(signable).signature)
        sign = getattr(self.wallet, "sign_message", None)
        if sign is None:
            raise UserError(f"{self.address}: the wallet signs transactions only")
        return bytes(sign(signable))

    def send(
        self,
        to: Any = None,
        data: bytes = b"",
        *,
        value: int = 0,
        gas: int | None = None,
        check: bool = True,
    ) -> Receipt:
        """Send one transaction and wait until it is mined. `to` None creates a contract, `value` is in wei.

        Raises:
            Reverted: it would revert (found when estimating; nothing was sent) or did. With `check` false a mined
                failure is returned instead.
            UserError: not enough ETH, or the node does not answer.
        """
        call = Call(None if to is None else address_of(to), data, value, gas)
        receipt = self._send(call)
        if check and not receipt.ok:
            raise self.chain.why(receipt)
        return receipt

    def deploy(self, code: bytes, *, value: int = 0, gas: int | None = None) -> Receipt:
        """Create a contract from its creation code, arguments included; see `Receipt.contract_address`."""
        return self.send(None, code, value=value, gas=gas)

    def send_many(self, calls: Iterable[Call], *, check: bool = False) -> list[Receipt]:
        """Send many transactions in consecutive nonces without waiting between them; receipts in their order.

        Give each its `gas`: an estimate is of the state before all of them. A failed one doesn't stop the others; with
        `check` the first failure raises Reverted once all are mined.
        """
        with self._lock:
            signed = self.sign_many(calls)
            self.broadcast(signed)
        receipts = self._receipts([one.tx_hash for one in signed])
        for receipt in receipts:
            if check and not receipt.ok:
                raise self.chain.why(receipt)
        return receipts

    def sign_many(self, calls: Iterable[Call]) -> list[SignedCall]:
        """Signed transactions in consecutive nonces, which are taken; nothing is sent.

        For whoever writes them down before `broadcast`. What isn't sent in the end leaves a gap: `forget_nonce`.
        """
        calls = list(calls)
        if not calls:
            return []
        limits = [self._gas(call) for call in calls]
        max_fee, tip = self.chain.fees()
        with self._lock:
            first = self.nonce
            raws = [
                self._sign(call, first + place, gas, max_fee, tip)
                for place, (call, gas) in enumerate(zip(calls, limits, strict=True))
            ]
            self._nonce = first + len(calls)
        return [SignedCall.of(raw, first + place) for place, raw in enumerate(raws)]

    def broadcast(self, signed: Sequence[SignedCall]) -> None:
        """Send what was signed, and don't wait. Sending the same again can't spend twice.

        Raises RpcError where the node refuses one (others may have been taken), RpcUnavailable where it doesn't answer.
        """
        answers = self.chain.rpc.batch(
            [("eth_sendRawTransaction", ["0x" + one.raw.hex()]) for one in signed], raise_errors=False
        )
        refused = [one for one in answers if isinstance(one, RpcError) and not _has(one, _KNOWN)]
        if refused:
            self.forget_nonce()
            raise self._explain(refused[0])

    def _send(self, call: Call) -> Receipt:
        gas = self._gas(call)
        for attempt in range(3):
            max_fee, tip = self.chain.fees(fresh=attempt > 0)
            with self._lock:
                raw = self._sign(call, self.nonce, gas, max_fee, tip)
                self._nonce = self.nonce + 1
            try:
                return self._submit(raw)
            except RpcError as error:
                self.forget_nonce()
                if attempt < 2 and (_has(error, _KNOWN) or _has(error, _LOW_FEE) or "nonce" in error.message.lower()):
                    continue
                raise self._explain(error) from None
            except RpcUnavailable:
                self.forget_nonce()
                raise
        raise AssertionError("unreachable")

    def _submit(self, raw: bytes) -> Receipt:
        """Send and wait. Raises RpcError where the node refuses it."""
        rpc, text, tx_hash = self.chain.rpc, "0x" + raw.hex(), _hash(raw)
        try:
            if self.chain.has_sync:
                try:
                    return Receipt.from_json(rpc.call("eth_sendRawTransactionSync", text))
                except RpcError as error:
                    if error.code != _METHOD_NOT_FOUND and not _has(error, _NO_METHOD):
                        if self.chain.receipt(tx_hash) is None and error.code != 4:  # 4: sent, not mined in time
                            raise
                        return self.chain.wait_for(tx_hash)
                    self.chain.has_sync = False
            rpc.call("eth_sendRawTransaction", text)
        except RpcUnavailable:
            # it may have arrived all the same, and sending the same bytes again can't spend twice
            try:
                rpc.call("eth_sendRawTransaction", text)
            except RpcError as error:
                if not _has(error, _KNOWN):
                    raise
        return self.chain.wait_for(tx_hash)

    def _receipts(self, hashes: list[str]) -> list[Receipt]:
        found: dict[str, Receipt] = {}
        began = time.monotonic()
        deadline, nudge_at, wait = began + RECEIPT_SECONDS, began + NUDGE_SECONDS, 0.002
        while missing := [tx_hash for tx_hash in hashes if tx_hash not in found]:
            for tx_hash, raw in zip(
                missing, self.chain.rpc.batch([("eth_getTransactionReceipt", [one]) for one in missing]), strict=True
            ):
                if raw is not None:
                    found[tx_hash] = Receipt.from_json(raw)
            if len(found) < len(hashes):
                now = time.monotonic()
                if now > deadline:
                    self.forget_nonce()
                    raise RpcUnavailable(f"{self.chain.uri}: {len(missing)} transactions were not mined in time")
                if self.chain.nudge is not None and now > nudge_at:
                    self.chain.nudge()
                    nudge_at = now + NUDGE_SECONDS
                time.sleep(wait)
                wait = min(wait * 2, self.chain.poll_seconds)
        return [found[tx_hash] for tx_hash in hashes]

    def _gas(self, call: Call) -> int:
        if call.gas is not None:
            return call.gas
        try:
            estimate = self.chain.estimate(call.to, call.data, sender=self.address, value=call.value)
        except RpcError as error:
            raise self._explain(error) from None
        return estimate * GAS_MARGIN_PERCENT // 100

    def _sign(self, call: Call, nonce: int, gas: int, max_fee: int, tip: int) -> bytes:
        fields: dict[str, Any] = {
            "chainId": self.chain.chain_id,
            "nonce": nonce,
            "value": call.value,
            "data": call.data,
            "gas": gas,
            "maxFeePerGas": max_fee,
            "maxPriorityFeePerGas": tip,
        }
        if call.to is not None:
            fields["to"] = call.to
        return self.wallet.sign(fields)

    def _explain(self, error: RpcError) -> Exception:
        if "insufficient funds" in error.message.lower() or "insufficient balance" in error.message.lower():
            return UserError(f"{self.name or 'account'} {self.address} has too little ETH; send it some")
        return error


def plain(value: Any) -> Any:
    """A decoded value with structs as dicts, at every depth."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name.removesuffix("_"): plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def _request(to: Any, data: bytes, sender: Any, value: int, gas: int) -> dict[str, str]:
    request = {"data": "0x" + data.hex()}
    if to is not None:
        request["to"] = address_of(to)
    if sender is not None:
        request["from"] = address_of(sender)
    if value:
        request["value"] = hex(value)
    if gas:
        request["gas"] = hex(gas)
    return request


def _block(block: BlockId) -> str:
    return hex(block) if isinstance(block, int) else block


def _topic(topic: Any) -> Any:
    if isinstance(topic, list | tuple):
        return [_topic(one) for one in topic]
    if isinstance(topic, bytes):
        return "0x" + topic.rjust(32, b"\0").hex()
    return topic if topic is None or isinstance(topic, str) else f"0x{topic:064x}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _hash(raw: bytes) -> str:
    return "0x" + bytes(keccak(raw)).hex()


def _has(error: RpcError, phrases: tuple[str, ...]) -> bool:
    message = error.message.lower()
    return any(phrase in message for phrase in phrases)


def _revert_data(data: Any) -> bytes | None:
    """Revert data out of an error's `data`, which nodes wrap differently."""
    if isinstance(data, Mapping):
        data = data.get("data") or data.get("result")
    if isinstance(data, str):
        start = data.find("0x")
        if start >= 0:
            try:
                return _bytes(data[start:])
            except ValueError:
                return None
    return None
