"""How a keeper is operated, whatever its job is: nodes, ceilings, store, metrics; from options or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT
from plimsoll.chain.endpoints import RpcPool
from plimsoll.chain.rpc import Retry
from plimsoll.chain.sending import CarefulSigner, Limits
from plimsoll.chain.transactions import Chain, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import to_wad
from plimsoll.index.store import SCHEMA
from plimsoll.keepers.checks import Checks, Often
from plimsoll.keepers.guard import Guard
from plimsoll.keepers.ledger import Ledger, in_folder
from plimsoll.keepers.store import Store, StoredJournal, open_store
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.deployments import Deployment

NODE_SECONDS = 10.0
"""How long a keeper waits for an answer of its only node before it counts as away."""
POOL_SECONDS = 3.0
"""The same where there is another node to ask."""
MAX_TIP = "0.1"
"""Gwei: far above what rollups need, and a tenth of what nodes suggest that know none."""
NO_STORE = "none"
IN_MEMORY = "memory"
ETH_MARKET = "ETH/USD"
"""Says what gas costs in dollars, where nobody else does."""
VARIABLES = {
    "PLIMSOLL_NODES": "nodes",
    "PLIMSOLL_STORE": "store",
    "PLIMSOLL_METRICS": "metrics",
    "PLIMSOLL_MAX_TIP_GWEI": "max_tip",
    "PLIMSOLL_MAX_FEE_GWEI": "max_fee",
    "PLIMSOLL_MAX_GAS": "max_gas",
    "PLIMSOLL_PATIENCE_SECONDS": "patience",
    "PLIMSOLL_SUMS_SECONDS": "sums",
    "PLIMSOLL_LOW_BALANCE_ETHER": "low_balance",
    "PLIMSOLL_INDEX_FOLDER": "index",
    "PLIMSOLL_ETH_PRICE": "eth_price",
}
"""Environment variables by what they set."""


@dataclass(frozen=True, slots=True)
class Operating:
    """Figures are text as people write them; `Operating.limits` and `often` are what they come to."""

    nodes: tuple[str, ...] = ()
    """Addresses of nodes, in order of preference."""
    store: str | None = None
    """A file's path or redis://…; None for a file of the network's, "none" for none."""
    metrics: str | None = None
    """HOST:PORT to serve /metrics and /health at."""
    max_tip: str = MAX_TIP
    max_fee: str | None = None
    """Gwei of a unit of gas."""
    max_gas: str = "16000000"
    patience: str = "8"
    """Seconds until a transaction that isn't mined is sent again or replaced."""
    sums: str = "60"
    """Seconds between sums of the ledger, 0 for never."""
    low_balance: str = "0.01"
    """Ether below which the alarm goes."""
    index: str | None = None
    """A folder in which each process has a file for its index; None for one beside the store, "memory" for none."""
    eth_price: str | None = None
    """Dollars, for what gas comes to; None for the price of the market ETH/USD."""

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Operating:
        """Of the variables that are set. Raises UserError."""
        given: dict[str, Any] = {
            field: environment[name].strip() for name, field in VARIABLES.items() if environment.get(name, "").strip()
        }
        if "nodes" in given:
            given["nodes"] = tuple(given["nodes"].replace(",", " ").split())
        return replace(Operating(), **given)

    @property
    def limits(self) -> Limits:
        return Limits(
            max_gas=_whole(self.max_gas, "max gas"),
            max_fee=None if self.max_fee is None else _gwei(self.max_fee, "max fee"),
            patience_seconds=float(_whole(self.patience, "patience")),
        )

    @property
    def often(self) -> Often:
        return Often(sums=float(_whole(self.sums, "sums")), low_balance=to_wad(self.low_balance, what="low balance"))

    @property
    def ether(self) -> int | None:
        """WAD dollars, where it is given. Raises UserError where that isn't more than zero."""
        if self.eth_price is None:
            return None
        price = to_wad(self.eth_price, what="ETH price")
        if price <= 0:
            raise UserError(f"an ETH price of {self.eth_price} is not more than zero")
        return price

    def chain(self) -> Chain:
        """A chain that doesn't hide its nodes' outages for long: the keeper's loop does the waiting."""
        several = len(self.nodes) > 1
        seconds, retry = (POOL_SECONDS, Retry(attempts=1)) if several else (NODE_SECONDS, Retry(attempts=2))
        chain = Chain(RpcPool(self.nodes, timeout_seconds=seconds, retry=retry))
        chain.max_tip = _gwei(self.max_tip, "max tip")
        return chain

    def open_store(self, deployment: Deployment) -> Store | None:
        """The store of a deployment, apart from those of all others, and of a chain that was started again."""
        if self.store == NO_STORE:
            return None
        space = _space(deployment).replace("-", ":")
        return open_store(self.store or str(default_store(deployment)), f"{space}:")

    def ledger(self, contracts: Contracts, deployment: Deployment) -> Ledger:
        """Of one process. Opens nothing yet. Where nothing else is written down, it isn't either."""
        if self.index == IN_MEMORY or (self.index is None and self.store == NO_STORE):
            return Ledger(contracts)
        is_file = self.store is not None and "://" not in self.store
        beside = Path(self.store).parent if self.store and is_file else ROOT / "keepers"
        folder = Path(self.index or beside / "index") / f"{_space(deployment)}-{SCHEMA}"
        return Ledger(contracts, lambda: in_folder(folder))

    def signer(self, signer: Signer, store: Store | None) -> CarefulSigner:
        """With this key, within the limits; what it sends is written down in the store."""
        journal = None if store is None else StoredJournal(store, signer.address)
        return CarefulSigner(signer.chain, signer.wallet, name=signer.name, limits=self.limits, journal=journal)

    def guard(self, job: str, ledger: Ledger, deployment: Deployment, signer: Signer, store: Store | None) -> Guard:
        """What stands between a job's decisions and its transactions."""
        eth_market = deployment.markets.get(ETH_MARKET)
        checks = Checks(
            ledger.contracts, deployment.genesis, signer, ledger=ledger, often=self.often, eth_price=self.ether,
            eth_market=eth_market,
        )  # fmt: skip
        return Guard(job, store, signer, checks)


def default_store(deployment: Deployment) -> Path:
    """The file that the keepers of one machine share."""
    return ROOT / "keepers" / f"{deployment.network}.sqlite"


def _space(deployment: Deployment) -> str:
    """A name that no other deployment has, nor this one on a chain that was started again."""
    return f"{deployment.genesis[2:14]}-{deployment.addresses['MarginVault'][2:10].lower()}"


def _whole(text: str, what: str) -> int:
    if not text.isdigit():
        raise UserError(f"{what}: {text!r} is not a whole number")
    return int(text)


def _gwei(text: str, what: str) -> int:
    """In wei."""
    return to_wad(text, what=what) // 10**9
