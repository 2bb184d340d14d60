// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token that anybody mints, with any number of decimals and a blacklist like the large stablecoins have.
contract MockToken is ERC20 {
    /// @notice A transfer to `account` was refused.
    error MockToken_Blacklisted(address account);

    /// @notice Whether transfers to `account` revert now.
    event BlacklistChanged(address indexed account, bool blacklisted);

    uint8 private immutable DECIMALS;

    mapping(address account => bool) public isBlacklisted;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) ERC20(name_, symbol_) {
        DECIMALS = decimals_;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }

    function setBlacklisted(address account, bool blacklisted) external {
        isBlacklisted[account] = blacklisted;
        emit BlacklistChanged(account, blacklisted);
    }

    /// @notice What it would stand for on L1, were it a token of the OP stack's factory.
    function remoteToken() external pure returns (address) {
        return address(0x1111);
    }

    function decimals() public view override returns (uint8) {
        return DECIMALS;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (isBlacklisted[to]) revert MockToken_Blacklisted(to);
        super._update(from, to, value);
    }
}
