"""Compile without warnings, and without a finding of Slither's that nobody explained.

The compiler only analyses here, which takes seconds where code generation takes a minute. Every finding of medium or
high impact in the project's own contracts must stand in `tools/slither/triage.toml` with the reason why it is none:

    [[finding]]
    check = "divide-before-multiply"
    where = "FundingMath.rate(int256,int256)"
    count = 1                                   # 1 if left out
    why = "…"

`where` is Slither's name of the first thing in the finding. A `[[disabled]]` entry with `check` and `why` turns a whole
detector off. Entries that no longer match anything fail as well. A function that Slither could not translate counts as
the finding `not-analysed`, because there its silence means nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT, SOLC_VERSION, solc_folder

TRIAGE = ROOT / "tools" / "slither" / "triage.toml"
OWN = "contracts/"
TEST = "contracts/test/"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    where: str
    text: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.check, self.where


def standard_input(root: Path = ROOT) -> dict[str, Any]:
    """Every source of the project, for syntax trees and interfaces alone."""
    files = [path for folder in ("contracts", "interfaces") for path in sorted((root / folder).rglob("*.sol"))]
    return {
        "language": "Solidity",
        "sources": {path.relative_to(root).as_posix(): {"content": path.read_text()} for path in files},
        "settings": {"evmVersion": "cancun", "outputSelection": {"*": {"*": ["abi"], "": ["ast"]}}},
    }


def analyse(source: dict[str, Any], root: Path = ROOT) -> dict[str, Any]:
    """The compiler's standard output."""
    compiler = solc_folder(root) / f"solc-v{SOLC_VERSION}"
    arguments = [str(compiler), "--standard-json", "--base-path", str(root)]
    # a native compiler looks into node_modules only if told to
    arguments += ["--include-path", str(root / "node_modules"), "--allow-paths", str(root)]
    done = subprocess.run(arguments, cwd=root, input=json.dumps(source), capture_output=True, text=True, check=True)
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def complaints(output: dict[str, Any]) -> list[str]:
    """Errors, and warnings about the project's own sources."""
    return [
        error["formattedMessage"].strip()
        for error in output.get("errors", [])
        if error["severity"] == "error"
        or error.get("sourceLocation", {}).get("file", "").startswith(("contracts/", "interfaces/"))
    ]


def run_detectors(output: dict[str, Any], root: Path = ROOT) -> list[Finding]:
    """Slither's findings of medium and high impact in the project's contracts, tests apart."""
    os.chdir(root)  # Slither looks for sources relative to where it runs
    from crytic_compile import CryticCompile
    from crytic_compile.compilation_unit import CompilationUnit
    from crytic_compile.compiler.compiler import CompilerVersion
    from crytic_compile.platform.solc_standard_json import SolcStandardJson, parse_standard_json_output
    from slither import Slither
    from slither.detectors import all_detectors
    from slither.detectors.abstract_detector import AbstractDetector, DetectorClassification

    no_code = {"object": "", "sourceMap": "", "opcodes": "", "linkReferences": {}}
    for contracts in output["contracts"].values():
        for contract in contracts.values():
            contract["evm"] = {"bytecode": no_code, "deployedBytecode": no_code, "methodIdentifiers": {}}
            contract.setdefault("userdoc", {})
            contract.setdefault("devdoc", {})

    class Analysed(SolcStandardJson):
        """A compilation that happened already."""

        def compile(self, crytic_compile: CryticCompile, **_: Any) -> None:
            unit = CompilationUnit(crytic_compile, "standard_json")
            unit.compiler_version = CompilerVersion(compiler="solc", version=SOLC_VERSION, optimized=True)
            parse_standard_json_output(output, unit, solc_working_dir=str(root))

    blind = _Blind()
    for name in ("ContractSolcParsing", "Slither"):
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(blind)
    slither = Slither(CryticCompile(Analysed({"language": "Solidity", "sources": {}})))
    serious = (DetectorClassification.HIGH, DetectorClassification.MEDIUM)
    candidates: list[Any] = list(vars(all_detectors).values())
    for detector in candidates:
        is_detector = isinstance(detector, type) and issubclass(detector, AbstractDetector)
        if is_detector and detector.IMPACT in serious:
            slither.register_detector(detector)

    found = blind.findings
    for result in (result for results in slither.run_detectors() for result in results):
        first = result["elements"][0]
        file = first["source_mapping"]["filename_relative"]
        if file.startswith(OWN) and not file.startswith(TEST):
            lines = first["source_mapping"]["lines"]
            text = f"{file}:{lines[0] if lines else 0}: {result['description'].strip()}"
            found.append(Finding(result["check"], _name(first), text))
    return found


def _name(element: dict[str, Any]) -> str:
    """Where a finding is, without line numbers: `Contract.function(types)`, with a variable's name behind it."""
    fields = element.get("type_specific_fields", {})
    parent = fields.get("parent")
    if element["type"] == "node":
        return _name(parent)
    own = str(fields.get("signature", element["name"]))
    return f"{_name(parent)}.{own}" if parent and parent["type"] in ("contract", "function") else own


class _Blind(logging.Handler):
    """Collects the functions that Slither says it could not translate."""

    TEXT = re.compile(r"Impossible to generate IR for (\S+) \((.+?)#(\d+)")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.findings: list[Finding] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if (found := self.TEXT.search(text)) and found[2].startswith(OWN) and not found[2].startswith(TEST):
            place = f"{found[2]}:{found[3]}: {found[1]} is not analysed: {text.splitlines()[-1].strip()}"
            self.findings.append(Finding("not-analysed", found[1], place))


@dataclass(frozen=True, slots=True)
class Triage:
    explained: Counter[tuple[str, str]]
    """How many findings of each key have a reason."""
    disabled: frozenset[str]
    """Detectors that are off as a whole."""
    wrong: list[str]
    """What is wrong with the file itself."""


def read_triage(text: str) -> Triage:
    table = tomllib.loads(text)
    explained: Counter[tuple[str, str]] = Counter()
    wrong = [
        f"triage: {entry['check']} in {entry.get('where', 'every contract')} has no reason"
        for entry in [*table.get("finding", []), *table.get("disabled", [])]
        if not entry.get("why", "").strip()
    ]
    for entry in table.get("finding", []):
        key = entry["check"], entry["where"]
        if key in explained:
            wrong.append(f"triage: {key[0]} in {key[1]} stands there twice")
        explained[key] = entry.get("count", 1)
    return Triage(explained, frozenset(entry["check"] for entry in table.get("disabled", [])), wrong)


def compare(findings: Iterable[Finding], triage: Triage) -> list[str]:
    """Findings without an explanation, and explanations without a finding."""
    explained = triage.explained
    findings = [finding for finding in findings if finding.check not in triage.disabled]
    counted = Counter(finding.key for finding in findings)
    messages = [
        f"{finding.text}\n  [check = {finding.check!r}, where = {finding.where!r}, found {counted[finding.key]},"
        f" explained {explained[finding.key]}]"
        for finding in findings
        if counted[finding.key] > explained[finding.key]
    ]
    for key, count in explained.items():
        if counted[key] < count:
            messages.append(
                f"triage: {key[0]} in {key[1]}: {counted[key]} found, {count} explained; remove what is gone"
            )
    return messages


def main() -> int:
    output = analyse(standard_input())
    messages = complaints(output)
    if not messages:
        triage = read_triage(TRIAGE.read_text())
        messages = triage.wrong + compare(run_detectors(output), triage)
    print("\n\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
