"""LlamaBurn: benchmark, stress-test, profile and evaluate local language models from pytest.

PYTEST_DONT_REWRITE: the command imports the package before pytest starts.
"""

__version__ = "0.1.0"
