"""The harness over pyrevm, with a token and with a contract that answers in every way."""

from __future__ import annotations

import time
from unittest.mock import ANY

import pytest
from eth_utils import keccak

from plimsoll.chain.abi import AbiError
from tests.support.evm import (
    ANYONE,
    DEPLOYER,
    MAX_SNAPSHOTS,
    ZERO_ADDRESS,
    Contract,
    Evm,
    Halt,
    Revert,
    SnapshotError,
    reverts,
)

TRADER = "0x" + "11" * 20
KEEPER = "0x" + "22" * 20


@pytest.fixture
def token(evm: Evm) -> Contract:
    return evm.deploy("MockToken", "Dollar", "USD", 6)


@pytest.fixture
def probe(evm: Evm) -> Contract:
    return evm.deploy("EvmProbe")


class TestCalls:
    def test_deploy__constructor_arguments__are_stored(self, token: Contract) -> None:
        assert (token.name(), token.symbol(), token.decimals()) == ("Dollar", "USD", 6)

    def test_deploy__twice__gives_two_addresses(self, evm: Evm) -> None:
        assert evm.deploy("EvmProbe").address != evm.deploy("EvmProbe").address

    def test_deploy__unknown_name__is_refused(self, evm: Evm) -> None:
        with pytest.raises(LookupError, match="no contract Nothing"):
            evm.deploy("Nothing")

    def test_deploy__with_ether__arrives(self, evm: Evm) -> None:
        evm.set_balance(DEPLOYER, 5)
        assert evm.balance(evm.deploy("EvmProbe", value=5)) == 5

    def test_transaction__success__returns_receipt_with_events_and_gas(self, token: Contract) -> None:
        receipt = token.mint(TRADER, 100, sender=KEEPER)

        transfer = receipt.event("Transfer")
        assert transfer.args == {"from": ZERO_ADDRESS, "to": TRADER, "value": 100}
        assert transfer["value"] == 100
        assert transfer.address == token.address
        assert receipt.gas_used > 21_000
        assert token.balanceOf(TRADER) == 100

    def test_transaction__of_a_value__is_decoded(self, token: Contract) -> None:
        token.mint(TRADER, 100)
        assert token.transfer(KEEPER, 1, sender=TRADER).value is True

    def test_call__of_a_transaction__leaves_no_trace(self, probe: Contract) -> None:
        assert [probe.count.call(), probe.count.call(), probe.counter()] == [1, 1, 0]

    def test_transact__of_a_view__gives_a_receipt(self, probe: Contract) -> None:
        assert probe.counter.transact().value == 0

    def test_overloaded_function__by_signature__is_found(self, probe: Contract) -> None:
        assert probe["pick(uint256)"](1) == "integer"
        assert probe["pick(address)"](TRADER) == "address"
        with pytest.raises(AttributeError, match=r"pick\(uint256\), pick\(address\)"):
            probe.pick(1)

    def test_structs__static_and_dynamic__come_back_as_named_tuples(self, probe: Contract) -> None:
        static = (7, (TRADER, -5), [b"\1" * 32, b"\2" * 32])
        outer = probe.outer(static)
        assert outer == static
        assert (outer.id, outer.inner.owner, outer.inner.size) == (7, TRADER, -5)

        dynamic = ("name", [(KEEPER, 1), (TRADER, -(2**127))], b"blob" * 20)
        answer = probe.dynamic(dynamic, 3)
        assert answer == (dynamic, 3)
        assert answer.twice.inners[1].size == -(2**127)

    def test_struct_argument__as_mapping__is_taken_by_name(self, probe: Contract) -> None:
        inner = {"size": 1, "owner": TRADER}
        with reverts("EvmProbe_Rejected", ANYONE, 2, (TRADER, 1)):
            probe.reject(2, inner)

    def test_arguments__that_do_not_fit__are_refused_before_the_call(self, token: Contract) -> None:
        with pytest.raises(AbiError, match="out of range for uint256"):
            token.mint(TRADER, -1)
        with pytest.raises(AbiError, match="takes 2 arguments"):
            token.mint(TRADER)
        with pytest.raises(AbiError, match="not an address"):
            token.mint("0x1234", 1)

    def test_call__where_no_contract_is__says_so(self, evm: Evm) -> None:
        with pytest.raises(AbiError, match="no contract at"):
            evm.at("MockToken", TRADER).totalSupply()

    def test_call_raw__hot_path__returns_the_output(self, evm: Evm, token: Contract) -> None:
        evm.call_raw(KEEPER, token.address, token.mint.encode(TRADER, 9))
        assert int.from_bytes(evm.call_raw(KEEPER, token.address, token.totalSupply.encode())) == 9

    def test_transient_storage__next_call__is_empty(self, probe: Contract) -> None:
        probe.once()
        probe.once()

    def test_sender__contract__calls_with_its_own_address_and_ether(
        self, evm: Evm, probe: Contract, token: Contract
    ) -> None:
        code = evm.code(token)
        evm.set_balance(token, 10)
        assert probe.whoAmI(sender=token, value=4).value == (token.address, 4)
        assert (evm.balance(token), evm.balance(probe)) == (6, 4)
        assert evm.code(token) == code
        assert token.decimals() == 6
        with reverts("EvmProbe_Rejected", token, -1, (ZERO_ADDRESS, 0)):
            probe.reject(-1, (ZERO_ADDRESS, 0), sender=token)

    def test_value__without_funds__cannot_start(self, probe: Contract) -> None:
        with pytest.raises(ValueError, match="LackOfFund"):
            probe.whoAmI(sender=TRADER, value=1)


