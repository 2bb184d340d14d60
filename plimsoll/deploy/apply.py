"""Carry out a plan. It may be interrupted anywhere and run again; what is done is found on the chain, not remembered.

Contracts are created in the order of the deployer's nonces, so the nonce says how far that went; configuration is
compared with the chain step by step. The manifest is written after every step. Nothing is sent before every refusal was
ruled out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plimsoll.chain.abi import function_json
from plimsoll.chain.contracts import Deployed, Interface, interface
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import GAS_MARGIN_PERCENT, Call, Chain, Receipt, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import format_wad
from plimsoll.deploy.code import code_hash, is_same_code
from plimsoll.deploy.manifest import Called, Created, Manifest, genesis_of, git_commit, readable
from plimsoll.deploy.parameters import Parameters, Source
from plimsoll.deploy.plan import Creation, Plan, Step, make_plan
from plimsoll.deploy.state import read_state

WAVE = 8
"""Transactions that are sent without waiting for each other; nodes hold 16 of one sender."""
GAS_A_CALL = 150_000
"""For the estimate of what a deployment costs: configuration calls need less on average."""
GAS_A_BYTE = 250
"""As above: creation, 200 for each byte that is stored, and its call data."""

POOL = Interface("Pool", [function_json(name, [], ["address"]) for name in ("token0", "token1")])
TOKEN = Interface("Token", [function_json("decimals", [], ["uint8"])])

Report = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What an application did: the number of transactions sent, 0 when everything was there."""

    plan: Plan
    manifest: Manifest
    sent: int


def apply(
    parameters: Parameters,
    chain: Chain,
    signer: Signer,
    path: Path,
    *,
    wave: int = WAVE,
    report: Report = lambda line: None,
) -> Outcome:
    """Deploy what is missing; `path` is the manifest's. Running it again changes nothing.

    Raises UserError before the first transaction where it can't go on: see `prepare`; and later if a step fails.
    """
    plan, manifest = prepare(parameters, chain, signer, path, report=report)
    if manifest.is_complete:
        report("nothing to do: everything is deployed and handed over")
        return Outcome(plan, manifest, 0)
    run = _Run(plan, manifest, chain, signer, path, wave, report)
    run.create()
    run.configure(plan.configuration)
    run.configure(plan.handover[:-1])
    run.configure(plan.handover[-1:])
    manifest.is_complete = True
    manifest.end_block = chain.block_number
    manifest.save(path)
    return Outcome(plan, manifest, run.sent)


def prepare(
    parameters: Parameters, chain: Chain, signer: Signer, path: Path, *, report: Report = lambda line: None
) -> tuple[Plan, Manifest]:
    """The plan, and the manifest so far (new where there is none), after everything was checked that can be.

    Raises UserError: wrong chain; deployed already with other parameters, from another account or out of another
    checkout; transactions of the deployer outside of the plan; a contract that must exist and doesn't; too little ETH.
    """
    parameters.require_chain(chain.chain_id, chain.uri)
    genesis = genesis_of(chain)
    manifest = Manifest.load(path)
    if manifest is not None and (manifest.genesis, manifest.chain_id) != (genesis, chain.chain_id):
        if not parameters.development:
            raise UserError(f"{path} is of another chain (its first block differs); move it away to deploy on this one")
        report(f"{path.name} is of a chain that is gone; starting anew")
        manifest = None
    if manifest is None:
        manifest = _new_manifest(parameters, chain, signer, genesis)
    _check_manifest(manifest, parameters, signer, path)
    plan = make_plan(parameters, signer.address, manifest.start_nonce, chain)
    _check_external(parameters, chain)
    done = _check_created(plan, manifest, chain, path)
    if not manifest.is_complete:
        _check_nonce(plan, manifest, chain, done, path)
        _check_balance(plan, chain, signer, done)
    return plan, manifest


def _new_manifest(parameters: Parameters, chain: Chain, signer: Signer, genesis: str) -> Manifest:
    return Manifest(
        network=parameters.network,
        chain_id=chain.chain_id,
        genesis=genesis,
        deployer=signer.address,
        start_nonce=chain.nonce(signer.address, "latest"),
        start_block=chain.block_number,
        parameters_file=Path(parameters.path).name,
        parameters_hash=parameters.digest,
        git_commit=git_commit(),
        external={
            "token": parameters.token,
            "api3_server": parameters.api3_server,
            "sequencer_feed": parameters.sequencer.feed,
            "treasury": parameters.treasury,
            **{name: getattr(parameters, name) for name in _vendors(parameters)},
            **({"l1_gateway": parameters.l1_gateway} if parameters.has_bridge else {}),
        },
        markets={market.name: market.id for market in parameters.markets},
    )


