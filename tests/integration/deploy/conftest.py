"""A chain with what the deployment needs on it, taken back after every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from plimsoll.chain.transactions import Chain, Signer
from plimsoll.deploy.apply import Outcome, apply
from plimsoll.deploy.manifest import Manifest, manifest_path, require
from plimsoll.deploy.parameters import Parameters, load
from plimsoll.devnet.accounts import dev_account
from plimsoll.devnet.anvil import Anvil, AnvilSettings
from plimsoll.devnet.environment import deploy_environment


@dataclass
class Site:
    """Where a test deploys: a chain, parameters, a folder for the manifest."""

    chain: Chain
    parameters: Parameters
    folder: Path

    @property
    def path(self) -> Path:
        return manifest_path(self.parameters.network, self.folder)

    @property
    def manifest(self) -> Manifest:
        return require(self.path)

    def signer(self, name: str = "deployer") -> Signer:
        return Signer(self.chain, dev_account(name).key, name=name)

    def deploy(self, parameters: Parameters | None = None, signer: Signer | None = None, wave: int = 8) -> Outcome:
        return apply(parameters or self.parameters, self.chain, signer or self.signer(), self.path, wave=wave)

    def rpc(self, method: str, *params: object) -> object:
        return self.chain.rpc.call(method, *params)

    def advance(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")


@contextmanager
def _node() -> Iterator[Chain]:
    parameters = load("devnet")
    with Anvil(AnvilSettings(chain_id=parameters.chain_id, gas_limit=60_000_000)) as node:
        chain = node.chain()
        deploy_environment(chain, parameters)
        yield chain
        chain.close()


@contextmanager
def _taken_back(chain: Chain) -> Iterator[None]:
    snapshot = chain.rpc.call("evm_snapshot")
    yield
    chain.rpc.call("evm_setAutomine", True)
    chain.rpc.call("evm_revert", snapshot)


@pytest.fixture(scope="session")
def _bare(built: None) -> Iterator[Chain]:
    with _node() as chain:
        yield chain


@pytest.fixture(scope="session")
def _deployed(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with _node() as chain:
        site = Site(chain, load("devnet"), tmp_path_factory.mktemp("deployments"))
        site.deploy()
        yield site


@pytest.fixture
def site(_bare: Chain, tmp_path: Path) -> Iterator[Site]:
    """Token and price sources are there, the protocol is not."""
    with _taken_back(_bare):
        yield Site(_bare, load("devnet"), tmp_path)


@pytest.fixture
def deployed(_deployed: Site, tmp_path: Path) -> Iterator[Site]:
    """The protocol is there too."""
    with _taken_back(_deployed.chain):
        shutil.copy(_deployed.path, tmp_path)
        yield Site(_deployed.chain, _deployed.parameters, tmp_path)
