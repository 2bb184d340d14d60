"""What must exist before a deployment, held against the chain: tokens, feeds, vendors, the rollup's own contracts.

Each thing is a row as in `verify`: what the parameters say, what the chain says. Nothing here sends anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plimsoll.chain.abi import AbiError, function_json
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Call, Chain, Reverted
from plimsoll.core.durations import show_duration
from plimsoll.core.errors import UserError
from plimsoll.deploy.fields import ZERO_ADDRESS, show_address
from plimsoll.deploy.parameters import Market, Parameters, Rollup, Source
from plimsoll.deploy.rows import Row

GROUP = "external"
NO_CODE = "no contract there"
NO_ANSWER = "no answer"

TOKEN = Interface(
    "Token",
    [
        function_json("decimals", [], ["uint8"]),
        function_json("symbol", [], ["string"]),
        function_json("l1Token", [], ["address"]),
    ],
)
FEED = Interface(
    "Feed",
    [
        function_json("description", [], ["string"]),
        function_json("latestRoundData", [], ["uint80", "int256", "uint256", "uint256", "uint80"]),
    ],
)
PYTH = Interface("Pyth", [function_json("priceFeedExists", ["bytes32"], ["bool"])])
CROSS = Interface(
    "Cross",
    [
        function_json("messenger", [], ["address"]),
        function_json("MESSENGER", [], ["address"]),
        function_json("OTHER_BRIDGE", [], ["address"]),
        function_json("OTHER_MESSENGER", [], ["address"]),
        function_json("PORTAL", [], ["address"]),
        function_json("portal", [], ["address"]),
    ],
)


def external_rows(parameters: Parameters, chain: Chain, l1: Chain | None = None) -> list[Row]:
    """All that can be said of what isn't deployed by us; the contracts on L1 only with `l1`.

    What is left blank in the file is left out. Raises UserError where a chain is another than the file's.
    """
    parameters.require_chain(chain.chain_id, chain.uri)
    rows = list(_token(parameters, chain))
    rows += _vendors(parameters, chain)
    rows += _sequencer(parameters, chain)
    for market in parameters.markets:
        rows += _market(parameters, market, chain)
    if parameters.rollup is not None:
        rows += _rollup(parameters, parameters.rollup, chain)
        if l1 is not None:
            rows += _layer1(parameters, parameters.rollup, l1)
    return rows


def _token(p: Parameters, chain: Chain) -> Iterator[Row]:
    yield _code("token", p.token, chain)
    decimals, symbol = _asked(TOKEN, p.token, chain, "decimals", "symbol")
    wanted = p.token_decimals or "6 to 18"
    fits = decimals is not None and (decimals == p.token_decimals or (not p.token_decimals and 6 <= decimals <= 18))
    yield Row(GROUP, "token decimals", str(wanted), str(wanted) if fits else _said(decimals))
    if p.token_symbol:
        yield Row(GROUP, "token symbol", p.token_symbol, _said(symbol))


def _vendors(p: Parameters, chain: Chain) -> Iterator[Row]:
    yield _code("API3's server", p.api3_server, chain)
    for name, what in (("data_streams", "verifier of Data Streams"), ("pyth", "Pyth's contract")):
        if int(getattr(p, name), 16):
            yield _code(what, getattr(p, name), chain)


def _sequencer(p: Parameters, chain: Chain) -> Iterator[Row]:
    if p.sequencer.feed == ZERO_ADDRESS:
        return
    yield _code("sequencer feed", p.sequencer.feed, chain)
    description, round_ = _asked(FEED, p.sequencer.feed, chain, "description", "latestRoundData")
    answer = None if round_ is None else round_[1]
    yield Row(GROUP, "sequencer feed answers", "0 or 1", "0 or 1" if answer in (0, 1) else _said(answer))
    if description is not None:
        is_one = "sequencer" in description.lower()
        yield Row(GROUP, "sequencer feed is of", "a sequencer", "a sequencer" if is_one else repr(description))


def _market(p: Parameters, market: Market, chain: Chain) -> Iterator[Row]:
    for source in market.sources:
        if source.kind == "chainlink":
            yield _code(f"{market.name} {source.label}", str(source.contract), chain)
            if not p.development:  # where it is a mock without a name, that nobody need keep fresh
                yield from _feed(market, source, chain)
        elif source.kind == "uniswap":
            yield _code(f"{market.name} {source.label}", str(source.contract), chain)
        elif source.kind == "pyth":
            call = Deployed(PYTH, p.pyth, chain).prepare("priceFeedExists", bytes.fromhex(source.feed_id[2:]))
            (exists,) = _answers([call], chain)
            said = {True: "known", False: "unknown"}.get(exists, NO_ANSWER)
            yield Row(GROUP, f"{market.name} {source.label}", "known", said)


def _feed(market: Market, source: Source, chain: Chain) -> Iterator[Row]:
    """A push feed: that it is of this market by its own description, and as young as it has to be."""
    item = f"{market.name} {source.label}"
    description, round_ = _asked(FEED, str(source.contract), chain, "description", "latestRoundData")
    said = None if description is None else description.replace(" ", "")
    yield Row(GROUP, f"{item} is of", market.name, _said(said))
    wanted = f"at most {show_duration(source.max_age)}"
    if round_ is None:
        yield Row(GROUP, f"{item} age", wanted, NO_ANSWER)
        return
    age = chain.block().timestamp - round_[3]
    yield Row(GROUP, f"{item} age", wanted, wanted if age <= source.max_age else show_duration(age))


def _rollup(p: Parameters, rollup: Rollup, chain: Chain) -> Iterator[Row]:
    """The bridge's end here: that it talks to that end on L1, and that the token is its own where it is to be."""
    yield _code("messenger", rollup.messenger, chain)
    yield _code("bridge", rollup.bridge, chain)
    (other,) = _asked(CROSS, rollup.messenger, chain, "OTHER_MESSENGER")
    yield Row(GROUP, "messenger's other end", rollup.l1_messenger, _said(other))
    (other,) = _asked(CROSS, rollup.bridge, chain, "OTHER_BRIDGE")
    yield Row(GROUP, "bridge's other end", rollup.l1_bridge, _said(other))
    (l1_token,) = _asked(TOKEN, p.token, chain, "l1Token")
    yield Row(GROUP, "token is bridged from", show_address(rollup.l1_token), show_address(l1_token or ZERO_ADDRESS))


