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
# # What did tuning buy?
#
# A study searches a model's parameters, for networks the architecture itself. A trial is
# trained on *fit*, stopped and pruned on *stop*, and judged by mAP on *select*. Trial 0 is the
# default, so that a search which finds nothing better gives it back. Each model gets the same
# number of trials and the same processor time a trial.

# %%
from IPython.display import display

import polytimbre as pt

names = sorted(pt.published_sets(), key=lambda name: name != "audioset20")  # recordings first
published = {name: pt.published(name) for name in names}
tuned = {name: runs for name, runs in published.items() if "trials" in runs.tables}
print("Studies are published of:", ", ".join(tuned) or "nothing")


def draw(runs, name):
    """Show a figure, unless these runs have nothing for it."""
    try:
        display(runs.plot(name))
    except pt.ProtocolError as error:
        print(error)


# %% [markdown]
# ## What the searches found

# %%
for runs in tuned.values():
    if "studies" in runs.tables:
        table = runs.tables["studies"]
        display(table.keep(*table.frame.columns.drop("model")))

# %% [markdown]
# ## How the searches went

# %%
for runs in tuned.values():
    display(runs.plot("trials"))

# %% [markdown]
# The best five trials of each model:

# %%
for name, runs in tuned.items():
    trials = runs.tables["trials"].frame.dropna(subset="select mAP")
    for model, group in trials.groupby("model", sort=True):
        best = pt.ShownTable(f"{name}, {model}", group.nlargest(5, "select mAP"))
        columns = ("trial", "select mAP", "stop mAP", "stands at", "seconds", "parameters")
        display(best.keep(*columns))

# %% [markdown]
# ## Which parameters mattered?
#
# The share of variance in mAP on *select* that a parameter explains alone.

# %%
for name, runs in published.items():
    if "importances" not in runs.tables:
        continue
    for model, group in runs.tables["importances"].frame.groupby("model", sort=True):
        first = group.nlargest(3, "importance")
        shares = zip(first["parameter"], first["importance"], strict=True)
        print(f"{name}, {model}:", ", ".join(f"{one} ({share:.2f})" for one, share in shares))
    display(runs.plot("importances"))

# %% [markdown]
# ## Does it hold on test?
#
# A search promises what it found on *select*, on which it chose the best of many; the best three
# were compared again on all training clips. The default and the tuned model on *test*, over several
# seeds, say what is left of it. The tests of tuned models against their defaults are
# corrected for each other, and for no other pair.

# %%
for runs in tuned.values():
    for table in ("tuning", "promises"):  # older sets have none of these tests
        if table in runs.tables:
            display(runs.tables[table])
    draw(runs, "tuned")
