import sys

from plimsoll.replay.cli import main

if __name__ == "__main__":
    sys.exit(main())
