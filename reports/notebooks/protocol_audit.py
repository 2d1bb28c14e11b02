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
from reports.html import shown

sets = shown.read()

# %% [markdown]
# ## What the labels alone say
#
# No model is needed for the first part: the real labels of OpenMIC-2018 show what the protocol
# keeps, and what something scores that never listens.

# %%
labelled = shown.having(sets, "labels")
for tables in labelled.values():
    shown.say(tables["labels"].notes)
    shown.figures(tables, "labels")
if not labelled:
    shown.say("No audit of OpenMIC's labels is published.")

# %% [markdown]
# Saying yes to everything, saying *voice* to everything, and scoring the share of positives of
# each class, beside what was published. A star marks the corrected protocol.

# %%
for tables in shown.having(sets, "strategies").values():
    shown.table(tables["strategies"])

# %%
for tables in shown.having(sets, "precision").values():
    shown.table(tables["precision"])
    frame = tables["precision"].frame
    equal = (frame["published network"] - frame["yes, as published"]).abs() < 0.005
    lost = (frame["yes, as published"] - frame["yes, corrected"]).mean()
    shown.say(
        f"In {int(equal.sum())} of {len(frame)} classes saying yes has the published network's "
        f"precision to two decimals. On observed labels it loses {lost:.2f} on average."
    )
    shown.figures(tables, "precision")

# %% [markdown]
# ## What the protocol does to models
#
# The same runs, scored both ways. A metric that can't tell a model from a constant yes orders
# models by something else than what they hear.

# %%
audited = shown.having(sets, "protocol_audit")
for name, tables in audited.items():
    shown.heading(name)
    shown.table(tables["protocol_audit"])
    shown.say(tables["protocol_audit"].notes)

# %%
for name, tables in audited.items():
    frame = tables["protocol_audit"].frame
    ranked = frame[frame["mAP rank*"] != "–"]
    tau = ranked[["mAP*", "w. F1"]].corr(method="kendall").iloc[0, 1]
    spread = ranked["mAP*"].max() - ranked["mAP*"].min()
    seen = ranked["w. F1"].max() - ranked["w. F1"].min()
    shown.say(
        f"{name}: models spread over {spread:.3f} in mAP and {seen:.3f} in the published "
        f"weighted F1; Kendall's tau between the two is {tau:.2f}."
    )
    shown.figures(tables, "protocol-audit")

# %% [markdown]
# ## Can partial labels be trusted at all?
#
# Where every label is known, the same runs are scored on all labels and on those that a partial
# observation would leave. What matters is whether the *order* of the models survives.

# %%
masked = shown.having(sets, "mask_audit")
for name, tables in masked.items():
    shown.heading(name)
    shown.say(tables["mask_audit"].notes)
    shown.table(tables["mask_levels"])
    shown.figures(tables, "mask-audit", "mask-levels")
if not masked:
    shown.say("No audit of masks is published.")
