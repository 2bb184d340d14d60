import sys

from plimsoll.replay.cascades.cli import main

if __name__ == "__main__":
    sys.exit(main())
