"""Create docs/report.png, the picture of an HTML report in the README.

Without an argument it first runs a stress test of the embedded model, which takes about a minute.
With an argument it shows that result file. It needs the extra [embedded] and Chromium.
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
LOAD = (
    *(
        "smollm2-135m",
        "--backend=embedded",
        "--slots=4",
        "--mode=sweep",
        "--levels=1,2,4,8,16",
        "--level-requests=24",
    ),
    *("--isl=48", "--max-tokens=24"),
)
WIDTH, HEIGHT = 1280, 880  # size of the page: three charts beside each other
SCALE = 0.75
LLAMABURN = (sys.executable, "-m", "pytest_llamaburn")


def report(folder: Path, result: Path | None) -> Path:
    """Return the HTML report of a result file, or of a new stress run of the embedded model."""
    page = folder / "report.html"
    if result:
        shutil.copy(result, folder)  # so that the page shows only the file's name, not its path
        command = [*LLAMABURN, "results", "show", f"./{result.name}", "-o", str(page)]
    else:
        command = [*LLAMABURN, "stress", *LOAD, "-o", str(page)]
    subprocess.run(command, cwd=folder, check=True)
    return page


def shot(page: Path, picture: Path, *, dark: bool = False) -> None:
    """Write a browser's screenshot of a page as PNG."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser found: install one of {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}"]
        command += [f"--force-device-scale-factor={SCALE}"]
        command += ["--blink-settings=preferredColorScheme=0"] if dark else []
        command += [f"--screenshot={picture.resolve()}", page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def main() -> None:
    """Create the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, help="a result file")
    parser.add_argument("--dark", action="store_true", help="show the page in dark colours")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = report(Path(folder), arguments.result)
        shot(page, arguments.picture, dark=arguments.dark)
    print(f"wrote {arguments.picture}: {arguments.picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
