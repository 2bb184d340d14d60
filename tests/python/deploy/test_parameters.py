import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy import parameters
from plimsoll.deploy.parameters import FOLDER, Parameters, beacon_id, load, parse
from plimsoll.deploy.plan import CONTRACTS, contracts_of
from plimsoll.devnet.uniswap import feed_id
from plimsoll.risk.config import MarketParams
from plimsoll.sdk import oracle

DEVNET = (FOLDER / "devnet.toml").read_text()
FILE = Path("test.toml")


def changed(*changes: tuple[str, str]) -> str:
    """The devnet's file with the first of each text replaced."""
    text = DEVNET
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def refusal(*changes: tuple[str, str]) -> str:
    with pytest.raises(UserError) as caught:
        parse(changed(*changes), FILE)
    message = str(caught.value)
    assert "\n" not in message
    return message


LIVE = {"optimism-mainnet": 10, "optimism-sepolia": 11_155_420, "base-mainnet": 8_453}


@pytest.mark.parametrize("network", parameters.networks())
def test_load__every_network__parses(network: str) -> None:
    loaded = load(network, blanks=True)
    assert loaded.network == network
    assert sum(market.weight_bps for market in loaded.markets) == 10_000
    assert bool(loaded.blanks) == (network in LIVE)


@pytest.mark.parametrize(("network", "chain_id"), LIVE.items())
def test_load__live_network__has_what_is_public_and_names_what_is_blank(network: str, chain_id: int) -> None:
    loaded = load(network, blanks=True)
    assert (loaded.chain_id, loaded.development, loaded.token_decimals) == (chain_id, False, 6)
    assert loaded.rollup is not None
    assert loaded.rollup.bridge == "0x4200000000000000000000000000000000000010"
    for market in loaded.markets:
        assert [source.kind for source in market.sources] == ["api3", "datastreams", "pyth", "chainlink"]
    with pytest.raises(UserError) as refused:
        load(network)
    assert str(refused.value) == f"{network}.toml is not filled in: " + "; ".join(loaded.blanks)
    # who governs, and whose beacons are taken, is a decision; nothing else is left open
    assert {blank.split(" <")[0] for blank in loaded.blanks} == {
        "contracts treasury",
        "governance governor",
        "governance risk 1",
        "governance listing 1",
        "governance guardian 1",
        *(
            f"market {name} oracle source 1 {what}"
            for name in ("ETH/USD", "BTC/USD")
            for what in ("airnode", "template")
        ),
    }


@pytest.mark.parametrize("network", LIVE)
def test_live_network__every_address__names_its_source(network: str) -> None:
    """On its own line, or in the comment right before it; predeploys' are said once."""
    lines = (FOLDER / f"{network}.toml").read_text().splitlines()
    section, is_explained = "", False
    for line in lines:
        if line.startswith("["):
            section, is_explained = line, "#" in line
        elif line.startswith("#"):
            is_explained = True
        elif re.search(r'"0x[0-9a-fA-F]{40,}"', line):
            assert "#" in line or (is_explained and section.startswith(("[contracts]", "[rollup]"))), line


def test_parse__blanks__are_made_up_and_all_different() -> None:
    loaded = parse((FOLDER / "template.toml").read_text(), FILE, blanks=True)
    governance = loaded.governance
    made_up = [loaded.token, loaded.treasury, governance.governor, *governance.risk, *governance.guardian]
    assert len(set(made_up)) == len(made_up) == 5
    assert len(loaded.blanks) == 15
    assert "market ETH/USD oracle source 4 feed <address of Chainlink's ETH/USD feed>" in loaded.blanks


