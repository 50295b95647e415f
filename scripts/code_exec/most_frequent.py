"""Print the most frequent of the numbers; of several, the smallest."""

import sys
from collections import Counter

counts = Counter(map(int, sys.stdin.read().split()))
print(min(counts, key=lambda number: (-counts[number], number)))
