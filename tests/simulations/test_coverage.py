"""Write the table of coverage into benchmark/README.md."""

from simulated import REGIMES, coverage
from simulated_tables import write

N_REPETITIONS = 1000


def test_table_of_coverage():
    found = {regime: coverage(regime, N_REPETITIONS) for regime in REGIMES}
    columns = (
        "part", "mAP", "its length", "mAP, half-sampling", "its length", "class",
        "its length", "bias of mAP", "bias found",
    )  # fmt: skip
    keys = ("macro", "macro length", "half", "half length", "class", "class length")
    write(
        "coverage",
        columns,
        [
            [regime, *(f"{one[key]:.3f}" for key in keys)]
            + [f"{one[key]:+.4f}" for key in ("bias", "bias found")]
            for regime, one in found.items()
        ],
    )
    assert all(one["macro"] > 0.89 for one in found.values())
    assert all(one["class"] > 0.9 for one in found.values())
