"""The best few trials, compared again, deliver more than the best one, for few more fits."""

import pytest
import simulated_tables
from simulated_choice import WAYS, choices

#: What benchmark/README.md says, by case: a row for each way of choosing.
ROWS = simulated_tables.read("choices")
CASES = [ROWS[first : first + len(WAYS)] for first in range(0, len(ROWS), len(WAYS))]


def told(row, column):
    return float(row[column].split(" ± ")[0])


def test_what_the_page_tells_is_what_comes_out():
    found = choices(clip_sd=0.01, fit_sd=0.003, n_repetitions=1000)
    for row, (name, values) in zip(CASES[1], found.items(), strict=True):
        assert list(row.values())[:4] == ["0.003", "0.01", name, str(WAYS[name])]
        expected = [told(row, "promised"), told(row, "delivered")]
        assert values.mean(axis=1) == pytest.approx(expected, abs=0.002)  # five standard errors


def test_comparing_again_delivers_more_and_only_the_nested_promise_is_kept():
    assert len(CASES) == 6
    shares = []
    for alone, again, nested in CASES:
        assert told(alone, "delivered") + 0.001 < told(again, "delivered")
        assert told(again, "promised") > told(again, "delivered") + 0.002
        assert told(nested, "promised") == pytest.approx(told(nested, "delivered"), abs=0.001)
        shares.append(told(again, "delivered") / told(nested, "delivered"))
    text = " ".join(simulated_tables.PAGE.read_text(encoding="utf-8").split())
    low, high = (round(100 * share) for share in (min(shares), max(shares)))
    assert f"delivers {low} to {high} %" in text
