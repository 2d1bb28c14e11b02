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
# from *select* to *test*. The first one is over-fitting; the second one would say that the test
# part is another population.

# %%
from reports.html import shown

sets = shown.read()
measured = shown.having(sets, "gap")
shown.say(f"Measured on: {', '.join(measured)}.")

# %% [markdown]
# ## The gap in mAP
#
# The verdict follows a fixed rule, stated below the table, and not the look of a curve.

# %%
for tables in measured.values():
    columns = ("model", "fit mAP", "select mAP", "test mAP", "optimism", "shift", "verdict")
    shown.table(tables["gap"], columns=columns)

# %%
for name, tables in measured.items():
    shown.heading(name)
    shown.say(tables["gap"].notes)

# %% [markdown]
# ## A large gap is not a bad model
#
# Trees learn their training clips by heart, and still rank among the others on unseen ones.
# What counts is mAP on *test*; optimism says how little a training score foretells it.

# %%
for name, tables in measured.items():
    frame = tables["gap"].frame
    widest, best = frame.loc[frame["optimism"].idxmax()], frame.loc[frame["test mAP"].idxmax()]
    tau = frame[["fit mAP", "test mAP"]].corr(method="kendall").iloc[0, 1]
    shown.say(
        f"{name}: {widest['model']} has the largest optimism, {widest['optimism']:.3f}, and a "
        f"test mAP of {widest['test mAP']:.3f}; {best['model']} is best on test, "
        f"{best['test mAP']:.3f}, with an optimism of {best['optimism']:.3f}. Kendall's tau "
        f"between mAP on fit and on test is {tau:.2f}."
    )
    shift = frame[(frame["shift low"] > 0) | (frame["shift high"] < 0)]["model"].tolist()
    shown.say(
        f"{name}: the shift from select to test is beyond zero for {', '.join(shift)}."
        if shift
        else f"{name}: for no model is a shift from select to test shown."
    )

# %% [markdown]
# ## Class by class

# %%
for name, tables in measured.items():
    by_class = tables["gap_per_class"].frame
    mean = by_class.groupby("class")["optimism"].mean().dropna().sort_values()
    shown.say(
        f"{name}: averaged over models, optimism is largest for {mean.index[-1]} "
        f"({mean.iloc[-1]:.3f}) and smallest for {mean.index[0]} ({mean.iloc[0]:.3f})."
    )
    shown.figures(tables, "gap", "gap-per-class")

# %% [markdown]
# ## Training as it went
#
# Masked loss and mAP over epochs, boosting rounds or trees, on the training clips and on
# *stop*, the part that ends training.

# %%
for name, tables in shown.having(sets, "curves").items():
    shown.heading(name)
    shown.figures(tables, "curves")

# %% [markdown]
# ## Would more data pay?
#
# The same models, trained on a share of the groups; shares are nested.

# %%
learnt = shown.having(sets, "learning_curve")
for name, tables in learnt.items():
    shown.heading(name)
    shown.say(tables["learning_curve"].notes)
    shown.figures(tables, "learning-curve")
if not learnt:
    shown.say("No learning curve is published.")