def test_parse__rollup_and_what_to_check__are_no_part_of_what_is_deployed() -> None:
    section = """
[rollup]
l1_chain_id = 1
portal = "0xbEb5Fc579115071764c7423A4f12eDde41f106Ed"
l1_messenger = "0x25ace71c97B33Cc4729CF772ae268934F7ab5fA1"
l1_bridge = "0x99C9fc46f92E8a1c0deC1b1747d010903E884bE1"
messenger = "0x4200000000000000000000000000000000000007"
bridge = "0x4200000000000000000000000000000000000010"
l1_token = "none"
"""
    checked = ("[governance]", 'token_symbol = "USDC"\ntoken_decimals = 6\n\n[governance]')
    with_rollup = parse(changed(checked) + section, FILE)
    assert (with_rollup.token_symbol, with_rollup.token_decimals) == ("USDC", 6)
    assert with_rollup.rollup is not None
    assert int(with_rollup.rollup.l1_token, 16) == 0
    assert with_rollup.digest == parse(DEVNET, FILE).digest
    with pytest.raises(UserError, match="rollup: portal is missing"):
        parse(DEVNET + "\n[rollup]\nl1_chain_id = 1\n", FILE)


def test_beacon_id__a_template__counts_instead_of_the_name() -> None:
    airnode = "0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25"
    template = "0x" + "ab" * 32
    assert bytes.fromhex(beacon_id(airnode, "ETH/USD", template)[2:]) == oracle.beacon_id(airnode, b"\xab" * 32)


