// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {Commitment, ICommitments, Order} from "interfaces/orders/ICommitments.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IMarginGuard, IMarginVault} from "interfaces/vault/IMarginVault.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountBalance, AccountIds, Core, Posting} from "../types/Accounts.sol";
import {PriceRecord} from "../types/PriceRecord.sol";

/// @title Commitments
/// @notice What both parts of the order book share: its storage, hashes and signatures, who may, and the relayer's pay.
abstract contract Commitments is ICommitments, EIP712 {
    using AccountIds for uint256;

    bytes32 public constant ORDER_TYPEHASH = keccak256(
        "Order(uint256 account,uint256 marketId,uint8 kind,int256 base,uint256 acceptablePrice,uint256 triggerPrice,bool reduceOnly,uint8 timeInForce,uint256 expiry,bytes32 parent,uint256 salt)"
    );
    uint256 internal constant MAX_FEE = 10e18;
    uint256 private constant WALLET_GAS = 100_000;

    IMarginVault internal immutable VAULT;
    IPerpMarket internal immutable MARKET;
    IPriceRecords internal immutable ORACLE;
    address internal immutable LIQUIDATOR;
    address internal immutable FUND;
    address private immutable GATEWAY;

    /// @dev One slot a market: the fields of its OrderConfig, which as a struct would take a slot of its own, and the queue.
    struct Queue {
        uint64 executionFee;
        uint16 feeReserveBps;
        uint16 settlementDelay;
        uint16 settlementWindow;
        uint64 relayFee;
        uint40 next;
        uint40 head;
    }

    /// @notice Whole dollars that any use of a budget counts for at least, so that the fees of dust don't drain an account.
    uint256 internal constant MIN_BUDGET_USE = 1000;

    /// @dev One slot: the fields of a Scope, and what was used on the last day of use, whole dollars.
    struct Delegation {
        uint16 markets;
        uint40 until;
        uint64 dailyBudget;
        bool mayMatch;
        bool mayTakeOver;
        uint24 day;
        uint64 used;
    }

    mapping(uint256 marketId => Queue) internal _queues;
    mapping(bytes32 hash => Commitment) internal _commitments;
    mapping(uint256 account => uint256 counter) internal _counters;
    mapping(uint256 account => mapping(address delegate => Delegation)) internal _delegations;

    constructor(Core memory core) EIP712("Plimsoll", "1") {
        (VAULT, MARKET) = (IMarginVault(core.vault), IPerpMarket(core.market));
        (ORACLE, LIQUIDATOR, FUND) = (IPriceRecords(core.oracle), core.liquidator, core.fund);
        GATEWAY = core.gateway;
    }

    /// @dev keccak256(abi.encode(ORDER_TYPEHASH, order)), copied whole: an order is eleven words, all of them in place. A word that is no
    /// value of its field gives another hash, and reverts wherever the field is read.
    function _hash(Order calldata order) internal pure returns (bytes32 hash) {
        bytes32 typehash = ORDER_TYPEHASH;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let start := mload(0x40)
            mstore(start, typehash)
            calldatacopy(add(start, 0x20), order, 0x160)
            hash := keccak256(start, 0x180)
        }
    }

    function _requireCounter(uint256 account, uint256 salt) internal view {
        if (salt >> 128 != _counters[account]) revert OrderBook_WrongCounter(account, _counters[account]);
    }

    function _isExpired(Order calldata order) internal view returns (bool) {
        return order.expiry != 0 && block.timestamp > order.expiry;
    }

    /// @dev Whose word a signature is: the owner's, as a key or a wallet; else whoever signed, zero where nobody did.
    function _signerOf(uint256 account, bytes32 structHash, bytes calldata signature) internal view returns (address) {
        bytes32 digest = _hashTypedDataV4(structHash);
        (address signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
        address owner = account.ownerOf();
        return signer != owner && owner.code.length != 0 && _isWalletsWord(owner, digest, signature) ? owner : signer;
    }

    /// @dev ERC-1271, with little gas, so that a wallet can't burn its counterpart's.
    function _isWalletsWord(address wallet, bytes32 digest, bytes calldata signature) private view returns (bool) {
        // solhint-disable-next-line avoid-low-level-calls
        (bool success, bytes memory answer) =
            wallet.staticcall{gas: WALLET_GAS}(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
        return success && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }

    function _requireOwnersWord(uint256 account, bytes32 structHash, bytes calldata signature) internal view {
        address owner = account.ownerOf();
        if (owner == address(0) || _signerOf(account, structHash, signature) != owner) {
            revert OrderBook_BadSignature(account);
        }
    }

    /// @dev Pays whoever brought a signature, out of what the account has free.
    function _payRelayer(uint256 account, uint256 relayFee) internal {
        if (relayFee > MAX_FEE) revert OrderBook_InvalidTerms("relayFee");
        if (relayFee != 0) {
            _requireFree(account, relayFee, false);
            Posting[] memory postings = new Posting[](2);
            postings[0] = Posting(account, -int256(relayFee), 0, 0);
            postings[1] = Posting(AccountIds.main(msg.sender), int256(relayFee), 0, 0);
            VAULT.post(postings);
        }
        emit Relayed(account, msg.sender, relayFee);
    }

    /// @dev Fees come out of what could be withdrawn; those of an order that can only reduce, out of what is beyond maintenance, so that
    /// nobody is locked in who has gains but no cash. Else orders that fail would be a way to draw out a position's margin.
    function _requireFree(uint256 account, uint256 required, bool onlyReduces) internal view {
        AccountBalance balance = VAULT.balanceOf(account);
        int256 free = balance.cash() - int256(balance.reserved());
        if (balance.markets() != 0) {
            if (onlyReduces) {
                (int256 equity, uint256 maintenance) = MARKET.healthOf(account);
                free = equity - int256(balance.reserved() + maintenance);
            } else {
                free = IMarginGuard(address(MARKET)).freeCollateral(account, balance);
            }
        }
        if (free < int256(required)) revert OrderBook_InsufficientCash(free, required);
    }

    // --- who may ---

    /// @dev The gateway speaks for owners: it lets only their agents do so, and only what these may. Nobody signs in its name.
    function _isOwner(uint256 account, address caller) private view returns (bool) {
        return caller == account.ownerOf() || caller == GATEWAY;
    }

    function _requireOwner(uint256 account) internal view {
        if (!_isOwner(account, msg.sender)) revert OrderBook_NotPermitted(account, msg.sender);
    }

    /// @dev `caller` is the owner, or a delegate whose scope holds in this market.
    function _requirePermitted(uint256 account, address caller, uint256 marketId) internal view {
        if (caller == address(0)) revert OrderBook_NotPermitted(account, caller); // nobody signed
        if (_isOwner(account, caller)) return;
        Delegation memory s = _delegations[account][caller];
        if (block.timestamp > s.until || (uint256(s.markets) << 1) >> marketId & 1 == 0) {
            revert OrderBook_NotPermitted(account, caller);
        }
    }

    /// @dev Counts a delegate's size at the newest price; an owner has no budget.
    function _use(uint256 account, address caller, uint256 marketId, uint256 size) internal {
        if (_isOwner(account, caller)) return;
        PriceRecord newest = ORACLE.newest(marketId);
        if (!newest.exists()) revert OrderBook_NoPrice(marketId);
        uint256 notional = WadMath.divUp(size * newest.price(), WadMath.WAD);
        uint256 wanted = WadMath.max(WadMath.divUp(notional, WadMath.WAD), MIN_BUDGET_USE);

        Delegation memory d = _delegations[account][caller];
        uint256 today = block.timestamp / 1 days;
        uint256 used = d.day == today ? d.used : 0;
        uint256 left = d.dailyBudget - WadMath.min(used, d.dailyBudget);
        if (wanted > left) revert OrderBook_BudgetExceeded(account, caller, left, wanted);
        (d.day, d.used) = (uint24(today), uint64(used + wanted));
        _delegations[account][caller] = d;
    }
}
