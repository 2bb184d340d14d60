// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStandardBridge} from "interfaces/rollup/IOptimism.sol";
import {MockToken} from "./MockToken.sol";

/// @notice Tests only: a standard bridge that burns what it is given and says so; what arrives is minted by the test.
contract MockBridge is IStandardBridge {
    event Bridged(
        address localToken, address remoteToken, address from, address to, uint256 amount, uint32 minGasLimit
    );

    function bridgeERC20To(
        address localToken,
        address remoteToken,
        address to,
        uint256 amount,
        uint32 minGasLimit,
        bytes calldata
    ) external {
        MockToken(localToken).burn(msg.sender, amount);
        emit Bridged(localToken, remoteToken, msg.sender, to, amount, minGasLimit);
    }
}
