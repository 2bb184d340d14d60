import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.errors import UserError

OWNER = "0x" + "ab" * 20


@given(st.integers(1, ids.MAX_OWNER), st.integers(0, ids.MAX_MARKET), st.integers(0, ids.MAX_INDEX))
def test_pack__any_parts__unpack_gives_them_back(owner: int, market: int, index: int) -> None:
    account = ids.pack(owner, market, index)
    parts = ids.unpack(account)
    assert 0 < account < 2**256
    assert (int(parts.owner, 16), parts.isolated_market, parts.index) == (owner, market, index)
    assert parts.pack() == account
    assert parts.is_cross == (market == 0)


def test_pack__known_parts__lie_in_their_bits() -> None:
    assert ids.pack(OWNER, 2, 7) == int("ab" * 20 + "00000002" + "0000000000000007", 16)
    assert ids.owner_of(ids.pack(OWNER.upper().replace("0X", "0x"))) == OWNER


@pytest.mark.parametrize(
    ("owner", "market", "index", "reason"),
    [
        (0, 0, 0, "zero address"),
        (2**160, 0, 0, "owner"),
        (-1, 0, 0, "owner"),
        (OWNER, 2**32, 0, "isolated market"),
        (OWNER, -1, 0, "isolated market"),
        (OWNER, 0, 2**64, "index"),
        (OWNER, 0, True, "index"),
        ("0x1234", 0, 0, "40 hexadecimal digits"),
        ("0x" + "zz" * 20, 0, 0, "40 hexadecimal digits"),
        ("0x" + "_a" * 20, 0, 0, "40 hexadecimal digits"),
        ("0x" + "+a" * 20, 0, 0, "40 hexadecimal digits"),
    ],
)
def test_pack__part_out_of_range__names_the_part(owner: str | int, market: int, index: int, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        ids.pack(owner, market, index)


@pytest.mark.parametrize("account", [-1, 2**256, 5, 2**96 - 1])
def test_unpack__no_account__raises(account: int) -> None:
    with pytest.raises(UserError, match="account id"):
        ids.unpack(account)


def test_parse_account__decimal_and_hex__agree() -> None:
    account = ids.pack(OWNER, 1, 3)
    assert ids.parse_account(str(account)) == ids.parse_account(hex(account)) == account
    with pytest.raises(UserError, match="not a number"):
        ids.parse_account("mine")


def test_describe__both_kinds__says_the_kind() -> None:
    assert ids.describe(ids.pack(OWNER)) == f"{OWNER} cross #0"
    assert ids.describe(ids.pack(OWNER, 2, 1)) == f"{OWNER} isolated market 2 #1"
