// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @notice Division with the rounding in its name, for signed and unsigned integers. Products are the caller's and are checked.
library WadMath {
    uint256 internal constant WAD = 1e18;
    int256 internal constant IWAD = 1e18;
    uint256 internal constant BPS = 1e4;

    function divUp(uint256 a, uint256 b) internal pure returns (uint256 q) {
        q = a / b;
        unchecked {
            if (q * b != a) ++q; // a quotient below the greatest integer, since something was left
        }
    }

    /// @notice Toward −∞; b > 0.
    function floorDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        unchecked {
            if (q * b > a) --q;
        }
    }

    /// @notice Toward +∞; b > 0.
    function ceilDiv(int256 a, int256 b) internal pure returns (int256 q) {
        q = a / b;
        unchecked {
            if (q * b < a) ++q;
        }
    }

    /// @dev 2^255 for the least integer.
    function abs(int256 a) internal pure returns (uint256) {
        unchecked {
            return a < 0 ? uint256(-a) : uint256(a);
        }
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
    /// @dev Sizes are stored in 128 bits and prices in 96, so the product of what will be stored can't overflow.
    function worthDown(int256 base, uint256 price) internal pure returns (int256) {
        unchecked {
            return floorDiv(base * int256(price), IWAD);
        }
    }

    /// @notice WAD dollars of a signed size at a price, toward +∞.
    /// @dev As above.
    function worthUp(int256 base, uint256 price) internal pure returns (int256) {
        unchecked {
            return ceilDiv(base * int256(price), IWAD);
        }
    }
}
