"""Render the order that comes on stdin as JSON, and print the rendering as JSON."""

import sys

import msgspec

from pytest_llamaburn.rendering import Order, _browser


def main() -> None:
    """Render one program."""
    order, browser = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Order, str])
    found = _browser.rendered(order, browser)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
