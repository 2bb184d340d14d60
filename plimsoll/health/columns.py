"""Columns of many rows that grow: NumPy arrays in place, and exact integers as fixed numbers of bytes in segments."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

INT128, UINT96 = 16, 12
GROWTH = 16
"""A full array grows by one part in so many: at most a sixteenth of its memory lies idle."""
LEAST = 64
SEGMENT_BITS = 9


def grow(column: NDArray[Any], rows: int) -> None:
    """Give a column at least that many rows, new ones zero. Nobody may hold a view of it: its memory may move."""
    have = column.shape[0]
    if rows > have:
        column.resize(max(rows, have + have // GROWTH, LEAST), refcheck=False)


class Packed:
    """Rows of `width` bytes each, zeros at first, in segments that never move."""

    __slots__ = ("_segments", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self._segments: list[memoryview] = []

    @property
    def nbytes(self) -> int:
        return sum(segment.nbytes for segment in self._segments)

    def reserve(self, rows: int) -> None:
        while rows > len(self._segments) << SEGMENT_BITS:
            self._segments.append(memoryview(bytearray(self.width << SEGMENT_BITS)))

    def __getitem__(self, row: int) -> memoryview:
        start = (row & (1 << SEGMENT_BITS) - 1) * self.width
        return self._segments[row >> SEGMENT_BITS][start : start + self.width]

    def __setitem__(self, row: int, value: bytes | memoryview) -> None:
        start = (row & (1 << SEGMENT_BITS) - 1) * self.width
        self._segments[row >> SEGMENT_BITS][start : start + self.width] = value


def put(value: int, size: int) -> bytes:
    """A signed integer in `size` bytes. Raises OverflowError where it doesn't fit, as the contracts' storage would."""
    return value.to_bytes(size, "little", signed=True)


def put_unsigned(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def take(data: memoryview, start: int, size: int) -> int:
    """The signed integer of `size` bytes at `start`."""
    return int.from_bytes(data[start : start + size], "little", signed=True)


def take_unsigned(data: memoryview, start: int, size: int) -> int:
    return int.from_bytes(data[start : start + size], "little")
