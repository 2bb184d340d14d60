// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IL1Gateway} from "interfaces/rollup/IL1Gateway.sol";
import {IL2Gateway} from "interfaces/rollup/IL2Gateway.sol";
import {ICrossDomainMessenger, IStandardBridge} from "interfaces/rollup/IOptimism.sol";

/// @title L1Gateway
/// @notice Holds nothing between transactions and has no owner; documented in IL1Gateway.
contract L1Gateway is IL1Gateway {
    using SafeERC20 for IERC20;

    /// @dev What minting on L2 and crediting need at most, twice over: with it neither can fail for want of gas.
    uint32 private constant BRIDGE_GAS = 120_000;
    uint32 private constant CREDIT_GAS = 200_000;

    ICrossDomainMessenger public immutable messenger;
    IStandardBridge public immutable bridge;
    IERC20 public immutable token;
    address public immutable l2Token;
    address public immutable l2Gateway;

    constructor(address messenger_, address bridge_, address token_, address l2Token_, address l2Gateway_) {
        (messenger, bridge) = (ICrossDomainMessenger(messenger_), IStandardBridge(bridge_));
        (token, l2Token, l2Gateway) = (IERC20(token_), l2Token_, l2Gateway_);
        token.forceApprove(bridge_, type(uint256).max);
    }

    /// @inheritdoc IL1Gateway
    /// @custom:req RG-01
    function deposit(uint256 account, uint256 amount, address claimant) external {
        _deposit(account, amount, claimant);
    }

    /// @inheritdoc IL1Gateway
    function depositWithPermit(
        uint256 account,
        uint256 amount,
        address claimant,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        // Who sees the permit may use it first, in his own transaction; the allowance is there then all the same.
        // solhint-disable-next-line no-empty-blocks
        try IERC20Permit(address(token)).permit(msg.sender, address(this), amount, deadline, v, r, s) {} catch {}
        _deposit(account, amount, claimant);
    }

    function _deposit(uint256 account, uint256 amount, address claimant) private {
        if (amount == 0) revert L1Gateway_ZeroAmount();
        if (account >> 96 == 0) revert L1Gateway_InvalidAccount(account);
        if (claimant == address(0)) revert L1Gateway_InvalidClaimant();
        emit DepositStarted(account, msg.sender, amount, claimant);
        token.safeTransferFrom(msg.sender, address(this), amount);
        bridge.bridgeERC20To(address(token), l2Token, l2Gateway, amount, BRIDGE_GAS, "");
        messenger.sendMessage(l2Gateway, abi.encodeCall(IL2Gateway.credit, (account, amount, claimant)), CREDIT_GAS);
    }
}
