"""Receipts: a liquidation's transaction recomputed with the reference model, and whether it was right."""

from plimsoll.sdk.receipts.receipt import Receipt, receipt_of
from plimsoll.sdk.receipts.shown import receipt_json, receipt_lines

__all__ = ["Receipt", "receipt_json", "receipt_lines", "receipt_of"]
