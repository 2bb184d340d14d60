// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @notice Tests and development networks only: an L2 messenger through which anyone speaks as any sender of L1; failures pass through.
contract MockMessenger {
    address public xDomainMessageSender;

    function relay(address l1Sender, address target, bytes calldata data) external {
        xDomainMessageSender = l1Sender;
        Address.functionCall(target, data);
        delete xDomainMessageSender;
    }
}
