"""An OP-stack rollup on this machine: two nodes, the real contracts on both, and who runs them. See the package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Chain, Receipt, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.code import PROBE
from plimsoll.devnet.accounts import dev_accounts
from plimsoll.devnet.anvil import CHAIN_ID, Anvil, AnvilSettings
from plimsoll.devnet.opstack.contracts import registry
from plimsoll.devnet.opstack.layer1 import Layer1, attach_layer1, deploy_layer1, read_settings
from plimsoll.devnet.opstack.predeploys import PREDEPLOYS, predeploy
from plimsoll.devnet.opstack.proposals import GameProposer, OracleProposer, Proposal, Proposer, covering, latest
from plimsoll.devnet.opstack.relayer import Relayer
from plimsoll.devnet.opstack.sequencer import Sequencer
from plimsoll.devnet.opstack.settings import L1_CHAIN_ID, OpStackSettings
from plimsoll.devnet.opstack.token import bridged_token, prepare_bridged_token
from plimsoll.devnet.state import Snapshot, restore_snapshot, take_snapshot
from plimsoll.sdk.rollup.proofs import Proof, Withdrawal, prove_withdrawal, withdrawals_in

L1_GAS_LIMIT = 60_000_000
BRIDGE_GAS = 200_000
"""L2 gas that a bridged token is given to arrive with."""

Report = Callable[[str], None]


class OpStack:
    """A running rollup. Make one by `boot`, `load`, or over two running nodes by the constructor.

    `l1`, `l2`: the chains. `l1_signers`, `l2_signers`: the devnet's accounts on each, by name. `sequencer`, `relayer`,
    `proposer`: the roles; the methods here are what is mostly needed of them.
    """

    def __init__(
        self,
        l1: Chain,
        l2: Chain,
        settings: OpStackSettings | None = None,
        *,
        l2_signers: dict[str, Signer] | None = None,
    ) -> None:
        """Attach to nodes on which everything is deployed already. `settings` are read from L1 by default.

        Raises UserError where nothing is deployed.
        """
        settings = settings or read_settings(l1)
        self.settings = settings
        self.l1, self.l2 = l1, l2
        self.layer1: Layer1 = attach_layer1(l1, settings)
        self.l1_signers = signers_of(l1)
        self.l2_signers = l2_signers or signers_of(l2)
        self.sequencer = Sequencer(l2)
        self.relayer = Relayer(l1, l2, self.layer1, self.sequencer, window_seconds=settings.sequencing_window_seconds)
        self.proposer: Proposer = (
            OracleProposer(l1, l2, self.layer1)
            if settings.portal == "oracle"
            else GameProposer(l1, l2, self.layer1, settings)
        )

    @staticmethod
    @contextmanager
    def boot(
        settings: OpStackSettings | None = None,
        *,
        l1: AnvilSettings | None = None,
        l2: AnvilSettings | None = None,
        report: Report = lambda line: None,
    ) -> Iterator[OpStack]:
        """A fresh rollup that is stopped at the end of the context.

        Args:
            settings: portal and waiting times; those of OP Mainnet by default.
            l1, l2: how to start the nodes; on free ports by default.
            report: takes a line for each step.

        Raises:
            UserError: a port is taken, no anvil, the contracts aren't installed.
        """
        with _nodes(l1, l2) as (node1, node2):
            yield deploy_op_stack(
                node1.chain(registry()), node2.chain(registry()), settings or OpStackSettings(), report=report
            )

    # --- the contracts ---

    def l1_contract(self, name: str) -> Deployed:
        """Of the system on L1, such as "OptimismPortal". Raises UserError where there is none of that name."""
        if name not in self.layer1.contracts:
            raise UserError(f"{name} is not deployed on L1; there are {', '.join(self.layer1.contracts)}")
        return self.layer1[name]

    def l2_contract(self, name: str) -> Deployed:
        """A predeploy, such as "L2StandardBridge". Raises UserError where there is none of that name."""
        if name not in PREDEPLOYS:
            raise UserError(f"{name} is no predeploy; there are {', '.join(PREDEPLOYS)}")
        return predeploy(name, self.l2)

    @property
    def l1_token(self) -> Deployed:
        """The settlement token on L1: 6 decimals, permit, anyone mints."""
        return self.layer1.token

    @property
    def l2_token(self) -> Deployed:
        """Its representation on L2, which only the bridge mints."""
        return bridged_token(self.l2)

    # --- deposits ---

    def relay(self) -> list[Receipt]:
        """Bring L2 up to L1; L2 receipts of the deposits executed now, in their order. See `Relayer.relay`."""
        return self.relayer.relay()

    def bridge(self, name: str, amount: int, *, to: str | None = None) -> Receipt:
        """Mint token units on L1, bridge them, and relay; returns the deposit's L2 receipt.

        `name` is an account's; `to` a recipient on L2, by default the same. See `bridge_many`.
        """
        return self.bridge_many(name, {to or self.l1_signers[name].address: amount})[0]

    def bridge_many(self, name: str, amounts: Mapping[str, int]) -> list[Receipt]:
        """Mint token units on L1 to an account, bridge them to recipients on L2, relay; the deposits' L2 receipts.

        Raises:
            Reverted: a step on L1 failed.
            UserError: a deposit isn't relayed at once because the sequencer is stopped.
        """
        signer, bridge = self.l1_signers[name], self.l1_contract("L1StandardBridge")
        total = sum(amounts.values())
        calls = [
            self.l1_token.prepare("mint", signer, total, gas=100_000),
            self.l1_token.prepare("approve", bridge, total, gas=100_000),
        ]
        calls += [
            bridge.prepare(
                "bridgeERC20To", self.l1_token, self.l2_token, recipient, amount, BRIDGE_GAS, b"", gas=1_000_000
            )
            for recipient, amount in amounts.items()
        ]
        sent = signer.send_many(calls, check=True)[2:]
        self.relay()
        hashes = [self.relayer.deposits_of(receipt)[0].tx_hash for receipt in sent]
        found = [self.l2.receipt(tx_hash) for tx_hash in hashes]
        if None in found:
            raise UserError("the deposit is on L1 but not on L2 yet: the sequencer is stopped")
        return [receipt for receipt in found if receipt is not None]

    @property
    def escrow(self) -> int:
        """Token units that the bridge holds on L1."""
        return int(self.l1_token.call("balanceOf", self.l1_contract("L1StandardBridge")))

    @property
    def on_the_way(self) -> int:
        """Token units that left L2 and haven't arrived on L1; escrow is L2's supply and these, once all is relayed."""
        left = self.l2_contract("L2StandardBridge").history("ERC20BridgeInitiated")
        arrived = self.l1_contract("L1StandardBridge").history("ERC20BridgeFinalized")
        return sum(int(event["amount"]) for event in left) - sum(int(event["amount"]) for event in arrived)

    # --- withdrawals ---

    def withdrawals(self, receipt: Receipt) -> list[Withdrawal]:
        """Those that an L2 transaction began."""
        return withdrawals_in(receipt, self.l2)

    def propose(self, root: bytes | None = None) -> Proposal:
        """Claim L2's newest output on L1, or a root of one's own. See `Proposer.propose`."""
        return self.proposer.propose(root)

    def resolve(self) -> list[Proposal]:
        """Resolve the games whose clock ran out; returns them. Nothing with the oracle."""
        return self.proposer.resolve_due()

    def proof(self, withdrawal: Withdrawal) -> Proof:
        """Against the oldest honest output that covers it. Raises UserError where none does yet."""
        proposal = covering(self.proposer, self.l2, withdrawal.block_number)
        if proposal is None:
            raise UserError(f"no output of L2 block {withdrawal.block_number} or later is on L1 yet; propose one")
        return prove_withdrawal(withdrawal, proposal.index, proposal.block_number, self.l2)

    def prove(self, withdrawal: Withdrawal, signer: Signer | str, *, proof: Proof | None = None) -> Receipt:
        """Prove it on L1 as its submitter; `signer` may be an account's name. Raises Reverted, UserError."""
        proof = proof or self.proof(withdrawal)
        return self.l1_contract("OptimismPortal").transact(
            self._l1_signer(signer),
            "proveWithdrawalTransaction",
            withdrawal.transaction,
            proof.index,
            proof.output,
            proof.nodes,
        )

    def finalise(self, withdrawal: Withdrawal, signer: Signer | str) -> Receipt:
        """Execute it on L1 as the one who proved it. Raises Reverted: too early, not proven, done already."""
        return self.l1_contract("OptimismPortal").transact(
            self._l1_signer(signer), "finalizeWithdrawalTransaction", withdrawal.transaction
        )

    def pass_challenge(self) -> None:
        """Let the time pass after which all that is proven now can be finalised; the games are resolved meanwhile."""
        if self.settings.portal == "oracle":
            self.advance(self.settings.proof_maturity_seconds + 1)
            return
        self.advance(self.settings.game_clock_seconds + 1)
        self.resolve()
        rest = self.settings.proof_maturity_seconds - self.settings.game_clock_seconds
        self.advance(max(self.settings.air_gap_seconds, rest) + 1)

    # --- time, reorganisations, state ---

    def advance(self, seconds: int) -> None:
        """Let time pass on both chains, and mine a block on each (on L2 while its sequencer runs)."""
        self.l1.rpc.batch([("evm_increaseTime", [seconds]), ("evm_mine", [])])
        self.l2.rpc.call("evm_increaseTime", seconds)
        if self.sequencer.is_running:
            self.l2.rpc.call("evm_mine")

    def reorganise_l1(self, depth: int) -> None:
        """Replace the newest `depth` blocks of L1 by empty ones; L2 follows with the next relay."""
        head = self.l1.block_number
        if not 1 <= depth <= head:
            raise UserError(f"cannot reorganise {depth} blocks of {head}")
        self.l1.rpc.call("anvil_reorg", depth, [])
        self.forget_nonces()

    def reorganise_l2(self, depth: int) -> None:
        """Drop the newest unsafe blocks of L2. Raises UserError where one of them is claimed on L1 already."""
        last = latest(self.proposer)
        unsafe = self.l2.block_number - (last.block_number if last else 0)
        if depth > unsafe:
            raise UserError(f"cannot reorganise {depth} blocks: only {unsafe} are not claimed on L1 yet")
        self.sequencer.reorganise(depth)
        self.forget_nonces()

    def snapshot(self) -> Snapshot:
        """Of both chains, for `restore`."""
        return take_snapshot((self.l1, self.l2))

    def restore(self, snapshot: Snapshot) -> None:
        """Both chains back to a snapshot, which is used up by it."""
        restore_snapshot((self.l1, self.l2), snapshot)
        self.forget_nonces()

    def forget_nonces(self) -> None:
        """Read them from the chains before the next transaction of any signer."""
        for signer in [*self.l1_signers.values(), *self.l2_signers.values()]:
            signer.forget_nonce()

    def _l1_signer(self, signer: Signer | str) -> Signer:
        return self.l1_signers[signer] if isinstance(signer, str) else signer


