"""Print the sum of the digits of an integer."""

print(sum(int(digit) for digit in input().strip().lstrip("-")))
