"""Make docs/report.png, the picture of an HTML report in the README.

Without an argument this sends a real load to the embedded model first, which takes about a minute.
With an argument it shows that result file. It needs the extra [embedded] and a Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "report.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
LOAD = ("--slots=4", "--mode=sweep", "--levels=1,2,4,8,16", "--level-requests=60")
WIDTH, HEIGHT = 1040, 640
LLAMABURN = (sys.executable, "-m", "pytest_llamaburn")


def report(folder: Path, result: Path | None) -> Path:
    """Return the HTML report of a result file, or of a new stress run of the embedded model."""
    page = folder / "report.html"
    if result:
        command = [*LLAMABURN, "results", "show", str(result.resolve()), "-o", str(page)]
    else:
        command = [*LLAMABURN, "stress", *LOAD, "--max-tokens=32", "-o", str(page)]
    subprocess.run(command, cwd=folder, check=True)
    return page


def shot(page: Path, picture: Path, *, dark: bool = False, height: int = HEIGHT) -> None:
    """Write what a browser shows of a page as a PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser found: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={WIDTH},{height}"]
        command += ["--blink-settings=preferredColorScheme=0"] if dark else []
        command += [f"--screenshot={picture.resolve()}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, help="a result file")
    parser.add_argument("--dark", action="store_true", help="show the page in dark colours")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the file to write")
    parser.add_argument("--height", type=int, default=HEIGHT, help="height in pixels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = report(Path(folder), arguments.result)
        shot(page, arguments.picture, dark=arguments.dark, height=arguments.height)
    print(f"wrote {arguments.picture}: {arguments.picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
