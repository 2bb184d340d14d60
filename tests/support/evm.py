"""Contracts in an EVM inside this process, tens of thousands of calls a second.

    evm = Evm()
    token = evm.deploy("MockToken", "Dollar", "USD", 6)
    receipt = token.mint(trader, 100, sender=keeper)      # a transaction
    assert receipt.event("Transfer").args == {"from": ZERO_ADDRESS, "to": trader, "value": 100}
    assert token.balanceOf(trader) == 100                 # a view: its result
    with reverts("ERC20InsufficientBalance", trader, 100, 101):
        token.transfer(keeper, 101, sender=trader)

The limits: gas is lower than on a chain, because state that was touched once stays warm; nobody pays for it, and
contracts see a base fee and a gas price of zero. `set_code` outlives a
`restore`. A sender that is a contract is played by an account whose code is exchanged for the length of the call, so
calls back into it don't find its real functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyrevm

from plimsoll.chain.abi import AbiError, Function, Registry, address_of, checksum, parameters_codec
from plimsoll.chain.build import Artifact, load_artifacts

ZERO_ADDRESS = "0x" + "00" * 20
DEPLOYER = checksum(b"deployer".rjust(20, b"\1"))
ANYONE = checksum(b"anyone".rjust(20, b"\1"))
"""Sender of calls that name none; it has no role anywhere."""
BANK = checksum(b"bank".rjust(20, b"\1"))
"""Where ether comes from and goes to when a balance is set."""

REVERT = re.compile(r"^Revert \{ gas_used: (\d+), output: 0x([0-9a-f]*) \}$")
HALT = re.compile(r"^Halt \{ reason: (.*), gas_used: (\d+) \}$")

# calldata: target ‖ value ‖ data. Calls the target and returns or reverts with what it answers.
#   size = calldatasize - 64; calldatacopy(0, 64, size); ok = call(gas, target, value, 0, size, 0, 0)
#   returndatacopy(0, 0, returndatasize); if ok return(0, returndatasize) else revert(0, returndatasize)
FORWARDER = bytes.fromhex("604036038060405f375f5f825f6020355f355af13d5f5f3e601e573d5ffd5b3d5ff3")

MAX_SNAPSHOTS = 512  # each one counts as a call frame, of which the EVM allows 1024


class Revert(Exception):
    """A call that the contract reverted: the raw data, and name and values of the error if any contract declares it."""

    def __init__(self, data: bytes, name: str | None, values: tuple[Any, ...], gas_used: int) -> None:
        self.data = data
        self.name = name
        self.values = values
        self.gas_used = gas_used
        super().__init__(_error_text(data, name, values))


class Halt(Exception):
    """A call that the EVM stopped, such as for lack of gas."""

    def __init__(self, reason: str, gas_used: int) -> None:
        self.reason = reason
        self.gas_used = gas_used
        super().__init__(reason)


class SnapshotError(Exception):
    """A snapshot that an earlier `restore` undid, or too many at once."""


def _error_text(data: bytes, name: str | None, values: tuple[Any, ...]) -> str:
    if name is not None:
        return f"{name}({', '.join(map(str, values))})"
    return f"unknown error 0x{data.hex()}" if data else "no revert data"


class ContractType:
    """A compiled contract with its functions ready to call, made once for all its deployments."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.name = artifact.name
        self.functions: dict[str, list[Function]] = {}
        self._constructor = parameters_codec([])
        for entry in artifact.abi:
            if entry["type"] == "function":
                self.functions.setdefault(entry["name"], []).append(Function(entry))
            elif entry["type"] == "constructor":
                self._constructor = parameters_codec(entry["inputs"], artifact.name)

    def creation_code(self, args: Sequence[Any]) -> bytes:
        """Creation code with the constructor's arguments."""
        if not self.artifact.bytecode:
            raise TypeError(f"{self.name} is abstract")
        return self.artifact.bytecode + self._constructor.encode(args)


