"""Which trial a study chooses: the best few by *select*, compared again on more clips.

The best of many trials on one small part is partly the luckiest there. So the few that are highest
on *select* are fitted again, once for each fold of all training clips, and scored on the clips of
the fold that was left out: five times as many as *select* has, most of which chose nothing. The
highest mean decides. The test part takes no part in it.

References
----------
G. C. Cawley and N. L. C. Talbot, "On over-fitting in model selection and subsequent selection bias
in performance evaluation", *Journal of Machine Learning Research* 11, 2079-2107, 2010.
"""

from typing import Any

from benchmark.protocol import N_FOLDS

#: Trials that are compared again.
N_LEADERS = 3


def key(number: int, fold: int) -> str:
    """Return the name under which a study stores a trial's mAP on one fold."""
    return f"fold {fold} of trial {number}"


def complete(study: Any) -> list[Any]:
    """Return a study's complete trials, highest *select* mAP first, then the earliest."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    trials = [t for t in trials if "surplus" not in t.user_attrs]
    return sorted(trials, key=lambda t: (-t.value, t.number))


def leaders(study: Any) -> list[Any]:
    """Return the trials that are to be compared again; none where only one is complete."""
    first = complete(study)[:N_LEADERS]
    return first if len(first) > 1 else []


def missing(study: Any) -> list[tuple[Any, int]]:
    """Return the leading trials and folds that have no outcome yet."""
    stored = study.user_attrs
    return [
        (t, n) for t in leaders(study) for n in range(N_FOLDS) if key(t.number, n) not in stored
    ]


def cross_validated(study: Any, number: int) -> float | None:
    """Return a trial's mean mAP over the folds, None where a fold has none.

    A fold's mAP is that of the classes that can be scored on it, the same for every trial.
    """
    told = [study.user_attrs.get(key(number, fold), {}) for fold in range(N_FOLDS)]
    values = [one.get("mAP") for one in told]
    return None if None in values else sum(values) / len(values)


def seconds(study: Any) -> float:
    """Return the seconds that comparing again took, over all fits."""
    stored = study.user_attrs.items()
    return sum(told.get("seconds", 0.0) for name, told in stored if name.startswith("fold "))


def failures(study: Any) -> list[str]:
    """Return why fits failed that were to compare trials again."""
    stored = study.user_attrs.items()
    return [
        told["reason"] for name, told in stored if name.startswith("fold ") and "reason" in told
    ]


def chosen(study: Any) -> Any | None:
    """Return the trial that a study chooses, None where none is complete.

    The leader of highest mean mAP over the folds; the highest by *select* as long as the leaders
    have not been compared in all folds. One that failed in a fold is not chosen.
    """
    first = complete(study)
    if not first:
        return None
    values = {t.number: cross_validated(study, t.number) for t in leaders(study)}
    if missing(study) or not any(value is not None for value in values.values()):
        return first[0]
    known = [t for t in first[:N_LEADERS] if values[t.number] is not None]
    return max(known, key=lambda t: values[t.number])  # the first of equal ones
