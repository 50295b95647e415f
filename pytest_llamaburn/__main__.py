"""`python -m pytest_llamaburn` is the `llamaburn` command."""

import sys

from pytest_llamaburn.commands import main

if __name__ == "__main__":
    sys.exit(main())
