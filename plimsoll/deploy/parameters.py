"""Parameters of a deployment: a file that a risk team reads, as typed values in the contracts' units.

Each network has a file in `parameters/`; `template.toml` explains every key. Bounds are those of the contracts (Bounds,
OracleBounds, OrderBook, RequestVault, SequencerGuard), checked here so that a mistake is named before anything is sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eth_utils import keccak

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.fields import (
    Field,
    address,
    address_or_none,
    addresses,
    bps,
    choice,
    count,
    dollars,
    flag,
    optional_address,
    percent_wad,
    quantity,
    read_section,
    refuse_unknown,
    seconds,
    text,
    word,
)
from plimsoll.risk.aggregation import Rules
from plimsoll.risk.config import MarketParams, OrderParams

FOLDER = Path(__file__).parent / "parameters"
TEMPLATE = "template"
DAY = 86_400
MAX_MARKETS = 16
MAX_SOURCES = 8
MIN_PULL_SOURCES = 3

CONTRACTS = {
    "token": address(),
    "api3_server": address(),
    "treasury": address(),
    "data_streams": optional_address(),
    "pyth": optional_address(),
    "l1_gateway": address_or_none(required=False),
    "token_symbol": text(required=False),
    "token_decimals": count(6, 18, required=False),
}
GOVERNANCE = {
    "governor": address(),
    "admin_delay": seconds(0, 30 * DAY),
    "risk": addresses(),
    "risk_delay": seconds(0, 30 * DAY),
    "listing": addresses(),
    "listing_delay": seconds(0, 30 * DAY),
    "guardian": addresses(),
}
SEQUENCER = {"feed": address_or_none(), "grace": seconds(60, 1_800)}
ROLLUP = {
    "l1_chain_id": count(1, 2**53),
    "portal": address(),
    "l1_messenger": address(),
    "l1_bridge": address(),
    "messenger": address(),
    "bridge": address(),
    "l1_token": address_or_none(),
}
LIQUIDATION = {"gas_market": text()}
SHARES: dict[str, Field] = {
    "name": text(),
    "symbol": text(),
    "deposit_delay": seconds(5, DAY),
    "redeem_cooldown": seconds(5, 14 * DAY),
    "execution_window": seconds(60, DAY),
}

MARKET = {"name": text(), "scale": quantity(1, 2**112 - 1), "isolated_only": flag(False)}
MARKET_SECTIONS: dict[str, dict[str, Field]] = {
    "margin": {
        "im_base": bps(1, 10_000),
        "im_slope": bps(0, 1_000_000),
        "mm_fraction": bps(1_000, 9_000),
        "penalty": bps(1, 300),
        "keeper_min": dollars(2, 0, 10_000, "_cents"),
        "min_position": dollars(0, 1, 2**32 - 1, "_usd"),
    },
    "fees": {
        "maker": bps(0, 100),
        "taker": bps(0, 100),
        "insurance_share": bps(0, 10_000),
        "treasury_share": bps(0, 10_000),
    },
    "limits": {"max_skew": bps(1, 1_000), "open_interest": bps(0, 100_000), "exposure": bps(0, 20_000)},
    "funding": {"max_funding_velocity": percent_wad(0, 10 * WAD), "max_funding_rate": percent_wad(0, WAD)},
    "utilisation": {"kink": bps(1, 9_999), "rate_at_kink": bps(0, 1_000), "rate_at_full": bps(0, 1_000)},
    "price": {"max_price_age": seconds(1, 600), "stale_widen": bps(0, 2_000)},
}
"""The sections that make up the contracts' MarketParams."""

