import pytest
from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import keccak

from plimsoll.core.errors import UserError
from plimsoll.sdk.oracle import Publisher, beacon_id, encode_price, price_item, template_id

KEYS = [bytes([number]) * 32 for number in (1, 2, 3)]
NOW = 1_700_000_000
WAD = 10**18


@pytest.fixture
def publisher() -> Publisher:
    return Publisher.from_keys(KEYS, "ETH/USD")


def test_publisher__from_keys__knows_its_beacons(publisher: Publisher) -> None:
    addresses = [Account.from_key(key).address for key in KEYS]
    assert publisher.template == keccak(text="ETH/USD") == template_id("ETH/USD")
    assert list(publisher.feed_ids) == [keccak(bytes.fromhex(a[2:]) + publisher.template) for a in addresses]
    assert publisher.feed_ids[0] == beacon_id(addresses[0].lower(), publisher.template)


def test_item__prices_for_each__is_signed_by_each(publisher: Publisher) -> None:
    market, payloads = decode(["uint256", "bytes[]"], publisher.item(7, [WAD, -WAD, 0], [NOW, NOW + 1, NOW + 2]))
    assert market == 7
    for index, payload in enumerate(payloads):
        airnode, template, at, data, signature = decode(["address", "bytes32", "uint256", "bytes", "bytes"], payload)
        digest = keccak(template + at.to_bytes(32, "big") + data)
        assert Account.recover_message(encode_defunct(digest), signature=signature).lower() == airnode
        assert airnode == publisher.signers[index].address.lower()
        assert (template, at) == (publisher.template, NOW + index)
        assert int.from_bytes(data, "big", signed=True) == (WAD, -WAD, 0)[index]


def test_payloads__none__brings_nothing_for_that_signer(publisher: Publisher) -> None:
    payloads = publisher.payloads([WAD, None, WAD], NOW)
    assert payloads[1] == b""
    assert payloads[0] == publisher.payload(0, WAD, NOW)


def test_payloads__one_price__is_everyones(publisher: Publisher) -> None:
    assert publisher.payloads(WAD, NOW) == publisher.payloads([WAD] * 3, [NOW] * 3)


@pytest.mark.parametrize(("prices", "times"), [([WAD], NOW), (WAD, [NOW] * 4)])
def test_payloads__wrong_number__is_refused(
    publisher: Publisher, prices: int | list[int | None], times: int | list[int]
) -> None:
    with pytest.raises(UserError, match="for 3 signers"):
        publisher.payloads(prices, times)


@pytest.mark.parametrize("price", [2**223, -(2**223) - 1])
def test_encode_price__out_of_range__is_refused(price: int) -> None:
    with pytest.raises(UserError, match="int224"):
        encode_price(price)
    assert encode_price(2**223 - 1)
    assert encode_price(-(2**223))


def test_price_item__no_payloads__names_the_market_only() -> None:
    assert decode(["uint256", "bytes[]"], price_item(3)) == (3, ())
