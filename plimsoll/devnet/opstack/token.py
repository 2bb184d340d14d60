"""The settlement token on L2: what the bridge's factory makes of the one on L1."""

from __future__ import annotations

import secrets

from eth_abi import encode
from eth_utils import keccak

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Chain, Receipt, Signer
from plimsoll.devnet.accounts import dev_account
from plimsoll.devnet.opstack.contracts import bedrock_interface, creation, deployed
from plimsoll.devnet.opstack.layer1 import proxies, token_address
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS, install_predeploys
from plimsoll.devnet.opstack.sequencer import Sequencer
from plimsoll.sdk.rollup.derivation import Deposit

NAME, SYMBOL, DECIMALS = "USD Coin", "USDC", 6
MINT_GAS = 200_000
_FACTORY = "OptimismMintableERC20Factory"


def bridged_token_address() -> str:
    """Fixed by the factory and the token on L1 (CREATE2)."""
    salt = keccak(encode(["address", "string", "string", "uint8"], [token_address(), NAME, SYMBOL, DECIMALS]))
    code = creation("OptimismMintableERC20", PREDEPLOYS["L2StandardBridge"], token_address(), NAME, SYMBOL, DECIMALS)
    hashed = keccak(b"\xff" + bytes.fromhex(PREDEPLOYS[_FACTORY][2:]) + salt + keccak(code))
    return address_of(bytes(hashed[12:]))


def bridged_token(l2: Chain) -> Deployed:
    """The token on an L2."""
    return deployed("OptimismMintableERC20", bridged_token_address(), l2)


def prepare_bridged_token(l2: Chain) -> Receipt | None:
    """The predeploys and the token, wherever they are missing on an L2; the receipt where the token was created.

    The account "faucet" creates it. It is the same with an L1 and without: whatever uses it finds it at one address.
    """
    at = proxies()
    install_predeploys(l2, messenger=at["L1CrossDomainMessenger"], bridge=at["L1StandardBridge"])
    if l2.code(bridged_token_address()):
        return None
    faucet = Signer(l2, dev_account("faucet").key, name="faucet")
    return faucet.send_many([_create_bridged_token()], check=True)[0]


def mint_unbacked(l2: Chain, to: str, amount: int) -> Receipt:
    """Mint token units on an L2 that has no L1: a deposit transaction in the bridge's name. Needs the OP stack's rules.

    Raises Reverted.
    """
    token = bridged_token(l2)
    data = token.encode("mint", to, amount)
    source = secrets.token_bytes(32)  # any that was never used; there is no L1 to take it from
    deposit = Deposit(source, PREDEPLOYS["L2StandardBridge"], token.address, 0, 0, MINT_GAS, data)
    receipt = Sequencer(l2).include(deposit)
    if not receipt.ok:
        raise l2.why(receipt)
    return receipt


def _create_bridged_token() -> Call:
    function = bedrock_interface(_FACTORY).function("createOptimismMintableERC20WithDecimals")
    data = function.encode([token_address(), NAME, SYMBOL, DECIMALS])
    return Call(PREDEPLOYS[_FACTORY], data, gas=3_000_000, label="USDC")