ORDERS = {
    "settlement_delay": seconds(1, 60),
    "settlement_window": seconds(1, 60),
    "execution_fee": dollars(18, 0, 10 * WAD),
    "fee_reserve": bps(1, 100),
    "relay_fee": dollars(18, 0, 10 * WAD),
}
ORACLE = {
    "quorum": count(2, MAX_SOURCES - 1),
    "bound_quorum": count(1, MAX_SOURCES),
    "dispersion": bps(1, 200),
    "max_confidence": bps(1, 300),
    "open_confidence": bps(1, 300),
    "record_window": seconds(1, 30),
    "silent_after": seconds(10, 300),
    "move": bps(100, 5_000),
    "move_interval": seconds(10, 600),
    "bound_reduce": bps(10, 5_000),
    "bound_refuse": bps(100, 5_000),
}
SOURCE_KIND = choice("api3", "chainlink", "datastreams", "pyth", "uniswap")
SOURCES = {
    "api3": {"airnode": address(), "feed": text(), "template": word(required=False)},
    "chainlink": {"feed": address(), "max_age": seconds(1, 2 * DAY)},
    "datastreams": {"stream": word()},
    "pyth": {"price_id": word()},
    "uniswap": {
        "pool": address(),
        "base": choice("token0", "token1"),
        "decimals0": count(0, 18),
        "decimals1": count(0, 18),
        "window": seconds(60, DAY),
        "max_age": seconds(1, 2 * DAY),
    },
}
PUSH_KINDS = ("chainlink", "uniswap")
NEEDS = {"datastreams": "data_streams", "pyth": "pyth"}
"""Kinds of source, and the vendor's contract that they are read from."""
STREAM_SCHEMA = "0x0003"
POOL_SHARE = {"weight": bps(0, 10_000)}


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a market's price: an API3 beacon, a Data Streams or Pyth feed (pull), a Chainlink feed or a Uniswap
    pool's average (push).

    `feed_id` is what its adapter knows it by; `label` is for people; `max_age` in seconds is 0 for a pull source.
    """

    kind: str
    feed_id: str
    max_age: int
    label: str

    @property
    def is_push(self) -> bool:
        return self.kind in PUSH_KINDS

    @property
    def pool_decimals(self) -> tuple[int, int]:
        """Of the tokens of a Uniswap pool, as the file has them."""
        id_ = int(self.feed_id, 16)
        return id_ >> 192 & 0xFF, id_ >> 200 & 0xFF

    @property
    def contract(self) -> str | None:
        """Address of the contract that a push source is."""
        return "0x" + self.feed_id[-40:] if self.is_push else None


@dataclass(frozen=True, slots=True)
class Market:
    """One market as it is listed. `scale` is S in WAD base; `weight_bps` its part of the pool's entries."""

    id: int
    name: str
    scale: int
    params: MarketParams
    orders: OrderParams
    oracle: Rules
    sources: tuple[Source, ...]
    weight_bps: int


@dataclass(frozen=True, slots=True)
class Governance:
    """Who holds what. Delays in seconds; the guardian has none."""

    governor: str
    admin_delay: int
    risk: tuple[str, ...]
    risk_delay: int
    listing: tuple[str, ...]
    listing_delay: int
    guardian: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sequencer:
    feed: str
    grace: int


@dataclass(frozen=True, slots=True)
class Rollup:
    """The rollup's own contracts, on L1 (`portal`, `l1_messenger`, `l1_bridge`) and here; nothing that is deployed.

    `l1_token` is what the settlement token is bridged from, zero where its issuer made it here.
    """

    l1_chain_id: int
    portal: str
    l1_messenger: str
    l1_bridge: str
    messenger: str
    bridge: str
    l1_token: str


@dataclass(frozen=True, slots=True)
class Shares:
    """A share vault: the pool's or the insurance fund's. Times in seconds, as RequestDelays has them."""

    name: str
    symbol: str
    deposit_delay: int
    redeem_cooldown: int
    execution_window: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of a file. `development` means that the token and the price sources there are mocks that anyone may use."""

    network: str
    path: str
    chain_id: int
    development: bool
    token: str
    api3_server: str
    treasury: str
    data_streams: str
    pyth: str
    l1_gateway: str
    """L1Gateway on L1, which is deployed afterwards; zero where the standard bridge doesn't bring the token."""
    token_symbol: str
    token_decimals: int
    governance: Governance
    sequencer: Sequencer
    pool: Shares
    fund: Shares
    gas_market: int
    markets: tuple[Market, ...]
    rollup: Rollup | None = None
    blanks: tuple[str, ...] = ()
    """What is left blank in the file, for the eyes of a dry run: those addresses and ids are made up."""

    @property
    def source_kinds(self) -> frozenset[str]:
        """Those that some market uses."""
        return frozenset(source.kind for market in self.markets for source in market.sources)

    @property
    def has_bridge(self) -> bool:
        """Whether money comes from L1 and goes there."""
        return int(self.l1_gateway, 16) != 0

    @property
    def digest(self) -> str:
        """SHA-256 over all values: what was deployed, whatever the comments and the layout of the file."""
        values = asdict(self)
        for name in ("path", "network", "token_symbol", "token_decimals", "rollup", "blanks"):
            del values[name]  # none of it is deployed
        for name in (*NEEDS.values(), "l1_gateway"):
            if not int(values[name], 16):
                del values[name]  # as before there was such a key
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def require_chain(self, chain_id: int, uri: str) -> None:
        """Raises UserError where that chain isn't the one of these parameters."""
        if chain_id != self.chain_id:
            raise UserError(
                f"{uri} is chain {chain_id}, and {self.path} is for chain {self.chain_id}; "
                "choose the network or the parameters that fit"
            )

    def market(self, name: str) -> Market:
        """Raises UserError for a name that no market has."""
        for market in self.markets:
            if market.name == name:
                return market
        raise UserError(f"{self.path}: no market {name}; there are {', '.join(one.name for one in self.markets)}")


