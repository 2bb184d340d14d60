"""Contract ABI encoding and decoding, compiled once per type so that simulations can do it tens of thousands of times
a second.

Values in Python: integers for `uintN`, `intN` and enumerations; `bool`; `bytes` for `bytesN` and `bytes`; `str` for
strings and, checksummed, for addresses; lists for arrays; named tuples for structs and for several results. An address
argument may also be 20 bytes or anything with an `address`; a struct may be any sequence, or a mapping by field name.

Source: the Solidity documentation, "Contract ABI Specification".
"""

from __future__ import annotations

import keyword
import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from eth_utils import keccak, to_checksum_address

Json = Mapping[str, Any]
WORD = 32


class AbiError(ValueError):
    """A value doesn't fit its type, or data isn't an encoding of it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type is written and read.

    `encode` gives the whole encoding; of a dynamic type that is its tail, which the enclosing tuple points to.
    `decode(data, at)` reads from the type's own start.
    """

    name: str
    dynamic: bool
    size: int
    """Bytes that it takes in the head of the enclosing tuple."""
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], Any]


# --- addresses ---------------------------------------------------------------------------------------------------


def function_json(name: str, inputs: Sequence[str], outputs: Sequence[str] = (), mutability: str = "view") -> Json:
    """A function of an ABI, from the types of what it takes and gives."""
    return {
        "type": "function",
        "name": name,
        "stateMutability": mutability,
        "inputs": [{"name": "", "type": kind} for kind in inputs],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }


@lru_cache(maxsize=1 << 16)
def checksum(raw: bytes) -> str:
    """Checksummed text of 20 bytes."""
    return str(to_checksum_address(raw))


@lru_cache(maxsize=1 << 16)
def _address_word(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise AbiError(f"not an address: {text!r}") from None
    if len(raw) != 20:
        raise AbiError(f"not an address: {text!r}")
    return raw.rjust(WORD, b"\0")


def address_of(value: Any) -> str:
    """Checksummed address of a text, of 20 bytes or of whatever has an `address`."""
    return checksum(_encode_address(value)[12:])


# --- elementary types --------------------------------------------------------------------------------------------


def _encode_address(value: Any) -> bytes:
    if isinstance(value, str):
        return _address_word(value)
    if isinstance(value, bytes) and len(value) == 20:
        return value.rjust(WORD, b"\0")
    if isinstance(address := getattr(value, "address", None), str):
        return _address_word(address)
    raise AbiError(f"not an address: {value!r}")


def _decode_address(data: bytes, at: int) -> str:
    return checksum(data[at + 12 : at + 32])


def _encode_bool(value: Any) -> bytes:
    if value is True or value is False:
        return value.to_bytes(WORD, "big")
    raise AbiError(f"not a bool: {value!r}")


def _decode_bool(data: bytes, at: int) -> bool:
    return data[at + 31] != 0


def _integer(name: str, bits: int, signed: bool) -> Codec:
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)

    def encode(value: Any) -> bytes:
        if not isinstance(value, int) or value is True or value is False:
            raise AbiError(f"not a {name}: {value!r}")
        if not low <= value < high:
            raise AbiError(f"out of range for {name}: {value}")
        return value.to_bytes(WORD, "big", signed=signed)

    def decode_unsigned(data: bytes, at: int) -> int:
        return int.from_bytes(data[at : at + WORD], "big")

    def decode_signed(data: bytes, at: int) -> int:
        return int.from_bytes(data[at : at + WORD], "big", signed=True)

    return Codec(name, False, WORD, encode, decode_signed if signed else decode_unsigned)


