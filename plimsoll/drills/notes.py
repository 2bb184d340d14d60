"""What is noted while a drill is played, and the report that becomes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from plimsoll.core.units import from_wad

Figure = str | int | Mapping[str, "Figure"] | list["Figure"]
"""What a report shows: dollars and shares as text, counts and seconds as numbers."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that the protocol promises, whether it held, and what was found."""

    text: str
    held: bool
    found: str


@dataclass
class Notes:
    """Parameters, figures and promises of a drill, in the order in which they were noted."""

    parameters: dict[str, Figure] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    promises: list[Promise] = field(default_factory=list)

    def figure(self, name: str, value: Figure) -> None:
        self.figures[name] = value

    def promise(self, text: str, held: bool, found: object = "") -> bool:
        """Note whether a promise held; a drill goes on where it did not."""
        self.promises.append(Promise(text, held, str(found)))
        return held

    @property
    def broken(self) -> list[Promise]:
        return [one for one in self.promises if not one.held]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a drill. `passed` is None where it was skipped, `reason` says why it was or what ended it."""

    name: str
    what: str
    passed: bool | None
    reason: str
    seconds: int
    notes: Notes

    def as_json(self) -> dict[str, object]:
        head = {"name": self.name, "what": self.what, "passed": self.passed}
        if self.reason:
            head["reason"] = self.reason
        return {**head, "seconds": self.seconds, **asdict(self.notes)}

    def summary(self) -> dict[str, object]:
        """Its part of the last line of `make drills`."""
        figures: dict[str, Figure] = dict(self.notes.figures)
        if self.reason:
            figures["reason"] = self.reason
        return {"passed": self.passed, "figures": figures}

    def write(self, folder: Path) -> Path:
        """Into NAME.json of a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n")
        return path


def usd(wad: int) -> str:
    """WAD dollars with two places: "1234.56"."""
    return f"{from_wad(wad):.2f}"


def ratio(wad: int) -> str:
    """A WAD ratio such as health with four places."""
    return f"{from_wad(wad):.4f}"
