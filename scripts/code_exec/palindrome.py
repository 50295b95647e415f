"""Print the longest part of a line that reads the same in both directions."""

line = input()
best = ""
for middle in range(2 * len(line) - 1):
    left, right = middle // 2, (middle + 1) // 2
    while left >= 0 and right < len(line) and line[left] == line[right]:
        left, right = left - 1, right + 1
    if right - left - 1 > len(best):
        best = line[left + 1 : right]
print(best)
