// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Declaration, IShutdown} from "interfaces/liquidation/IShutdown.sol";
import {IPerpMarket} from "interfaces/market/IPerpMarket.sol";
import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {Core} from "../types/Accounts.sol";
import {GuardState, PriceRecord} from "../types/PriceRecord.sol";

/// @title Shutdown
/// @notice Closes a market whose oracle is dead, so that its accounts can leave. Documented in IShutdown.
abstract contract Shutdown is IShutdown {
    /// @dev Seconds without a record.
    uint256 public constant DECLARE_SECONDS = 600;
    uint256 public constant DEAD_ORACLE_SECONDS = 6 hours;
    /// @dev Between the two last calls, in which bankrupt accounts are absorbed. Two, so that after an outage of the sequencer, however
    /// long, a price can still be recorded before anything is closed at an old one.
    uint256 public constant CLOSING_SECONDS = 1 hours;

    IPerpMarket internal immutable MARKET;
    IPriceRecords internal immutable ORACLE;

    mapping(uint256 marketId => Declaration) private _declarations;

    constructor(Core memory core) {
        (MARKET, ORACLE) = (IPerpMarket(core.market), IPriceRecords(core.oracle));
    }

    /// @inheritdoc IShutdown
    /// @custom:req SD-01
    function declareDead(uint256 marketId) external {
        PriceRecord newest = ORACLE.newest(marketId);
        if (!newest.exists() || block.timestamp <= newest.publishedAt() + DECLARE_SECONDS) {
            revert Shutdown_NotSilent(marketId, newest.publishedAt());
        }
        if (declaration(marketId).declaredAt != 0) revert Shutdown_AlreadyDeclared(marketId);
        _declarations[marketId] = Declaration(uint40(block.timestamp), 0, uint32(newest.sequence()));
        emit DeclaredDead(marketId, newest.sequence(), block.timestamp + DEAD_ORACLE_SECONDS);
    }

    /// @inheritdoc IShutdown
    /// @custom:req SD-02
    function confirmDead(uint256 marketId) external {
        Declaration memory d = declaration(marketId);
        if (d.declaredAt == 0) revert Shutdown_NotDeclared(marketId);
        if (d.confirmedAt != 0) revert Shutdown_AlreadyDeclared(marketId);
        _requireTime(marketId, d.declaredAt + DEAD_ORACLE_SECONDS);
        _declarations[marketId].confirmedAt = uint40(block.timestamp);
        emit ConfirmedDead(marketId, d.sequence, block.timestamp + CLOSING_SECONDS);
    }

    /// @inheritdoc IShutdown
    /// @custom:req SD-03
    function closeDead(uint256 marketId) external {
        Declaration memory d = declaration(marketId);
        if (d.confirmedAt == 0) revert Shutdown_NotDeclared(marketId);
        _requireTime(marketId, d.confirmedAt + CLOSING_SECONDS);
        delete _declarations[marketId];
        MARKET.closeMarket(marketId);
    }

    /// @inheritdoc IShutdown
    function declaration(uint256 marketId) public view returns (Declaration memory d) {
        d = _declarations[marketId];
        if (d.sequence != ORACLE.newest(marketId).sequence()) return Declaration(0, 0, 0);
    }

    /// @dev Whether bankrupt accounts of the market are absorbed at its last price.
    function _isClosing(uint256 marketId) internal view returns (bool) {
        return declaration(marketId).confirmedAt != 0;
    }

    function _requireTime(uint256 marketId, uint256 opens) private view {
        if (block.timestamp < opens) revert Shutdown_TooEarly(marketId, opens);
        GuardState state = ORACLE.sequencerState();
        if (state != GuardState.Open) revert Shutdown_SequencerNotOpen(uint8(state));
    }
}
