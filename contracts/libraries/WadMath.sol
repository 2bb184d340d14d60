// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Division with the rounding in its name, for signed and unsigned integers. Products are the caller's and are checked.
library WadMath {
    uint256 internal constant WAD = 1e18;
    int256 internal constant IWAD = 1e18;
    uint256 internal constant BPS = 1e4;

    function divUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }

    /// @notice Toward −∞; b > 0.
    function floorDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        if (a % b < 0) q -= 1;
    }

    /// @notice Toward +∞; b > 0.
    function ceilDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        if (a % b > 0) q += 1;
    }

    function abs(int256 a) internal pure returns (uint256) {
        return a < 0 ? uint256(-a) : uint256(a);
    }

    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return a > b ? a : b;
    }

    /// @return a, or 0 where it is negative.
    function positive(int256 a) internal pure returns (uint256) {
        return a > 0 ? uint256(a) : 0;
    }

    /// @notice WAD dollars of a signed size at a price, toward −∞.
    function worthDown(int256 base, uint256 price) internal pure returns (int256) {
        return floorDiv(base * int256(price), IWAD);
    }

    /// @notice WAD dollars of a signed size at a price, toward +∞.
    function worthUp(int256 base, uint256 price) internal pure returns (int256) {
        return ceilDiv(base * int256(price), IWAD);
    }
}
