"""Print each run of the same character of a line as its length and the character."""

from itertools import groupby

print("".join(f"{len([*run])}{letter}" for letter, run in groupby(input())))