class TestEvents:
    def test_event__with_struct_and_indexed_string__is_decoded(self, probe: Contract) -> None:
        outer = (7, (TRADER, -5), [b"\1" * 32, b"\2" * 32])
        recorded = probe.record("label", outer, 1, sender=KEEPER).event("Recorded")
        assert recorded.args == {"caller": KEEPER, "label": keccak(text="label"), "value": outer, "side": 1}
        assert recorded["value"].inner.size == -5

    def test_event__missing__fails(self, probe: Contract) -> None:
        with pytest.raises(AssertionError, match="0 events Recorded"):
            probe.count().event("Recorded")

    def test_events__of_another_contract__are_left_out(self, token: Contract, probe: Contract) -> None:
        receipt = token.mint(TRADER, 1)
        assert len(receipt.events("Transfer", token)) == 1
        assert receipt.events("Transfer", probe) == []


class TestReverts:
    def test_reverts__right_error_and_values__passes(self, token: Contract) -> None:
        with reverts("ERC20InsufficientBalance", TRADER, 0, 5):
            token.transfer(KEEPER, 5, sender=TRADER)

    def test_reverts__any_value__can_be_left_open(self, token: Contract) -> None:
        with reverts("ERC20InsufficientBalance", TRADER, ANY, 5):
            token.transfer(KEEPER, 5, sender=TRADER)

    @pytest.mark.parametrize("values", [(KEEPER, 0, 5), (TRADER, 0, 6), (TRADER, 0), (TRADER, 0, 5, 5), ()])
    def test_reverts__other_values__fails(self, token: Contract, values: tuple[object, ...]) -> None:
        with (
            pytest.raises(AssertionError, match="expected ERC20InsufficientBalance"),
            reverts("ERC20InsufficientBalance", *values),
        ):
            token.transfer(KEEPER, 5, sender=TRADER)

    def test_reverts__other_error__fails(self, token: Contract) -> None:
        with pytest.raises(AssertionError, match="reverted with ERC20InsufficientBalance"), reverts("EvmProbe_Plain"):
            token.transfer(KEEPER, 5, sender=TRADER)

    def test_reverts__no_revert__fails(self, token: Contract) -> None:
        with pytest.raises(AssertionError, match="did not revert"), reverts("EvmProbe_Plain"):
            token.mint(KEEPER, 5)

    def test_reverts__misspelt_error__fails_before_the_call(self, token: Contract) -> None:
        with pytest.raises(LookupError, match="EvmProbe_Plane"), reverts("EvmProbe_Plane"):
            token.mint(KEEPER, 5)
        assert token.totalSupply() == 0

    def test_reverts__text_panic_and_silence__are_told_apart(self, probe: Contract) -> None:
        with reverts("Error", "why"):
            probe.rejectWithText("why")
        with reverts("Panic", 0x12):
            probe.divide(1, 0)
        with reverts(None):
            probe.rejectInSilence()
        with pytest.raises(AssertionError), reverts(None):
            probe.rejectWithText("why")
        with pytest.raises(AssertionError), reverts("Error", "why"):
            probe.rejectWithText("why not")

    def test_revert__carries_name_values_and_data(self, probe: Contract) -> None:
        with pytest.raises(Revert) as caught:
            probe.reject(-3, (TRADER, 4), sender=KEEPER)
        assert caught.value.name == "EvmProbe_Rejected"
        assert caught.value.values == (KEEPER, -3, (TRADER, 4))
        assert caught.value.data[:4] == keccak(text="EvmProbe_Rejected(address,int256,(address,int128))")[:4]

    def test_revert__undoes_state_and_ether(self, evm: Evm, probe: Contract) -> None:
        evm.set_balance(TRADER, 5)
        with reverts("EvmProbe_Plain"):
            probe.countThenRevert(sender=TRADER, value=5)
        assert (probe.counter(), evm.balance(TRADER), evm.balance(probe)) == (0, 5, 0)

    def test_view__out_of_gas__halts(self, probe: Contract) -> None:
        with pytest.raises(Halt, match="OutOfGas"):
            probe.burnGas.call(gas=100_000)

    def test_set_blacklisted__transfer_to_the_account__reverts(self, token: Contract) -> None:
        token.mint(TRADER, 5)
        assert token.setBlacklisted(KEEPER, True).event("BlacklistChanged").args == {
            "account": KEEPER,
            "blacklisted": True,
        }
        with reverts("MockToken_Blacklisted", KEEPER):
            token.transfer(KEEPER, 1, sender=TRADER)
        token.setBlacklisted(KEEPER, False)
        token.transfer(KEEPER, 1, sender=TRADER)


