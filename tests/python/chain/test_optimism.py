"""Signatures of the OP stack's contracts as ABIs."""

from __future__ import annotations

import pytest

from plimsoll.chain.abi import AbiError
from plimsoll.chain.optimism import at, interface
from plimsoll.chain.rpc import RpcClient
from plimsoll.chain.transactions import Chain
from plimsoll.devnet.opstack.contracts import bedrock_interface

REAL = {
    "Messenger": "L1CrossDomainMessenger",
    "Bridge": "L1StandardBridge",
    "MessagePasser": "L2ToL1MessagePasser",
    "GamePortal": "OptimismPortal2",
    "GameFactory": "DisputeGameFactory",
    "Game": "FaultDisputeGame",
    "OraclePortal": "OptimismPortal",
    "OutputOracle": "L2OutputOracle",
}


@pytest.mark.parametrize("name", REAL)
def test_interface__every_function_and_event__is_the_real_contracts(name: str) -> None:
    ours, real = interface(name), bedrock_interface(REAL[name])
    for signature, function in ours.functions.items():
        assert signature in real.functions
        assert function.is_view == real.functions[signature].is_view
    for event_name, event in ours.events.items():
        assert (event.topic, event.topics) == (real.events[event_name].topic, real.events[event_name].topics)


def test_interface__results_of_several_values__have_names() -> None:
    function = interface("GamePortal").function("provenWithdrawals")
    found = function.decode(bytes(12) + b"\x11" * 20 + (7).to_bytes(32, "big"))
    assert (found.game, found.timestamp) == ("0x1111111111111111111111111111111111111111", 7)


def test_decode_inputs__call_data__gives_the_arguments_back() -> None:
    function = interface("GamePortal").function("depositTransaction")
    arguments = ("0x1111111111111111111111111111111111111111", 1, 2, False, b"data")
    assert tuple(function.decode_inputs(function.encode(arguments))) == arguments
    with pytest.raises(AbiError, match="no call data of depositTransaction"):
        function.decode_inputs(b"\0" * 68)


def test_at__a_name__is_a_contract_there() -> None:
    contract = at("Token", "0x" + "11" * 20, Chain(RpcClient("http://127.0.0.1:1")))
    assert contract.name == "Token"
