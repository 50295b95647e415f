"""Print the n-th Fibonacci number modulo 1000000007, by doubling."""

MODULUS = 1_000_000_007


def pair(n: int) -> tuple[int, int]:
    """Return F(n) and F(n + 1)."""
    if n == 0:
        return 0, 1
    a, b = pair(n // 2)
    c, d = a * (2 * b - a) % MODULUS, (a * a + b * b) % MODULUS
    return (d, (c + d) % MODULUS) if n % 2 else (c, d)


print(pair(int(input()))[0])
