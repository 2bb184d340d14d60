"""The study behind docs/cascades.md: `python -m plimsoll.replay.cascades`, on the reference model alone."""
