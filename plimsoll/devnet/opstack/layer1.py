"""The OP stack's real contracts on L1: all of them in one batch, at addresses that are known before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_account import Account

from plimsoll.chain.contracts import Deployed, Interface, artifact, created_address
from plimsoll.chain.transactions import Call, Chain, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.devnet.accounts import dev_account, dev_accounts
from plimsoll.devnet.opstack.contracts import bedrock_interface, creation, deployed
from plimsoll.devnet.opstack.settings import CLOCK_EXTENSION_SECONDS, OpStackSettings, role_key

CANNON = 0
"""The type of dispute game that the portal respects."""
INIT_BOND = 8 * WAD // 100
ROLE_WEI = 10_000 * WAD
L2_GAS_LIMIT = 60_000_000
BASE_FEE_SCALAR, BLOB_BASE_FEE_SCALAR = 1_368, 810_949
"""OP Mainnet's."""
TOKEN = "MockDollar"

_NOBODY = "0x" + "00" * 20
_ETHER = "0x" + "ee" * 20
_CREATE_GAS, _CALL_GAS = 8_000_000, 2_000_000
_SHARED = (
    "SuperchainConfig",
    "SystemConfig",
    "OptimismPortal",
    "L1CrossDomainMessenger",
    "L1StandardBridge",
    "OptimismMintableERC20Factory",
)
_GAMES = ("DisputeGameFactory", "DelayedWETH", "AnchorStateRegistry")
_ORACLE = ("L2OutputOracle",)
_RESOURCES = (20_000_000, 10, 8, 10**9, 1_000_000, 2**128 - 1)
"""Gas that deposits may buy in a block, and how its price moves: OP Mainnet's ResourceConfig."""
_ORACLE_BLOCK_SECONDS = 2
_ORACLE_LEAD_SECONDS = 365 * 86_400
"""The oracle counts L2 blocks from that long ago, so that an L2 which mines faster isn't ahead of it."""
_PRESTATE = b"\x03" + bytes(31)
"""Absolute prestate of the game's virtual machine. No game is played to the end on a devnet; any will do."""


def owner_address() -> str:
    """Deploys and owns the system on L1, and guards it."""
    return str(Account.from_key(role_key("owner")).address)


def proxies(settings: OpStackSettings | None = None) -> dict[str, str]:
    """Addresses of the system's proxies by name; the first six are the same whatever the settings."""
    names = (*_SHARED, *(_ORACLE if settings is not None and settings.portal == "oracle" else _GAMES))
    return {name: created_address(owner_address(), nonce) for nonce, name in enumerate(names)}


def token_address() -> str:
    """Of the settlement token on L1, which the account "faucet" creates first of all."""
    return created_address(dev_account("faucet").address, 0)


@dataclass(frozen=True)
class Layer1:
    """The system on L1. `contracts` by name; "OptimismPortal" is whichever portal the settings ask for."""

    contracts: Mapping[str, Deployed]
    token: Deployed

    def __getitem__(self, name: str) -> Deployed:
        return self.contracts[name]


def attach_layer1(chain: Chain, settings: OpStackSettings) -> Layer1:
    """The system where it has been deployed already."""
    kinds = {"OptimismPortal": "OptimismPortal2"} if settings.portal == "games" else {}
    contracts = {name: deployed(kinds.get(name, name), address, chain) for name, address in proxies(settings).items()}
    return Layer1(contracts, Deployed.of(TOKEN, token_address(), chain))


def read_settings(chain: Chain) -> OpStackSettings:
    """Of a system that was deployed with whatever settings; the sequencing window, which L1 doesn't know, by default.

    Raises UserError where there is none.
    """
    at = proxies()
    if not chain.code(at["OptimismPortal"]):
        raise UserError(f"{chain.uri}: no rollup of a devnet is deployed there; boot one")
    portal = deployed("OptimismPortal2", at["OptimismPortal"], chain)
    try:
        maturity = portal.call("proofMaturityDelaySeconds")
    except Reverted:
        oracle = deployed("L2OutputOracle", proxies(OpStackSettings(portal="oracle"))["L2OutputOracle"], chain)
        return OpStackSettings(
            portal="oracle",
            proof_maturity_seconds=oracle.call("finalizationPeriodSeconds"),
            output_interval=oracle.call("submissionInterval"),
        )
    factory = deployed("DisputeGameFactory", at["DisputeGameFactory"], chain)
    game = deployed("FaultDisputeGame", factory.call("gameImpls", CANNON), chain)
    return OpStackSettings(
        proof_maturity_seconds=maturity,
        air_gap_seconds=portal.call("disputeGameFinalityDelaySeconds"),
        game_clock_seconds=game.call("maxClockDuration"),
    )


def deploy_layer1(chain: Chain, settings: OpStackSettings, *, l2_chain_id: int) -> Layer1:
    """Deploy all of it on a fresh L1. Raises Reverted."""
    owner = Signer(chain, role_key("owner"), name="owner")
    for role in ("owner", "proposer", "batcher"):
        address = str(Account.from_key(role_key(role)).address)
        chain.rpc.call("anvil_setBalance", address, hex(ROLE_WEI))
    plan = _Plan(owner.address, settings, l2_chain_id, chain.block().timestamp)
    owner.send_many(plan.calls(), check=True)
    faucet = Signer(chain, dev_account("faucet").key, name="faucet")
    code = artifact(TOKEN)
    faucet.deploy(code.bytecode + Interface(TOKEN, code.abi).encode_constructor(["USD Coin", "USDC"]), gas=_CREATE_GAS)
    system = attach_layer1(chain, settings)
    # what the accounts own on L2 from its genesis on was never deposited; the portal must be able to pay it out
    chain.rpc.call("anvil_setBalance", system["OptimismPortal"].address, hex(len(dev_accounts()) * ROLE_WEI))
    return system


