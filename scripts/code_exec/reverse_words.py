"""Print the words of each line in the opposite order."""

import sys

for line in sys.stdin:
    print(*reversed(line.split()))
