# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which model recognises instruments best?
#
# Every model was trained on the same clips, on observed labels alone, with several seeds where
# its result depends on one. Thresholds were chosen on the *select* part. What is shown here was
# measured on the *test* part, on which no choice is made.
#
# The cells read the published results of this repository; nothing is trained.

# %%
from itertools import combinations

import pandas as pd
from IPython.display import display

import polytimbre as pt

names = sorted(pt.published_sets(), key=lambda name: name != "audioset20")  # recordings first
published = {name: pt.published(name) for name in names}
compared = {name: runs for name, runs in published.items() if "comparison" in runs.tables}
print("Compared on:", ", ".join(compared))


def draw(runs, name):
    """Show a figure, unless these runs have nothing for it."""
    try:
        display(runs.plot(name))
    except pt.ProtocolError as error:
        print(error)


# %% [markdown]
# Where scores are published as well, the same tables can be computed again, with models added
# or left out, and held against a run of your own:
#
# ```python
# runs = pt.published("rendered")
# mine = pt.run("cnn", pt.load("rendered"), dense=64)
# pt.compare(mine, runs)
# ```

# %% [markdown]
# ## The headline
#
# mAP is the macro average precision over observed labels, F1 the macro F1 of the positive class
# at one global threshold. Beside a value stands its 95 % interval: a bootstrap over groups of
# clips (works or videos) and seeds. A model's rank is one more than the number of models that
# are significantly better, so that models which do not differ significantly may share one.

# %%
for runs in compared.values():
    table = runs.tables["comparison"]
    columns = ("rank", "model", "seeds", "mAP", "F1", "behind", "p", "among best", "seed sd")
    display(table.keep(*columns))
    display(runs.plot("comparison"))

# %%
for name, runs in compared.items():
    if "pairs" not in runs.tables:  # a single model
        continue
    frame, pairs = runs.tables["comparison"].frame, runs.tables["pairs"].frame
    best, first = frame.iloc[0], frame[frame["rank"] == 1]["model"]
    better = pairs[pairs["better"].astype(bool)]["difference"]
    print(f"{name}: {best['model']} has the highest mAP, {best['mAP']:.3f}.")
    print(f"  Rank 1 is held by {', '.join(first)}.")
    print(f"  Of {len(pairs)} pairs of models, {len(better)} differ significantly.")
    if len(better):
        print(f"  The smallest of these differences is {better.min():.3f}.")

# %% [markdown]
# ## Does the order hold on other data sets?
#
# Some data sets are rendered from scores, others are made of recordings; some are partly observed.
# The levels of their mAP can't be compared, the order of the models can. Each model stands on the
# features on which it is best.

# %%
highest = {}
for name, runs in compared.items():
    frame = runs.tables["comparison"].frame
    highest[name] = frame["mAP"].groupby(frame["model"].str.split(" on ").str[0]).max()
levels = pd.DataFrame(highest)
shared = levels[levels.notna().sum(axis=1) > 1]
if len(shared):
    order = shared.rank(ascending=False, method="min").astype("Int64")
    title = "Place by mAP among the models that several data sets have"
    display(pt.ShownTable(title, order.rename_axis("model").reset_index()))
for one, other in combinations(levels, 2):
    both = levels[[one, other]].dropna()
    if len(both) > 2:
        tau = both.corr(method="kendall").iloc[0, 1]
        print(f"{one} and {other}: Kendall's tau of the orders of {len(both)} models is {tau:.2f}.")

# %% [markdown]
# ## Instrument by instrument
#
# A macro average hides where a model earns it. Below, the best network is held against the best
# model that is no network, class by class. An instrument counts as won where one model's
# average precision lies above the other one's interval: a rough rule, and a cautious one. The
# figure shows the network and the forest of which a student project published such a table.

