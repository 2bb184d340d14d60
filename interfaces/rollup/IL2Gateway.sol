// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {Order} from "interfaces/orders/ICommitments.sol";

/// @notice The address on L1 that acts for an owner. A contract there appears on L2 under another address, its alias.
struct Agent {
    address l1Address;
    bool isContract;
}

/// @title The rollup's side of the way between L1 and margin accounts.
/// @notice Tokens that `IL1Gateway` bridged go into accounts; cash of accounts goes to L1; and an owner who is a contract names the L1
/// address that acts for him when the sequencer won't let him.
interface IL2Gateway {
    /// @notice Tokens from L1 are in the account.
    event Credited(uint256 indexed account, uint256 amount);
    /// @notice The account refused tokens from L1, with this error; they wait for `retry` or `reclaim`.
    event CreditRefused(uint256 indexed account, address indexed claimant, uint256 amount, bytes reason);
    event Reclaimed(uint256 indexed account, address indexed claimant, address to, uint256 amount);
    /// @notice Tokens were burnt here, to be paid to `to` on L1: once the withdrawal is proven and final there.
    event WithdrawalStarted(uint256 indexed account, address indexed to, uint256 amount);
    /// @notice `agent.l1Address` acts for the owner from now on; nobody where it is zero.
    event AgentSet(address indexed owner, Agent agent);

    error L2Gateway_NotFromL1Gateway(address caller);
    /// @dev The bridge has not brought these tokens, because its own message failed: bring that one first, then this again.
    error L2Gateway_NotArrived(uint256 available, uint256 amount);
    error L2Gateway_NothingToClaim(uint256 account, address claimant);
    error L2Gateway_NotPermitted(uint256 account, address caller);
    error L2Gateway_InvalidRecipient(address to);
    error L2Gateway_NotReduceOnly(uint256 account);

    /// @notice Puts bridged tokens into an account. A message of the L1 gateway only; one that fails stays with the messenger, where
    /// anyone may relay it again. What the account refuses is kept for it and the claimant.
    /// @param claimant Who may take what the account refuses.
    function credit(uint256 account, uint256 amount, address claimant) external;

    /// @notice Puts what an account refused into it after all. Anyone may call.
    function retry(uint256 account, address claimant) external;

    /// @notice Pays out what an account refused, to whom the caller says; the claimant only.
    function reclaim(uint256 account, address to) external;

    /// @notice Takes cash out of an account to `to` on L1: its owner to anybody, his agent to the agent's own L1 address only.
    /// What may be withdrawn is what `IMarginVault.withdraw` says.
    /// @param amount Token units; the largest uint256 for all that is withdrawable.
    /// @return withdrawn Token units.
    function withdraw(uint256 account, uint256 amount, address to) external returns (uint256 withdrawn);

    /// @notice Names who acts for the caller, in all of his accounts, until he names another. He may cancel orders, place such as only reduce,
    /// and withdraw to his own L1 address. The zero address for nobody.
    function setAgent(Agent calldata agent) external;

    /// @notice IOrderBook.place, by the owner's agent; reduce-only orders.
    function place(Order calldata order) external returns (bytes32 hash);

    /// @notice IOrderBook.cancel, by the owner's agent.
    function cancel(Order calldata order) external;

    /// @notice IOrderBook.cancelAll, by the owner's agent.
    function cancelAll(uint256 account) external;

    /// @return Token units that the account refused and this claimant may take.
    function claimOf(uint256 account, address claimant) external view returns (uint256);

    /// @return Token units of all claims.
    function totalClaims() external view returns (uint256);

    function agentOf(address owner) external view returns (Agent memory);

    function l1Gateway() external view returns (address);

    /// @notice The settlement token on L1, which the bridge holds for the tokens here.
    function l1Token() external view returns (address);
}
