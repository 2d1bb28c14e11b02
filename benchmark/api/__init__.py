"""What ``import polytimbre`` hands out: data, runs, what is stored, comparisons."""
