"""Print the number of steps of the shortest way from S to E, or -1."""

import sys
from collections import deque

rows = sys.stdin.read().split()
cells = {(x, y): cell for y, row in enumerate(rows) for x, cell in enumerate(row) if cell != "#"}
(start,) = [place for place, cell in cells.items() if cell == "S"]
steps = {start: 0}
waiting = deque([start])
while waiting:
    x, y = waiting.popleft()
    for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
        if place in cells and place not in steps:
            steps[place] = steps[x, y] + 1
            waiting.append(place)
print(next((count for place, count in steps.items() if cells[place] == "E"), -1))