# --- refusals ------------------------------------------------------------------------------------------------------


def _check_manifest(manifest: Manifest, parameters: Parameters, signer: Signer, path: Path) -> None:
    if manifest.parameters_hash != parameters.digest:
        raise UserError(
            f"{path} has a deployment with other parameters than {parameters.path}; parameters of a deployment change "
            "through its governance, and to deploy once more move the manifest away"
        )
    if manifest.deployer != signer.address:
        raise UserError(f"{path} has a deployment begun by {manifest.deployer}; go on with that account")


def _check_external(parameters: Parameters, chain: Chain) -> None:
    wanted = {parameters.token: "the token", parameters.api3_server: "API3's server"}
    wanted |= {getattr(parameters, name): what for name, what in _vendors(parameters).items()}
    if int(parameters.sequencer.feed, 16):
        wanted[parameters.sequencer.feed] = "the sequencer feed"
    for market in parameters.markets:
        for source in market.sources:
            if source.contract is not None:
                wanted[source.contract] = f"a feed of {market.name}"
    codes = chain.rpc.batch([("eth_getCode", [address, "latest"]) for address in wanted])
    for (address, what), code in zip(wanted.items(), codes, strict=True):
        if len(code) <= 2:
            raise UserError(f"no contract at {address}, {what} of {parameters.path}; is it the right network?")
    for market in parameters.markets:
        for source in market.sources:
            if source.kind == "uniswap":
                _check_pool(source, chain, f"{parameters.path}: {market.name}: {source.label}")


def _check_pool(source: Source, chain: Chain, where: str) -> None:
    """The decimals that the file names are those of the pool's tokens."""
    assert source.contract is not None
    pool = Deployed(POOL, source.contract, chain)
    for name, named in zip(("token0", "token1"), source.pool_decimals, strict=True):
        actual = Deployed(TOKEN, pool.call(name), chain).call("decimals")
        if actual != named:
            raise UserError(f"{where}: {name} has {actual} decimals, not {named}")


def _vendors(parameters: Parameters) -> dict[str, str]:
    """The vendors' contracts, besides API3's, that the parameters name, and what they are."""
    names = {"data_streams": "the verifier of Data Streams", "pyth": "Pyth's contract"}
    return {name: what for name, what in names.items() if int(getattr(parameters, name), 16)}


def _check_created(plan: Plan, manifest: Manifest, chain: Chain, path: Path) -> int:
    """How many of the contracts exist, which must be the first ones and this checkout's."""
    codes = chain.rpc.batch([("eth_getCode", [one.address, "latest"]) for one in plan.creations])
    codes = [bytes.fromhex(code[2:]) for code in codes]
    done = next((place for place, code in enumerate(codes) if not code), len(codes))
    for creation, code in zip(plan.creations[:done], codes, strict=False):
        if not is_same_code(creation.name, code):
            raise UserError(
                f"{creation.name} at {creation.address} is not what this checkout compiles; "
                f"go on from the commit it was deployed from ({manifest.git_commit or 'unknown'})"
            )
        known = manifest.contracts.get(creation.name)
        if known is None or known.address != creation.address:
            manifest.contracts[creation.name] = _created(creation, code)
    lost = [one.name for one, code in zip(plan.creations[done:], codes[done:], strict=True) if code]
    if lost or (manifest.is_complete and done < len(codes)):
        raise UserError(
            f"{plan.creations[done].name} is missing at {plan.creations[done].address} although what comes after it "
            f"exists; it can't be created there any more: move {path} away to deploy anew"
        )
    return done


def _check_nonce(plan: Plan, manifest: Manifest, chain: Chain, done: int, path: Path) -> None:
    mined, pending = chain.nonce(plan.deployer, "latest"), chain.nonce(plan.deployer, "pending")
    if pending != mined:
        raise UserError(
            f"the deployer {plan.deployer} has {pending - mined} transactions that aren't mined yet; wait for them"
        )
    expected = plan.start_nonce + done
    if mined == expected or (done == len(plan.creations) and mined > expected):
        return
    if mined < expected:
        raise UserError(
            f"the deployer's nonce is {mined}, less than the {expected} of the manifest; the chain was rolled back: "
            f"move {path} away to deploy anew"
        )
    raise UserError(
        f"the deployer {plan.deployer} sent {mined - expected} transactions outside of the plan, so that "
        f"{plan.creations[done].name} can't be created where the others expect it; "
        f"move {path} away to deploy anew, with an account used for nothing else"
    )


