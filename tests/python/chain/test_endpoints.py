"""Several nodes as one: who is asked, what they disagree about, and that asking twice does no harm."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from plimsoll.chain.endpoints import DEPTH_BLOCKS, MAX_LAG_BLOCKS, RpcDisagreement, RpcPool
from plimsoll.chain.rpc import RpcClient, RpcError, RpcLimited, RpcUnavailable
from plimsoll.core.errors import UserError


class Fake(RpcClient):
    """A node in this process. `fails` is raised by every call; `answers` by method."""

    def __init__(self, name: str, head: int = 100) -> None:
        super().__init__(f"http://{name}.invalid")
        self.head = head
        self.fork = "main"
        self.fails: Exception | None = None
        self.answers: dict[str, Any] = {}
        self.seen: Counter[str] = Counter()

    def call(self, method: str, *params: Any) -> Any:
        self.seen[method] += 1
        if self.fails is not None:
            raise self.fails
        if method == "eth_blockNumber":
            return hex(self.head)
        if method == "eth_getBlockByNumber":
            return {"hash": f"{self.fork} {params[0]}"}
        answer = self.answers.get(method, self.name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def batch(self, calls: Any, *, size: int = 100, raise_errors: bool = True) -> list[Any]:
        found: list[Any] = []
        for method, params in calls:
            try:
                found.append(self.call(method, *params))
            except RpcError as error:
                if raise_errors:
                    raise
                found.append(error)
        return found


AWAY = RpcUnavailable("away")
REFUSED = RpcError("eth_estimateGas", 3, "execution reverted")


def pool_of(*names: str) -> tuple[RpcPool, list[Fake]]:
    pool = RpcPool([f"http://{name}.invalid" for name in names])
    fakes = [Fake(name) for name in names]
    for endpoint, fake in zip(pool.endpoints, fakes, strict=True):
        endpoint.rpc = fake
    return pool, fakes


def test_pool__no_address__is_refused() -> None:
    with pytest.raises(UserError, match="no address of a node"):
        RpcPool([])
    with pytest.raises(UserError, match="node address"):
        RpcPool(["http://fine", "ftp://not"])


def test_call__first_away__the_second_answers_and_the_first_rests() -> None:
    pool, (first, second) = pool_of("a", "b")
    assert pool.call("eth_call") == first.name
    first.fails = AWAY
    assert [pool.call("eth_call"), pool.call("eth_call")] == [second.name] * 2
    assert first.seen["eth_call"] == 2  # the second failure isn't waited for again
    assert (pool.endpoints[0].failures, pool.endpoints[0].failed["unavailable"]) == (1, 1)
    first.fails, pool.endpoints[0].rests_until = None, 0.0
    assert pool.call("eth_call") == first.name
    assert pool.endpoints[0].failures == 0


def test_call__limited__rests_as_long_as_the_node_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plimsoll.chain.endpoints.time.monotonic", lambda: 1_000.0)
    pool, (first, second) = pool_of("a", "b")
    first.fails = RpcLimited("slow down", 7.0)
    assert pool.call("eth_call") == second.name
    assert pool.endpoints[0].rests_until == 1_007.0
    assert pool.endpoints[0].failed == {"limited": 1}


def test_call__all_away__raises_and_still_tries_the_one_that_rests() -> None:
    pool, (first, second) = pool_of("a", "b")
    first.fails = second.fails = AWAY
    for _ in range(2):
        with pytest.raises(RpcUnavailable):
            pool.call("eth_call")
    assert first.seen["eth_call"] == second.seen["eth_call"] == 2


def test_call__internal_error_of_the_first__the_second_answers() -> None:
    """A node that said so to everything kept a keeper from its work, although there was another one."""
    pool, (first, second) = pool_of("first", "second")
    first.fails = RpcError("eth_call", -32603, "internal error")
    assert pool.call("eth_gasPrice") == second.name
    assert pool.batch([("eth_gasPrice", []), ("eth_gasPrice", [])]) == [second.name] * 2
    assert not pool.endpoints[0].is_healthy
    second.fails = first.fails
    with pytest.raises(RpcUnavailable, match="internal error"):
        pool.call("eth_gasPrice")
    alone, [only] = pool_of("only")
    only.fails = first.fails
    with pytest.raises(RpcError, match="internal error"):
        alone.call("eth_gasPrice")


def test_batch__internal_error_of_one_call__is_an_answer() -> None:
    pool, (first, _) = pool_of("first", "second")
    first.answers["eth_call"] = RpcError("eth_call", -32603, "internal error")
    found = pool.batch([("eth_call", []), ("eth_gasPrice", [])], raise_errors=False)
    assert [type(found[0]), found[1]] == [RpcError, first.name]


def test_call__refused__is_an_answer_and_asks_nobody_else() -> None:
    pool, (first, second) = pool_of("a", "b")
    first.answers["eth_call"] = RpcError("eth_call", 3, "execution reverted")
    with pytest.raises(RpcError):
        pool.call("eth_call")
    assert not second.seen


@pytest.mark.parametrize(
    ("method", "asked"), [("eth_sendRawTransaction", 1), ("eth_sendTransaction", 0), ("evm_mine", 0)]
)
def test_call__lost_on_its_way__goes_to_another_where_that_is_no_second_deed(method: str, asked: int) -> None:
    pool, (first, second) = pool_of("a", "b")
    first.fails = AWAY
    if asked:
        assert pool.call(method) == second.name
    else:
        with pytest.raises(RpcUnavailable):
            pool.call(method)
    assert second.seen[method] == asked


# --- a second opinion ----------------------------------------------------------------------------------------------


def estimate(pool: RpcPool) -> Any:
    return pool.call("eth_estimateGas", {})


def test_estimate__goes_to_the_second_node() -> None:
    """The first one, that the state was read from, may have made it up."""
    pool, (first, second) = pool_of("a", "b")
    assert estimate(pool) == second.name
    assert not first.seen


def test_estimate__both_refuse__is_refused() -> None:
    pool, fakes = pool_of("a", "b")
    for fake in fakes:
        fake.answers["eth_estimateGas"] = REFUSED
    with pytest.raises(RpcError, match="execution reverted"):
        estimate(pool)


@pytest.mark.parametrize("others", [[], ["c"]])
def test_estimate__they_differ__nothing_is_sent_unless_a_third_says_so(others: list[str]) -> None:
    pool, fakes = pool_of("a", "b", *others)
    fakes[1].answers["eth_estimateGas"] = REFUSED
    if others:
        assert estimate(pool) == fakes[2].name
    else:
        with pytest.raises(RpcDisagreement, match="nothing was sent"):
            estimate(pool)


def test_estimate__second_away__the_first_is_asked() -> None:
    pool, (first, second) = pool_of("a", "b")
    second.fails = AWAY
    assert estimate(pool) == first.name
    assert RpcPool(["http://alone.invalid"]).endpoints[0].is_healthy


def test_estimate__too_small__comes_from_another_until_the_next_comparison() -> None:
    pool, (first, second, third) = pool_of("a", "b", "c")
    pool.distrust_adviser()  # nobody was asked yet
    assert estimate(pool) == second.name
    pool.distrust_adviser()
    assert estimate(pool) == third.name
    pool.distrust_adviser()
    assert estimate(pool) == first.name
    pool.compare()
    assert estimate(pool) == second.name


def test_estimate__of_the_only_one_left_too_small__another_is_not_blamed() -> None:
    pool, (first, second) = pool_of("a", "b")
    assert estimate(pool) == second.name
    pool.endpoints[1].rests_until = time.monotonic() + 60
    assert estimate(pool) == first.name
    pool.distrust_adviser()
    assert not any(one.is_distrusted for one in pool.endpoints)


# --- comparing -----------------------------------------------------------------------------------------------------


def test_compare__same_blocks__notes_lags() -> None:
    pool, (first, second) = pool_of("a", "b")
    second.head = 98
    assert pool.compare() == 98 - DEPTH_BLOCKS
    assert [one.lag for one in pool.endpoints] == [0, 2]
    assert first.seen["eth_getBlockByNumber"] == 1


def test_compare__far_behind__is_asked_last_and_not_compared() -> None:
    pool, (first, second) = pool_of("a", "b")
    first.head -= MAX_LAG_BLOCKS + 1
    first.fork = "behind"
    pool.compare()
    assert pool.call("eth_call") == second.name
    first.head, first.fork = 100, "main"
    pool.compare()
    assert pool.call("eth_call") == first.name


@pytest.mark.parametrize("liar", ["fork", "call"])
def test_compare__two_that_differ__raises(liar: str) -> None:
    pool, (first, second) = pool_of("a", "b")
    second.answers["eth_call"] = first.answers["eth_call"] = "0x01"
    pool.compare([("eth_call", [{}])])
    if liar == "fork":
        first.fork = "other"
    else:
        first.answers["eth_call"] = "0x02"
    with pytest.raises(RpcDisagreement, match=r"block 97 is not the same at http://a.invalid, http://b.invalid"):
        pool.compare([("eth_call", [{}])])


def test_compare__one_of_three_differs__is_distrusted_until_it_agrees() -> None:
    pool, (first, second, _) = pool_of("a", "b", "c")
    first.fork = "other"
    pool.compare()
    assert pool.endpoints[0].is_distrusted
    assert pool.call("eth_call") == second.name
    first.fork = "main"
    pool.compare()
    assert not pool.endpoints[0].is_distrusted


def test_compare__nobody_there__raises() -> None:
    pool, fakes = pool_of("a", "b")
    for fake in fakes:
        fake.fails = AWAY
    with pytest.raises(RpcUnavailable, match="none of the 2 nodes"):
        pool.compare()


def test_second_opinion__of_calls__is_the_second_nodes() -> None:
    """A batch of liquidations is carried out at another node than said who may be liquidated."""
    pool, (first, second) = pool_of("a", "b")
    assert pool.second_opinion([("eth_call", [{}]), ("eth_call", [{}])]) == [second.name] * 2
    assert not first.seen
    assert pool.second_opinion([]) == []
    second.fails = AWAY
    assert pool.second_opinion([("eth_call", [{}])]) == [first.name]