def _fixed_bytes(name: str, length: int) -> Codec:
    def encode(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != length:
            raise AbiError(f"not a {name}: {value!r}")
        return value.ljust(WORD, b"\0")

    def decode(data: bytes, at: int) -> bytes:
        return data[at : at + length]

    return Codec(name, False, WORD, encode, decode)


def _encode_bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise AbiError(f"not bytes: {value!r}")
    padding = -len(value) % WORD
    return len(value).to_bytes(WORD, "big") + value + bytes(padding)


def _decode_bytes(data: bytes, at: int) -> bytes:
    length = _read_length(data, at)
    if at + WORD + length > len(data):
        raise AbiError("data ends early")
    return data[at + WORD : at + WORD + length]


def _encode_string(value: Any) -> bytes:
    if not isinstance(value, str):
        raise AbiError(f"not a string: {value!r}")
    return _encode_bytes(value.encode())


def _decode_string(data: bytes, at: int) -> str:
    return _decode_bytes(data, at).decode(errors="replace")


def _read_length(data: bytes, at: int) -> int:
    if at + WORD > len(data):
        raise AbiError("data ends early")
    return int.from_bytes(data[at : at + WORD], "big")


# --- compound types ----------------------------------------------------------------------------------------------


def _encode_sequence(codecs: Sequence[Codec], values: Sequence[Any]) -> bytes:
    """Heads, then tails: the encoding of a tuple, and of an array's elements."""
    if not any(codec.dynamic for codec in codecs):
        return b"".join([codec.encode(value) for codec, value in zip(codecs, values, strict=True)])
    heads, tails = [], []
    offset = sum(codec.size for codec in codecs)
    for codec, value in zip(codecs, values, strict=True):
        encoded = codec.encode(value)
        if codec.dynamic:
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _decode_sequence(codecs: Iterable[Codec], data: bytes, at: int) -> list[Any]:
    values, head = [], at
    for codec in codecs:
        if codec.dynamic:
            values.append(codec.decode(data, at + _read_length(data, head)))
        else:
            if head + codec.size > len(data):
                raise AbiError("data ends early")
            values.append(codec.decode(data, head))
        head += codec.size
    return values


def _array(item: Codec, length: int | None) -> Codec:
    name = f"{item.name}[{'' if length is None else length}]"

    def encode(value: Any) -> bytes:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise AbiError(f"not a {name}: {value!r}")
        if length is not None and len(value) != length:
            raise AbiError(f"{len(value)} values for {name}")
        prefix = len(value).to_bytes(WORD, "big") if length is None else b""
        return prefix + _encode_sequence([item] * len(value), value)

    def decode(data: bytes, at: int) -> list[Any]:
        count = length
        if count is None:
            count = _read_length(data, at)
            at += WORD
            if item.size and count * item.size > len(data) - at:
                raise AbiError("data ends early")
        return _decode_sequence([item] * count, data, at)

    dynamic = length is None or item.dynamic
    return Codec(name, dynamic, WORD if dynamic else item.size * (length or 0), encode, decode)


def _record(label: str, names: Sequence[str]) -> Callable[[Iterable[Any]], Any]:
    """Constructor of a named tuple, or of a plain one where fields have no name."""
    if not names or not all(names):
        return tuple
    fields = [f"{name}_" if keyword.iskeyword(name) else name.lstrip("_") or name for name in names]
    label = re.sub(r"\W", "_", label) or "Record"
    define: Any = namedtuple  # the type checker wants to see the name written out
    make: Callable[[Iterable[Any]], Any] = define(label, fields, rename=True)._make
    return make


def _tuple(items: Sequence[Codec], names: Sequence[str], label: str) -> Codec:
    name = f"({','.join(item.name for item in items)})"
    dynamic = any(item.dynamic for item in items)
    size = sum(item.size for item in items)
    make = _record(label, names)

    def encode(value: Any) -> bytes:
        if isinstance(value, Mapping):
            if set(value) != set(names):
                raise AbiError(f"{label or name} has the fields {', '.join(names)}, not {', '.join(value)}")
            value = [value[field] for field in names]
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise AbiError(f"not a {label or name}: {value!r}")
        if len(value) != len(items):
            raise AbiError(f"{len(value)} values for {len(items)} fields of {label or name}")
        return _encode_sequence(items, value)

    if dynamic:

        def decode(data: bytes, at: int) -> Any:
            return make(_decode_sequence(items, data, at))

    else:
        places, total = [], 0
        for item in items:
            places.append((item.decode, total))
            total += item.size

        def decode(data: bytes, at: int) -> Any:
            if at + size > len(data):
                raise AbiError("data ends early")
            return make([read(data, at + place) for read, place in places])

    return Codec(name, dynamic, WORD if dynamic else size, encode, decode)


ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


def codec_of(parameter: Json) -> Codec:
    """Codec of one parameter of an ABI: `type`, and `components` where it is a struct."""
    kind = parameter["type"]
    if array := ARRAY.match(kind):
        length = int(array[2]) if array[2] else None
        return _array(codec_of({**parameter, "type": array[1]}), length)
    if kind == "tuple":
        label = re.sub(r"^struct (\w+\.)?|(\[\d*\])+$", "", parameter.get("internalType", ""))
        return parameters_codec(parameter["components"], label)
    return _elementary(kind)


@cache
def _elementary(kind: str) -> Codec:
    if kind == "address":
        return Codec(kind, False, WORD, _encode_address, _decode_address)
    if kind == "bool":
        return Codec(kind, False, WORD, _encode_bool, _decode_bool)
    if kind == "bytes":
        return Codec(kind, True, WORD, _encode_bytes, _decode_bytes)
    if kind == "string":
        return Codec(kind, True, WORD, _encode_string, _decode_string)
    if number := re.fullmatch(r"(u?)int(\d+)", kind):
        return _integer(kind, int(number[2]), signed=not number[1])
    if fixed := re.fullmatch(r"bytes(\d+)", kind):
        return _fixed_bytes(kind, int(fixed[1]))
    raise AbiError(f"unknown type {kind!r}")


def parameters_codec(parameters: Sequence[Json], label: str = "") -> Codec:
    """Codec of a list of parameters, as a struct of that name is."""
    return _tuple([codec_of(parameter) for parameter in parameters], [p.get("name", "") for p in parameters], label)


# --- functions, errors and events --------------------------------------------------------------------------------


def signature_of(entry: Json) -> str:
    """Canonical signature, such as `transfer(address,uint256)`."""
    return str(entry["name"]) + parameters_codec(entry.get("inputs", [])).name


class Function:
    """One function of a contract: arguments to call data, return data to values."""

    __slots__ = ("_inputs", "_outputs", "_scalar", "arity", "is_view", "name", "selector", "signature")

    def __init__(self, entry: Json) -> None:
        self.name: str = entry["name"]
        self.signature = signature_of(entry)
        self.selector = keccak(text=self.signature)[:4]
        self.is_view = entry.get("stateMutability") in ("view", "pure")
        self.arity = len(entry["inputs"])
        self._inputs = parameters_codec(entry["inputs"], self.name)
        outputs = entry.get("outputs", [])
        self._outputs = parameters_codec(outputs, self.name)
        self._scalar = len(outputs) == 1

    def encode(self, args: Sequence[Any]) -> bytes:
        """Call data: the selector and the arguments."""
        if len(args) != self.arity:
            raise AbiError(f"{self.signature} takes {self.arity} arguments, not {len(args)}")
        try:
            return self.selector + self._inputs.encode(args)
        except AbiError as error:
            raise AbiError(f"{self.signature}: {error}") from None

    def decode_inputs(self, data: bytes) -> Any:
        """The arguments out of call data, as a named tuple. Raises AbiError where it is another function's."""
        if data[:4] != self.selector:
            raise AbiError(f"no call data of {self.signature}")
        return self._inputs.decode(data, 4)

    def decode(self, data: bytes) -> Any:
        """Nothing, the one result, or a named tuple of several."""
        values = self._outputs.decode(data, 0)
        return values[0] if self._scalar else values or None


class Error:
    """One custom error of a contract."""

    __slots__ = ("_inputs", "name", "names", "selector", "signature")

    def __init__(self, entry: Json) -> None:
        self.name: str = entry["name"]
        self.signature = signature_of(entry)
        self.selector = keccak(text=self.signature)[:4]
        self.names = [item["name"] or f"_{place}" for place, item in enumerate(entry["inputs"])]
        self._inputs = parameters_codec(entry["inputs"], self.name)

    def encode(self, args: Sequence[Any]) -> bytes:
        return self.selector + self._inputs.encode(args)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Values of the error from revert data, which starts with the selector."""
        return tuple(self._inputs.decode(data, 4))


class Event:
    """One event of a contract. Indexed values of dynamic types come back as the hash that is all the log has."""

    __slots__ = ("_data", "_indexed", "_names", "name", "signature", "topic", "topics")

    def __init__(self, entry: Json) -> None:
        inputs = entry["inputs"]
        self.name: str = entry["name"]
        self.signature = signature_of(entry)
        self.topic = keccak(text=self.signature)
        self._names = [item["name"] or f"_{place}" for place, item in enumerate(inputs)]
        self._indexed = []
        for item, name in zip(inputs, self._names, strict=True):
            if item["indexed"]:
                codec = codec_of(item)
                one_word = not codec.dynamic and item["type"] != "tuple" and not item["type"].endswith("]")
                self._indexed.append((name, codec.decode if one_word else _elementary("bytes32").decode))
        plain = [(item, name) for item, name in zip(inputs, self._names, strict=True) if not item["indexed"]]
        self._data = [name for _, name in plain], parameters_codec([item for item, _ in plain])
        self.topics = 1 + len(self._indexed)

    def decode(self, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
        """Values by name, in the order of declaration; `topics` includes the event's own."""
        found = {name: decode(topic, 0) for (name, decode), topic in zip(self._indexed, topics[1:], strict=True)}
        names, codec = self._data
        found.update(zip(names, codec.decode(data, 0), strict=True))
        return {name: found[name] for name in self._names}


STANDARD_ERRORS = (
    {"name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


class Registry:
    """Errors and events of many contracts, to name what comes back from a call that went through several."""

    def __init__(self) -> None:
        self.errors: dict[bytes, Error] = {}
        self.events: dict[tuple[bytes, int], Event] = {}
        self._error_names: dict[str, list[Error]] = {}
        for entry in STANDARD_ERRORS:
            self._add_error(entry)

    def add(self, abi: Iterable[Json]) -> None:
        """Learn the errors and events of one contract."""
        for entry in abi:
            if entry["type"] == "error":
                self._add_error(entry)
            elif entry["type"] == "event" and not entry.get("anonymous"):
                event = Event(entry)
                # events of one signature may index differently (the transfers of ERC-20 and ERC-721)
                self.events.setdefault((event.topic, event.topics), event)

    def _add_error(self, entry: Json) -> None:
        error = Error(entry)
        if error.selector not in self.errors:
            self.errors[error.selector] = error
            self._error_names.setdefault(error.name, []).append(error)

    def errors_named(self, name: str) -> list[Error]:
        """Errors of that name, or with that signature.

        Raises:
            LookupError: no known contract declares it.
        """
        base = name.partition("(")[0]
        found = [error for error in self._error_names.get(base, []) if name in (error.name, error.signature)]
        if not found:
            raise LookupError(f"no contract declares the error {name}")
        return found

    def decode_error(self, data: bytes) -> tuple[str, tuple[Any, ...]] | None:
        """Name and values of revert data, or None if nobody declares such an error."""
        error = self.errors.get(data[:4])
        if error is None:
            return None
        try:
            return error.name, error.decode(data)
        except AbiError:
            return None
