from statistic import mean, spread

assert mean([]) == 0.0, f"mean([]) is {mean([])}"
assert mean([1.0, 2.0, 6.0]) == 3.0, "mean([1, 2, 6]) is not 3"
assert mean([0.0]) == 0.0, "mean([0]) is not 0"
assert spread([1.0, 4.0]) == 3.0, "spread() does not work any more"
