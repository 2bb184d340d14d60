"""Contracts at an address: calls, transactions and events by name.

```python
vault = Deployed.of("MarginVault", address, chain)
vault.call("cashOf", account)
receipt = vault.transact(signer, "deposit", account, amount)
vault.events(receipt, "Deposited")
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_utils import keccak

from plimsoll.chain.abi import AbiError, Event, Function, Json, Registry, address_of, checksum, parameters_codec
from plimsoll.chain.build import Artifact, BuildError, load_artifacts
from plimsoll.chain.transactions import BlockId, Call, Chain, Log, Receipt, Reverted, Signer, plain
from plimsoll.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One decoded event. `values` by name, in the order of declaration; structs are dicts."""

    name: str
    values: dict[str, Any]
    address: str
    log: Log

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


@cache
def artifacts() -> dict[str, Artifact]:
    """Every compiled contract by name, read once. Raises UserError when nothing is compiled."""
    try:
        return dict(load_artifacts())
    except BuildError as error:
        raise UserError(str(error)) from None


def artifact(name: str) -> Artifact:
    """Raises UserError for a name that nothing was compiled under."""
    found = artifacts().get(name)
    if found is None:
        raise UserError(f"no compiled contract is called {name}; run `make build`")
    return found


@cache
def known() -> Registry:
    """Errors and events of everything that is compiled."""
    registry = Registry()
    for one in artifacts().values():
        registry.add(one.abi)
    return registry


class Interface:
    """An ABI by name: functions (overloads by signature or number of arguments), events, the constructor."""

    def __init__(self, name: str, abi: Sequence[Json]) -> None:
        self.name = name
        self.abi = abi
        self.functions: dict[str, Function] = {}
        self.events: dict[str, Event] = {}
        self._overloads: dict[str, list[Function]] = {}
        self._by_topic: dict[tuple[bytes, int], Event] = {}
        self._by_selector: dict[bytes, Function] = {}
        self._constructor: Sequence[Json] = ()
        for entry in abi:
            if entry["type"] == "function":
                function = Function(entry)
                self._overloads.setdefault(function.name, []).append(function)
                self._by_selector[function.selector] = function
                self.functions[function.signature] = function
            elif entry["type"] == "event" and not entry.get("anonymous"):
                event = Event(entry)
                self.events.setdefault(event.name, event)
                self._by_topic[event.topic, event.topics] = event
            elif entry["type"] == "constructor":
                self._constructor = entry["inputs"]

    def function(self, name: str, arity: int | None = None) -> Function:
        """By name or signature. Raises AbiError, which says what there is."""
        if name in self.functions:
            return self.functions[name]
        found = self._overloads.get(name, [])
        fitting = [one for one in found if arity is None or one.arity == arity] if len(found) > 1 else found
        if len(fitting) != 1:
            what = f"has {len(found)} functions {name}; name one by its signature" if found else f"has no {name}"
            raise AbiError(f"{self.name} {what}")
        return fitting[0]

    def function_of(self, data: bytes) -> Function | None:
        """The function that call data asks for."""
        return self._by_selector.get(data[:4])

    def selector(self, name: str) -> bytes:
        return self.function(name).selector

    @property
    def constructor_names(self) -> list[str]:
        """Of the constructor's arguments."""
        return [entry["name"] for entry in self._constructor]

    def encode_constructor(self, args: Sequence[Any]) -> bytes:
        """Encoded constructor arguments, to be put behind the creation code. Raises AbiError."""
        if len(args) != len(self._constructor):
            raise AbiError(f"{self.name}'s constructor takes {len(self._constructor)} arguments, not {len(args)}")
        try:
            return parameters_codec(self._constructor).encode(list(args))
        except AbiError as error:
            raise AbiError(f"{self.name}'s constructor: {error}") from None

    def decode_log(self, log: Log) -> Occurrence | None:
        """None where the event isn't declared here."""
        event = self._by_topic.get((log.topics[0], len(log.topics))) if log.topics else None
        return None if event is None else occurrence(event, log)