def test_load__devnet__values_in_the_contracts_units() -> None:
    loaded = load("devnet")
    eth, btc = loaded.markets
    assert (loaded.chain_id, loaded.development, loaded.gas_market) == (901, True, 1)
    assert (eth.id, eth.name, eth.scale, btc.id) == (1, "ETH/USD", 400_000 * WAD, 2)
    assert eth.params == MarketParams(max_skew_bps=250, rate_at_kink_bps=2, rate_at_full_bps=20)
    assert (btc.params.penalty_bps, btc.oracle.dispersion_bps, btc.oracle.open_confidence_bps) == (60, 40, 20)
    assert (eth.orders.execution_fee, eth.orders.fee_reserve_bps) == (WAD // 2, 6)
    assert [source.is_push for source in eth.sources] == [False, False, False, True, True]
    assert (loaded.governance.admin_delay, loaded.governance.risk_delay) == (7 * 86_400, 2 * 86_400)


def test_load__local__is_the_devnet_on_another_chain() -> None:
    devnet, local = load("devnet"), load("local")
    assert devnet.chain_id != local.chain_id
    assert (devnet.markets, devnet.token, devnet.governance) == (local.markets, local.token, local.governance)


def test_load__no_file__names_the_template() -> None:
    with pytest.raises(UserError, match=r"no parameters for nowhere: .* copy template.toml and fill it in"):
        load("nowhere")


def test_load__a_path__works(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(DEVNET)
    assert load(str(file)).network == "mine"


def test_template__filled_in__parses() -> None:
    template = (FOLDER / "template.toml").read_text()
    numbers = iter(range(1, 100))
    filled = re.sub(r"<[^>]*address[^>]*>", lambda _: f"0x{next(numbers):040x}", template)
    filled = filled.replace("<id of the ETH/USD stream>", STREAM)
    loaded = parse(filled, FILE)
    assert (loaded.chain_id, loaded.development, len(loaded.markets)) == (10, False, 1)


def test_template__as_it_is__names_every_blank() -> None:
    with pytest.raises(UserError, match=r"^template.toml is not filled in: contracts token <address of the settlement"):
        load("template")


def test_template__every_key_of_the_devnet__is_in_it() -> None:
    def keys(text: str) -> set[str]:
        return set(re.findall(r"^(\w+) =", text, re.MULTILINE))

    assert keys((FOLDER / "template.toml").read_text()) == keys(DEVNET)


def test_digest__comments_and_layout__do_not_matter() -> None:
    same = re.sub(r" +#.*", "", DEVNET).replace('"$1_000"', '"$1000"')
    assert parse(same, FILE).digest == parse(DEVNET, Path("other.toml")).digest


@pytest.mark.parametrize(
    "change",
    [
        ('penalty = "0.75%"', 'penalty = "0.74%"'),
        ('admin_delay = "7 days"', 'admin_delay = "8 days"'),
        ('max_age = "2 min"', 'max_age = "3 min"'),
        ("chain_id = 901", "chain_id = 902"),
        ('name = "Plimsoll Pool"', 'name = "Another Pool"'),
    ],
)
def test_digest__any_value__matters(change: tuple[str, str]) -> None:
    assert parse(changed(change), FILE).digest != parse(DEVNET, FILE).digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("chain_id = 901", "chain_id = 901\ncolour = 1"), "unknown key colour; remove it"),
        (("chain_id = 901", ""), "chain_id is missing"),
        (("[pool]", "[pol]"), "unknown key pol; did you mean pool?"),
        (("im_base =", "im_bsae ="), "ETH/USD margin: unknown key im_bsae; did you mean im_base?"),
        (('penalty = "0.75%"', ""), "ETH/USD margin: penalty is missing"),
        (('penalty = "0.75%"', 'penalty = "4%"'), "ETH/USD margin: penalty is 4%; allowed is 0.01% to 3%"),
        (('keeper_min = "$2"', 'keeper_min = "$101"'), "ETH/USD margin: keeper_min is $101; allowed is $0 to $100"),
        (('grace = "5 min"', 'grace = "1 h"'), "sequencer: grace is 1 h; allowed is 1 min to 30 min"),
        (('deposit_delay = "10 s"', 'deposit_delay = "1 s"'), "pool: deposit_delay is 1 s; allowed is 5 s to 1 day"),
        (("[market.orders]", "[market.order]"), "market 1: unknown key order; did you mean orders?"),
        (('maker = "0.02%"', 'maker = "0.07%"'), "ETH/USD: the maker fee is above the taker fee"),
        (
            ('insurance_share = "20%"', 'insurance_share = "91%"'),
            "ETH/USD: insurance_share and treasury_share exceed 100%",
        ),
        (('rate_at_full = "0.2%"', 'rate_at_full = "0.01%"'), "ETH/USD: rate_at_full is below rate_at_kink"),
        (
            ('max_skew = "2.5%"', 'max_skew = "3%"'),
            "ETH/USD: im_base × mm_fraction is 2.55%, less than max_skew 3%: "
            "maintenance must cover the impact of a close-out",
        ),
        (
            ('penalty = "0.75%"', 'penalty = "1.7%"'),
            "ETH/USD: penalty is not below im_base × (1 − mm_fraction): a new position would be liquidatable at once",
        ),
        (
            ('min_position = "$1_000"', 'min_position = "$421"'),
            "ETH/USD: min_position is under $422, 2 × keeper_min / (im_base × (1 − mm_fraction) − penalty)",
        ),
        (
            ('im_base = "4.25%"', 'im_base = "1.2%"'),
            "ETH/USD: im_base and penalty together are under 2%; leverage ends at 50x",
        ),
        (("quorum = 2", "quorum = 3"), "ETH/USD oracle: quorum is 3; a majority of the 3 pull sources, and not all"),
        (
            ('open_confidence = "0.3%"', 'open_confidence = "2%"'),
            "ETH/USD oracle: open_confidence is above max_confidence",
        ),
        (('bound_reduce = "2%"', 'bound_reduce = "20%"'), "ETH/USD oracle: bound_reduce is above bound_refuse"),
        (
            ('kind = "api3"', 'kind = "redstone"'),
            "ETH/USD oracle: source 1: kind: 'redstone' is none of api3, chainlink, datastreams, pyth, uniswap",
        ),
        (('kind = "api3"', ""), "ETH/USD oracle: source 1: kind is missing"),
        (
            (
                'airnode = "0xc1EAA3A61638Ee60E022C4640f3aB6cb9C0119e2"',
                'airnode = "0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25"',
            ),
            "ETH/USD oracle: the same source stands there twice",
        ),
        (('name = "BTC/USD"', 'name = "ETH/USD"'), "two markets have the same name"),
        (('weight = "50%"', 'weight = "49%"'), "the markets' pool weights add up to 99%, not to 100%"),
        (
            ('gas_market = "ETH/USD"', 'gas_market = "DOGE/USD"'),
            "liquidation: gas_market DOGE/USD is none of the markets ETH/USD, BTC/USD",
        ),
        (
            ('admin_delay = "7 days"', 'admin_delay = "1 day"'),
            "governance: admin_delay is shorter than risk_delay; ADMIN can grant RISK, so it waits as long",
        ),
        (
            ('listing_delay = "2 days"', 'listing_delay = "1 h"'),
            "governance: listing_delay is shorter than risk_delay; sources are as much of a risk",
        ),
    ],
)
def test_parse__wrong__one_line_that_names_it(change: tuple[str, str], message: str) -> None:
    assert refusal(change) == f"test.toml: {message}"


