// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice An account id says everything about the account: owner (160 bits) | isolatedMarket (32, 0 = cross) | index (64).
library AccountIds {
    function pack(address owner, uint256 isolatedMarket, uint256 index) internal pure returns (uint256 account) {
        return uint256(uint160(owner)) << 96 | uint256(uint32(isolatedMarket)) << 64 | uint64(index);
    }

    /// @notice The cross account with index 0, where an address is paid.
    function main(address owner) internal pure returns (uint256 account) {
        return uint256(uint160(owner)) << 96;
    }

    function ownerOf(uint256 account) internal pure returns (address) {
        return address(uint160(account >> 96));
    }

    /// @return The only market that the account may hold, 0 for a cross account.
    function isolatedMarketOf(uint256 account) internal pure returns (uint256) {
        return uint32(account >> 64);
    }
}

/// @notice An account's one slot in the vault: markets (16, bit m−1 for market m) | reserved (96) | cash (128, signed).
type AccountBalance is uint256;

using AccountBalanceLib for AccountBalance global;

library AccountBalanceLib {
    error AccountBalance_OutOfRange(int256 cash, uint256 reserved);

    function pack(int256 cash_, uint256 reserved_, uint256 markets_) internal pure returns (AccountBalance) {
        if (int128(cash_) != cash_ || reserved_ >> 96 != 0) revert AccountBalance_OutOfRange(cash_, reserved_);
        return AccountBalance.wrap(uint256(uint128(int128(cash_))) | reserved_ << 128 | markets_ << 224);
    }

    /// @return WAD dollars, settled; the reserved part is included.
    function cash(AccountBalance balance) internal pure returns (int256) {
        return int128(uint128(AccountBalance.unwrap(balance)));
    }

    /// @return WAD dollars set aside for pending orders.
    function reserved(AccountBalance balance) internal pure returns (uint256) {
        return uint96(AccountBalance.unwrap(balance) >> 128);
    }

    /// @return Bitmap of the markets in which the account has a position.
    function markets(AccountBalance balance) internal pure returns (uint256) {
        return uint16(AccountBalance.unwrap(balance) >> 224);
    }
}

/// @notice One entry in an account: what is added to its cash and reservation, and which market bits flip.
struct Posting {
    uint256 account;
    int256 cash;
    int256 reserved;
    uint256 flips;
}

/// @notice The addresses of the core, the same for all its contracts; each keeps those that it needs as immutables.
struct Core {
    address token;
    address authority;
    address vault;
    address market;
    address operations;
    address configurator;
    address orderBook;
    address matching;
    address liquidator;
    address pool;
    address fund;
    address oracle;
    address treasury;
    address gateway; // zero where there is no bridge
}
