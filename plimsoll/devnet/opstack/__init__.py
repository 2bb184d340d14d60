"""An OP-stack rollup on this machine: L1 and L2 nodes, the OP stack's real contracts, and Python in the roles around.

```python
with OpStack.boot() as stack:                       # under 1 s; OpStackSettings(portal="oracle") for the older portal
    stack.bridge("alice", 5_000 * 10**6)            # L1 token minted, bridged, and relayed: alice has it on L2

    portal = stack.l1_contract("OptimismPortal")    # any deposit of one's own; contracts as everywhere in the project
    portal.transact(stack.l1_signers["alice"], "depositTransaction", to, value, gas, False, data, value=value)
    (receipt,) = stack.relay()                      # L2 receipts of the deposits that were executed now

    bridge = stack.l2_contract("L2StandardBridge")
    sent = bridge.transact(
        stack.l2_signers["alice"], "bridgeERC20To", stack.l2_token, stack.l1_token, bob, amount, 200_000, b""
    )
    (withdrawal,) = stack.withdrawals(sent)
    stack.propose()                                 # op-proposer: the newest output onto L1
    stack.prove(withdrawal, "alice")
    stack.pass_challenge()                          # the waiting times, and the game's resolution
    stack.finalise(withdrawal, "alice")
    assert stack.escrow == stack.l2_token.call("totalSupply")
```

`stack.l1` and `stack.l2` are the chains (`plimsoll.chain.transactions.Chain`), with `.uri` for other programs.
`stack.settings` has the waiting times. Nothing happens by itself: `relay` plays the rollup node, `propose` and
`resolve` the proposer. `stack.sequencer` stops, starts, censors; `stack.reorganise_l1` and `reorganise_l2` take
blocks back; `stack.advance` lets time pass on both chains; `stack.snapshot` and `restore` go back to a moment.

To attach to a rollup that runs already (another process, after a restart): `OpStack(Chain(l1_url), Chain(l2_url))`; no
state is kept but on the chains. A deposit from a contract on L1 has the sender `aliased(contract)` on L2.

What it is not: L2's blocks are the L2 node's own and not derived from data on L1, there are no batches, and a
transaction of the L1 attributes comes with each new L1 block only, not with each L2 block.
"""

from plimsoll.devnet.opstack.proposals import Proposal
from plimsoll.devnet.opstack.settings import OpStackSettings
from plimsoll.devnet.opstack.stack import OpStack, deploy_op_stack
from plimsoll.sdk.rollup.derivation import Deposit, aliased
from plimsoll.sdk.rollup.proofs import OutputRoot, Proof, Withdrawal

__all__ = [
    "Deposit",
    "OpStack",
    "OpStackSettings",
    "OutputRoot",
    "Proof",
    "Proposal",
    "Withdrawal",
    "aliased",
    "deploy_op_stack",
]
