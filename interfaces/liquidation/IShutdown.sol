// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @notice A market that was declared dead. Times are Unix seconds, 0 for what has not happened.
/// @param sequence Of the newest record then: any newer one ends the declaration.
struct Declaration {
    uint40 declaredAt;
    uint40 confirmedAt;
    uint32 sequence;
}

/// @title The end of a market that has no prices any more: declared, waited out, closed at its last one. Anyone may call each.
interface IShutdown {
    event DeclaredDead(uint256 indexed marketId, uint256 sequence, uint256 confirmFrom);
    /// @notice From now on bankrupt accounts of the market can be absorbed at its last price.
    event ConfirmedDead(uint256 indexed marketId, uint256 sequence, uint256 closeFrom);

    /// @notice The market has a record that is too young, or none at all (publishedAt 0).
    error Shutdown_NotSilent(uint256 marketId, uint256 publishedAt);
    error Shutdown_AlreadyDeclared(uint256 marketId);
    /// @notice There is no declaration, or a record ended it.
    error Shutdown_NotDeclared(uint256 marketId);
    error Shutdown_TooEarly(uint256 marketId, uint256 until);
    error Shutdown_SequencerNotOpen(uint8 state);

    /// @notice Says that a market has had no record for ten minutes.
    function declareDead(uint256 marketId) external;

    /// @notice Six hours later, without a record since: opens the last hour.
    function confirmDead(uint256 marketId) external;

    /// @notice An hour later, still without one: closes every position of the market at its last price.
    function closeDead(uint256 marketId) external;

    /// @return The declaration that holds; zeros where there is none.
    function declaration(uint256 marketId) external view returns (Declaration memory);
}
