from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.chain.transactions import KeyWallet
from plimsoll.replay.keys import Key

secrets = st.binary(min_size=32, max_size=32).filter(lambda secret: 0 < int.from_bytes(secret, "big") < 2**255)


@given(secrets, st.binary(min_size=32, max_size=32))
def test_unsafe_sign_hash__any_key__is_what_eth_account_signs(secret: bytes, digest: bytes) -> None:
    key = Key(secret)
    assert key.address == Account.from_key(secret).address
    assert key.unsafe_sign_hash(digest).signature == bytes(Account.from_key(secret).unsafe_sign_hash(digest).signature)


@given(secrets, st.integers(0, 2**32), st.binary(max_size=300), st.booleans())
def test_sign__any_transaction__is_what_a_wallet_signs(secret: bytes, nonce: int, data: bytes, creates: bool) -> None:
    fields = {
        "chainId": 901,
        "nonce": nonce,
        "value": nonce // 2,
        "data": data,
        "gas": 21_000,
        "maxFeePerGas": 10**9,
        "maxPriorityFeePerGas": nonce % 3,
    }
    if not creates:
        fields["to"] = "0x" + "11" * 20
    assert Key(secret).sign(fields) == KeyWallet(secret).sign(fields)


def test_named__two_names__two_keys_that_stay() -> None:
    assert Key.named("a").address == Key.named("a").address != Key.named("b").address
    assert Key.named("a").number == int(Key.named("a").address, 16)
