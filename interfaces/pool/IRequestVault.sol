// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

/// @notice A pending entry or exit, in three slots.
/// @param owner Who asked, and who gets the escrow back if the request lapses. @param maturity Unix seconds, fixed when asked.
/// @param deadline Unix seconds after which it lapses. @param isRedeem An exit; else an entry.
/// @param controller Who gets the shares or the cash. @param amount Token units of an entry, shares of an exit.
struct Request {
    address owner;
    uint40 maturity;
    uint40 deadline;
    bool isRedeem;
    address controller;
    uint256 amount;
}

/// @notice Seconds, in one slot.
/// @param depositDelay, redeemCooldown From asking to maturity. @param executionWindow From maturity to lapsing.
struct RequestDelays {
    uint32 depositDelay;
    uint32 redeemCooldown;
    uint32 executionWindow;
}

/// @title A share vault over ledger accounts that is entered and left by requests (the shape of ERC-7540).
/// @notice The views of ERC-4626 work; its synchronous entry points are refused. Assets come from the ledger: a token that is sent here
/// or to the margin vault belongs to nobody. A request is executed by anyone between its maturity and its deadline, at the share price
/// of that moment, which nobody could know when it was made; afterwards it lapses, so that a claim is no option. Shares in escrow still
/// bear losses.
interface IRequestVault is IERC4626 {
    event DepositRequested(
        uint256 indexed requestId,
        address indexed controller,
        address indexed owner,
        uint256 assets,
        uint256 maturity,
        uint256 deadline
    );
    event RedeemRequested(
        uint256 indexed requestId,
        address indexed controller,
        address indexed owner,
        uint256 shares,
        uint256 maturity,
        uint256 deadline
    );
    /// @notice ERC-4626's Deposit or Withdraw comes with it. totalAssets and totalSupply are what results.
    event RequestExecuted(
        uint256 indexed requestId,
        address indexed executor,
        uint256 assets,
        uint256 shares,
        uint256 totalAssets,
        uint256 totalSupply
    );
    /// @notice The escrow went back to the owner: token units of an entry, shares of an exit.
    event RequestLapsed(uint256 indexed requestId, address indexed owner, bool isRedeem, uint256 amount);
    event DelaysChanged(RequestDelays delays);

    /// @dev deposit, mint, withdraw and redeem: ask with requestDeposit or requestRedeem.
    error RequestVault_Asynchronous();
    error RequestVault_NotOwner(address owner, address caller);
    /// @dev Nothing asked for, or an entry that would get no share.
    error RequestVault_ZeroAmount();
    /// @dev Nobody, or an account of the protocol.
    error RequestVault_InvalidController(address controller);
    /// @dev In token units.
    error RequestVault_InsufficientMargin(uint256 available, uint256 required);
    /// @dev Never made, or ended already.
    error RequestVault_Unknown(uint256 requestId);
    error RequestVault_NotMature(uint256 maturity);
    error RequestVault_InvalidDelay(bytes32 rule);

    /// @notice Takes `assets` token units of cash from the owner's cross account 0 into escrow; the caller is the owner.
    /// @param controller Gets the shares.
    /// @return requestId From 1.
    function requestDeposit(uint256 assets, address controller, address owner) external returns (uint256 requestId);

    /// @notice Takes shares into escrow, where they bear losses until the exit; the caller is the owner.
    /// @param controller Gets the cash, in its cross account 0.
    /// @return requestId From 1.
    function requestRedeem(uint256 shares, address controller, address owner) external returns (uint256 requestId);

    /// @notice Executes a mature request, or gives the escrow of a lapsed one back. Anyone may call.
    /// @return lapsed Whether the deadline was over.
    /// @return given Shares of an entry, token units of an exit; of a lapsed request, the amount that went back.
    function executeRequest(uint256 requestId) external returns (bool lapsed, uint256 given);

    /// @notice Changes what later requests wait for; those that were made keep their times.
    function setDelays(RequestDelays calldata delays_) external;

    function delays() external view returns (RequestDelays memory);

    /// @notice A pending request; all zeros where there is none.
    function request(uint256 requestId) external view returns (Request memory);

    /// @notice The id of the last request made.
    function requestCount() external view returns (uint256);

    /// @notice The ledger account that holds the cash of pending entries.
    function escrowAccount() external view returns (uint256);
}
