"""The settlement token on L2: what the bridge's factory makes of the one on L1."""

from __future__ import annotations

from eth_abi import encode
from eth_utils import keccak

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Chain
from plimsoll.devnet.opstack.contracts import bedrock_interface, creation, deployed
from plimsoll.devnet.opstack.layer1 import token_address
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS

NAME, SYMBOL, DECIMALS = "USD Coin", "USDC", 6
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


def create_bridged_token() -> Call:
    """A call that creates it; anyone may send it, once."""
    function = bedrock_interface(_FACTORY).function("createOptimismMintableERC20WithDecimals")
    data = function.encode([token_address(), NAME, SYMBOL, DECIMALS])
    return Call(PREDEPLOYS[_FACTORY], data, gas=3_000_000, label="USDC")
