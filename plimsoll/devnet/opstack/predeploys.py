"""The OP stack's contracts on L2 at their fixed addresses, put there as a rollup's genesis does."""

from __future__ import annotations

from collections.abc import Mapping

from plimsoll.chain.abi import address_of
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Call, Chain, Signer
from plimsoll.core.units import WAD
from plimsoll.devnet.opstack.contracts import bedrock, bedrock_interface, deployed
from plimsoll.devnet.opstack.settings import role_key

_PLACES = {
    "L2CrossDomainMessenger": 0x07,
    "GasPriceOracle": 0x0F,
    "L2StandardBridge": 0x10,
    "OptimismMintableERC20Factory": 0x12,
    "L1Block": 0x15,
    "L2ToL1MessagePasser": 0x16,
    "ProxyAdmin": 0x18,
}
PREDEPLOYS: Mapping[str, str] = {
    name: address_of("0x42" + "00" * 18 + f"{place:02x}") for name, place in _PLACES.items()
}
"""Addresses by name. Source: OP stack specification, "Predeploys"."""
DEPOSITOR = "0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001"
"""Sends the L1 attributes; nobody has its key."""

_IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"
_ADMIN_SLOT = "0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"
_ECOTONE_AND_FJORD = "0x0101"
"""GasPriceOracle's two flags: fees as since Fjord, nothing as long as L1Block knows no L1."""
_INITIALIZE_GAS = 300_000


def predeploy(name: str, chain: Chain) -> Deployed:
    """One of `PREDEPLOYS` on an L2."""
    return deployed(name, PREDEPLOYS[name], chain)


def install_predeploys(chain: Chain, *, messenger: str, bridge: str) -> None:
    """Put the predeploys on an anvil that has none; those that are there stay.

    `messenger`, `bridge`: addresses of L1CrossDomainMessenger and L1StandardBridge on L1.
    """
    signer = Signer(chain, role_key("owner"), name="owner")
    if not chain.code(PREDEPLOYS["L1Block"]):
        chain.rpc.batch([*_genesis(signer.address), ("anvil_setBalance", [signer.address, hex(WAD)])])
    if int(chain.storage(PREDEPLOYS["OptimismMintableERC20Factory"], 0)):  # the last one is initialised
        return
    calls = [
        _initialize("L2CrossDomainMessenger", messenger),
        _initialize("L2StandardBridge", bridge),
        _initialize("OptimismMintableERC20Factory", PREDEPLOYS["L2StandardBridge"]),
    ]
    signer.send_many(calls, check=True)


def _genesis(owner: str) -> list[tuple[str, list[str]]]:
    proxy = "0x" + bedrock("Proxy").runtime.hex()
    changes = []
    for name, address in PREDEPLOYS.items():
        implementation = address_of("0x" + "c0d3" * 9 + f"00{_PLACES[name]:02x}")
        changes += [
            ("anvil_setCode", [implementation, "0x" + bedrock(name).runtime.hex()]),
            ("anvil_setCode", [address, proxy]),
            ("anvil_setStorageAt", [address, _IMPLEMENTATION_SLOT, _word(implementation)]),
            ("anvil_setStorageAt", [address, _ADMIN_SLOT, _word(PREDEPLOYS["ProxyAdmin"])]),
        ]
    first = "0x" + "00" * 32
    changes.append(("anvil_setStorageAt", [PREDEPLOYS["ProxyAdmin"], first, _word(owner)]))
    changes.append(("anvil_setStorageAt", [PREDEPLOYS["GasPriceOracle"], first, _word(_ECOTONE_AND_FJORD)]))
    return changes


def _initialize(name: str, argument: str) -> Call:
    data = bedrock_interface(name).function("initialize").encode([argument])
    return Call(PREDEPLOYS[name], data, gas=_INITIALIZE_GAS)


def _word(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
