"""A deployed core behind the in-process node."""

from __future__ import annotations

from tests.python.sdk.conftest import world

__all__ = ["world"]
