"""Our codecs say what eth-abi says, for any type and value."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.chain.abi import AbiError, Event, Function, Registry, address_of, parameters_codec

Typed = tuple[dict[str, Any], str, Any]
"""A parameter, its type as eth-abi writes it, and a value."""


@st.composite
def elementary(draw: st.DrawFn) -> tuple[str, st.SearchStrategy[Any]]:
    kind: str = draw(st.sampled_from(["uint", "int", "bytesN", "address", "bool", "bytes", "string"]))
    if kind in ("uint", "int"):
        bits = 8 * draw(st.integers(1, 32))
        low, high = (0, 2**bits - 1) if kind == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return f"{kind}{bits}", st.sampled_from([low, high]) | st.integers(low, high)
    if kind == "bytesN":
        length = draw(st.integers(1, 32))
        return f"bytes{length}", st.binary(min_size=length, max_size=length)
    values: dict[str, st.SearchStrategy[Any]] = {
        "address": st.binary(min_size=20, max_size=20).map(address_of),
        "bool": st.booleans(),
        "bytes": st.binary(max_size=100),
        "string": st.text(max_size=50),
    }
    return kind, values[kind]


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> Typed:
    shape: str = draw(st.sampled_from(["plain", "array", "fixed", "tuple"])) if depth else "plain"
    if shape == "plain":
        kind, values = draw(elementary())
        return {"type": kind, "name": ""}, kind, draw(values)
    if shape == "tuple":
        items: list[Typed] = draw(st.lists(typed(depth=depth - 1), min_size=1, max_size=3))
        parameter = {"type": "tuple", "name": "", "components": [item[0] for item in items]}
        return parameter, f"({','.join(item[1] for item in items)})", tuple(item[2] for item in items)
    item: Typed = draw(typed(depth=depth - 1))
    count = draw(st.integers(1, 3))
    suffix = "[]" if shape == "array" else f"[{count}]"
    return {**item[0], "type": item[0]["type"] + suffix}, item[1] + suffix, [item[2]] * count


def plain(value: Any) -> Any:
    """Lists and tuples alike, addresses in lower case: the differences in taste with eth-abi."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.lower() if isinstance(value, str) and value.startswith("0x") else value


@given(st.lists(typed(), max_size=4))
def test_encode_and_decode__any_types__agree_with_eth_abi(parameters: list[Typed]) -> None:
    codec = parameters_codec([parameter for parameter, _, _ in parameters])
    kinds, values = [kind for _, kind, _ in parameters], [value for _, _, value in parameters]
    encoded = eth_abi.encode(kinds, values)
    assert codec.encode(values) == encoded
    assert codec.name == f"({','.join(kinds)})"
    assert plain(codec.decode(encoded, 0)) == plain(values)


@given(st.lists(typed(), min_size=1, max_size=3), st.data())
def test_decode__data_cut_short__is_refused(parameters: list[Typed], data: st.DataObject) -> None:
    codec = parameters_codec([parameter for parameter, _, _ in parameters])
    encoded = codec.encode([value for _, _, value in parameters])
    words = data.draw(st.integers(0, max(0, len(encoded) // 32 - 1)))
    with pytest.raises(AbiError):
        codec.decode(encoded[: 32 * words], 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", True),
        ("uint8", 1.0),
        ("uint8", "1"),
        ("int8", 128),
        ("int8", -129),
        ("bool", 1),
        ("bytes4", b"123"),
        ("bytes4", "1234"),
        ("bytes", "text"),
        ("string", b"text"),
        ("address", "0x12"),
        ("address", "0xzz" + "00" * 19),
        ("address", 5),
        ("uint8[]", 5),
        ("uint8[2]", [1]),
        ("uint8[]", b"12"),
    ],
)
def test_encode__value_that_does_not_fit__is_refused(kind: str, value: Any) -> None:
    with pytest.raises(AbiError):
        parameters_codec([{"type": kind, "name": ""}]).encode([value])


def test_address_of__text_bytes_and_objects__are_checksummed() -> None:
    address = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
    assert address_of(address.lower()) == address
    assert address_of(bytes.fromhex(address[2:])) == address
    assert address_of(SimpleNamespace(address=address.lower())) == address


def test_struct__fields_by_name__as_mapping_and_back() -> None:
    components = [{"type": "uint256", "name": "from"}, {"type": "bool", "name": "_open"}]
    codec = parameters_codec(components, "Position")
    value = codec.decode(codec.encode({"_open": True, "from": 3}), 0)
    assert (value.from_, value.open) == (3, True)
    assert type(value).__name__ == "Position"
    with pytest.raises(AbiError, match="has the fields from, _open"):
        codec.encode({"open": True, "from": 3})


def test_function__results__none_one_or_named() -> None:
    def outputs(*names: str) -> list[dict[str, str]]:
        return [{"type": "uint256", "name": name} for name in names]

    def decoded(result: list[dict[str, str]], *values: int) -> Any:
        function = Function({"type": "function", "name": "f", "inputs": [], "outputs": result})
        return function.decode(b"".join(value.to_bytes(32, "big") for value in values))

    assert decoded(outputs()) is None
    assert decoded(outputs("a"), 1) == 1
    assert decoded(outputs("", ""), 1, 2) == (1, 2)
    assert decoded(outputs("a", "b"), 1, 2).b == 2


def test_event__indexed_dynamic_value__is_its_hash() -> None:
    event = Event(
        {
            "type": "event",
            "name": "Named",
            "inputs": [
                {"type": "uint256", "name": "amount", "indexed": False},
                {"type": "string", "name": "label", "indexed": True},
                {"type": "int8", "name": "sign", "indexed": True},
            ],
        }
    )
    topics = [event.topic, b"\7" * 32, b"\xff" * 32]
    found = event.decode(topics, (5).to_bytes(32, "big"))
    assert list(found.items()) == [("amount", 5), ("label", b"\7" * 32), ("sign", -1)]


def test_registry__errors__by_name_by_signature_and_from_data() -> None:
    registry = Registry()
    one = {"type": "error", "name": "Odd", "inputs": [{"type": "uint256", "name": "a"}]}
    registry.add([one, {**one, "inputs": []}, one])
    assert [error.signature for error in registry.errors_named("Odd")] == ["Odd(uint256)", "Odd()"]
    [error] = registry.errors_named("Odd(uint256)")
    assert registry.decode_error(error.encode([4])) == ("Odd", (4,))
    assert registry.decode_error(b"\0\1\2\3") is None
    assert registry.decode_error(error.selector) is None
    with pytest.raises(LookupError):
        registry.errors_named("Even")