def beacon_id(airnode: str, feed: str, template: str = "") -> str:
    """The id of an API3 beacon: keccak(airnode ‖ template id), the template being the hash of the feed's name where
    none is given. Providers of API3 have templates of their own."""
    template_id = bytes.fromhex(template[2:]) if template else keccak(text=feed)
    return "0x" + bytes(keccak(bytes.fromhex(airnode[2:]) + template_id)).hex()


def pool_feed_id(pool: str, window: int, decimals0: int, decimals1: int, *, inverted: bool) -> str:
    """What the Uniswap adapter knows an average by; `window` in seconds, `inverted` where token1 is the base."""
    word_ = int(pool, 16) | window << 160 | decimals0 << 192 | decimals1 << 200 | int(inverted) << 208
    return f"0x{word_:064x}"


def networks(folder: Path = FOLDER) -> list[str]:
    """Those that have a file, without the template."""
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem != TEMPLATE)


def load(network: str, folder: Path = FOLDER, *, blanks: bool = False) -> Parameters:
    """Parameters of a network by its name, or of a file by its path; see `parse`. Raises UserError."""
    path = Path(network) if network.endswith(".toml") else folder / f"{network}.toml"
    if not path.is_file():
        raise UserError(
            f"no parameters for {network}: {path} does not exist; "
            f"copy {TEMPLATE}.toml and fill it in, or use one of {', '.join(networks(folder))}"
        )
    return parse(path.read_text(), path, blanks=blanks)


def parse(content: str, path: Path, *, blanks: bool = False) -> Parameters:
    """A file's content. With `blanks` what still stands in <angle brackets> is made up, and named in the result.

    Raises UserError with one line: where, what is wrong, what is allowed; all blanks together.
    """
    file = path.name
    try:
        data = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{file}: {error}") from None
    left = tuple(fill_blanks(data))
    if left and not blanks:
        raise UserError(f"{file} is not filled in: {'; '.join(left)}")
    sections = ("contracts", "governance", "sequencer", "pool", "fund", "liquidation")
    top = {"chain_id": count(1, 2**53), "development": flag(False)}
    refuse_unknown(data, {*sections, *top, "market", "rollup"}, file)
    head = read_section(top, {key: data[key] for key in top if key in data}, file)
    for name in (*sections, "market"):
        if name not in data:
            raise UserError(f"{file}: {name} is missing")

    contracts = read_section(CONTRACTS, data["contracts"], f"{file}: contracts")
    governance = Governance(**read_section(GOVERNANCE, data["governance"], f"{file}: governance"))
    _check_governance(governance, file)
    markets = _markets(data["market"], file)
    _check_needs(contracts, markets, file)
    gas_market = read_section(LIQUIDATION, data["liquidation"], f"{file}: liquidation")["gas_market"]
    by_name = {market.name: market.id for market in markets}
    if gas_market not in by_name:
        raise UserError(f"{file}: liquidation: gas_market {gas_market} is none of the markets {', '.join(by_name)}")
    return Parameters(
        network=path.stem,
        path=str(path),
        **head,
        **contracts,
        governance=governance,
        sequencer=Sequencer(**read_section(SEQUENCER, data["sequencer"], f"{file}: sequencer")),
        pool=Shares(**read_section(SHARES, data["pool"], f"{file}: pool")),
        fund=Shares(**read_section(SHARES, data["fund"], f"{file}: fund")),
        gas_market=by_name[gas_market],
        markets=markets,
        rollup=Rollup(**read_section(ROLLUP, data["rollup"], f"{file}: rollup")) if "rollup" in data else None,
        blanks=left,
    )


