"""Write the table of what choosing among trials promises and delivers into benchmark/README.md."""

from itertools import product

from simulated_choice import WAYS, choices
from simulated_tables import write

N_REPETITIONS = 10_000


def test_table_of_choices():
    rows = []
    for fit_sd, clip_sd in product((0.003, 0.01), (0.005, 0.01, 0.015)):
        found = choices(clip_sd, fit_sd, N_REPETITIONS)
        means = {name: two.mean(axis=1) for name, two in found.items()}
        errors = {name: two.std(axis=1, ddof=1) / N_REPETITIONS**0.5 for name, two in found.items()}
        for name, fits in WAYS.items():
            told = [f"{mean:+.4f} ± {se:.4f}" for mean, se in zip(means[name], errors[name])]
            rows.append([f"{fit_sd:g}", f"{clip_sd:g}", name, str(fits), *told])
    columns = ("luck of a fit", "luck of select", "choice", "fits", "promised", "delivered")
    write("choices", columns, rows)
