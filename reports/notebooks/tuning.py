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
from reports.html import shown

sets = shown.read()
tuned = shown.having(sets, "trials")
shown.say(f"Studies are published of: {', '.join(tuned)}." if tuned else "No study is published.")

# %% [markdown]
# ## What the searches found

# %%
for name, tables in tuned.items():
    shown.heading(name)
    shown.say(tables["trials"].notes)

# %%
for name, tables in tuned.items():
    trials = tables["trials"].frame
    for model, group in trials.groupby("model", sort=True):
        complete = group[group["state"].str.startswith("complete")]
        default = complete[complete["trial"] == 0]["select mAP"]
        said = f"{name}, {model}: {len(group)} trials, {len(complete)} complete"
        if len(default):
            gain = complete["select mAP"].max() - default.iloc[0]
            said += f"; the best one is {gain:+.3f} mAP from the default on select"
        shown.say(f"{said}. Searching took {group['seconds'].sum():,.0f} s.")

# %% [markdown]
# ## How the searches went

# %%
for tables in tuned.values():
    shown.figures(tables, "trials")

# %% [markdown]
# The best five trials of each model:

# %%
for name, tables in tuned.items():
    trials = tables["trials"].frame
    for model, group in trials.groupby("model", sort=True):
        best = group.dropna(subset="select mAP").nlargest(5, "select mAP")
        columns = ("trial", "select mAP", "stop mAP", "stands at", "seconds", "parameters")
        shown.table(best, f"{name}, {model}", columns)

# %% [markdown]
# ## Which parameters mattered?
#
# The share of variance in mAP on *select* that a parameter explains alone.

# %%
for name, tables in shown.having(sets, "importances").items():
    frame = tables["importances"].frame
    for model, group in frame.groupby("model", sort=True):
        first = group.nlargest(3, "importance")
        named = first.set_index("parameter")["importance"].items()
        listed = [f"{parameter} ({share:.2f})" for parameter, share in named]
        shown.say(f"{name}, {model}: {', '.join(listed)}.")
    shown.figures(tables, "importances")

# %% [markdown]
# ## Does it hold on test?
#
# A search promises what it found on *select*. The default and the tuned model on *test*, over
# several seeds, say what is left of it.

# %%
for name, tables in shown.having(sets, "pairs").items():
    pairs = tables["pairs"].frame
    said = []
    for row in pairs.to_dict("records"):
        one, other = row["model"], row["against"]
        if f"{one} tuned" != other and f"{other} tuned" != one:
            continue
        sign = 1 if one.endswith("tuned") else -1
        ends = sorted((sign * row["difference low"], sign * row["difference high"]))
        model = other if sign == 1 else one
        verdict = "told apart" if row["better"] else "not told apart"
        said.append(
            f"{name}: tuning changed the test mAP of {model} by {sign * row['difference']:+.3f} "
            f"({ends[0]:+.3f} to {ends[1]:+.3f}): {verdict}"
        )
    shown.figures(tables, "tuned")
    shown.say(said or f"{name}: no tuned model is published beside its default.")
