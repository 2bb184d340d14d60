"""What is called of the OP stack's contracts, as signatures.

Sources: @eth-optimism/contracts-bedrock 0.17.3 (OptimismPortal, OptimismPortal2, FaultDisputeGame, L2OutputOracle).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from plimsoll.chain.abi import Json
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

L2_MESSENGER = "0x4200000000000000000000000000000000000007"
L2_BRIDGE = "0x4200000000000000000000000000000000000010"
MESSAGE_PASSER = "0x4200000000000000000000000000000000000016"

_STRUCTS = {
    "Withdrawal": (
        "uint256 nonce",
        "address sender",
        "address target",
        "uint256 value",
        "uint256 gasLimit",
        "bytes data",
    ),
    "OutputRoot": ("bytes32 version", "bytes32 stateRoot", "bytes32 storageRoot", "bytes32 blockHash"),
    "Output": ("bytes32 root", "uint128 timestamp", "uint128 blockNumber"),
}
_PORTAL = (
    "depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes data)",
    "minimumGasLimit(uint64 byteCount) view (uint64)",
    "proveWithdrawalTransaction(Withdrawal withdrawal, uint256 index, OutputRoot output, bytes[] nodes)",
    "finalizedWithdrawals(bytes32 withdrawalHash) view (bool)",
    "event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData)",
)
_SIGNATURES: dict[str, tuple[str, ...]] = {
    "Messenger": (
        "portal() view (address)",
        "otherMessenger() view (address)",
        "failedMessages(bytes32 messageHash) view (bool)",
        "successfulMessages(bytes32 messageHash) view (bool)",
        "event RelayedMessage(bytes32 indexed messageHash)",
    ),
    "Bridge": ("otherBridge() view (address)",),
    "MessagePasser": (
        "event MessagePassed(uint256 indexed nonce, address indexed sender, address indexed target, uint256 value, "
        "uint256 gasLimit, bytes data, bytes32 withdrawalHash)",
    ),
    "GamePortal": (
        *_PORTAL,
        "finalizeWithdrawalTransactionExternalProof(Withdrawal withdrawal, address submitter)",
        "numProofSubmitters(bytes32 withdrawalHash) view (uint256)",
        "proofSubmitters(bytes32 withdrawalHash, uint256 index) view (address)",
        "provenWithdrawals(bytes32 withdrawalHash, address submitter) view (address game, uint64 timestamp)",
        "proofMaturityDelaySeconds() view (uint256)",
        "disputeGameFinalityDelaySeconds() view (uint256)",
        "disputeGameFactory() view (address)",
        "disputeGameBlacklist(address game) view (bool)",
        "respectedGameType() view (uint32)",
        "respectedGameTypeUpdatedAt() view (uint64)",
    ),
    "GameFactory": (
        "gameCount() view (uint256)",
        "gameAtIndex(uint256 index) view (uint32 gameType, uint64 timestamp, address proxy)",
        "gameImpls(uint32 gameType) view (address)",
    ),
    "Game": (
        "status() view (uint8)",
        "gameType() view (uint32)",
        "createdAt() view (uint64)",
        "resolvedAt() view (uint64)",
        "maxClockDuration() view (uint64)",
        "claimDataLen() view (uint256)",
        "l2BlockNumber() view (uint256)",
        "rootClaim() view (bytes32)",
        "resolveClaim(uint256 claimIndex, uint256 numToResolve)",
        "resolve()",
    ),
    "OraclePortal": (
        *_PORTAL,
        "finalizeWithdrawalTransaction(Withdrawal withdrawal)",
        "provenWithdrawals(bytes32 withdrawalHash) view (bytes32 outputRoot, uint128 timestamp, uint128 outputIndex)",
        "l2Oracle() view (address)",
    ),
    "OutputOracle": (
        "finalizationPeriodSeconds() view (uint256)",
        "submissionInterval() view (uint256)",
        "l2BlockTime() view (uint256)",
        "latestBlockNumber() view (uint256)",
        "nextOutputIndex() view (uint256)",
        "getL2OutputIndexAfter(uint256 blockNumber) view (uint256)",
        "getL2Output(uint256 index) view (Output output)",
    ),
    "Token": (
        "name() view (string)",
        "totalSupply() view (uint256)",
        "nonces(address owner) view (uint256)",
        "DOMAIN_SEPARATOR() view (bytes32)",
        "balanceOf(address owner) view (uint256)",
        "allowance(address owner, address spender) view (uint256)",
        "approve(address spender, uint256 amount)",
        "decimals() view (uint8)",
    ),
}
_ENTRY = re.compile(r"(event )?(\w+)\((.*?)\)( view)?(?: \((.*)\))?")


def at(name: str, address: Any, chain: Chain) -> Deployed:
    """A contract of the OP stack by its name here."""
    return Deployed(interface(name), address, chain)


@cache
def interface(name: str) -> Interface:
    return Interface(name, [_entry(text) for text in _SIGNATURES[name]])


def _entry(text: str) -> Json:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise UserError(f"no signature of a function or an event: {text}")
    event, name, inputs, view, outputs = found.groups()
    if event:
        return {"type": "event", "name": name, "inputs": _parameters(inputs), "anonymous": False}
    return {
        "type": "function",
        "name": name,
        "stateMutability": "view" if view else "nonpayable",
        "inputs": _parameters(inputs),
        "outputs": _parameters(outputs or ""),
    }


def _parameters(text: str) -> list[dict[str, Any]]:
    return [_parameter(part) for part in text.split(", ")] if text else []


def _parameter(text: str) -> dict[str, Any]:
    kind, *rest = text.split()
    name = rest[-1] if rest else ""
    parameter: dict[str, Any] = {"name": name, "type": kind, "indexed": "indexed" in rest[:-1]}
    if kind in _STRUCTS:
        parameter |= {"type": "tuple", "components": [_parameter(field) for field in _STRUCTS[kind]]}
        parameter["internalType"] = f"struct {kind}"
    return parameter
