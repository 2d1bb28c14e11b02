"""Print the table of coverage: ``pytest tests/simulations -s -o addopts=``."""

import pytest
from simulated import REGIMES, coverage


@pytest.mark.parametrize("regime", REGIMES)
def test_table_of_coverage(regime):
    found = coverage(regime, 2000, n_resamples=399)
    print(
        "\n| part | macro | class | length of a class's interval | bias | bias found |\n"
        f"|---|---|---|---|---|---|\n| {regime} | {found['macro']:.3f} | {found['class']:.3f} "
        f"| {found['length']:.3f} | {found['bias']:.4f} | {found['bias found']:.4f} |"
    )
    assert found["macro"] > 0.89
    assert found["class"] > 0.9