class Known:
    """All that was compiled, and what tests added to it: types by name, errors and events by selector and topic."""

    def __init__(self) -> None:
        self.registry = Registry()
        self._artifacts: dict[str, Artifact] = {}
        self._types: dict[str, ContractType] = {}

    def add(self, artifact: Artifact) -> ContractType:
        """Make a contract known that isn't part of this project, such as one of an npm package."""
        self._artifacts[artifact.name] = artifact
        self._types.pop(artifact.name, None)
        self.registry.add(artifact.abi)
        return self.type(artifact.name)

    def type(self, name: str) -> ContractType:
        found = self._types.get(name)
        if found is None:
            if name not in self._artifacts:
                raise LookupError(f"no contract {name} was compiled")
            found = self._types[name] = ContractType(self._artifacts[name])
        return found


@cache
def known() -> Known:
    """What this project's build holds, read once a process."""
    everything = Known()
    for artifact in load_artifacts().values():
        everything._artifacts[artifact.name] = artifact
        everything.registry.add(artifact.abi)
    return everything


def error_of(data: bytes) -> str:
    """Name of the error in revert data; the data where no known ABI explains it."""
    decoded = known().registry.decode_error(data)
    return decoded[0] if decoded else data.hex()


@dataclass(frozen=True, slots=True)
class Event:
    """One decoded log. A field is `event["amount"]`; all of them are `event.args`, in the order of declaration."""

    name: str
    args: dict[str, Any]
    address: str

    def __getitem__(self, field: str) -> Any:
        return self.args[field]


class Receipt:
    """A transaction that succeeded."""

    __slots__ = ("_evm", "_logs", "_result", "output", "value")

    def __init__(self, evm: Evm, result: pyrevm.ExecutionResult, output: bytes, value: Any) -> None:
        self._evm = evm
        self._result = result
        self._logs: list[Event] | None = None
        self.output = output
        self.value = value
        """What the function returned, decoded."""

    @property
    def gas_used(self) -> int:
        """Gas after refunds; lower than on a chain, because the state stays warm."""
        return self._result.gas_used

    @property
    def logs(self) -> list[Event]:
        """Every event, of every contract, in order. Logs that no known ABI explains have the name "?"."""
        if self._logs is None:
            self._logs = [self._evm.decode_log(log) for log in self._result.logs]
        return self._logs

    def events(self, name: str, address: Any = None) -> list[Event]:
        """Events of that name, by one contract if its address is given."""
        by = None if address is None else address_of(address)
        return [event for event in self.logs if event.name == name and by in (None, event.address)]

    def event(self, name: str, address: Any = None) -> Event:
        """The one event of that name; an assertion error if there are more or none."""
        found = self.events(name, address)
        assert len(found) == 1, f"{len(found)} events {name} among {[event.name for event in self.logs]}"
        return found[0]


class Method:
    """A function of a deployed contract. Calling it sends a transaction, or asks where it is a view."""

    __slots__ = ("_contract", "_evm", "function")

    def __init__(self, contract: Contract, function: Function) -> None:
        self._contract = contract
        self._evm = contract.evm
        self.function = function

    def __call__(self, *args: Any, sender: Any = ANYONE, value: int = 0, gas: int | None = None) -> Any:
        """The decoded result of a view, or else the `Receipt` of a transaction."""
        if self.function.is_view:
            return self.call(*args, sender=sender)
        return self.transact(*args, sender=sender, value=value, gas=gas)

    def call(self, *args: Any, sender: Any = ANYONE, value: int = 0, gas: int | None = None) -> Any:
        """What the function would return, leaving no trace. Allows views no change of state, as `eth_call` does not."""
        data = self.function.encode(args)
        with self._evm.isolated():
            output = self._evm.call_raw(sender, self._contract.address, data, value, gas, self.function.is_view)
        return self._decode(output)

    def transact(self, *args: Any, sender: Any = ANYONE, value: int = 0, gas: int | None = None) -> Receipt:
        """Execute the function, whatever its mutability."""
        output = self._evm.call_raw(sender, self._contract.address, self.function.encode(args), value, gas)
        return Receipt(self._evm, self._evm.last_result, output, self._decode(output))

    def encode(self, *args: Any) -> bytes:
        """Call data, for `Evm.call_raw` and for contracts that take calls as arguments."""
        return self.function.encode(args)

    @property
    def selector(self) -> bytes:
        return self.function.selector

    def _decode(self, output: bytes) -> Any:
        if not output and not self._evm.code(self._contract.address):
            raise AbiError(f"no contract at {self._contract.address}")
        return self.function.decode(output)


