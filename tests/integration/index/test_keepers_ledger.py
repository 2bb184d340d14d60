"""The ledger of a keeper's process on a devnet: it reads on after a restart, and its sums find what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plimsoll.chain.rpc import RpcClient
from plimsoll.core import ids
from plimsoll.keepers.ledger import Ledger, in_folder
from plimsoll.keepers.sums import Sums
from plimsoll.sdk.slots import VAULT_BALANCES, slot_of
from tests.integration.index.conftest import Traded

pytestmark = pytest.mark.node


def test_at__opened_again__reads_on_where_it_was(
    traded: Traded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = traded.devnet.chain
    half = chain.block(chain.block_number // 2)
    first = Ledger(traded.contracts, lambda: in_folder(tmp_path))
    first.at(half)
    assert first.index.block == half.number
    first.close()

    asked: list[int] = []
    call = RpcClient.call

    def listen(rpc: RpcClient, method: str, *params: Any) -> object:
        if method == "eth_getLogs":
            asked.append(int(params[0]["fromBlock"], 16))
        return call(rpc, method, *params)

    monkeypatch.setattr(RpcClient, "call", listen)
    again = Ledger(traded.contracts, lambda: in_folder(tmp_path))
    mirror = again.at(chain.block())
    assert min(asked) == half.number + 1
    assert again.at(chain.block()) is mirror
    assert len(asked) == 1
    stored, mirrored = traded.at_chain(mirror)
    assert mirrored == stored
    again.close()


def test_add_up__of_a_crash__is_right_for_every_account(traded: Traded) -> None:
    ledger = Ledger(traded.contracts)
    ledger.at(traded.devnet.chain.block())
    totals = Sums(ledger, sample=10_000).add_up()
    assert totals.wrong() == ""
    assert totals.accounts > 60
    assert sum(long + short for long, short, _, _ in totals.open_interest.values()) > 0


def test_add_up__samples__come_round_to_everybody(traded: Traded) -> None:
    ledger = Ledger(traded.contracts)
    ledger.at(traded.devnet.chain.block())
    sums, accounts = Sums(ledger, sample=7), list(ledger.index.mirror.monitor.accounts)
    seen = [one for _ in range(-(-len(accounts) // 7)) for one in sums._sample(ledger.index.mirror)]
    assert seen == accounts
    assert sums._sample(ledger.index.mirror) == accounts[:7]


def test_add_up__the_contracts_store_something_else__says_what(fork: Traded) -> None:
    """A dollar that no event tells of."""
    rpc, contracts = fork.devnet.chain.rpc, fork.contracts
    account = ids.pack(contracts.addresses["InsuranceFund"])
    slot = slot_of(VAULT_BALANCES, account)
    word = int(rpc.call("eth_getStorageAt", contracts.vault.address, hex(slot), "latest"), 16)
    rpc.call("anvil_setStorageAt", contracts.vault.address, hex(slot), f"0x{word + 10**18:064x}")
    rpc.call("evm_mine")
    ledger = Ledger(contracts)
    ledger.at(fork.devnet.chain.block())
    wrong = Sums(ledger, sample=10_000).add_up().wrong()
    assert wrong.startswith(f"account {account:#066x}: the contracts say (")
    assert "and by their events it is (" in wrong
