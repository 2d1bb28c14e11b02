"""Print the table of the paired test's errors and power: ``pytest tests/simulations -s``."""

from itertools import product

import numpy as np
from simulated import LEVELS, rejected

N_REPETITIONS = 20_000


def test_table_of_errors_and_power():
    print(
        "\n| noisy models | seeds | seed sd | type I at .05 | at .05 / 78, times nominal "
        "| power at .05 | at .05 / 78 |\n|---|---|---|---|---|---|---|"
    )
    for both, n_seeds, seed_sd in product((False, True), (3, 5, 6), (0.5, 1, 4.5)):
        error = rejected(n_seeds, seed_sd, both, 0.0, n_repetitions=N_REPETITIONS)
        power = rejected(n_seeds, seed_sd, both, 6.0, n_repetitions=2000)
        print(
            f"| {'both' if both else 'one'} | {n_seeds} | {seed_sd} | {error[0]:.3f} "
            f"| {error[1] / LEVELS[1]:.2f} | {power[0]:.2f} | {power[1]:.2f} |",
            flush=True,
        )
        assert (error <= np.array([1.3, 3]) * LEVELS).all()
