"""Whether the code on the chain is what this checkout compiles.

Two comparisons: modulo immutables, which needs nothing but the artifact, and exact, against what the chain itself
returns for the creation code. In the exact one only what depends on the contract's own address may differ.
"""

from __future__ import annotations

from collections.abc import Iterator

from eth_utils import keccak

from plimsoll.chain.contracts import Deployed, artifact, created_address
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Chain, Reverted
from plimsoll.core.errors import UserError

PROBE = "0x" + "70726f6265".rjust(40, "0")
"""A sender without transactions, for whom contracts are created in calls that leave nothing behind."""

_PUSH1, _PUSH32 = 0x60, 0x7F
_DOMAIN = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def code_hash(code: bytes) -> str:
    """keccak-256, as explorers show it."""
    return "0x" + bytes(keccak(code)).hex()


def immutable_places(runtime: bytes) -> list[int]:
    """Where the compiler left room for immutables: the 32 zero bytes behind a PUSH32."""
    return [at for at, value in _words(runtime) if not any(value)]


def is_same_code(name: str, code: bytes) -> bool:
    """Whether `code` is the compiled contract's, whatever its immutables are."""
    compiled = artifact(name).runtime
    if len(code) != len(compiled):
        return False
    masked = bytearray(code)
    for at in immutable_places(compiled):
        masked[at : at + 32] = bytes(32)
    return bytes(masked) == compiled


def expected_code(chain: Chain, name: str, creation: bytes, address: str) -> bytes:
    """The runtime code, immutables and all, that `creation` gives at `address` (asked of the chain, nothing is sent).

    Raises UserError if the constructor reverts.
    """
    try:
        code = bytes.fromhex(
            chain.rpc.call("eth_call", {"from": PROBE, "data": "0x" + creation.hex()}, "latest").removeprefix("0x")
        )
    except RpcError as error:
        reason = chain.reverted(error)
        raise UserError(
            f"{name}: its constructor fails on this chain ({reason if isinstance(reason, Reverted) else error})"
        ) from None
    return _moved(chain, name, code, created_address(PROBE, chain.nonce(PROBE)), address)


def _moved(chain: Chain, name: str, code: bytes, origin: str, address: str) -> bytes:
    """`code` as it would be at another address: immutables that hold the address itself or an EIP-712 domain."""
    swaps = {_word(origin): _word(address)}
    compiled = artifact(name)
    if any(entry.get("name") == "eip712Domain" for entry in compiled.abi):
        domain = Deployed.of(name, address, chain).call("eip712Domain")
        swaps[_separator(domain, origin)] = _separator(domain, address)
    moved = bytearray(code)
    for at in immutable_places(compiled.runtime):
        value = bytes(code[at : at + 32])
        moved[at : at + 32] = swaps.get(value, value)
    return bytes(moved)


def _separator(domain: tuple[object, ...], address: str) -> bytes:
    """EIP-712's domain separator from what `eip712Domain` returns, for another verifying contract."""
    _, name, version, chain_id = domain[:4]
    return bytes(
        keccak(
            _DOMAIN
            + keccak(text=str(name))
            + keccak(text=str(version))
            + int(str(chain_id)).to_bytes(32, "big")
            + _word(address)
        )
    )


def _word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def _words(code: bytes) -> Iterator[tuple[int, bytes]]:
    """Position and value of what each PUSH32 pushes."""
    at = 0
    while at < len(code):
        opcode = code[at]
        if opcode == _PUSH32:
            yield at + 1, code[at + 1 : at + 33]
        at += 1 + max(0, opcode - _PUSH1 + 1 if _PUSH1 <= opcode <= _PUSH32 else 0)
