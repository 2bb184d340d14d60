// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IDelegates, Scope} from "interfaces/orders/IDelegates.sol";
import {OrderStatus} from "interfaces/orders/IOrderBook.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {AccountIds} from "../types/Accounts.sol";
import {PriceRecord} from "../types/PriceRecord.sol";
import {Commitments} from "./Commitments.sol";

/// @title Delegates
/// @notice Session keys and bots that trade for an account, within a scope and a daily budget.
abstract contract Delegates is IDelegates, Commitments {
    using AccountIds for uint256;

    bytes32 private constant DELEGATION_TYPEHASH = keccak256(
        "Delegation(uint256 account,address delegate,uint16 markets,uint40 until,uint64 dailyBudget,bool mayMatch,bool mayTakeOver,uint256 salt,uint256 relayFee)"
    );
    /// @notice Whole dollars that any use of a budget counts for at least, so that the fees of dust don't drain an account.
    uint256 public constant MIN_BUDGET_USE = 1000;

    /// @dev One slot. day, used: what was used on the last day of use, whole dollars.
    struct Delegation {
        Scope scope;
        uint24 day;
        uint64 used;
    }

    mapping(uint256 account => mapping(address delegate => Delegation)) private _delegations;

    /// @inheritdoc IDelegates
    /// @custom:req OB-06
    function setDelegate(uint256 account, address delegate, Scope calldata scope) external {
        _requireOwner(account);
        _setDelegate(account, delegate, scope);
    }

    /// @inheritdoc IDelegates
    function setDelegateFor(
        uint256 account,
        address delegate,
        Scope calldata scope,
        uint256 salt,
        uint256 relayFee,
        bytes calldata signature
    ) external {
        bytes32 hash = keccak256(abi.encode(DELEGATION_TYPEHASH, account, delegate, scope, salt, relayFee));
        _requireOwnersWord(account, hash, signature);
        _requireCounter(account, salt);
        if (_commitments[hash].status != OrderStatus.None) revert OrderBook_AlreadyUsed(hash);
        _commitments[hash].status = OrderStatus.Spent;
        _setDelegate(account, delegate, scope);
        _payRelayer(account, relayFee);
    }

    /// @inheritdoc IDelegates
    function useForTakeOver(uint256 account, address delegate, uint256 marketId, uint256 size) external {
        if (msg.sender != LIQUIDATOR) revert OrderBook_NotModule(msg.sender);
        _requirePermitted(account, delegate, marketId);
        if (!_delegations[account][delegate].scope.mayTakeOver) revert OrderBook_NotPermitted(account, delegate);
        _use(account, delegate, marketId, size);
    }

    /// @inheritdoc IDelegates
    function delegation(uint256 account, address delegate) external view returns (Scope memory, uint256) {
        Delegation memory d = _delegations[account][delegate];
        return (d.scope, d.day == block.timestamp / 1 days ? d.used : 0);
    }

    function _requireOwner(uint256 account) internal view {
        if (msg.sender != account.ownerOf()) revert OrderBook_NotPermitted(account, msg.sender);
    }

    /// @dev `caller` is the owner, or a delegate whose scope holds in this market.
    function _requirePermitted(uint256 account, address caller, uint256 marketId) internal view {
        if (caller == account.ownerOf() && caller != address(0)) return;
        Scope memory s = _delegations[account][caller].scope;
        if (block.timestamp > s.until || (uint256(s.markets) << 1) >> marketId & 1 == 0) {
            revert OrderBook_NotPermitted(account, caller);
        }
    }

    function _requireMayMatch(uint256 account, address signer, uint256 marketId) internal view {
        _requirePermitted(account, signer, marketId);
        if (signer != account.ownerOf() && !_delegations[account][signer].scope.mayMatch) {
            revert OrderBook_NotPermitted(account, signer);
        }
    }

    /// @dev Counts a delegate's size at the newest price; an owner has no budget.
    function _use(uint256 account, address caller, uint256 marketId, uint256 size) internal {
        if (caller == account.ownerOf()) return;
        PriceRecord newest = ORACLE.newest(marketId);
        if (!newest.exists()) revert OrderBook_NoPrice(marketId);
        uint256 notional = WadMath.divUp(size * newest.price(), WadMath.WAD);
        uint256 wanted = WadMath.max(WadMath.divUp(notional, WadMath.WAD), MIN_BUDGET_USE);

        Delegation memory d = _delegations[account][caller];
        uint256 today = block.timestamp / 1 days;
        uint256 used = d.day == today ? d.used : 0;
        uint256 left = d.scope.dailyBudget - WadMath.min(used, d.scope.dailyBudget);
        if (wanted > left) revert OrderBook_BudgetExceeded(account, caller, left, wanted);
        (d.day, d.used) = (uint24(today), uint64(used + wanted));
        _delegations[account][caller] = d;
    }

    function _setDelegate(uint256 account, address delegate, Scope calldata scope) private {
        if (delegate == address(0)) revert OrderBook_InvalidTerms("delegate");
        _delegations[account][delegate] = Delegation(scope, 0, 0);
        emit DelegateSet(account, delegate, scope);
    }
}
