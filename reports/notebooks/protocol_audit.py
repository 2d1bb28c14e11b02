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
# # What is a published headline worth?
#
# A student project on OpenMIC-2018 reports a weighted precision of 93 % and a recall of 100 %
# for its network. In OpenMIC most labels were never observed; such a label is stored with a
# relevance of 0.5, and the project's script calls 0.5 present. Here that protocol is followed
# beside the corrected one, which counts observed labels alone.

# %%
from IPython.display import display

import polytimbre as pt

names = sorted(pt.published_sets(), key=lambda name: name != "audioset20")  # recordings first
published = {name: pt.published(name) for name in names}


def having(table):
    """Return the published runs that have a certain table, by data set."""
    return {name: runs for name, runs in published.items() if table in runs.tables}


# %% [markdown]
# ## What the labels alone say
#
# No model is needed for the first part: the real labels of OpenMIC-2018 show what the protocol
# keeps, and what something scores that never listens.

# %%
for runs in having("labels").values():
    display(runs.tables["labels"], runs.plot("labels"))

# %% [markdown]
# Saying yes to everything, saying *voice* to everything, and scoring the share of positives of
# each class, beside what was published. A star marks the corrected protocol.

# %%
for runs in having("strategies").values():
    display(runs.tables["strategies"])

# %%
for runs in having("precision").values():
    display(runs.tables["precision"])
    frame = runs.tables["precision"].frame
    yes = frame["yes, as published"]
    equal = (frame["published network"] - yes).abs() < 0.005
    print(f"In {equal.sum()} of {len(frame)} classes saying yes has the published network's")
    print("precision to two decimals. On observed labels it loses")
    print(f"{(yes - frame['yes, corrected']).mean():.2f} on average.")
    display(runs.plot("precision"))

# %% [markdown]
# ## What the protocol does to models
#
# The same runs, scored both ways. A metric that can't tell a model from a constant yes orders
# models by something else than what they hear.

# %%
for runs in having("protocol_audit").values():
    display(runs.tables["protocol_audit"], runs.plot("protocol-audit"))

# %%
for name, runs in having("protocol_audit").items():
    frame = runs.tables["protocol_audit"].frame
    ranked = frame[frame["mAP rank*"] != "–"][["mAP*", "w. F1"]]
    spread, tau = ranked.max() - ranked.min(), ranked.corr(method="kendall").iloc[0, 1]
    print(f"{name}: models spread over {spread['mAP*']:.3f} in mAP and {spread['w. F1']:.3f}")
    print(f"  in the published weighted F1; Kendall's tau between the two is {tau:.2f}.")

# %% [markdown]
# ## Can partial labels be trusted at all?
#
# Where every label is known, the same runs are scored on all labels and on those that a partial
# observation would leave. What matters is whether the *order* of the models survives.

# %%
for name, runs in having("mask_audit").items():
    print(name, *runs.tables["mask_audit"].notes, sep="\n  ")
    display(runs.tables["mask_levels"], runs.plot("mask-audit"))
    if "x OpenMIC" in runs.tables["mask_levels"].frame:  # masks were drawn at several rates
        display(runs.plot("mask-levels"))
