"""The chain's side of a replay: every action is a signed transaction, every block is mined at the scenario's time.

What each transaction emits is compared with what the model expected, and the words that the contracts store with those
that the model would store. A thread of its own talks to the node, so that it works while the next blocks are made.
"""

from __future__ import annotations

import queue
import statistics
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from eth_account.signers.local import LocalAccount

from plimsoll.chain.contracts import Deployed, occurrence
from plimsoll.chain.transactions import Call, Log, Receipt
from plimsoll.core.orders import Order, OrderKind
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from plimsoll.devnet.boot import Devnet
from plimsoll.replay.actions import (
    Absorb,
    Action,
    Applied,
    Block,
    Cancel,
    CancelAll,
    CancelAllFor,
    CancelFor,
    CloseOut,
    Deposit,
    Execute,
    ExecuteRequest,
    Expected,
    Force,
    Match,
    Place,
    PlaceFor,
    Record,
    RequestEntry,
    RequestExit,
    SetDelegate,
    SetDelegateFor,
    Settle,
    ShutDown,
    SignedOrder,
    Sweep,
    TakeOver,
    Together,
    Withdraw,
)
from plimsoll.replay.keys import Key
from plimsoll.replay.modelled import Deployment, Health, Roles, delegation_of
from plimsoll.replay.promises import Promises
from plimsoll.replay.run import Check, Compared
from plimsoll.replay.stored import Layout, Ledger, Sums
from plimsoll.sdk.events import field_name
from plimsoll.sdk.signing import Cancel as CancelMessage
from plimsoll.sdk.signing import CancelAll as CancelAllMessage
from plimsoll.sdk.signing import Domain, Message, digest, order_hash
from plimsoll.sdk.sources import signed_item, signings

READER = bytes.fromhex("5f5b8036111560145780355481526020016001565b365ff3")
"""Returns the storage words of the slots in its call data. It stands in for a contract's code, in calls only."""

MAX_FEE = 10**12
ETHER = 10**18
QUEUED_BLOCKS = 64
BANK_DOLLARS = 10**12
"""More than all deposits of a replay together."""
GAS_OF_BATCH, GAS_AN_ORDER = 500_000, 700_000
GAS_TO_PLACE, GAS_TO_CANCEL = 400_000, 250_000
KINDS = {
    OrderKind.MARKET: "market order",
    OrderKind.LIMIT: "limit order",
    OrderKind.STOP_LOSS: "stop-loss",
    OrderKind.TAKE_PROFIT: "take-profit",
}


