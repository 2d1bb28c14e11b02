"""Write the table of the paired test's errors and power into benchmark/README.md."""

from itertools import product

import numpy as np
from simulated import LEVELS, rejected
from simulated_tables import write

N_REPETITIONS = 10_000


def test_table_of_errors_and_power():
    rows = []
    for both, n_seeds, seed_sd in product((False, True), (3, 5, 6), (0.5, 1, 4.5)):
        error = rejected(n_seeds, seed_sd, both, 0.0, n_repetitions=N_REPETITIONS)
        power = rejected(n_seeds, seed_sd, both, 6.0, n_repetitions=1000)
        assert (error <= np.array([1.3, 3]) * LEVELS).all()
        case = "both" if both else "one", str(n_seeds), f"{seed_sd:g}"
        found = f"{error[0]:.3f}", f"{error[1] / LEVELS[1]:.2f}", *(f"{p:.2f}" for p in power)
        rows.append([*case, *found])
    columns = (
        "noisy models", "seeds", "seed sd", "error at .05", "error at .05 / 78, times nominal",
        "power at .05", "power at .05 / 78",
    )  # fmt: skip
    write("paired tests", columns, rows)
