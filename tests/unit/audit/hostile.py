"""A token that calls back, and a contract that uses the call: the few dozen instructions that an attacker deploys.

mallory = Reentrant.deploy(core)
mallory.on_transfer(core.vault, core.vault.withdraw.encode(mallory.account, 1, mallory.address))
mallory.send(core.vault, core.vault.withdraw.encode(...))   # in the middle of this, the other one happens
assert not mallory.succeeded
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.core import Core, account_id, actor
from tests.support.evm import ANYONE, Contract, Evm

TRANSFER, TRANSFER_FROM = 0xA9059CBB, 0x23B872DD
IMPLEMENTATION = "0x" + "1a" * 20

OPCODES = {
    "STOP": 0x00, "ADD": 0x01, "SUB": 0x03, "EQ": 0x14, "ISZERO": 0x15, "OR": 0x17, "SHR": 0x1C, "CALLER": 0x33,
    "CALLDATALOAD": 0x35, "CALLDATASIZE": 0x36, "CALLDATACOPY": 0x37, "CODECOPY": 0x39, "RETURNDATASIZE": 0x3D,
    "RETURNDATACOPY": 0x3E, "POP": 0x50, "MLOAD": 0x51, "MSTORE": 0x52, "SLOAD": 0x54, "SSTORE": 0x55, "JUMPI": 0x57,
    "GAS": 0x5A, "JUMPDEST": 0x5B, "PUSH0": 0x5F, "PUSH2": 0x61, "PUSH32": 0x7F, "DUP1": 0x80, "SWAP1": 0x90,
    "CALL": 0xF1, "RETURN": 0xF3, "DELEGATECALL": 0xF4, "REVERT": 0xFD,
}  # fmt: skip

_ANSWER = "RETURNDATASIZE PUSH0 PUSH0 RETURNDATACOPY"
_HOOK = "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 $hook GAS CALL POP"
_ITSELF = "PUSH0 PUSH0 CALLDATASIZE PUSH0 $implementation GAS DELEGATECALL"

# transfers call the hook before and after them; all else is as it was
TOKEN = f"""
    CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY
    PUSH0 CALLDATALOAD $224 SHR DUP1 $transfer EQ SWAP1 $transferFrom EQ OR ISZERO @quiet JUMPI
    {_HOOK} {_ITSELF} ISZERO @refused JUMPI {_HOOK}
    $1 PUSH0 MSTORE $32 PUSH0 RETURN
    quiet: {_ITSELF} {_ANSWER} @done JUMPI
    RETURNDATASIZE PUSH0 REVERT
    done: RETURNDATASIZE PUSH0 RETURN
    refused: {_ANSWER} RETURNDATASIZE PUSH0 REVERT
"""

# called by the token, the first time: makes its call, keeps whether that succeeded (slot 1) and its answer (slot 2);
# called by anyone else: forwards the rest of the data to the address in its first word
ATTACKER = f"""
    CALLER $token EQ @hook JUMPI
    $32 CALLDATASIZE SUB $32 PUSH0 CALLDATACOPY
    PUSH0 PUSH0 $32 CALLDATASIZE SUB PUSH0 PUSH0 PUSH0 CALLDATALOAD GAS CALL {_ANSWER} @done JUMPI
    RETURNDATASIZE PUSH0 REVERT
    done: RETURNDATASIZE PUSH0 RETURN
    hook: PUSH0 SLOAD @idle JUMPI
    $1 PUSH0 SSTORE
    $size $offset PUSH0 CODECOPY
    $32 PUSH0 $size PUSH0 PUSH0 $target GAS CALL $1 ADD $1 SSTORE
    PUSH0 MLOAD $2 SSTORE
    idle: STOP
"""


def assemble(program: str, **values: int) -> bytes:
    """Code of mnemonics; `$name` pushes a value of the arguments or a number, `@label` the place of `label:`."""
    code, places, wanted = bytearray(), dict[str, int](), list[tuple[int, str]]()
    for word in program.split():
        if word.endswith(":"):
            places[word[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif word.startswith("@"):
            wanted.append((len(code) + 1, word[1:]))
            code += bytes([OPCODES["PUSH2"], 0, 0])
        elif word.startswith("$"):
            value = int(word[1:]) if word[1:].isdigit() else values[word[1:]]
            code += bytes([OPCODES["PUSH32"]]) + value.to_bytes(32, "big")
        else:
            code.append(OPCODES[word])
    for at, label in wanted:
        code[at : at + 2] = places[label].to_bytes(2, "big")
    return bytes(code)


@dataclass
class Reentrant:
    """An owner of accounts whose code the token calls before and after every transfer."""

    evm: Evm
    token: Contract
    address: str

    @classmethod
    def deploy(cls, core: Core) -> Reentrant:
        """From now on the core's token calls back."""
        mallory = cls(core.evm, core.token, actor("mallory"))
        core.evm.set_code(IMPLEMENTATION, core.evm.code(core.token.address))
        called = {"hook": int(mallory.address, 16), "implementation": int(IMPLEMENTATION, 16)}
        core.evm.set_code(core.token.address, assemble(TOKEN, transfer=TRANSFER, transferFrom=TRANSFER_FROM, **called))
        return mallory

    @property
    def account(self) -> int:
        return account_id(self.address)

    def on_transfer(self, target: Contract, data: bytes) -> None:
        """What to call, once, when the token calls next."""
        values = {"token": int(self.token.address, 16), "target": int(target.address, 16), "size": len(data)}
        offset = len(assemble(ATTACKER, offset=0, **values))
        self.evm.set_code(self.address, assemble(ATTACKER, offset=offset, **values) + data)
        for slot in range(3):
            self.evm.set_storage(self.address, slot, 0)

    def send(self, target: Contract, data: bytes) -> bytes:
        """Call as this contract."""
        return self.evm.call_raw(ANYONE, self.address, bytes.fromhex(target.address[2:]).rjust(32, b"\0") + data)

    @property
    def succeeded(self) -> bool:
        """Whether the call in the middle succeeded; an error if there was none."""
        outcome = self.evm.storage(self.address, 1)
        assert outcome, "the token never called"
        return outcome == 2

    @property
    def answer(self) -> int:
        """The first word of what the call in the middle returned."""
        return self.evm.storage(self.address, 2)