def _layer1(p: Parameters, rollup: Rollup, l1: Chain) -> Iterator[Row]:
    if l1.chain_id != rollup.l1_chain_id:
        raise UserError(f"{l1.uri} is chain {l1.chain_id}, and {p.path} names chain {rollup.l1_chain_id} as its L1")
    for what in ("portal", "l1_messenger", "l1_bridge"):
        yield _code(f"L1 {what.removeprefix('l1_')}", getattr(rollup, what), l1)
    # under its new name, or the one that older versions know it by
    new, old = _asked(CROSS, rollup.l1_messenger, l1, "portal", "PORTAL")
    yield Row(GROUP, "L1 messenger's portal", rollup.portal, _said(new or old))
    new, old = _asked(CROSS, rollup.l1_bridge, l1, "messenger", "MESSENGER")
    yield Row(GROUP, "L1 bridge's messenger", rollup.l1_messenger, _said(new or old))
    if rollup.l1_token != ZERO_ADDRESS:
        yield _code("L1 token", rollup.l1_token, l1)


def _code(item: str, address: str, chain: Chain) -> Row:
    return Row(GROUP, item, address, address if chain.code(address) else NO_CODE)


def _asked(interface: Interface, address: str, chain: Chain, *names: str) -> list[Any]:
    return _answers([Deployed(interface, address, chain).prepare(name) for name in names], chain)


def _answers(calls: list[Call], chain: Chain) -> list[Any]:
    """One each, None where the contract doesn't know, or isn't there."""
    found: list[Any] = []
    for call in calls:
        try:
            found.append(chain.read([call])[0])
        except (Reverted, RpcError, AbiError):
            found.append(None)
    return found


def _said(value: Any) -> str:
    return NO_ANSWER if value is None else str(value)
