"""Print the primes from a to b."""

from math import isqrt

first, last = map(int, input().split())
found = [
    number
    for number in range(max(first, 2), last + 1)
    if all(number % factor for factor in range(2, isqrt(number) + 1))
]
print(*(found or ("none",)))
