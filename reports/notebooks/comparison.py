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
# measured on the *test* part, which no choice has seen.
#
# The cells read the published results of this repository; nothing is trained.

# %%
import pandas as pd

from reports.html import shown
from reports.html.content import family

sets = shown.read()
compared = shown.having(sets, "comparison")
shown.say(f"Compared on: {', '.join(compared)}.")

# %% [markdown]
# ## The headline
#
# mAP is the macro average precision over observed labels, F1 the macro F1 of the positive class
# at one global threshold. Below a value stands its 95 % interval: a bootstrap over groups of
# clips (works or videos) and seeds. A model's rank is one more than the number of models that
# are significantly better, so that models which are not told apart may share one.

# %%
for tables in compared.values():
    columns = ("rank", "model", "seeds", "mAP", "F1", "behind", "p", "seed sd")
    shown.table(tables["comparison"], columns=columns)

# %%
for name, tables in compared.items():
    frame = tables["comparison"].frame
    best, tied = frame.iloc[0], frame[frame["rank"] == 1]["model"].tolist()
    pairs = tables["pairs"].frame
    told = pairs[pairs["better"].astype(bool)]["difference"]
    shown.say(
        f"{name}: {best['model']} has the highest mAP, {best['mAP']:.3f}. Rank 1 is held by "
        f"{', '.join(tied)}. Of {len(pairs)} pairs of models, {len(told)} are told apart"
        + (f"; the smallest difference that is, is {told.min():.3f}." if len(told) else ".")
    )
    shown.figures(tables, "comparison")

# %% [markdown]
# ## Does the order hold on both data sets?
#
# One data set is rendered from scores and partly observed, the other one is made of real
# recordings with every label observed. The levels of their mAP can't be compared, the order of
# the models can.

# %%
places = pd.DataFrame(
    {
        name: tables["comparison"].frame.set_index("model")["mAP"]
        for name, tables in compared.items()
    }
)
both = places.dropna()
if len(compared) > 1 and len(both) > 2:
    order = both.rank(ascending=False).astype(int).reset_index()
    shown.table(order, "Place by mAP among the models that both data sets have")
    tau = both.corr(method="kendall").iloc[0, 1]
    shown.say(f"Kendall's tau between the two orders of {len(both)} models is {tau:.2f}.")
else:
    shown.say("Too few models are published on more than one data set to compare orders.")

# %% [markdown]
# ## Instrument by instrument
#
# A macro average hides where a model earns it. Below, the best network is held against the best
# model that is no network, class by class. An instrument counts as won where one model's
# average precision lies above the other one's interval: a rough rule, and a cautious one.

# %%
for name, tables in compared.items():
    ranked = tables["comparison"].frame["model"].tolist()
    networks = [model for model in ranked if family(model) == "networks"]
    others = [model for model in ranked if family(model) not in ("networks", "ensembles")]
    if not networks or not others:
        continue
    by_class = tables["per_class"].frame.set_index(["model", "class"])
    network, other = by_class.loc[networks[0]], by_class.loc[others[0]]
    gain = (network["AP"] - other["AP"]).sort_values(ascending=False).dropna()
    won = int((network["AP"] > other["AP high"]).sum())
    lost = int((other["AP"] > network["AP high"]).sum())
    shown.say(
        f"{name}: {networks[0]} against {others[0]}: ahead in {won} of {len(gain)} classes, "
        f"behind in {lost}. It gains most on {gain.index[0]} ({gain.iloc[0]:+.3f}) and "
        f"{gain.index[1]} ({gain.iloc[1]:+.3f}), least on {gain.index[-1]} ({gain.iloc[-1]:+.3f})."
    )

# %%
for name, tables in compared.items():
    shown.heading(name)
    shown.figures(tables, "per-class-pair")

# %% [markdown]
# ## Ranks over classes
#
# The conventional picture, Friedman's test with Nemenyi's critical difference, treats classes
# as independent data sets. They share their clips, so that it describes and does not test.

# %%
for name, tables in compared.items():
    shown.say([f"{name}: {note}" for note in tables["ranks"].notes])
    shown.figures(tables, "critical-difference")

# %% [markdown]
# ## What it costs
#
# Processor time of one thread, so that a busy machine doesn't change it.

# %%
for name, tables in compared.items():
    shown.figures(tables, "cost")
    frame = tables["comparison"].frame
    best = frame.iloc[0]
    near = frame[frame["rank"] == 1].sort_values("fit (s)").iloc[0]
    shown.say(
        f"{name}: {best['model']} trains for {best['fit (s)']:.1f} s. The cheapest model of "
        f"rank 1 is {near['model']} ({near['fit (s)']:.1f} s, mAP {near['mAP']:.3f})."
    )

# %% [markdown]
# ## Ensembles
#
# Combined from stored scores, with weights fitted on *select*.

# %%
for name, tables in shown.having(sets, "ensembles").items():
    shown.table(tables["ensembles"], columns=("rank", "model", "mAP", "behind", "p", "F1"))
    frame = tables["ensembles"].frame
    single = frame[~frame["model"].str.startswith("ensemble")]
    joint = frame[frame["model"].str.startswith("ensemble")]
    gain = joint["mAP"].max() - single["mAP"].max()
    shown.say(
        f"{name}: the best ensemble, {joint.iloc[0]['model']}, is {gain:+.3f} mAP from the best "
        f"single model, {single.iloc[0]['model']}."
    )
