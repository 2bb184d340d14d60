"""The way of matches to the contracts: simulated, signed, sent, and what became of them.

A simulation is `eth_simulateV1` where the node has it: all calls one after the other, with the events that say which
maker is skipped and why. Where it hasn't, each call is made for itself. A call that reverts as a whole is traced, or
its makers are asked one by one, to learn which of them spoils it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plimsoll.book.engine import Work
from plimsoll.book.records import Sent
from plimsoll.book.settle import Gone, Mined, Simulated
from plimsoll.chain.abi import AbiError
from plimsoll.chain.contracts import Deployed, Occurrence
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Call, Log, Receipt, Reverted, SignedCall, Signer
from plimsoll.core.orders import TimeInForce

GAS_OF_BATCH = 400_000
GAS_A_MATCH = 450_000
"""A match of two new positions takes about 300,000; the rest is for positions in many markets."""
GONE_BLOCKS = 5
"""A nonce that was used so many blocks ago is used."""

_UNEXPLAINED = ("OrderBook_NothingMatched", "OrderBook_FillOrKill")
_NO_METHOD = -32601
_UNKNOWN = ("not found", "not supported", "does not exist", "not available", "unknown")


class OnChain:
    """One order book and one signer, whose nonces nobody else uses."""

    def __init__(self, book: Deployed, signer: Signer) -> None:
        self.book = book
        self.signer = signer
        self._can_simulate = True
        self._can_trace = True

    # --- before ------------------------------------------------------------------------------------------------------

    def simulate(self, works: Sequence[Work]) -> list[Simulated]:
        """What the calls would do now, one after the other."""
        found = self._simulated(works)
        if found is None:
            found = [self._called(work) for work in works]
        return [self._explained(work, one) for work, one in zip(works, found, strict=True)]

    def _simulated(self, works: Sequence[Work]) -> list[Simulated] | None:
        """By eth_simulateV1; None where the node hasn't got it."""
        if not self._can_simulate:
            return None
        calls = [self._request(work) for work in works]
        try:
            blocks = self.book.chain.rpc.call("eth_simulateV1", {"blockStateCalls": [{"calls": calls}]}, "latest")
        except RpcError as error:
            if not _is_unknown(error):
                raise
            self._can_simulate = False
            return None
        return [self._read(work, call) for work, call in zip(works, blocks[0]["calls"], strict=True)]

    def _read(self, work: Work, call: Mapping[str, Any]) -> Simulated:
        if int(call["status"], 16) != 1:
            return Simulated(self.book.chain.revert_of(_revert_data(call)))
        events = [event for log in call["logs"] if (event := self._event(log)) is not None]
        return Simulated(skips=_skips(work, list(self._makers(events))))

    def _called(self, work: Work) -> Simulated:
        """By eth_call, which gives the size matched but no events."""
        request = self._request(work)
        try:
            data = self.book.chain.call(self.book.address, _bytes(request["input"]), sender=self.signer.address)
        except Reverted as error:
            return Simulated(error)
        matched = self.book.interface.function("matchBatch").decode(data)
        if matched == sum(match.base for match in work.matches):
            return Simulated()
        return Simulated(skips=self._asked(work))

    def _explained(self, work: Work, one: Simulated) -> Simulated:
        """A call that reverts because of its makers, with what is wrong with each of them."""
        if one.reverts is None or one.reverts.name not in _UNEXPLAINED:
            return one
        skips = self._traced(work)
        if skips is None:
            skips = self._asked(work)
        return Simulated(skips=skips) if skips else one

    def _traced(self, work: Work) -> dict[int, Reverted] | None:
        """The reverts inside, by a trace. None where it says nothing."""
        if not self._can_trace:
            return None
        request = self._request(work)
        try:
            trace = self.book.chain.rpc.call("debug_traceCall", request, "latest", {"tracer": "callTracer"})
        except RpcError:
            self._can_trace = False
            return None
        for frame in _frames(trace):
            parts = _parts(frame, request["input"])
            failed = [
                (match, _bytes(part.get("output", "0x")))
                for match, part in zip(work.matches, parts, strict=False)
                if "error" in part
            ]
            if failed and len(parts) == len(work.matches):
                return {match.id: self.book.chain.revert_of(output) for match, output in failed}
        return None

    def _asked(self, work: Work) -> dict[int, Reverted]:
        """Each maker alone against the taker; nothing comes of it for fill or kill, which wants all at once."""
        if work.taker.time_in_force == TimeInForce.FILL_OR_KILL and len(work.matches) > 1:
            return {}
        taker = work.taker
        calls = [
            self.book.prepare("matchOrders", maker.order, maker.signature, taker.order, taker.signature, match.base)
            for maker, match in zip(work.makers, work.matches, strict=True)
        ]
        results = self.book.chain.read(calls, raise_errors=False)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, Reverted):
                raise result
        return {
            match.id: result
            for match, result in zip(work.matches, results, strict=True)
            if isinstance(result, Reverted)
        }

    # --- sending -----------------------------------------------------------------------------------------------------

    def sign(self, works: Sequence[Work]) -> list[Sent]:
        """Transactions in consecutive nonces; nothing is sent."""
        calls = [Call(self.book.address, self._encoded(work), gas=_gas(work)) for work in works]
        signed = self.signer.sign_many(calls)
        return [Sent(one.tx_hash, one.nonce, one.raw, work.taker.hash) for one, work in zip(signed, works, strict=True)]

    def send(self, sent: Sequence[Sent]) -> None:
        """Send what was signed; again does no harm."""
        self.signer.broadcast([SignedCall(one.tx_hash, one.nonce, one.raw) for one in sent])

    def abandon(self) -> None:
        """What was signed last is not sent."""
        self.signer.forget_nonce()

    def outcome(self, sent: Sent) -> Mined | Gone | None:
        """None while it may still be mined."""
        chain = self.book.chain
        before = max(0, chain.block_number - GONE_BLOCKS)
        is_used = chain.nonce(self.signer.address, before) > sent.nonce
        receipt = chain.receipt(sent.tx_hash)
        if receipt is None:
            return Gone() if is_used else None
        return self._mined(receipt)

    def _mined(self, receipt: Receipt) -> Mined:
        if not receipt.ok:
            return Mined(reverted=self.book.chain.why(receipt))
        return Mined(makers=tuple(self._makers(self.book.events(receipt))))

    # --- parts -------------------------------------------------------------------------------------------------------

    def _encoded(self, work: Work) -> bytes:
        fills = [
            (maker.order, maker.signature, match.base) for maker, match in zip(work.makers, work.matches, strict=True)
        ]
        return self.book.encode("matchBatch", work.taker.order, work.taker.signature, fills)

    def _request(self, work: Work) -> dict[str, str]:
        return {
            "from": self.signer.address,
            "to": self.book.address,
            "input": "0x" + self._encoded(work).hex(),
            "gas": hex(_gas(work)),
        }

    def _event(self, raw: Mapping[str, Any]) -> Occurrence | None:
        """Of a simulation's log, which is of no block."""
        topics = tuple(_bytes(topic) for topic in raw["topics"])
        log = Log(str(raw["address"]), topics, _bytes(raw["data"]), 0, "", 0)
        return self.book.interface.decode_log(log) if int(log.address, 16) == int(self.book.address, 16) else None

    def _makers(self, events: Sequence[Occurrence]) -> Iterator[tuple[bytes, int | Reverted]]:
        """What became of each maker, in order."""
        for event in events:
            if event.name == "OrdersMatched":
                yield event["makerHash"], abs(event["base"])
            elif event.name == "MatchSkipped":
                yield event["makerHash"], self.book.chain.revert_of(event["reason"])