# %%
networks = ("attention", "cnn", "probe")
for name, runs in compared.items():
    models = runs.tables["comparison"].frame["model"]
    network = next((m for m in models if m.startswith(networks)), None)
    other = next((m for m in models if not m.startswith((*networks, "ensemble"))), None)
    if network is None or other is None:
        continue
    by_class = runs.tables["per_class"].frame.set_index(["model", "class"])
    ours, theirs = by_class.loc[network], by_class.loc[other]
    gain = (ours["AP"] - theirs["AP"]).dropna().sort_values(ascending=False)
    print(f"{name}: {network} against {other}:")
    print(f"  ahead in {(ours['AP'] > theirs['AP high']).sum()} of {len(gain)} classes,")
    print(f"  behind in {(theirs['AP'] > ours['AP high']).sum()};")
    print(f"  it gains most on {gain.index[0]} ({gain.iloc[0]:+.3f})")
    print(f"  and least on {gain.index[-1]} ({gain.iloc[-1]:+.3f}).")
    draw(runs, "per-class-pair")

# %% [markdown]
# ## Where it fails
#
# Each slice of the clips, by what is known of them, against all other clips: paired, and with
# Holm's correction over the slices of a model. Shown is the best model.

# %%
for runs in compared.values():
    if "slices" not in runs.tables:
        continue
    table = runs.tables["slices"]
    frame = table.frame[table.frame["model"] == runs.tables["comparison"].frame["model"][0]]
    columns = ("attribute", "slice", "positives", "mAP", "difference", "p", "ROC-AUC difference")
    display(pt.ShownTable(table.title, frame, table.notes).keep(*columns, "ROC-AUC p"))
    display(runs.plot("slices"))

# %% [markdown]
# ## New instruments, and side information
#
# How many positives a class takes, of a network that knows other classes and of one that knows
# none; and what the genre adds to what is heard, also where it is unusual for a clip's
# instruments. Shown where such runs are published.

# %%
for runs in compared.values():
    for table in ("transfer", "side_information"):
        if table not in runs.tables:
            continue
        shown = runs.tables[table]
        frame = shown.frame[~shown.frame.get("on", shown.frame["model"]).str.startswith("class: ")]
        display(pt.ShownTable(shown.title, frame, shown.notes))
    if "transfer" in runs.tables:
        display(runs.plot("transfer"))

# %% [markdown]
# ## Ranks over classes
#
# The conventional picture, Friedman's test with Nemenyi's critical difference, treats classes
# as independent data sets. They share their clips, so that it describes and does not test.

# %%
for name, runs in compared.items():
    if "ranks" not in runs.tables:  # fewer than three models
        continue
    display(runs.plot("critical-difference"))
    print(name, *runs.tables["ranks"].notes, sep="\n  ")

# %% [markdown]
# ## What it costs
#
# Processor time of one thread, so that a busy machine doesn't change it.

# %%
for name, runs in compared.items():
    draw(runs, "cost")
    frame = runs.tables["comparison"].frame
    best, cheapest = frame.iloc[0], frame[frame["rank"] == 1].sort_values("fit (s)").iloc[0]
    print(f"{name}: {best['model']} trains for {best['fit (s)']:.1f} s.")
    print(f"  The cheapest model of rank 1 is {cheapest['model']}:")
    print(f"  {cheapest['fit (s)']:.1f} s, mAP {cheapest['mAP']:.3f}.")

# %% [markdown]
# ## Ensembles
#
# Combined from stored scores, with weights fitted on *select*, and held against each model's own
# average over its seeds.

# %%
for name, runs in published.items():
    if "ensembles" not in runs.tables:
        continue
    table = runs.tables["ensembles"]
    display(table.keep("rank", "model", "mAP", "behind", "p", "among best", "F1"))
    joint = table.frame["model"].str.startswith("ensemble")
    best, single = table.frame[joint].iloc[0], table.frame[~joint].iloc[0]
    print(f"{name}: the best ensemble, {best['model']}, is {best['mAP'] - single['mAP']:+.3f} mAP")
    print(f"  from the best single model, {single['model']}.")
