"""Several nodes of one chain as one: fail-over, rest for who is away or limits, and what they disagree about.

    rpc = RpcPool(["https://a", "https://b"])
    chain = Chain(rpc)
    rpc.compare([("eth_call", [request])])    # raises RpcDisagreement where the nodes don't say the same

Every call goes to the first node that is not resting. What is simulated right before it is sent (`eth_estimateGas`)
goes to another one where there is one: what a node made up about the state is refused there before it costs gas.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from plimsoll.chain.rpc import BATCH_SIZE, Retry, RpcClient, RpcError, RpcLimited, RpcUnavailable, is_harmless
from plimsoll.core.errors import UserError

T = TypeVar("T")

REST = Retry(attempts=1, first_wait_seconds=0.5, max_wait_seconds=30.0)
"""How long a node rests after a failure, doubling with each in a row."""
MAX_LAG_BLOCKS = 5
OWN_TROUBLE = -32603
"""JSON-RPC's internal error: says nothing of what was asked, where another node answers it."""
DEPTH_BLOCKS = 3
"""How far below the lowest head nodes are compared: the newest blocks may still differ honestly."""

_SECOND_OPINION = frozenset({"eth_estimateGas"})


class RpcDisagreement(RpcUnavailable):
    """The nodes say different things of the same block, and no majority says who is wrong."""


