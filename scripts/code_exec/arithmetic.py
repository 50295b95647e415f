"""Print the value of a formula of integers; quotients lose their fraction."""

import re

signs = [*re.findall(r"\d+|[-+*/()]", input()), "end"]


def total() -> int:
    """Return the value of a sum."""
    value = product()
    while signs[0] in "+-":
        value += product() if signs.pop(0) == "+" else -product()
    return value


def product() -> int:
    """Return the value of a product."""
    value = factor()
    while signs[0] in "*/":
        if signs.pop(0) == "*":
            value *= factor()
        else:
            divisor = factor()
            size = abs(value) // abs(divisor)
            value = size if (value < 0) == (divisor < 0) else -size
    return value


def factor() -> int:
    """Return the value of a number, of its opposite, or of a formula in parentheses."""
    sign = signs.pop(0)
    if sign == "-":
        return -factor()
    if sign != "(":
        return int(sign)
    value = total()
    signs.pop(0)
    return value


print(total())
