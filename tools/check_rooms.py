"""Solidity rooms meet through interfaces, types and libraries, never through each other's contracts.

A room is a folder of `contracts/`. What needs another room's function asks an interface for it. Nobody imports the lens
or the test contracts, and interfaces don't know the contracts behind them.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ("libraries", "types")
IMPORT = re.compile(r"""^\s*import\b[^"']*["']([^"']+)["']""", re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def imports_of(source: str) -> list[str]:
    """Paths that a source file imports, as written."""
    return IMPORT.findall(COMMENT.sub("", source))


def resolve(importer: str, path: str) -> str:
    """Project path that an import means; packages stay as they are."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(importer), path)) if path.startswith(".") else path


def objection(importer: str, imported: str) -> str | None:
    """Why this import isn't allowed, or None."""
    top, _, rest = imported.partition("/")
    if top != "contracts":
        return None
    room = rest.partition("/")[0]
    if importer.startswith("interfaces/"):
        return None if room in SHARED else "an interface doesn't import contracts"
    own = importer.split("/")[1]
    if own == "test" or room == own or room in SHARED:
        return None
    return f"the room {own} doesn't import from the room {room}; take an interface"


def violations(root: Path = ROOT) -> list[str]:
    messages = []
    for folder in ("contracts", "interfaces"):
        for path in sorted((root / folder).rglob("*.sol")):
            importer = path.relative_to(root).as_posix()
            for written in imports_of(path.read_text()):
                imported = resolve(importer, written)
                if reason := objection(importer, imported):
                    messages.append(f"{importer}: imports {imported}: {reason}")
    return messages


def main() -> int:
    messages = violations()
    print("\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