def fill_blanks(data: Any, where: str = "") -> Iterator[str]:
    """Make up what stands in <angle brackets> anywhere in a file's tables, and name it: "contracts treasury <…>".

    An address is made up for "<address of …>", 32 bytes for anything else; different ones in different places.
    """
    places = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in list(places):
        name = f"{key + 1}" if isinstance(key, int) else key
        here = f"{where} {value.get('name') or name if isinstance(value, dict) else name}".strip()
        if isinstance(value, str) and re.fullmatch(r"<.+>", value):
            made_up = bytes(keccak(text=f"blank {here}")).hex()
            data[key] = "0x" + made_up[:40] if value.startswith("<address") else STREAM_SCHEMA + made_up[4:]
            yield f"{here} {value}"
        else:
            yield from fill_blanks(value, here)


def _check_governance(governance: Governance, file: str) -> None:
    where = f"{file}: governance"
    if governance.admin_delay < governance.risk_delay:
        raise UserError(f"{where}: admin_delay is shorter than risk_delay; ADMIN can grant RISK, so it waits as long")
    if governance.listing_delay < governance.risk_delay:
        raise UserError(f"{where}: listing_delay is shorter than risk_delay; sources are as much of a risk")


def _check_needs(contracts: Mapping[str, str], markets: tuple[Market, ...], file: str) -> None:
    for market in markets:
        for place, source in enumerate(market.sources, start=1):
            needed = NEEDS.get(source.kind)
            if needed is not None and not int(contracts[needed], 16):
                where = f"{file}: {market.name} oracle: source {place}"
                raise UserError(f"{where}: kind {source.kind} needs {needed} in [contracts], the vendor's address")


def _markets(data: Any, file: str) -> tuple[Market, ...]:
    if not isinstance(data, list) or not data:
        raise UserError(f"{file}: market must be one [[market]] at least")
    if len(data) > MAX_MARKETS:
        raise UserError(f"{file}: {len(data)} markets; the contracts allow {MAX_MARKETS}")
    markets = tuple(_market(place, one, file) for place, one in enumerate(data, start=1))
    if len({market.name for market in markets}) < len(markets):
        raise UserError(f"{file}: two markets have the same name")
    if (total := sum(market.weight_bps for market in markets)) != 10_000:
        raise UserError(f"{file}: the markets' pool weights add up to {total / 100:g}%, not to 100%")
    return markets


def _market(market_id: int, data: Any, file: str) -> Market:
    where = f"{file}: market {market_id}"
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: must be a table; write [[market]]")
    refuse_unknown(data, {*MARKET, *MARKET_SECTIONS, "orders", "oracle", "pool"}, where)
    own = read_section(MARKET, {key: data[key] for key in MARKET if key in data}, where)
    where = f"{file}: {own['name']}"
    for section in (*MARKET_SECTIONS, "orders", "oracle", "pool"):
        if section not in data:
            raise UserError(f"{where}: {section} is missing")
    values: dict[str, Any] = {"isolated_only": own["isolated_only"]}
    for section, table in MARKET_SECTIONS.items():
        values |= read_section(table, data[section], f"{where} {section}")
    params = MarketParams(**values)
    _check_market(params, where)
    oracle_data = data["oracle"]
    if not isinstance(oracle_data, Mapping):
        raise UserError(f"{where} oracle: must be a table ([market.oracle])")
    oracle_where = f"{where} oracle"
    sources = _sources(oracle_data.get("source"), oracle_where)
    rules = Rules(
        **read_section(ORACLE, {key: value for key, value in oracle_data.items() if key != "source"}, oracle_where)
    )
    _check_oracle(rules, sources, oracle_where)
    return Market(
        id=market_id,
        name=own["name"],
        scale=own["scale"],
        params=params,
        orders=OrderParams(**read_section(ORDERS, data["orders"], f"{where} orders")),
        oracle=rules,
        sources=sources,
        weight_bps=read_section(POOL_SHARE, data["pool"], f"{where} pool")["weight_bps"],
    )