class TestState:
    def test_block__set_and_advanced__is_seen_by_contracts(self, evm: Evm, probe: Contract) -> None:
        evm.timestamp, evm.block_number, evm.coinbase = 2_000_000_000, 77, KEEPER
        evm.advance(10, blocks=5)
        assert probe.block_() == (82, 2_000_000_010, KEEPER)
        assert probe.chain() == 901

    def test_restore__undoes_storage_balances_block_and_deployments(self, evm: Evm, probe: Contract) -> None:
        evm.set_balance(TRADER, 7)
        snapshot = evm.snapshot()
        for _ in range(2):
            probe.count()
            evm.set_balance(TRADER, 3)
            evm.set_balance(KEEPER, 9)
            evm.set_storage(probe, 5, 1)
            evm.advance(100)
            other = evm.deploy("EvmProbe")
            evm.restore(snapshot)
            assert (probe.counter(), evm.balance(TRADER), evm.balance(KEEPER), evm.storage(probe, 5)) == (0, 7, 0, 0)
            assert evm.timestamp == 1_700_000_000
            assert evm.code(other) == b""

    def test_restore__outer_snapshot__closes_the_inner_one(self, evm: Evm, probe: Contract) -> None:
        outer = evm.snapshot()
        probe.count()
        inner = evm.snapshot()
        probe.count()
        evm.restore(inner)
        assert probe.counter() == 1
        evm.restore(outer)
        assert probe.counter() == 0
        with pytest.raises(SnapshotError):
            evm.restore(inner)
        assert probe.counter() == 0

    def test_isolated__exception__still_undoes(self, evm: Evm, probe: Contract) -> None:
        with reverts("EvmProbe_Plain"), evm.isolated():
            probe.count()
            probe.countThenRevert()
        assert probe.counter() == 0

    def test_snapshot__too_many__is_refused(self, evm: Evm) -> None:
        for _ in range(MAX_SNAPSHOTS):
            evm.snapshot()
        with pytest.raises(SnapshotError, match="isolated"):
            evm.snapshot()

    def test_set_balance__of_a_contract__up_and_down(self, evm: Evm, token: Contract) -> None:
        evm.set_balance(token, 10)
        assert evm.balance(token) == 10
        evm.set_balance(token, 4)
        assert evm.balance(token) == 4

    def test_set_storage_and_code__are_seen(self, evm: Evm, token: Contract, probe: Contract) -> None:
        evm.set_storage(probe, 0, 41)
        assert probe.counter() == 41
        assert probe.count().value == 42
        evm.set_code(TRADER, evm.code(probe))
        assert evm.at("EvmProbe", TRADER).count().value == 1


def test_speed__transactions_and_views__stay_fast(token: Contract) -> None:
    """A floor far below what is usual (about 30,000 a second), to notice when a slow path creeps in."""
    token.mint(TRADER, 10**9)
    started = time.perf_counter()
    for _ in range(1_000):
        token.transfer(KEEPER, 1, sender=TRADER)
        token.balanceOf(KEEPER)
    assert 2_000 / (time.perf_counter() - started) > 2_000