def deploy_op_stack(
    l1: Chain,
    l2: Chain,
    settings: OpStackSettings,
    *,
    l2_signers: dict[str, Signer] | None = None,
    report: Report = lambda line: None,
) -> OpStack:
    """Deploy everything on two fresh nodes, and relay once. Raises Reverted, UserError."""
    deploy_layer1(l1, settings, l2_chain_id=l2.chain_id)
    stack = OpStack(l1, l2, settings, l2_signers=l2_signers)
    for name, contract in stack.layer1.contracts.items():
        report(f"L1       {name:<28} {contract.address}")
    prepare_bridged_token(l2)
    # with fees for L1 data anvil refuses even calls from an address that has no ether, unlike a real node
    l2.rpc.call("anvil_setBalance", PROBE, hex(WAD))
    stack.relay()
    return stack


def signers_of(chain: Chain) -> dict[str, Signer]:
    """The devnet's accounts by name."""
    return {name: Signer(chain, one.key, name=name) for name, one in dev_accounts().items()}


@contextmanager
def _nodes(l1: AnvilSettings | None, l2: AnvilSettings | None) -> Iterator[tuple[Anvil, Anvil]]:
    with ExitStack() as nodes:
        first = AnvilSettings(chain_id=L1_CHAIN_ID, network=None, gas_limit=L1_GAS_LIMIT) if l1 is None else l1
        node1 = nodes.enter_context(Anvil(first))
        node2 = nodes.enter_context(Anvil(l2 or AnvilSettings(chain_id=CHAIN_ID, gas_limit=L1_GAS_LIMIT)))
        yield node1, node2