class Contract:
    """A contract at an address. Functions are attributes; `contract["f(uint256)"]` picks one of several with a name."""

    def __init__(self, evm: Evm, contract_type: ContractType, address: str) -> None:
        self.evm = evm
        self.address = address
        self.contract_type = contract_type

    def __getattr__(self, name: str) -> Method:
        found = self.contract_type.functions.get(name, [])
        if len(found) != 1:
            choices = f"; take contract[...] of {', '.join(function.signature for function in found)}" if found else ""
            raise AttributeError(f"{self.contract_type.name} has {len(found)} functions {name}{choices}")
        method = Method(self, found[0])
        self.__dict__[name] = method  # found at once from now on
        return method

    def __getitem__(self, signature: str) -> Method:
        for function in self.contract_type.functions.get(signature.partition("(")[0], []):
            if function.signature == signature:
                return Method(self, function)
        raise KeyError(f"{self.contract_type.name} has no function {signature}")

    def __repr__(self) -> str:
        return f"<{self.contract_type.name} {self.address}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Contract) and self.evm is other.evm and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)


class Evm:
    """A chain of its own. Every call is a transaction in the current block; time moves only when it is told to."""

    def __init__(
        self,
        *,
        chain_id: int = 901,
        timestamp: int = 1_700_000_000,
        block_number: int = 1_000_000,
        gas_limit: int = 30_000_000,
    ) -> None:
        self.chain_id = chain_id
        self.gas_limit = gas_limit
        """Gas of each call that names none."""
        self._timestamp = timestamp
        self._block_number = block_number
        self._coinbase = ZERO_ADDRESS
        self._snapshots: list[tuple[pyrevm.JournalCheckpoint, tuple[int, int, str]]] = []
        self._revm = pyrevm.EVM(
            spec_id="CANCUN", gas_limit=gas_limit, env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=chain_id))
        )
        self._revm.set_balance(BANK, 1 << 200)
        self._set_block()

    # --- the block ---

    @property
    def timestamp(self) -> int:
        return self._timestamp

    @timestamp.setter
    def timestamp(self, value: int) -> None:
        self._timestamp = value
        self._set_block()

    @property
    def block_number(self) -> int:
        return self._block_number

    @block_number.setter
    def block_number(self, value: int) -> None:
        self._block_number = value
        self._set_block()

    @property
    def coinbase(self) -> str:
        return self._coinbase

    @coinbase.setter
    def coinbase(self, value: Any) -> None:
        self._coinbase = address_of(value)
        self._set_block()

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Let time pass, and blocks with it."""
        self._timestamp += seconds
        self._block_number += blocks
        self._set_block()

    def _set_block(self) -> None:
        self._revm.set_block_env(
            pyrevm.BlockEnv(
                number=self._block_number,
                timestamp=self._timestamp,
                coinbase=self._coinbase,
                gas_limit=self.gas_limit,
                prevrandao=bytes(32),
            )
        )

    # --- contracts ---

    def deploy(
        self, contract: str | ContractType, *args: Any, sender: Any = DEPLOYER, value: int = 0, gas: int | None = None
    ) -> Contract:
        """Deploy a contract, by its name or by its type, with the constructor's arguments."""
        contract_type = known().type(contract) if isinstance(contract, str) else contract
        return self.at(contract_type, self.deploy_code(contract_type.creation_code(args), sender, value, gas))

    def deploy_code(self, code: bytes, sender: Any = DEPLOYER, value: int = 0, gas: int | None = None) -> str:
        """Run creation code; the address of what it deployed."""
        try:
            address = self._revm.deploy(address_of(sender), code, value=value, gas=gas or self.gas_limit)
        except RuntimeError as error:
            raise self._translate(error) from None
        finally:
            self._revm.reset_transient_storage()
        return address_of(address)

    def at(self, contract: str | ContractType, address: Any) -> Contract:
        """A contract that is at an address already, or will be."""
        return Contract(self, known().type(contract) if isinstance(contract, str) else contract, address_of(address))

    # --- calls ---

    def call_raw(
        self, sender: Any, to: Any, data: bytes, value: int = 0, gas: int | None = None, static: bool = False
    ) -> bytes:
        """Send a transaction and return the raw output: the fast path below `Method`.

        Raises:
            Revert: the contract reverted.
            Halt: the EVM stopped.
            ValueError: the transaction could not even start, such as for lack of ether.
        """
        if not isinstance(sender, str):
            sender = address_of(sender)
        if not isinstance(to, str):
            to = address_of(to)
        if gas is None:
            gas = self.gas_limit
        revm = self._revm
        try:
            return revm.message_call(sender, to, data, value, gas, None, static)
        except RuntimeError as error:
            if "RejectCallerWithCode" not in str(error):
                raise self._translate(error) from None
        finally:
            revm.reset_transient_storage()
        return self._call_as_contract(sender, to, data, value, gas, static)

    def _call_as_contract(self, sender: str, to: str, data: bytes, value: int, gas: int, static: bool) -> bytes:
        """Send from an address that has code, which a real chain allows nobody but that code itself."""
        revm = self._revm
        original = revm.basic(sender)
        self._replace_code(sender, FORWARDER)
        call = bytes.fromhex(to[2:]).rjust(32, b"\0") + value.to_bytes(32, "big") + data
        try:
            return revm.message_call(ANYONE, sender, call, 0, gas, None, static)
        except RuntimeError as error:
            raise self._translate(error) from None
        finally:
            self._replace_code(sender, original.code)
            revm.reset_transient_storage()

    def _replace_code(self, address: str, code: bytes | None) -> None:
        info = self._revm.basic(address)
        # pyrevm's stub forgets the balance
        changed = pyrevm.AccountInfo(balance=info.balance, nonce=info.nonce, code=code or b"")  # type: ignore[call-arg]
        self._revm.insert_account_info(address, changed)

    @property
    def last_result(self) -> pyrevm.ExecutionResult:
        """pyrevm's result of the last call that succeeded: gas and raw logs."""
        result = self._revm.result
        assert result is not None, "no call yet"
        return result

    def decode_log(self, log: pyrevm.Log) -> Event:
        topics, data = log.data
        event = known().registry.events.get((topics[0], len(topics))) if topics else None
        if event is None:
            return Event("?", {"topics": topics, "data": data}, log.address)
        return Event(event.name, event.decode(topics, data), log.address)

    def _translate(self, error: RuntimeError) -> Exception:
        text = str(error)
        if reverted := REVERT.match(text):
            data = bytes.fromhex(reverted[2])
            name, values = known().registry.decode_error(data) or (None, ())
            return Revert(data, name, values, int(reverted[1]))
        if halted := HALT.match(text):
            return Halt(halted[1], int(halted[2]))
        return ValueError(text)

    # --- state ---

    def snapshot(self) -> int:
        """Remember accounts, storage and the block. Give the number to `restore`, as often as you like."""
        if len(self._snapshots) >= MAX_SNAPSHOTS:
            raise SnapshotError(f"{MAX_SNAPSHOTS} snapshots are open; use `isolated`, which closes its own")
        self._snapshots.append((self._revm.snapshot(), self._block()))
        return len(self._snapshots) - 1

    def restore(self, snapshot: int) -> None:
        """Go back to a snapshot, which stays good; later ones don't."""
        self._close(snapshot)
        self.snapshot()

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """What happens inside is undone at the end."""
        snapshot = self.snapshot()
        try:
            yield
        finally:
            self._close(snapshot)

    def _close(self, snapshot: int) -> None:
        # going back to a checkpoint that was undone already would silently destroy the state
        if not 0 <= snapshot < len(self._snapshots):
            raise SnapshotError(f"snapshot {snapshot} was undone by an earlier restore")
        checkpoint, block = self._snapshots[snapshot]
        del self._snapshots[snapshot:]
        self._revm.revert(checkpoint)
        if block != self._block():
            self._timestamp, self._block_number, self._coinbase = block
            self._set_block()

    def _block(self) -> tuple[int, int, str]:
        return self._timestamp, self._block_number, self._coinbase

    def balance(self, account: Any) -> int:
        """Wei."""
        return self._revm.get_balance(address_of(account))

    def set_balance(self, account: Any, amount: int) -> None:
        """Set an account's ether, by transfers with a bank, so that `restore` undoes it."""
        address = address_of(account)
        difference = amount - self.balance(address)
        if difference > 0:
            # creation code that destroys itself in favour of the account: no contract can refuse that
            self._revm.deploy(BANK, b"\x73" + bytes.fromhex(address[2:]) + b"\xff", value=difference)
        elif difference < 0:
            self.call_raw(address, BANK, b"", -difference)

    def code(self, account: Any) -> bytes:
        return self._revm.get_code(address_of(account)) or b""

    def set_code(self, account: Any, code: bytes) -> None:
        """Put code at an address. `restore` does not undo it."""
        self._replace_code(address_of(account), code)

    def storage(self, account: Any, slot: int) -> int:
        return self._revm.storage(address_of(account), slot)

    def set_storage(self, account: Any, slot: int, value: int) -> None:
        self._revm.insert_account_storage(address_of(account), slot, value)

    def nonce(self, account: Any) -> int:
        return self._revm.basic(address_of(account)).nonce