def created_address(sender: Any, nonce: int) -> str:
    """Where `sender` creates a contract with that nonce: keccak(rlp([sender, nonce]))."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    item = number if nonce and nonce < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(address_of(sender)[2:]) + item
    return checksum(keccak(bytes([0xC0 + len(payload)]) + payload)[12:])


@cache
def interface(name: str) -> Interface:
    """Interface of a compiled contract. Raises UserError where there is none of that name."""
    return Interface(name, artifact(name).abi)


def occurrence(event: Event, log: Log) -> Occurrence:
    values = {name: plain(value) for name, value in event.decode(log.topics, log.data).items()}
    return Occurrence(event.name, values, log.address, log)


def decode_logs(logs: Iterable[Log], registry: Registry | None = None) -> list[Occurrence]:
    """Events of whatever contracts, by everything that is known; logs nobody declares are left out."""
    registry = registry or known()
    found = []
    for log in logs:
        event = registry.events.get((log.topics[0], len(log.topics))) if log.topics else None
        if event is not None:
            found.append(occurrence(event, log))
    return found


class Deployed:
    """A contract at an address of a chain."""

    def __init__(self, interface: Interface, address: Any, chain: Chain) -> None:
        self.interface = interface
        self.address = address_of(address)
        self.chain = chain

    @staticmethod
    def of(name: str, address: Any, chain: Chain) -> Deployed:
        """A compiled contract or interface by its name. Raises UserError where there is none."""
        return Deployed(interface(name), address, chain)

    @property
    def name(self) -> str:
        return self.interface.name

    def __repr__(self) -> str:
        return f"<{self.name} {self.address}>"

    def encode(self, name: str, *args: Any) -> bytes:
        """Call data. Raises AbiError for a wrong name, number or kind of arguments."""
        return self.interface.function(name, len(args)).encode(args)

    def prepare(self, name: str, *args: Any, value: int = 0, gas: int | None = None) -> Call:
        """A call for `Chain.read` or `Signer.send_many`."""
        function = self.interface.function(name, len(args))
        label = f"{self.name}.{name}"
        return Call(self.address, function.encode(args), value, gas, function.decode, label)

    def call(self, name: str, *args: Any, sender: Any = None, value: int = 0, block: BlockId = "latest") -> Any:
        """Result of a call that changes nothing: None, one value, or a named tuple. Raises Reverted."""
        function = self.interface.function(name, len(args))
        data = self.chain.call(self.address, function.encode(args), sender=sender, value=value, block=block)
        try:
            return function.decode(data)
        except AbiError:
            if data or not self.chain.code(self.address):
                raise UserError(f"{self.name}.{name}: nothing of that kind is deployed at {self.address}") from None
            raise

    def transact(
        self, signer: Signer, name: str, *args: Any, value: int = 0, gas: int | None = None, check: bool = True
    ) -> Receipt:
        """Send a transaction and wait for it. Raises Reverted; with `check` false a mined failure is returned."""
        return signer.send(self.address, self.encode(name, *args), value=value, gas=gas, check=check)

    def events(self, source: Receipt | Iterable[Log], name: str | None = None) -> list[Occurrence]:
        """This contract's events in a receipt or in logs, all or those of one name."""
        logs = source.logs if isinstance(source, Receipt) else source
        found = [self.interface.decode_log(log) for log in logs if log.address == self.address]
        return [one for one in found if one is not None and name in (None, one.name)]

    def event(self, source: Receipt | Iterable[Log], name: str) -> Occurrence:
        """The one event of that name. Raises LookupError where there are none or several."""
        found = self.events(source, name)
        if len(found) != 1:
            raise LookupError(f"{self.name} emitted {len(found)} {name}, not one")
        return found[0]

    def history(
        self,
        name: str | None = None,
        *,
        topics: Sequence[Any] = (),
        from_block: BlockId = "earliest",
        to_block: BlockId = "latest",
    ) -> list[Occurrence]:
        """Events of past blocks. `topics` are the indexed values, None for any."""
        wanted: list[Any] = [] if name is None else [self.interface.events[name].topic, *topics]
        return self.events(self.chain.logs(self.address, wanted, from_block=from_block, to_block=to_block))


__all__ = [
    "Deployed",
    "Interface",
    "Occurrence",
    "Reverted",
    "artifact",
    "artifacts",
    "created_address",
    "decode_logs",
    "interface",
    "known",
]