def _check_balance(plan: Plan, chain: Chain, signer: Signer, done: int) -> None:
    gas = sum(len(one.data) * GAS_A_BYTE for one in plan.creations[done:])
    gas += GAS_A_CALL * (len(plan.configuration) + len(plan.handover))
    needed = gas * chain.fees()[0]
    balance = chain.balance(signer.address)
    if balance < needed:
        raise UserError(
            f"the deployer {signer.address} has {format_wad(balance, 6)} ETH; "
            f"about {format_wad(needed, 6)} ETH are needed: send it some"
        )


# --- carrying out --------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    plan: Plan
    manifest: Manifest
    chain: Chain
    signer: Signer
    path: Path
    wave: int
    report: Report
    sent: int = 0

    def create(self) -> None:
        """Create what is missing."""
        self.manifest.save(self.path)
        left = [one for one in self.plan.creations if one.name not in self.manifest.contracts]
        while left:
            calls = [Call(None, one.data, label=one.name) for one in left[: self.wave]]
            receipts = self._send(calls)
            for creation, receipt in zip(left, receipts, strict=False):
                if receipt.contract_address != creation.address:
                    raise UserError(
                        f"{creation.name} was created at {receipt.contract_address}, not at {creation.address}; "
                        f"the deployer was used meanwhile: move {self.path} away to deploy anew"
                    )
                code = self.chain.code(creation.address)
                if not is_same_code(creation.name, code):
                    raise UserError(f"{creation.name} at {creation.address} is not what this checkout compiles")
                self.manifest.contracts[creation.name] = _created(creation, code, receipt)
                self.manifest.save(self.path)
                self.report(f"created  {creation.name:<18} {creation.address}  {receipt.gas_used:>9,} gas")
            left = left[len(receipts) :]

    def configure(self, steps: Sequence[Step]) -> None:
        """Make the calls whose result isn't on the chain."""
        state = read_state(self.chain, self.manifest.addresses, from_block=self.manifest.start_block)
        left = [step for step in steps if not step.is_done(state)]
        while left:
            receipts = self._send([step.call for step in left[: self.wave]])
            for step, receipt in zip(left, receipts, strict=False):
                self.manifest.calls.append(Called(step.label, receipt.block_number, receipt.tx_hash, receipt.gas_used))
                self.manifest.save(self.path)
                self.report(f"called   {step.label}  {receipt.gas_used:,} gas")
            left = left[len(receipts) :]

    def _send(self, calls: Sequence[Call]) -> list[Receipt]:
        """Send as many of the first calls as the present state lets through. Raises UserError if one fails."""
        ready: list[Call] = []
        for call in calls:
            try:
                gas = self.chain.estimate(call.to, call.data, sender=self.signer.address)
            except (Reverted, RpcError) as error:
                if ready:  # it may need those before it
                    break
                reason = error.reason if isinstance(error, Reverted) else str(error)
                raise UserError(f"{call.label or 'a step'} would fail: {reason}") from None
            ready.append(Call(call.to, call.data, gas=gas * GAS_MARGIN_PERCENT // 100, label=call.label))
        if len(ready) == 1:
            receipts = [self.signer.send(ready[0].to, ready[0].data, gas=ready[0].gas, check=False)]
        else:
            receipts = self.signer.send_many(ready)
        for call, receipt in zip(ready, receipts, strict=True):
            if not receipt.ok:
                reason = self.chain.why(receipt).reason
                raise UserError(f"{call.label or 'a step'} failed in {receipt.tx_hash}: {reason}; run it again")
        self.sent += len(receipts)
        return receipts


def _created(creation: Creation, code: bytes, receipt: Receipt | None = None) -> Created:
    names = interface(creation.name).constructor_names
    args: dict[str, Any] = dict(zip(names, map(readable, creation.args), strict=True))
    return Created(
        address=creation.address,
        args=args,
        code_hash=code_hash(code),
        block=receipt.block_number if receipt else None,
        tx_hash=receipt.tx_hash if receipt else None,
        gas_used=receipt.gas_used if receipt else None,
    )
