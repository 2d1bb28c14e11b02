"""Render the embedded data set again: ``python -m benchmark.features.rendering NEW.npz``."""

import argparse
import sys
from pathlib import Path

from benchmark.errors import DataError
from benchmark.features.rendering import build


def _show(done: int, total: int) -> None:
    print(f"\r{done} of {total} clips", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Build the file and print its SHA-256 as sha256sum does."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.features.rendering")
    parser.add_argument("path", type=Path, help="the .npz to write")
    parser.add_argument("--clips", type=int, help="the first so many clips only")
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args()
    try:
        digest = build(options.path, clips=options.clips, workers=options.workers, progress=_show)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{digest}  {options.path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