def _check_market(p: MarketParams, where: str) -> None:
    """The rules between parameters, as the contracts' Bounds has them."""

    def require(holds: bool, message: str) -> None:
        if not holds:
            raise UserError(f"{where}: {message}")

    require(p.im_base_bps + p.penalty_bps >= 200, "im_base and penalty together are under 2%; leverage ends at 50x")
    require(p.maker_bps <= p.taker_bps, "the maker fee is above the taker fee")
    require(p.insurance_share_bps + p.treasury_share_bps <= 10_000, "insurance_share and treasury_share exceed 100%")
    require(p.rate_at_full_bps >= p.rate_at_kink_bps, "rate_at_full is below rate_at_kink")
    cushion = p.im_base_bps * p.mm_fraction_bps
    require(
        cushion >= p.max_skew_bps * 10_000,
        f"im_base × mm_fraction is {cushion / 1e6:.2f}%, less than max_skew {p.max_skew_bps / 100:g}%: "
        "maintenance must cover the impact of a close-out",
    )
    room = p.im_base_bps * (10_000 - p.mm_fraction_bps) - p.penalty_bps * 10_000
    require(room > 0, "penalty is not below im_base × (1 − mm_fraction): a new position would be liquidatable at once")
    require(
        p.min_position_usd * 100 * room >= 2 * p.keeper_min_cents * 10**8,
        f"min_position is under ${-(-2 * p.keeper_min_cents * 10**6 // room):,}, "
        "2 × keeper_min / (im_base × (1 − mm_fraction) − penalty)",
    )


def _sources(data: Any, where: str) -> tuple[Source, ...]:
    if not isinstance(data, list) or not data:
        raise UserError(f"{where}: source is missing; write [[market.oracle.source]] for each")
    found = []
    for place, one in enumerate(data, start=1):
        at = f"{where}: source {place}"
        if not isinstance(one, Mapping) or "kind" not in one:
            raise UserError(f"{at}: kind is missing")
        kind = SOURCE_KIND.read(one["kind"], f"{at}: kind")
        values = read_section(SOURCES[kind], {key: value for key, value in one.items() if key != "kind"}, at)
        found.append(_source(kind, values, at))
    return tuple(found)


def _source(kind: str, values: Mapping[str, Any], at: str) -> Source:
    if kind == "api3":
        label = f"API3 {values['feed']} by {values['airnode']}"
        return Source(kind, beacon_id(values["airnode"], values["feed"], values["template"]), 0, label)
    if kind == "datastreams":
        if not values["stream"].startswith(STREAM_SCHEMA):
            raise UserError(f"{at}: stream {values['stream']} is not of schema 3; the ids of those begin with 0x0003")
        return Source(kind, values["stream"], 0, f"Data Streams {values['stream']}")
    if kind == "pyth":
        return Source(kind, values["price_id"], 0, f"Pyth {values['price_id']}")
    if kind == "chainlink":
        feed_id = "0x" + values["feed"][2:].lower().rjust(64, "0")
        return Source(kind, feed_id, values["max_age"], f"Chainlink {values['feed']}")
    if values["max_age"] <= values["window"]:
        raise UserError(f"{at}: max_age is not longer than window; an average is as old as its window at least")
    inverted = values["base"] == "token1"
    pool, window = values["pool"], values["window"]
    feed_id = pool_feed_id(pool, window, values["decimals0"], values["decimals1"], inverted=inverted)
    return Source(kind, feed_id, values["max_age"], f"Uniswap {pool} over {window} s")


def _check_oracle(rules: Rules, sources: tuple[Source, ...], where: str) -> None:
    pulls = [source for source in sources if not source.is_push]
    if not MIN_PULL_SOURCES <= len(pulls) <= len(sources) <= MAX_SOURCES:
        raise UserError(
            f"{where}: {len(pulls)} pull of {len(sources)} sources; "
            f"{MIN_PULL_SOURCES} pull sources at least and {MAX_SOURCES} in all at most"
        )
    if list(sources[: len(pulls)]) != pulls:
        raise UserError(f"{where}: a push source stands before a pull source; pull sources come first")
    kinds = [source.kind for source in sources]
    for place, kind in enumerate(kinds):
        if kind in kinds[:place] and kinds[place - 1] != kind:
            raise UserError(f"{where}: source {place + 1}: sources of one kind stand together; move it to the others")
    if len({(source.kind, source.feed_id) for source in sources}) < len(sources):
        raise UserError(f"{where}: the same source stands there twice")
    if not len(pulls) // 2 + 1 <= rules.quorum <= len(pulls) - 1:
        raise UserError(f"{where}: quorum is {rules.quorum}; a majority of the {len(pulls)} pull sources, and not all")
    if rules.open_confidence_bps > rules.max_confidence_bps:
        raise UserError(f"{where}: open_confidence is above max_confidence")
    if rules.bound_reduce_bps > rules.bound_refuse_bps:
        raise UserError(f"{where}: bound_reduce is above bound_refuse")