@dataclass(slots=True)
class Endpoint:
    """A node, and how it behaved."""

    rpc: RpcClient
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    """On the monotonic clock."""
    is_distrusted: bool = False
    """It was outvoted about what stands in a block, and is asked only where nobody else is left to compare."""
    lag: int = 0
    """Blocks behind the first of all at the last comparison."""
    requests: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """By kind: "unavailable", "limited"."""

    @property
    def name(self) -> str:
        return self.rpc.name

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Who is asked first: trusted, up to date, not resting."""
        return self.is_distrusted, self.lag > MAX_LAG_BLOCKS, self.rests_until > time.monotonic()

    @property
    def is_healthy(self) -> bool:
        return self.rank == (False, False, False)


class RpcPool(RpcClient):
    """A client of several nodes. Threads may share it."""

    def __init__(self, urls: Sequence[str], *, timeout_seconds: float = 60.0, retry: Retry | None = None) -> None:
        """In order of preference. Raises UserError where there is none, or one that is no URL."""
        if not urls:
            raise UserError("no address of a node was given")
        self.endpoints = [Endpoint(RpcClient(url, timeout_seconds=timeout_seconds, retry=retry)) for url in urls]
        super().__init__(urls[0], timeout_seconds=timeout_seconds, retry=retry)
        self._guard = threading.Lock()
        self._adviser: Endpoint | None = None
        """Whose second opinion was taken last; None where there was no second."""

    def call(self, method: str, *params: Any) -> Any:
        if method in _SECOND_OPINION:
            return self.batch([(method, params)])[0]
        return self._somewhere(lambda rpc: rpc.call(method, *params), repeatable=_is_repeatable(method))

    def batch(
        self, calls: Iterable[tuple[str, Sequence[Any]]], *, size: int = BATCH_SIZE, raise_errors: bool = True
    ) -> list[Any]:
        wanted = list(calls)

        def ask(rpc: RpcClient) -> list[Any]:
            return rpc.batch(wanted, size=size, raise_errors=False)

        if wanted and all(method in _SECOND_OPINION for method, _ in wanted):
            results = self._second_opinion(ask)
        else:
            results = self._somewhere(ask, repeatable=all(_is_repeatable(method) for method, _ in wanted))
        if raise_errors and (refused := next((one for one in results if isinstance(one, RpcError)), None)):
            raise refused
        return results

    def second_opinion(self, calls: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
        wanted = list(calls)
        return self._second_opinion(lambda rpc: rpc.batch(wanted, raise_errors=False)) if wanted else []

    def close(self) -> None:
        for one in self.endpoints:
            one.rpc.close()

    def compare(self, calls: Sequence[tuple[str, Sequence[Any]]] = ()) -> int:
        """Ask every node that answers for a settled block and for calls at it (the block is added as last parameter).

        Heads are noted as lags; nodes that a majority contradicts are distrusted until they agree again. Returns the
        block that was compared.

        Raises RpcDisagreement without a majority, RpcUnavailable where no node answers.
        """
        heads = self._each(lambda rpc: int(rpc.call("eth_blockNumber"), 16), self.endpoints)
        if not heads:
            raise RpcUnavailable(f"none of the {len(self.endpoints)} nodes answers")
        for place, head in heads.items():
            self.endpoints[place].lag = max(heads.values()) - head
        current = {place: head for place, head in heads.items() if self.endpoints[place].lag <= MAX_LAG_BLOCKS}
        block = max(0, min(current.values()) - DEPTH_BLOCKS)
        if len(current) > 1:
            asked = [self.endpoints[place] for place in sorted(current)]
            self._judge(block, self._each(lambda rpc: _said(rpc, block, calls), asked), asked)
        return block

    def distrust_first(self) -> None:
        """Ask another node first until the next comparison."""
        self._order()[0].is_distrusted = True

    def distrust_adviser(self) -> None:
        """Its estimate was too small: others are asked for theirs until the next comparison, which doesn't see that."""
        if self._adviser is not None:
            self._adviser.is_distrusted = True

    def _judge(self, block: int, said: dict[int, str], asked: Sequence[Endpoint]) -> None:
        votes = Counter(said.values())
        if not votes:
            return
        answer, count = votes.most_common(1)[0]
        if len(votes) > 1 and 2 * count <= len(said):
            names = ", ".join(asked[place].name for place in said)
            raise RpcDisagreement(f"block {block} is not the same at {names}; find out which of them is wrong")
        for place, one in said.items():
            asked[place].is_distrusted = one != answer

    def _each(self, ask: Callable[[RpcClient], T], endpoints: Sequence[Endpoint]) -> dict[int, T]:
        """Answers by place; who doesn't give one is left out. All are asked at once: the slowest is waited for once."""
        found: dict[int, T] = {}

        def work(place: int, endpoint: Endpoint) -> None:
            with suppress(RpcUnavailable, RpcError):
                found[place] = self._ask(endpoint, ask)

        threads = [threading.Thread(target=work, args=item, daemon=True) for item in enumerate(endpoints)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def _somewhere(self, ask: Callable[[RpcClient], T], *, repeatable: bool) -> T:
        """The answer of the first node that gives one; of the first alone where asking twice could do harm."""
        order = self._order() if repeatable else self._order()[:1]
        for place, endpoint in enumerate(order):
            try:
                return self._ask(endpoint, ask)
            except RpcUnavailable:
                if place == len(order) - 1:
                    raise
        raise AssertionError("unreachable")

    def _second_opinion(self, ask: Callable[[RpcClient], list[Any]]) -> list[Any]:
        """What the second node says; where it refuses, the first has to refuse as well, or a third decides.

        Raises RpcDisagreement where one of two refuses and the other doesn't.
        """
        order = [one for one in self._order() if one.is_healthy]
        if len(order) < 2:
            self._adviser = None
            return self._somewhere(ask, repeatable=True)
        said: list[list[Any]] = []
        for endpoint in (order[1], order[0], *order[2:3]):
            try:
                answer = self._ask(endpoint, ask)
            except RpcUnavailable:
                continue
            if (not any(_verdict(answer)) and not said) or any(_verdict(answer) == _verdict(one) for one in said):
                self._adviser = endpoint
                return answer
            said.append(answer)
        if len(said) == 1:
            return said[0]
        if not said:
            raise RpcUnavailable(f"none of the {len(self.endpoints)} nodes answers")
        raise RpcDisagreement("the nodes don't agree on whether a transaction would go through; nothing was sent")

    def _order(self) -> list[Endpoint]:
        return sorted(self.endpoints, key=lambda one: one.rank)

    def _ask(self, endpoint: Endpoint, ask: Callable[[RpcClient], T]) -> T:
        try:
            answer = ask(endpoint.rpc)
            if len(self.endpoints) > 1 and isinstance(answer, list) and answer and all(map(_is_ill, answer)):
                raise _ill(endpoint, answer[0])
        except RpcError as error:  # it answered
            if len(self.endpoints) > 1 and _is_ill(error):
                self._note(endpoint, ill := _ill(endpoint, error))
                raise ill from None
            self._note(endpoint, None)
            raise
        except RpcUnavailable as error:
            self._note(endpoint, error)
            raise
        self._note(endpoint, None)
        return answer

    def _note(self, endpoint: Endpoint, error: RpcUnavailable | None) -> None:
        with self._guard:
            endpoint.requests += 1
            if error is None:
                endpoint.failures, endpoint.rests_until = 0, 0.0
                return
            endpoint.failures += 1
            wait = REST.wait(endpoint.failures)
            if isinstance(error, RpcLimited):
                wait = max(wait, error.retry_after_seconds)
            endpoint.rests_until = time.monotonic() + wait
            endpoint.failed["limited" if isinstance(error, RpcLimited) else "unavailable"] += 1


def _said(rpc: RpcClient, block: int, calls: Sequence[tuple[str, Sequence[Any]]]) -> str:
    """All that a node says of a block, as text that can be compared."""
    at = hex(block)
    asked = [("eth_getBlockByNumber", [at, False]), *((method, [*params, at]) for method, params in calls)]
    head, *rest = rpc.batch(asked, raise_errors=False)
    found = head["hash"] if isinstance(head, dict) else "none"
    return "|".join([found, *(one if isinstance(one, str) else "refused" for one in rest)])


def _is_ill(answer: Any) -> bool:
    """Whether a node speaks of a trouble of its own instead of an answer."""
    return isinstance(answer, RpcError) and answer.code == OWN_TROUBLE and "revert" not in answer.message.lower()


def _ill(endpoint: Endpoint, error: RpcError) -> RpcUnavailable:
    return RpcUnavailable(f"{endpoint.name}: {error.message}")


def _verdict(answers: Sequence[Any]) -> tuple[bool, ...]:
    return tuple(isinstance(one, RpcError) for one in answers)


def _is_repeatable(method: str) -> bool:
    """Whether another node may be asked the same; of signed transactions only one is ever mined."""
    return method.startswith("eth_sendRawTransaction") or is_harmless(method)