def _comparable(value: Any) -> Any:
    """Expected values as decoding gives them: contracts and accounts by address, addresses checksummed."""
    if isinstance(value, Mapping):
        return tuple(_comparable(item) for item in value.values())
    if isinstance(value, list | tuple):
        return type(value)(map(_comparable, value)) if type(value) in (list, tuple) else tuple(map(_comparable, value))
    if isinstance(value, str) and re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        return address_of(value)
    if isinstance(getattr(value, "address", None), str):
        return address_of(value.address)
    return value


@contextmanager
def reverts(error: str | None, *values: Any) -> Iterator[None]:
    """The block reverts with exactly this error: the same selector, and the same values, all of them.

    `error` is the name of a custom error, its signature where several share the name, "Error" with a message, "Panic"
    with a code, or None for a revert without data. A name that no contract declares is an error of the test.
    """
    expected = known().registry.errors_named(error) if error is not None else []
    try:
        yield
    except Revert as revert:
        wanted = f"{error}({', '.join(map(str, values))})" if error is not None else "no revert data"
        if error is None:
            assert not revert.data, f"reverted with {revert}, expected {wanted}"
            return
        match = next((candidate for candidate in expected if candidate.selector == revert.data[:4]), None)
        assert match is not None, f"reverted with {revert}, expected {wanted}"
        found = match.decode(revert.data)
        assert found == tuple(map(_comparable, values)), f"reverted with {revert}, expected {wanted}"
        return
    raise AssertionError(f"did not revert, expected {error}")