def test_parse__no_toml__one_line() -> None:
    assert refusal(("chain_id = 901", "chain_id: 901")).startswith("test.toml: Expected '=' after a key")


def test_parse__too_few_or_misplaced_sources__refused() -> None:
    head = "[[market.oracle.source]]\n"
    pull = head + 'kind = "api3"\nairnode = "0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25"\nfeed = "ETH/USD"\n'
    assert refusal((pull, "")) == (
        "test.toml: ETH/USD oracle: 2 pull of 4 sources; 3 pull sources at least and 8 in all at most"
    )
    push = head + 'kind = "chainlink"\nfeed = "0x00000000000000000000000000000000000000aa"\nmax_age = "1 h"\n'
    assert refusal((pull, push + pull)).endswith("a push source stands before a pull source; pull sources come first")


POOL = "0x00000000000000000000000000000000000000aa"
STREAM = "0x0003" + "ab" * 30
API3 = 'kind = "api3"\nairnode = "0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25"\nfeed = "ETH/USD"'
SECOND_API3 = API3.replace("0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25", "0xc1EAA3A61638Ee60E022C4640f3aB6cb9C0119e2")
STREAMED = f'kind = "datastreams"\nstream = "{STREAM}"'
PYTH = f'kind = "pyth"\nprice_id = "0x{"CD" * 32}"'
AVERAGE = (
    f'kind = "uniswap"\npool = "{POOL}"\nbase = "token1"\ndecimals0 = 6\ndecimals1 = 18\n'
    'window = "10 min"\nmax_age = "1 h"\n'
)
BOTH = f'data_streams = "{POOL}"\npyth = "{POOL}"\n'


def with_sources(*sources: str, contracts: str = BOTH) -> str:
    """The devnet's file with other sources in its first market, and further contracts."""
    start, end = DEVNET.index("[[market.oracle.source]]"), DEVNET.index('[[market]]\nname = "BTC/USD"')
    own = "".join(f"[[market.oracle.source]]\n{source}\n" for source in sources)
    head = re.sub(r"^data_streams.*\n", "", DEVNET[:start], flags=re.MULTILINE)
    return head.replace("[contracts]\n", f"[contracts]\n{contracts}") + own + DEVNET[end:]


def test_parse__sources_of_every_kind__ids_as_the_adapters_take_them() -> None:
    found = parse(with_sources(API3, STREAMED, PYTH, AVERAGE), FILE)
    _, stream, pyth, average = found.markets[0].sources
    assert [source.is_push for source in found.markets[0].sources] == [False, False, False, True]
    assert (stream.feed_id, pyth.feed_id) == (STREAM, "0x" + "cd" * 32)
    assert average.feed_id == "0x" + feed_id(POOL, 600, 6, 18, inverted=True).hex()
    assert (average.contract, average.pool_decimals, average.max_age) == (POOL, (6, 18), 3_600)
    assert found.source_kinds == {"api3", "chainlink", "datastreams", "pyth", "uniswap"}
    assert contracts_of(found) == (*CONTRACTS, "DataStreamsAdapter", "PythAdapter", "UniswapV3Adapter", "L2Gateway")


