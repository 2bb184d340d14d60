// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Tests and development networks only: an L2 messenger through which anyone speaks as any sender of L1.
contract MockMessenger {
    error MockMessenger_Failed();

    address public xDomainMessageSender;

    function relay(address l1Sender, address target, bytes calldata data) external {
        xDomainMessageSender = l1Sender;
        // solhint-disable-next-line avoid-low-level-calls
        (bool ok,) = target.call(data);
        if (!ok) revert MockMessenger_Failed();
        delete xDomainMessageSender;
    }
}
