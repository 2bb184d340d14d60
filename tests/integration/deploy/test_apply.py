"""Applying a plan: from nothing, after an interruption anywhere, once more, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from plimsoll.chain.transactions import Call, Receipt, Signer
from plimsoll.core.errors import UserError, run_command
from plimsoll.deploy.apply import apply, prepare
from plimsoll.deploy.manifest import Manifest
from plimsoll.deploy.plan import contracts_of, make_plan
from plimsoll.deploy.verify import verify
from tests.integration.deploy.conftest import Site

pytestmark = pytest.mark.node


class Interrupted(BaseException):
    """As Ctrl-C or a lost machine: nothing after it runs."""


class FailingSigner(Signer):
    """Stops for good after so many transactions were mined, before anyone learns of the last one."""

    left: int

    @classmethod
    def of(cls, signer: Signer, left: int) -> FailingSigner:
        failing = cls(signer.chain, signer.wallet, name=signer.name)
        failing.left = left
        return failing

    def send(
        self, to: object = None, data: bytes = b"", *, value: int = 0, gas: int | None = None, check: bool = True
    ) -> Receipt:
        receipt = super().send(to, data, value=value, gas=gas, check=check)
        self._count(1)
        return receipt

    def send_many(self, calls: Iterable[Call], *, check: bool = False) -> list[Receipt]:
        calls = list(calls)
        receipts = super().send_many(calls[: self.left], check=check)
        self._count(len(receipts))
        return receipts + super().send_many(calls[len(receipts) :], check=check)

    def _count(self, sent: int) -> None:
        self.left -= sent
        if self.left <= 0:
            raise Interrupted


def refusal(site: Site, **changes: object) -> str:
    """The one line with which a deployment is refused; nothing was sent and nothing written."""
    signer = changes.pop("signer", None) or site.signer()
    assert isinstance(signer, Signer)
    parameters = replace(site.parameters, **changes) if changes else site.parameters  # type: ignore[arg-type]
    nonce, before = site.chain.nonce(signer.address, "latest"), _content(site)
    with pytest.raises(UserError) as caught:
        site.deploy(parameters, signer)
    assert site.chain.nonce(signer.address, "latest") == nonce
    assert _content(site) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def _content(site: Site) -> bytes | None:
    return site.path.read_bytes() if site.path.exists() else None


# --- from nothing, and again ---------------------------------------------------------------------------------------


def test_apply__nothing_there__deploys_everything(site: Site) -> None:
    outcome = site.deploy()
    manifest = site.manifest
    assert manifest.is_complete
    assert list(manifest.addresses) == list(contracts_of(site.parameters))
    assert manifest.addresses == outcome.plan.addresses
    assert outcome.sent == len(outcome.plan.describe()) == len(manifest.contracts) + len(manifest.calls)
    assert manifest.parameters_hash == site.parameters.digest
    assert manifest.markets == {"ETH/USD": 1, "BTC/USD": 2}
    assert manifest.contracts["MarginVault"].args["core"]["market"] == manifest.addresses["PerpMarket"]
    assert verify(site.parameters, site.chain, manifest).differences == []


def test_apply__again__changes_nothing_and_says_so(deployed: Site) -> None:
    signer, before = deployed.signer(), deployed.path.read_bytes()
    nonce, lines = signer.nonce, list[str]()
    outcome = apply(deployed.parameters, deployed.chain, signer, deployed.path, report=lines.append)
    assert outcome.sent == 0
    assert lines == ["nothing to do: everything is deployed and handed over"]
    assert deployed.chain.nonce(signer.address) == nonce
    assert deployed.path.read_bytes() == before


def test_prepare__nothing_there__sends_and_writes_nothing(site: Site) -> None:
    plan, manifest = prepare(site.parameters, site.chain, site.signer(), site.path)
    assert len(plan.describe()) > 30
    assert (manifest.is_complete, manifest.contracts, site.path.exists()) == (False, {}, False)


def test_apply__later_nonce__deploys_at_other_addresses(site: Site) -> None:
    signer = site.signer()
    signer.send(site.signer("alice").address, value=1)
    assert site.deploy().plan.start_nonce == 1
    assert verify(site.parameters, site.chain, site.manifest).ok


# --- interruptions -------------------------------------------------------------------------------------------------


def test_apply__interrupted_after_every_single_step__goes_on(site: Site) -> None:
    """Each run gets one transaction mined and is lost before it is written down."""
    total = len(prepare(site.parameters, site.chain, site.signer(), site.path)[0].describe())
    start = site.chain.nonce(site.signer().address)
    for done in range(1, total + 1):
        with pytest.raises(Interrupted):
            site.deploy(signer=FailingSigner.of(site.signer(), 1), wave=1)
        assert site.chain.nonce(site.signer().address) == start + done
    outcome = site.deploy()
    assert (outcome.sent, outcome.manifest.is_complete) == (0, True)
    assert verify(site.parameters, site.chain, site.manifest).differences == []


@pytest.mark.parametrize("after", [1, 3, 8, 11, 13, 14, 19, 24, 33, 35])
def test_apply__interrupted_in_a_wave__goes_on(site: Site, after: int) -> None:
    """The same in the middle of transactions that went out together."""
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), after))
    outcome = site.deploy()
    assert outcome.sent == len(outcome.plan.describe()) - after
    assert verify(site.parameters, site.chain, site.manifest).differences == []


def test_apply__manifest_lost_on_the_way__known_by_the_chain(site: Site) -> None:
    """Without its manifest a begun deployment is unknown; a new one begins at the present nonce."""
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), 5), wave=1)
    site.path.unlink()
    assert site.deploy().plan.start_nonce == 5
    assert verify(site.parameters, site.chain, site.manifest).ok


def test_manifest__interrupted_while_writing__keeps_the_last(deployed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    before, manifest = deployed.path.read_bytes(), deployed.manifest
    monkeypatch.setattr(json, "dump", lambda *_, **__: (_ for _ in ()).throw(Interrupted))
    with pytest.raises(Interrupted):
        manifest.save(deployed.path)
    assert deployed.path.read_bytes() == before
    assert list(deployed.folder.iterdir()) == [deployed.path]


# --- refusals ------------------------------------------------------------------------------------------------------


def test_refusal__another_chain(site: Site) -> None:
    assert refusal(site, chain_id=10).startswith(f"{site.chain.uri} is chain 901, and ")


def test_refusal__deployer_without_ether(site: Site) -> None:
    site.rpc("anvil_setBalance", site.signer().address, hex(10**12))
    message = refusal(site)
    assert message.startswith(f"the deployer {site.signer().address} has 0.000001 ETH; about ")
    assert message.endswith("ETH are needed: send it some")


def test_refusal__no_such_key(site: Site) -> None:
    with pytest.raises(UserError, match="private key: not 0x and 64 hexadecimal digits of a valid key"):
        Signer(site.chain, "0x1234")


def test_refusal__other_parameters(deployed: Site) -> None:
    message = refusal(deployed, gas_market=2)
    assert message.startswith(f"{deployed.path} has a deployment with other parameters than ")
    assert "change through its governance" in message


def test_refusal__other_parameters_half_way(site: Site) -> None:
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), 4), wave=1)
    assert "other parameters" in refusal(site, gas_market=2)


def test_refusal__another_deployer(deployed: Site) -> None:
    message = refusal(deployed, signer=deployed.signer("alice"))
    assert message == f"{deployed.path} has a deployment begun by {deployed.manifest.deployer}; go on with that account"


def test_refusal__deployer_used_meanwhile(site: Site) -> None:
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), 4), wave=1)
    site.signer().send(site.signer("alice").address, value=1)
    message = refusal(site)
    assert "sent 1 transactions outside of the plan, so that OracleAggregator can't be created" in message


def test_apply__deployer_used_after_the_contracts__goes_on(site: Site) -> None:
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), len(contracts_of(site.parameters)) + 2), wave=1)
    site.signer().send(site.signer("alice").address, value=1)
    assert site.deploy().manifest.is_complete


def test_refusal__chain_rolled_back(site: Site) -> None:
    snapshot = site.rpc("evm_snapshot")
    with pytest.raises(Interrupted):
        site.deploy(signer=FailingSigner.of(site.signer(), 4), wave=1)
    manifest = site.manifest
    site.rpc("evm_revert", snapshot)
    manifest.start_nonce = 2
    manifest.contracts.clear()
    manifest.save(site.path)
    assert "nonce is 0, less than the 2 of the manifest; the chain was rolled back" in refusal(site)


def test_refusal__transactions_not_mined(site: Site) -> None:
    site.rpc("evm_setAutomine", False)
    site.chain.rpc.call(
        "eth_sendTransaction", {"from": site.signer().address, "to": site.signer("alice").address, "value": "0x1"}
    )
    assert "has 1 transactions that aren't mined yet; wait for them" in refusal(site)


def test_refusal__token_missing(site: Site) -> None:
    nowhere = "0x" + "11" * 20
    message = refusal(site, token=nowhere)
    assert message.startswith(f"no contract at {nowhere}, the token of ")


def test_refusal__push_feed_missing(site: Site) -> None:
    eth, btc = site.parameters.markets
    feed = replace(btc.sources[-1], feed_id="0x" + "00" * 12 + "22" * 20)
    markets = (eth, replace(btc, sources=(*btc.sources[:-1], feed)))
    assert "a feed of BTC/USD of " in refusal(site, markets=markets)


def test_refusal__other_code_at_an_address(deployed: Site) -> None:
    address = deployed.manifest.addresses["MarginVault"]
    deployed.rpc("anvil_setCode", address, "0x6001")
    message = refusal(deployed)
    assert message.startswith(f"MarginVault at {address} is not what this checkout compiles; go on from the commit")


def test_refusal__contract_gone(deployed: Site) -> None:
    deployed.rpc("anvil_setCode", deployed.manifest.addresses["PerpMarket"], "0x")
    assert "PerpMarket is missing at " in refusal(deployed)


def test_refusal__deployer_named_for_a_role(site: Site) -> None:
    governance = replace(site.parameters.governance, guardian=(site.signer().address,))
    assert "is named for GUARDIAN; it renounces everything, so deploy from another account" in refusal(
        site, governance=governance
    )


def test_refusal__broken_manifest(site: Site) -> None:
    site.path.write_text("{}")
    assert refusal(site) == f"{site.path}: not a manifest of a deployment; restore it or move it away"


def _on_another_chain(site: Site) -> None:
    manifest = site.manifest
    manifest.genesis = "0x" + "00" * 32
    manifest.save(site.path)


def test_refusal__manifest_of_another_chain(deployed: Site) -> None:
    _on_another_chain(deployed)
    assert "is of another chain (its first block differs); move it away" in refusal(deployed, development=False)


def test_apply__manifest_of_a_devnet_that_is_gone__starts_anew(deployed: Site) -> None:
    _on_another_chain(deployed)
    assert deployed.deploy().plan.start_nonce > 0
    assert verify(deployed.parameters, deployed.chain, deployed.manifest).ok


def test_apply__step_that_fails__names_step_and_reason(site: Site) -> None:
    """Parameters that the file's checks let through and the contracts don't, if there were any."""
    eth, btc = site.parameters.markets
    markets = (eth, replace(btc, params=replace(btc.params, penalty_bps=301)))
    with pytest.raises(UserError, match=r"MarketConfigurator.listMarket would fail: Bounds_Refused\(rule=b'penalty"):
        site.deploy(replace(site.parameters, markets=markets))
    assert not site.manifest.is_complete


def test_refusal__as_a_command__one_line_and_exit_code_2(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    other = replace(site.parameters, chain_id=10)
    assert run_command(lambda: site.deploy(other).sent) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1


# --- plans ---------------------------------------------------------------------------------------------------------


def test_plan__same_inputs__same_plan(site: Site) -> None:
    first, second = (make_plan(site.parameters, site.signer().address, 3, site.chain) for _ in range(2))
    assert first.creations == second.creations
    assert first.describe() == second.describe()
    assert [step.call.data for step in first.configuration] == [step.call.data for step in second.configuration]
    assert [one.nonce for one in first.creations] == list(range(3, 3 + len(contracts_of(site.parameters))))


def test_plan__other_nonce_or_deployer__other_addresses(site: Site) -> None:
    def addresses(name: str, nonce: int) -> set[str]:
        return set(make_plan(site.parameters, site.signer(name).address, nonce, site.chain).addresses.values())

    assert not addresses("deployer", 0) & addresses("alice", 0)
    assert not addresses("deployer", 0) & addresses("deployer", len(contracts_of(site.parameters)))


def test_manifest__saved_and_loaded__is_the_same(deployed: Site) -> None:
    manifest = deployed.manifest
    manifest.save(deployed.folder / "copy.json")
    assert Manifest.load(deployed.folder / "copy.json") == manifest