def test_contracts_of__no_such_source__only_what_is_always_there() -> None:
    devnet = load("devnet")
    least = [replace(one, sources=one.sources[:2] + one.sources[3:4]) for one in devnet.markets]
    assert {source.kind for one in least for source in one.sources} == {"api3", "chainlink"}
    bare = replace(devnet, markets=tuple(least), l1_gateway="0x" + "00" * 20)
    assert (bare.has_bridge, contracts_of(bare)) == (False, CONTRACTS)
    assert devnet.has_bridge
    assert contracts_of(devnet) == (*CONTRACTS, "DataStreamsAdapter", "UniswapV3Adapter", "L2Gateway")


@pytest.mark.parametrize(
    ("sources", "contracts", "message"),
    [
        (
            (API3, STREAMED, PYTH),
            "",
            "source 2: kind datastreams needs data_streams in [contracts], the vendor's address",
        ),
        (
            (API3, PYTH, STREAMED),
            f'data_streams = "{POOL}"\n',
            "source 2: kind pyth needs pyth in [contracts], the vendor's address",
        ),
        (
            (API3, STREAMED.replace("0x0003", "0x0004"), PYTH),
            BOTH,
            f"source 2: stream 0x0004{'ab' * 30} is not of schema 3; the ids of those begin with 0x0003",
        ),
        (
            (API3, STREAMED, PYTH.replace("CD", "", 1)),
            BOTH,
            f"source 3: price_id: '0x{'CD' * 31}' is no id; write 0x and 64 hexadecimal digits",
        ),
        (
            (API3, PYTH, SECOND_API3),
            BOTH,
            "source 3: sources of one kind stand together; move it to the others",
        ),
        (
            (API3, STREAMED, PYTH, AVERAGE.replace("1 h", "10 min")),
            BOTH,
            "source 4: max_age is not longer than window; an average is as old as its window at least",
        ),
        (
            (API3, STREAMED, PYTH, AVERAGE.replace("10 min", "59 s")),
            BOTH,
            "source 4: window is 59 s; allowed is 1 min to 1 day",
        ),
    ],
)
def test_parse__wrong_source__one_line_that_names_it(sources: tuple[str, ...], contracts: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(with_sources(*sources, contracts=contracts), FILE)
    assert str(refused.value) == f"test.toml: ETH/USD oracle: {message}"


def test_digest__no_such_contracts__is_as_before_there_were_any() -> None:
    named = parse(with_sources(API3, STREAMED, PYTH, AVERAGE), FILE)
    unnamed = replace(named, data_streams="0x" + "00" * 20, pyth="0x" + "00" * 20)
    assert named.digest != unnamed.digest
    assert load("devnet").digest == replace(load("devnet"), pyth="0x" + "00" * 20).digest


def test_beacon_id__as_the_publishers_sign() -> None:
    airnode = "0x5a5C99eB8ED3963194694ccd7C1Ab5fCfF879c25"
    template = oracle.template_id("ETH/USD")
    assert bytes.fromhex(beacon_id(airnode, "ETH/USD")[2:]) == oracle.beacon_id(airnode, template)


def test_require_chain__another__names_both() -> None:
    with pytest.raises(UserError, match=r"http://node is chain 10, and .*devnet.toml is for chain 901"):
        load("devnet").require_chain(10, "http://node")


def test_market__unknown__names_those_there_are() -> None:
    loaded: Parameters = load("devnet")
    find: Callable[[str], object] = loaded.market
    with pytest.raises(UserError, match=r"no market DOGE; there are ETH/USD, BTC/USD"):
        find("DOGE")
