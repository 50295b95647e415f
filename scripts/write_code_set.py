"""Write the eval set of whole programs: `python scripts/write_code_set.py`.

Each task is asked for in every language, so that languages compare. The solutions lie in the folder
`code_exec`; what they print for the inputs is what the set expects.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SOLUTIONS = HERE / "code_exec"
SET = HERE.parent / "media_sets" / "code_exec.json"
LANGUAGES = {"python": ("Python", "py"), "javascript": ("JavaScript", "js"), "c": ("C", "c")}
_PROMPT = (
    "Write a complete program in {language} that reads from the standard input and prints to the "
    "standard output. {task} Reply with one block of code in {language} only."
)
_MORE = {"javascript": " It runs in Node.js, without packages.", "c": " It is compiled as C17."}


class Task(NamedTuple):
    """What a program is to do, and inputs to try it with; from easy to hard within a topic."""

    topic: str
    text: str
    inputs: tuple[str, ...]


TASKS = {
    "reverse_words": Task(
        "text",
        (
            "For each line of the input, print its words in the opposite order, separated by "
            "single spaces."
        ),
        ("one two three\n", "a\nb c\n", "  many   spaces here  \nlast line\n", "x y z x\n"),
    ),
    "run_lengths": Task(
        "text",
        (
            "The input is one line. Replace each run of the same character by the length of the "
            "run and the character: aaab becomes 3a1b. Print the result."
        ),
        ("aaab\n", "xyz\n", "zzzzzzzzzzzz\n", "aab  bAA\n"),
    ),
    "palindrome": Task(
        "text",
        (
            "The input is one line of at most 1000 characters. Print the longest run of adjacent "
            "characters in it that reads the same in both directions. If several are equally long, "
            "print the one that begins first."
        ),
        ("xracecary\n", "abab\n", "abcd\n", "forgeeksskeegfor\n", "aabbaa" * 50 + "\n"),
    ),
    "digit_sum": Task(
        "numbers",
        (
            "The input is one integer with up to 1000 digits; it may be negative. Print the sum of "
            "its digits."
        ),
        ("1234\n", "-907\n", "0\n", "98765432109876543210" * 20 + "\n"),
    ),
    "primes": Task(
        "numbers",
        (
            "The input has two integers a and b with 0 <= a <= b <= 1000000 and b - a <= 1000. "
            "Print all primes from a to b, both included, in increasing order on one line, "
            "separated by single spaces. If there is none, print none."
        ),
        ("0 20\n", "24 28\n", "97 97\n", "999900 1000000\n"),
    ),
    "fibonacci": Task(
        "numbers",
        (
            "The input is an integer n with 0 <= n <= 10^18. Print the Fibonacci number F(n) "
            "modulo 1000000007, where F(0) = 0 and F(1) = 1."
        ),
        ("0\n", "10\n", "100\n", "1000000000000000000\n"),
    ),
    "most_frequent": Task(
        "data",
        (
            "The input has up to 100000 integers between -10^9 and 10^9, separated by spaces or "
            "line breaks. Print the one that occurs most often; of several, the smallest."
        ),
        ("3 1 3 2\n", "5\n", "2 1\n1 2\n7\n", "-4 -4 9 9 -5\n", "8 " * 300 + "9 " * 301 + "\n"),
    ),
    "maze": Task(
        "data",
        (
            "The input is a maze of at most 200 lines with at most 200 characters each, without "
            "spaces: # is a wall, . is free, S is the start and E the end. A step goes left, "
            "right, up or down to a cell that is no wall. Print the least number of steps from S "
            "to E, or -1 if there is no way."
        ),
        (
            "S.E\n",
            "S#E\n",
            "S.#.\n.##.\n...E\n",
            "####\n#S.#\n#.##\n#..E\n",
            "E..\n##.\nS#.\n...\n",
            "\n".join(["S" + "." * 60, *["." * 61] * 58, "." * 60 + "E"]) + "\n",
        ),
    ),
    "arithmetic": Task(
        "data",
        (
            "The input is one line with a formula of integers, +, -, *, /, parentheses and spaces; "
            "a - may also stand before a factor. A quotient loses its fraction: 7/2 is 3 and -7/2 "
            "is -3. All values fit into 32 bits, and nothing is divided by 0. Print the value."
        ),
        ("1 + 2 * 3\n", "(1+2)*3\n", "-7/2\n", "2*(3-(4-10))/-5\n", "10 - 4 - 3 * 2 / 4\n"),
    ),
}


def code_exec() -> dict[str, Any]:
    """Return the set of whole programs."""
    return {
        "name": "code_exec",
        "version": "1.0",
        "modality": "code",
        "description": "Whole programs in Python, JavaScript and C, run with given inputs in the "
        "sandbox.",
        "questions": [
            {
                "id": f"{language}-{name}",
                "prompt": _PROMPT.format(language=noun, task=task.text) + _MORE.get(language, ""),
                "reference": (SOLUTIONS / f"{name}.{suffix}").read_text("utf-8"),
                "category": f"{language} {task.topic}",
                "scorer": "code",
                "language": language,
                "cases": [{"input": one, "output": printed(name, one)} for one in task.inputs],
            }
            for name, task in TASKS.items()
            for language, (noun, suffix) in LANGUAGES.items()
        ],
    }


def printed(name: str, given: str) -> str:
    """Return what the solution in Python prints for an input."""
    command = [sys.executable, str(SOLUTIONS / f"{name}.py")]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Write the set."""
    SET.write_text(json.dumps(code_exec(), ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
