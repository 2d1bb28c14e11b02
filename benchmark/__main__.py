"""``python -m benchmark`` is the command ``polytimbre``."""

import sys
from pathlib import Path

if not sys.flags.safe_path:
    # ``-m`` puts the working folder first, where a signal.py of somebody's would be imported
    sys.path[:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmark.cli import main

if __name__ == "__main__":
    main()