def _gas(work: Work) -> int:
    return GAS_OF_BATCH + GAS_A_MATCH * len(work.matches)


def _skips(work: Work, outcomes: Sequence[tuple[bytes, int | Reverted]]) -> dict[int, Reverted]:
    """By match: the makers come in the order of the call."""
    if [maker for maker, _ in outcomes] != [match.maker for match in work.matches]:
        raise AbiError("the order book's events are of other makers than were sent")
    return {
        match.id: outcome
        for match, (_, outcome) in zip(work.matches, outcomes, strict=True)
        if isinstance(outcome, Reverted)
    }


def _frames(frame: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield frame
    for one in frame.get("calls", []):
        yield from _frames(one)


def _parts(frame: Mapping[str, Any], data: str) -> list[Mapping[str, Any]]:
    """What a frame calls of its own code, each in a frame of its own: a batch's matches. Not the batch itself."""
    found = [one for one in frame.get("calls", []) if one["type"] == "DELEGATECALL"]
    functions = {one["input"][:10] for one in found}
    return found if len(functions) == 1 and data[:10] not in functions else []


def _revert_data(call: Mapping[str, Any]) -> bytes:
    """Of a simulated call; nodes put it in one of two places."""
    error = call.get("error") or {}
    for found in (call.get("returnData"), error.get("data")):
        if isinstance(found, str) and len(found) > 2:
            return _bytes(found)
    return b""


def _is_unknown(error: RpcError) -> bool:
    """Whether the node doesn't know the method."""
    message = error.message.lower()
    return error.code == _NO_METHOD or ("method" in message and any(phrase in message for phrase in _UNKNOWN))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