class _Plan:
    """The owner's transactions from nonce 0: empty proxies first, as the contracts refer to each other."""

    def __init__(self, owner: str, settings: OpStackSettings, l2_chain_id: int, now: int) -> None:
        self._owner = owner
        self._settings = settings
        self._l2_chain_id = l2_chain_id
        self._now = now
        self._at = proxies(settings)
        self._calls: list[Call] = []

    def calls(self) -> list[Call]:
        for _ in self._at:
            self._create("Proxy", self._owner)
        self._system()
        if self._settings.portal == "oracle":
            self._oracle()
        else:
            self._games()
        return self._calls

    def _system(self) -> None:
        at, batcher = self._at, str(Account.from_key(role_key("batcher")).address)
        addresses = (
            at["L1CrossDomainMessenger"],
            _NOBODY,
            at["L1StandardBridge"],
            at.get("DisputeGameFactory", _NOBODY),
            at["OptimismPortal"],
            at["OptimismMintableERC20Factory"],
            _ETHER,
        )
        batcher_hash = bytes(12) + bytes.fromhex(batcher[2:])
        scalars = BASE_FEE_SCALAR, BLOB_BASE_FEE_SCALAR
        self._proxied("SuperchainConfig", (), (self._owner, False))
        self._proxied(
            "SystemConfig",
            (),
            (self._owner, *scalars, batcher_hash, L2_GAS_LIMIT, batcher, _RESOURCES, batcher, addresses),
        )
        shared = at["SuperchainConfig"]
        self._proxied("L1CrossDomainMessenger", (), (shared, at["OptimismPortal"], at["SystemConfig"]))
        self._proxied("L1StandardBridge", (), (at["L1CrossDomainMessenger"], shared, at["SystemConfig"]))
        self._proxied("OptimismMintableERC20Factory", (), (at["L1StandardBridge"],))

    def _oracle(self) -> None:
        at, settings = self._at, self._settings
        proposer = str(Account.from_key(role_key("proposer")).address)
        start = self._now - _ORACLE_LEAD_SECONDS
        self._proxied("OptimismPortal", (), (at["L2OutputOracle"], at["SystemConfig"], at["SuperchainConfig"]))
        self._proxied(
            "L2OutputOracle",
            (),
            (
                settings.output_interval,
                _ORACLE_BLOCK_SECONDS,
                0,
                start,
                proposer,
                self._owner,
                settings.proof_maturity_seconds,
            ),
        )

    def _games(self) -> None:
        at, settings = self._at, self._settings
        factory = at["DisputeGameFactory"]
        self._proxied(
            "OptimismPortal",
            (settings.proof_maturity_seconds, settings.air_gap_seconds),
            (factory, at["SystemConfig"], at["SuperchainConfig"], CANNON),
            implementation="OptimismPortal2",
        )
        self._proxied("DisputeGameFactory", (), (self._owner,))
        self._proxied("DelayedWETH", (settings.proof_maturity_seconds,), (self._owner, at["SuperchainConfig"]))
        self._proxied("AnchorStateRegistry", (factory,), ([(CANNON, (b"\xde" * 32, 0))],))
        machine = self._create("MIPS", self._create("PreimageOracle", 126_000, 86_400))
        clock = settings.game_clock_seconds
        game = self._create(
            "FaultDisputeGame",
            CANNON,
            _PRESTATE,
            73,  # depth of the game, and where claims turn from outputs to steps of the machine: OP Mainnet's
            30,
            min(CLOCK_EXTENSION_SECONDS, clock),
            clock,
            machine,
            at["DelayedWETH"],
            at["AnchorStateRegistry"],
            self._l2_chain_id,
        )
        self._call("DisputeGameFactory", factory, "setImplementation", CANNON, game)
        self._call("DisputeGameFactory", factory, "setInitBond", CANNON, INIT_BOND)

    def _create(self, name: str, *args: Any) -> str:
        """Address of the contract that the next transaction creates."""
        address = created_address(self._owner, len(self._calls))
        self._calls.append(Call(None, creation(name, *args), gas=_CREATE_GAS, label=name))
        return address

    def _call(self, name: str, address: str, function: str, *args: Any) -> None:
        data = bedrock_interface(name).function(function, len(args)).encode(args)
        self._calls.append(Call(address, data, gas=_CALL_GAS, label=f"{name}.{function}"))

    def _proxied(
        self, name: str, constructor: tuple[Any, ...], arguments: tuple[Any, ...], *, implementation: str = ""
    ) -> None:
        """The implementation behind its proxy, initialised in the same transaction."""
        kind = implementation or name
        logic = self._create(kind, *constructor)
        setup = bedrock_interface(kind).function("initialize", len(arguments)).encode(arguments)
        self._call("Proxy", self._at[name], "upgradeToAndCall", logic, setup)
