"""Fault drills: what breaks in the world outside is broken on a devnet, and what the protocol promises is looked at.

Each drill is one file; `python -m plimsoll.drills` (`make drills`) plays all of them, `ape run drill NAME` one.
"""
