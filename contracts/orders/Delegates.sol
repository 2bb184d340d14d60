// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OrderStatus, Scope} from "interfaces/orders/ICommitments.sol";
import {IDelegates} from "interfaces/orders/IDelegates.sol";
import {Commitments} from "./Commitments.sol";

/// @title Delegates
/// @notice Session keys and bots that trade for an account, within a scope and a daily budget.
abstract contract Delegates is IDelegates, Commitments {
    bytes32 private constant DELEGATION_TYPEHASH = keccak256(
        "Delegation(uint256 account,address delegate,uint16 markets,uint40 until,uint64 dailyBudget,bool mayMatch,bool mayTakeOver,uint256 salt,uint256 relayFee)"
    );

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
        if (!_delegations[account][delegate].mayTakeOver) revert OrderBook_NotPermitted(account, delegate);
        _use(account, delegate, marketId, size);
    }

    function _setDelegate(uint256 account, address delegate, Scope calldata scope) private {
        if (delegate == address(0)) revert OrderBook_InvalidTerms("delegate");
        _delegations[account][delegate] =
            Delegation(scope.markets, scope.until, scope.dailyBudget, scope.mayMatch, scope.mayTakeOver, 0, 0);
        emit DelegateSet(account, delegate, scope);
    }
}
