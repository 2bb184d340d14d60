// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title What the contracts use of the OP stack's bridge, messenger and tokens; the first two are the same on both sides.
interface IStandardBridge {
    /// @notice Locks or burns tokens of the caller, and has the other side pay or mint them to `to`.
    function bridgeERC20To(
        address localToken,
        address remoteToken,
        address to,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata extraData
    ) external;
}

interface ICrossDomainMessenger {
    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable;

    /// @notice Who sent, on the other side, the message that is being relayed; reverts outside of one.
    function xDomainMessageSender() external view returns (address);
}

/// @title A token of the OP stack's factory.
interface IBridgedToken {
    /// @return The token on L1 that it stands for.
    function remoteToken() external view returns (address);
}