class NotAsExpected(Exception):
    """A transaction did not do what the model did; the message says which and what."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A signed transaction, its gas's flow, in how many parts its gas is counted, and what it must emit.

    With `refusal` the contracts must refuse it by that name.
    """

    raw: str
    flow: str
    parts: int
    expected: tuple[Expected, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Mined:
    """A block to mine, and the touched accounts after it."""

    ts: int
    basefee: int | None
    sent: tuple[Sent, ...]
    touched: Layout
    ledger: Ledger


@dataclass
class Counted:
    """What the thread found so far. `wrong`: accounts that ever differed, and transactions whose events did."""

    gas: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    wrong: set[int | str] = field(default_factory=set)
    first: str = ""
    comparisons: int = 0
    sums: Sums | None = None


def _signers(keys: Iterable[str]) -> list[LocalAccount]:
    """Who sign as eth_account's accounts do, quicker."""
    return [cast(LocalAccount, Key.from_hex(key)) for key in keys]


def deployment_of(devnet: Devnet) -> Deployment:
    """The addresses that the mirror needs."""
    number = {name: int(address, 16) for name, address in devnet.addresses.items()}
    return Deployment(
        vault=number["MarginVault"],
        pool=number["LiquidityPool"],
        fund=number["InsuranceFund"],
        treasury=int(devnet.parameters.treasury, 16),
    )


class OnChain:
    """A devnet on which blocks are carried out in their order. Use as a context manager."""

    def __init__(self, devnet: Devnet, roles: Roles, owners: Iterable[Key]) -> None:
        """`owners` are those who hold accounts or trade for others. Takes over the node's clock and its mining."""
        self.devnet = devnet
        self._rpc = devnet.node.rpc
        self._chain_id = devnet.chain.chain_id
        self._roles = roles
        self._bank = Key.from_hex(devnet.signers["faucet"].key)
        devnet.mint(self._bank.address, BANK_DOLLARS)
        self._keys = {
            key.number: key
            for key in (
                *(self._bank, roles.publisher, roles.executor, roles.liquidator, roles.provider, roles.relayer),
                *owners,
            )
        }
        self._nonces = dict.fromkeys(self._keys, 0)
        self._nonces[self._bank.number] = devnet.chain.nonce(self._bank.address)
        self._approved: set[int] = set()
        self._time = 0
        names = ("MarginVault", "PerpMarket", "OrderBook", "Liquidator", "OracleAggregator")
        self._vault, self._market, self._book, self._liquidator, self._oracle = map(devnet.contract, names)
        self._domain = Domain(self._chain_id, self._book.address)
        self._shares = {"pool": devnet.contract("LiquidityPool"), "fund": devnet.contract("InsuranceFund")}
        beacons, stream = _signers(publisher_keys()), _signers(stream_keys()[:STREAM_QUORUM])
        markets = devnet.parameters.markets
        self._sources = {market.id: devnet.sources.of(market.name) for market in markets}
        self._signings = {market.id: signings(market.name, beacons, stream) for market in markets}
        self._counted = Counted()
        self._queue: queue.Queue[Mined | Check | threading.Event | None] = queue.Queue(QUEUED_BLOCKS)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="chain", daemon=True)
        self._rpc.call("evm_setAutomine", False)
        self._rpc.batch(
            [("anvil_setBalance", [key.address, hex(1_000 * ETHER)]) for key in self._keys.values()], size=200
        )
        self._thread.start()

    # --- on the side of the replay -----------------------------------------------------------------------------------

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        """Sign a block's transactions and hand them over. Raises what went wrong with an earlier one."""
        self._time = block.ts
        sent = tuple(one for applied in block.applied for one in self._signed(applied))
        self._put(Mined(block.ts, block.basefee, sent, touched, expected))

    def check(self, check: Check) -> None:
        self._put(check)

    def finish(self) -> Compared:
        self._put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        found = self._counted
        assert found.sums is not None, "a replay has a minute at least"
        gas = {flow: int(statistics.median(used)) for flow, used in sorted(found.gas.items())}
        return Compared(found.sums, len(found.wrong), found.comparisons, gas)

    def wait(self) -> None:
        """Until everything handed over so far is done, or failed."""
        done = threading.Event()
        self._put(done)
        while not done.wait(0.05):
            if self._failure is not None:
                raise self._failure

    @property
    def first_difference(self) -> str:
        """The first thing in which chain and model differed; empty while nothing did."""
        return self._counted.first

    def _put(self, item: Mined | Check | threading.Event | None) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _signed(self, applied: Applied) -> list[Sent]:
        """The transactions of an action; a deposit has the tokens given by the bank and allowed first."""
        action = applied.action
        owner, flow, parts, call = self._call(action)
        before: list[Sent] = []
        if isinstance(action, Deposit):
            token = self.devnet.token
            gift = token.prepare("transfer", self._keys[owner].address, action.amount, gas=150_000)
            before.append(self._sign(self._bank.number, gift, "", 1, ()))
            if owner not in self._approved:
                self._approved.add(owner)
                allow = token.prepare("approve", self._vault.address, 2**256 - 1, gas=100_000)
                before.append(self._sign(owner, allow, "", 1, ()))
        sent = self._sign(owner, call, flow, parts, applied.expected)
        return [*before, replace(sent, refusal=applied.refusal)]

    def _call(self, action: Action) -> tuple[int, str, int, Call]:
        """(sender, flow, parts, call) of an action."""
        executor, liquidator = self._roles.executor.number, self._roles.liquidator.number
        relayer = self._roles.relayer.number
        match action:
            case Record(readings):
                items = [self._item(market_id, prices) for market_id, prices in readings.items()]
                call = self._oracle.prepare("update", items, gas=800_000 * len(items))
                return self._roles.publisher.number, f"record prices, {len(items)} markets", 1, call
            case Place() | PlaceFor() | Cancel() | CancelFor() | Together():
                return self._order_call(action)
            case CancelAll(account):
                return (
                    account >> 96,
                    "cancel all orders",
                    1,
                    self._book.prepare("cancelAll", account, gas=GAS_TO_CANCEL),
                )
            case CancelAllFor(account, counter, fee):
                signature = self._signature(CancelAllMessage(account, counter, fee), account >> 96)
                call = self._book.prepare("cancelAllFor", account, counter, fee, signature, gas=GAS_TO_CANCEL)
                return relayer, "cancel all orders, relayed", 1, call
            case SetDelegate(account, delegate, scope):
                call = self._book.prepare(
                    "setDelegate", account, self._keys[delegate].address, scope, gas=GAS_TO_CANCEL
                )
                return account >> 96, "set a delegate", 1, call
            case SetDelegateFor(account, delegate, scope, salt, fee):
                signature = self._signature(delegation_of(account, delegate, scope, salt, fee), account >> 96)
                who = self._keys[delegate].address
                call = self._book.prepare(
                    "setDelegateFor", account, who, scope, salt, fee, signature, gas=GAS_TO_CANCEL
                )
                return relayer, "set a delegate, relayed", 1, call
            case Match(taker, makers):
                return executor, *self._match_call(taker, makers)
            case Execute(orders, by):
                gas = GAS_OF_BATCH + GAS_AN_ORDER * len(orders)
                call = self._book.prepare("executeBatch", orders, [], gas=gas)
                return executor if by is None else by, _execute_flow(orders), len(orders), call
            case Force(order, _, payloads, _):
                call = self._book.prepare("executeForced", order, payloads, gas=2_000_000)
                return order.account >> 96, "exit without a record", 1, call
            case ShutDown(market_id, step):
                call = self._liquidator.prepare(step, market_id, gas=1_000_000)
                return executor, f"shutdown, {step}", 1, call
            case Settle(account, market_id):
                return executor, "settle", 1, self._market.prepare("settle", account, market_id, gas=400_000)
            case CloseOut(account, market_id):
                call = self._liquidator.prepare("liquidate", account, market_id, [], gas=1_500_000)
                return liquidator, "close-out", 1, call
            case TakeOver(account, market_id, base, to_account):
                call = self._liquidator.prepare(
                    "takeOver", account, market_id, base, to_account, b"", [], gas=1_500_000
                )
                return liquidator, "take-over", 1, call
            case Absorb(account):
                return liquidator, "absorption", 1, self._liquidator.prepare("absorb", account, [], gas=3_000_000)
            case Sweep(market_id):
                return executor, "sweep fees", 1, self._market.prepare("sweep", market_id, gas=300_000)
            case Deposit(account, amount):
                call = self._vault.prepare("deposit", account, amount, gas=250_000)
                return account >> 96, "deposit", 1, call
            case Withdraw(account, amount):
                owner = account >> 96
                call = self._vault.prepare("withdraw", account, amount, self._keys[owner].address, gas=500_000)
                return owner, "withdraw", 1, call
            case RequestEntry(vault, owner, assets):
                who = self._keys[owner].address
                call = self._shares[vault].prepare("requestDeposit", assets, who, who, gas=500_000)
                return owner, "", 1, call
            case RequestExit(vault, owner, shares):
                who = self._keys[owner].address
                call = self._shares[vault].prepare("requestRedeem", shares, who, who, gas=500_000)
                return owner, "", 1, call
            case ExecuteRequest(vault, request_id):
                return executor, "", 1, self._shares[vault].prepare("executeRequest", request_id, gas=2_000_000)

    def _order_call(self, action: Place | PlaceFor | Cancel | CancelFor | Together) -> tuple[int, str, int, Call]:
        """Orders placed and cancelled, each in a transaction or several in one."""
        if isinstance(action, Together):
            [sender] = {self._order_call(call)[0] for call in action.calls}
            data = [self._book.encode(*self._arguments(call)) for call in action.calls]
            gas = GAS_TO_PLACE * len(action.calls)
            return sender, _together_flow(action), 1, self._book.prepare("multicall", data, gas=gas)
        order = action.order
        relayed = isinstance(action, PlaceFor | CancelFor)
        placed = isinstance(action, Place | PlaceFor)
        flow = (f"place a {KINDS[OrderKind(order.kind)]}" if placed else "cancel an order") + ", relayed" * relayed
        call = self._book.prepare(*self._arguments(action), gas=GAS_TO_PLACE)
        if isinstance(action, PlaceFor | CancelFor):
            return self._roles.relayer.number, flow, 1, call
        return order.account >> 96 if action.by is None else action.by, flow, 1, call

    def _arguments(self, action: Place | PlaceFor | Cancel | CancelFor) -> tuple[Any, ...]:
        """The function's name and what it is given."""
        match action:
            case Place(order):
                return "place", order
            case PlaceFor(order, signer):
                return "placeFor", order, self._signature(order, signer)
            case Cancel(order):
                return "cancel", order
            case CancelFor(order, fee):
                message = CancelMessage(order_hash(order), fee)
                return "cancelFor", order, fee, self._signature(message, order.account >> 96)

    def _match_call(self, taker: SignedOrder, makers: Sequence[tuple[SignedOrder, int]]) -> tuple[str, int, Call]:
        signature = self._signature(taker.order, taker.signer)
        fills = [(maker.order, self._signature(maker.order, maker.signer), base) for maker, base in makers]
        gas = GAS_OF_BATCH + GAS_AN_ORDER * len(makers)
        if len(fills) > 1:
            call = self._book.prepare("matchBatch", taker.order, signature, fills, gas=gas)
            return "match two orders, in a batch", len(fills), call
        [(maker_order, maker_signature, base)] = fills
        call = self._book.prepare("matchOrders", maker_order, maker_signature, taker.order, signature, base, gas=gas)
        return "match two orders", 1, call

    def _signature(self, message: Message, signer: int) -> bytes:
        return self._keys[signer].unsafe_sign_hash(digest(message, self._domain)).signature

    def _item(self, market_id: int, prices: Sequence[int]) -> bytes:
        sources = self._sources[market_id]
        names = [source.name for source in sources if not source.is_push]
        said = dict(zip(names, prices, strict=True))
        return signed_item(sources, self._signings[market_id], said, self._time)

    def _sign(self, owner: int, call: Call, flow: str, parts: int, expected: tuple[Expected, ...]) -> Sent:
        nonce = self._nonces[owner]
        self._nonces[owner] = nonce + 1
        fields = {
            "chainId": self._chain_id,
            "nonce": nonce,
            "to": call.to,
            "value": 0,
            "data": call.data,
            "gas": call.gas,
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": 0,
        }
        return Sent("0x" + self._keys[owner].sign(fields).hex(), flow, parts, expected)

    # --- on the side of the node -------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, Mined):
                    self._mine(item)
                elif isinstance(item, Check):
                    self._compare(item)
                else:
                    item.set()
        except BaseException as error:
            self._failure = error

    def _mine(self, block: Mined) -> None:
        if block.basefee is not None:
            self._rpc.call("anvil_setNextBlockBaseFeePerGas", hex(block.basefee))
        for one in block.sent:  # one by one: the node may take the parts of a batch in another order
            self._rpc.call("eth_sendRawTransaction", one.raw)
        self._rpc.call("evm_mine", hex(block.ts))
        receipts = self._rpc.call("eth_getBlockReceipts", "latest")
        if len(receipts) != len(block.sent):
            raise NotAsExpected(f"{len(receipts)} of {len(block.sent)} transactions were mined at {block.ts}")
        for one, raw in zip(block.sent, receipts, strict=True):
            self._examine(one, Receipt.from_json(raw))
        if block.touched.accounts:
            self._note(block.ledger.differences(self._read(block.touched)), f"block at {block.ts}", block.touched)

    def _examine(self, sent: Sent, receipt: Receipt) -> None:
        if sent.refusal:
            found = "nothing" if receipt.ok else self.devnet.chain.why(receipt).name
            if found != sent.refusal:
                raise NotAsExpected(f"{sent.flow}: the model refuses with {sent.refusal}; the contracts with {found}")
            return
        if not receipt.ok:
            reason = self.devnet.chain.why(receipt).reason
            raise NotAsExpected(f"{sent.flow or 'setting up'}: the contracts refuse with {reason}; the model did not")
        if sent.flow:
            self._counted.gas[sent.flow].append(receipt.gas_used // sent.parts)
        if sent.expected and (wrong := self._unlike(sent.expected, receipt.logs)):
            self._counted.wrong.add(receipt.tx_hash)
            self._counted.first = self._counted.first or f"{sent.flow} in block {receipt.block_number}: {wrong}"

    def _unlike(self, expected: Sequence[Expected], logs: Sequence[Log]) -> str:
        """What is wrong with the events of a transaction; empty where they are as expected, in their order."""
        names = {one.event for one in expected}
        events = self.devnet.chain.registry.events
        found = []
        for log in logs:
            event = events.get((log.topics[0], len(log.topics)))
            if event is not None and event.name in names:
                found.append(
                    (event.name, {field_name(name): value for name, value in occurrence(event, log).values.items()})
                )
        if [name for name, _ in found] != [one.event for one in expected]:
            return f"{', '.join(name for name, _ in found)} instead of {', '.join(one.event for one in expected)}"
        for one, (name, values) in zip(expected, found, strict=True):
            for key, value in one.values.items():
                if values.get(key) != value:
                    return f"{name} has {key} {values.get(key)}, not {value}"
        return ""

    def _note(self, accounts: Iterable[int], where: str, compared: Layout | Promises) -> None:
        self._counted.comparisons += len(compared)
        for account in accounts:
            self._counted.wrong.add(account)
            if not self._counted.first:
                self._counted.first = f"{where}: {account:#x} differs"

    def _compare(self, check: Check) -> None:
        ledger = self._read(check.layout)
        self._note(check.ledger.differences(ledger), f"minute {check.minute}", check.layout)
        tokens = int(self.devnet.token.call("balanceOf", self._vault.address)) * 10**12
        self._counted.sums = check.add_up(ledger, tokens)
        words = self._words(self._book, check.promises.slots)
        self._note(check.promises.differences(check.promised, words), f"minute {check.minute}", check.promises)
        if check.healths is not None:
            self._ask_views(check.minute, check.healths)

    def _ask_views(self, minute: int, healths: Mapping[int, Health]) -> None:
        """The liquidator's own view of every account with a position."""
        answers = self.devnet.chain.read([self._liquidator.prepare("health", account) for account in healths])
        self._counted.comparisons += len(healths)
        for (account, health), answer in zip(healths.items(), answers, strict=True):
            if answer != health.ratio:
                self._counted.wrong.add(account)
                where = f"minute {minute}: health of {account:#x}"
                self._counted.first = self._counted.first or f"{where} is {answer}, not {health.ratio}"

    def _read(self, layout: Layout) -> Ledger:
        return layout.read(self._words(self._vault, layout.vault_slots), self._words(self._market, layout.market_slots))

    def _words(self, contract: Deployed, slots: Sequence[int]) -> list[int]:
        """Stored words: one call in which the contract's code only reads."""
        data = "0x" + b"".join(slot.to_bytes(32, "big") for slot in slots).hex()
        answer = self._rpc.call(
            "eth_call",
            {"to": contract.address, "data": data, "gas": hex(50_000_000)},
            "latest",
            {contract.address: {"code": "0x" + READER.hex()}},
        )
        return [int(answer[start : start + 64], 16) for start in range(2, len(answer), 64)]


def _execute_flow(orders: Sequence[Order]) -> str:
    if len(orders) > 1:
        return "execute an order, in a batch"
    kind = OrderKind(orders[0].kind)
    return "execute an order" if kind == OrderKind.MARKET else f"execute a {KINDS[kind]}"


def _together_flow(action: Together) -> str:
    """What several calls in one transaction are for."""
    relayed = ", relayed" * isinstance(action.calls[0], PlaceFor | CancelFor)
    if any(isinstance(call, Cancel | CancelFor) for call in action.calls):
        return f"move a stop-loss{relayed}"
    return f"place {len(action.calls)} orders together{relayed}"
