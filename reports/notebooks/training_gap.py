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
# # How much is lost between training and unseen clips?
#
# A model is better on the clips it was trained on than on others. The gap has two parts:
# *optimism*, from the training clips to the *select* part of the same partition, and *shift*,
# from *select* to *test*, which would say that the test part is another population. Neither alone
# is over-fitting: a model may know its training clips by heart and others better than any.

# %%
from IPython.display import display

import polytimbre as pt

names = sorted(pt.published_sets(), key=lambda name: name != "audioset20")  # recordings first
published = {name: pt.published(name) for name in names}
measured = {name: runs for name, runs in published.items() if "gap" in runs.tables}
print("Measured on:", ", ".join(measured))


def draw(runs, name):
    """Show a figure, unless these runs have nothing for it."""
    try:
        display(runs.plot(name))
    except pt.ProtocolError as error:
        print(error)


# %% [markdown]
# ## The gap in mAP
#
# The verdict follows a fixed rule, stated below the table, and not the look of a curve. mAP on few
# positives tends to be too high, by more on *select* than on *test*: corrected values stand beside.

# %%
for runs in measured.values():
    parts = ("fit", "select", "test")
    values = [f"{part} {kind}mAP" for part in parts for kind in ("", "corrected ")]
    columns = ("model", *values, "optimism", "lost share", "shift", "verdict")
    display(runs.tables["gap"].keep(*columns), runs.plot("gap"))

# %% [markdown]
# ## A large gap is not a bad model
#
# What counts is mAP on *test*; optimism says how little a training score foretells it.

# %%
for name, runs in measured.items():
    frame = runs.tables["gap"].frame
    widest, best = frame.loc[frame["optimism"].idxmax()], frame.loc[frame["test mAP"].idxmax()]
    by_heart = frame[frame["fit mAP"] > 0.95]["model"]
    tau = frame[["fit mAP", "test mAP"]].corr(method="kendall").iloc[0, 1]
    print(f"{name}:")
    for what, row in (("largest optimism", widest), ("best on test", best)):
        print(f"  {what}: {row['model']}, optimism {row['optimism']:.3f}, "
              f"test mAP {row['test mAP']:.3f}")  # fmt: skip
    print("  know their training clips by heart, fit mAP above .95:", ", ".join(by_heart) or "none")
    print(f"  Kendall's tau between mAP on fit and on test: {tau:.2f}")
    shift = frame[(frame["shift low"] > 0) | (frame["shift high"] < 0)]["model"]
    print("  shift from select to test beyond zero:", ", ".join(shift) or "no model")

# %% [markdown]
# ## Class by class

# %%
for name, runs in measured.items():
    by_class = runs.tables["gap_per_class"].frame.groupby("class")["optimism"]
    mean = by_class.mean().dropna().sort_values()
    print(f"{name}: averaged over models, optimism is largest for {mean.index[-1]}")
    print(f"  ({mean.iloc[-1]:.3f}) and smallest for {mean.index[0]} ({mean.iloc[0]:.3f}).")
    draw(runs, "gap-per-class")

# %% [markdown]
# ## Training as it went
#
# Masked loss and mAP over epochs, boosting rounds or trees, on the training clips and on
# *stop*, the part that ends training. Of a single run: `pt.published("rendered")[ID].history`.

# %%
for runs in published.values():
    if "curves" in runs.tables:
        draw(runs, "curves")

# %% [markdown]
# ## Would more data pay?
#
# The same models, trained on a share of the groups; shares are nested.

# %%
for name, runs in published.items():
    if "learning_curve" in runs.tables:
        print(name, *runs.tables["learning_curve"].notes, sep="\n  ")
        display(runs.plot("learning-curve"))
