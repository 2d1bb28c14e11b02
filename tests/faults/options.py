"""Rows: what is typed, names, numbers and options."""

from row import Place, Row

RUN = "run --dataset tiny --workers 0"
NO_STORE = "there is no store {place}/nowhere. Run `polytimbre run` first"


def named_twice(place) -> None:
    """Let two runs' ids begin alike."""
    for name in ("e0e0", "e0e1"):
        (place.store / "runs" / name).mkdir()


def parameter(model: str, value: str, allowed: str) -> Row:
    name = value.partition("=")[0]
    return Row(
        12,
        f"{model} with {value}",
        f"run --dataset openmic2018 --model {model} --param '{value}'",
        (f"parameter {name!r} of model {model!r} must be {allowed}",),
    )


#: The parameters of the issue and their neighbours; no data are there, so none are loaded.
PARAMETERS = [
    parameter("constant", "strategy=garbage", "'prior' or 'yes'"),
    parameter("constant", "strategy=", "'prior' or 'yes'"),
    parameter("constant", "strategy=null", "'prior' or 'yes'"),
    parameter("constant", 'strategy=["prior"]', "'prior' or 'yes'"),
    parameter("xgboost", "learning_rate=0", "a number in (0, 1]"),
    parameter("xgboost", "learning_rate=NaN", "a number in (0, 1]"),
    parameter("xgboost", "learning_rate=1e999", "a number in (0, 1]"),
    parameter("xgboost", "colsample_bytree=0", "a number in (0, 1]"),
    parameter("xgboost", "patience=-1", "a whole number in [1, inf)"),
    parameter("xgboost", "n_rounds=-1", "a whole number in [1, inf)"),
    parameter("xgboost", "n_rounds=0", "a whole number in [1, inf)"),
    parameter("xgboost", "n_rounds=2.5", "a whole number in [1, inf)"),
    parameter("random_forest", "n_estimators=true", "a whole number in [1, inf)"),
    parameter("logistic_regression", "C=true", "a number in (0, inf)"),
    parameter("logistic_regression", "C=0", "a number in (0, inf)"),
    parameter("hist_gradient_boosting", "max_leaf_nodes=1", "a whole number in [2, inf)"),
    parameter("cnn", "filters=[]", "a list of at least one entry"),
    parameter("cnn", "filters=0", "a list of at least one entry"),
    parameter("cnn", "filters=[64, 0]", "a list of at least one entry"),
    parameter("cnn", "epochs=0", "a whole number in [1, inf)"),
    parameter("cnn", "batch_size=0", "a whole number in [1, inf)"),
    parameter("cnn", "batch_size=-4", "a whole number in [1, inf)"),
    parameter("attention", "dropout=1", "a number in [0, 1)"),
]

NAMES = [
    Row(12, "a parameter that is not there", "run --model xgboost --param max_dept=3",
        ("unknown parameter", "'max_dept'", "Did you mean 'max_depth'?")),
    Row(31, "an unknown model", "run --model xgbost",
        ("unknown model 'xgbost'. Did you mean 'xgboost'?",)),
    Row(31, "an unknown preset", "run --model cnn:publishd", ("Did you mean 'published'?",)),
    Row(31, "an unknown data set", "run --dataset rendred", ("Did you mean 'rendered'?",)),
    Row(31, "an unknown split", "run --split mine", ("unknown split", "'mine'")),
    Row(31, "an unknown protocol", f"{RUN} --protocol publishd", ("Did you mean 'published'?",)),
    Row(31, "compare with one model misspelt", "compare --model guess --model constnat",
        ("unknown model", "'constnat' among the stored runs. Did you mean 'constant'?")),
    Row(31, "calibration of a model misspelt", "calibration --model gues",
        ("unknown model", "'gues' among the stored runs. Did you mean 'guess'?")),
    Row(31, "gap of a model misspelt", "gap --model gues", ("Did you mean 'guess'?",)),
    Row(31, "thresholds of a model misspelt", "thresholds --model gues",
        ("Did you mean 'guess'?",)),
    Row(31, "ensemble with one model misspelt", "ensemble --model guess --model dail",
        ("unknown model", "'dail' among the stored runs. Did you mean 'dial'?")),
    Row(31, "table of a model misspelt", "table comparison --model gues",
        ("Did you mean 'guess'?",)),
    Row(31, "an unknown table", "table comparisn", ("Did you mean 'comparison'?",)),
    Row(31, "a table that is like no other", "table nonsense",
        ("unknown table 'nonsense'. Known:", "comparison", "per_class", "trials"),
        never=("Did you mean",)),
    Row(31, "a model that is like no other", "run --model svm",
        ("unknown model 'svm'. Known:", "xgboost"), never=("Did you mean",)),
    Row(31, "a model in capitals", "run --model CNN", ("Did you mean 'cnn'?",)),
    Row(31, "a data set that is like no other", '>>> pt.load("nothere")',
        ("unknown data set 'nothere'. Known:", "rendered"), never=("Did you mean",)),
    Row(31, "a data set that nothing is stored of", "compare --dataset rendered",
        ("'rendered'", "tiny")),
    Row(31, "an unknown part", "compare --part tset", ("Did you mean 'test'?",)),
    Row(31, "an unknown format", "compare --format markdow", ("Did you mean 'markdown'?",)),
    Row(31, "an unknown method of ensembles", "ensemble --method averag",
        ("Did you mean 'average'?",)),
    Row(31, "an unknown study", "study tiny-dail", ("Did you mean 'tiny-dial'?",)),
    Row(31, "an unknown front end", "features verify logml", ("Did you mean 'logmel'?",)),
    Row(31, "an unknown plugin to check", "check gues", ("Did you mean 'guess'?",)),
    Row(31, "an unknown run to publish", "publish zzzz --results {place}/new",
        ("unknown run 'zzzz'",)),
    Row(31, "an unknown command", "compair", ("No such command 'compair'",)),
    Row(31, "a tuned run of a model without a study", f"{RUN} --model guess --tuned",
        ("unknown study 'tiny-guess'. Known: tiny-dial.",)),
    Row(19, "an id that several runs begin with", "show e0e",
        ("2 runs have an id that begins with 'e0e': e0e0, e0e1. Give more of it",), named_twice),
    Row(19, "an empty id", "show ''", ("it is empty: name one",)),
    Row(19, "the id of no run", "show zz", ("unknown run 'zz'",)),
    Row(19, "--store without a name", "compare --store ''", ("it is empty: name one",)),
    Row(19, "--storage without a name", "study --storage ''", ("it is empty: name one",)),
    Row(19, "--data-root without a name", "run --data-root ''", ("it is empty: name one",)),
    Row(19, "--results without a name", "publish --check --results ''",
        ("it is empty: name one",)),
    Row(19, "--study without a name", "tune --dataset tiny --model dial --study ''",
        ("it is empty: name one",)),
    Row(19, "a --param that is no pair", "run --param depth", ("'depth' is not NAME=VALUE",)),
    Row(19, "labels in a text file", "audit --labels {place}/labels.txt",
        ("labels.txt", "Labels are an .npz"), lambda p: p.write("labels.txt", "a,b\n"),
        never=("allow_pickle",)),
    Row(20, "--seeds beside --seed", f"{RUN} --seed 1 --seeds 2", ("it stands beside --seed",)),
    Row(20, "--data-root for an embedded set", f"{RUN} --data-root .",
        ("leave out --data-root",)),
    Row(20, "one parameter twice", "run --param a=1 --param a=2", ("a is given twice",)),
    Row(20, "one option twice", "compare --dataset tiny --dataset rendered",
        ("--dataset", "twice")),
    Row(20, "a number of seeds twice", f"{RUN} --model guess --seeds 1 --seeds 2",
        ("--seeds", "twice")),
    Row(20, "a store twice", "list runs --store {store} --store {place}/other",
        ("--store", "twice")),
    Row(20, "an option twice, in its short form of =",
        "tune --dataset tiny --model dial --workers 0 --trials=1 --trials=2",
        ("--trials", "twice")),
    Row(20, "--curves with --per-class", "gap --curves --per-class", ("--curves", "--per-class")),
    Row(20, "--ranks with --per-class", "compare --ranks --per-class",
        ("--ranks", "--per-class")),
    Row(20, "--bins with --per-class", "calibration --bins --per-class --model guess",
        ("reliability",), code=0),
    Row(20, "--study without --tuned", f"{RUN} --study tiny-dial", ("add --tuned",)),
    Row(20, "--study for several models", "tune --model dial --model cnn --study a",
        ("--study names one study",)),
    Row(20, "--tuned and --study for several models",
        f"{RUN} --tuned --study tiny-dial --model dial --model guess",
        ("--study names one study",)),
    Row(4, "a model twice", f"{RUN} --model guess --model guess --seed 0 --dry-run",
        ("cached",), code=0),
    Row(4, "a seed twice", f"{RUN} --model guess --seed 7 --seed 7", ("done",), code=0),
    Row(18, "10^12 trials", "tune --trials 1000000000000",
        ("'--trials'", "less than or equal to 1000")),
    Row(18, "20,000 trials", "tune --trials 20000", ("'--trials'", "less than or equal to 1000")),
    Row(18, "no trial", "tune --trials 0", ("'--trials'", "greater than or equal to 1")),
    Row(18, "10^9 seeds", "run --seeds 1000000000", ("'--seeds'", "less than or equal to 1000")),
    Row(18, "no seed", "run --seeds 0", ("'--seeds'", "greater than or equal to 1")),
    Row(18, "a negative seed", "run --seed -1", ("'--seed'",)),
    Row(18, "a seed of 40 digits", f"{RUN} --model guess --seed {'9' * 40}", ("'--seed'",)),
    Row(10, "10^12 resamples", "compare --resamples 1000000000000",
        ("'--resamples'", "less than or equal to 1000000")),
    Row(10, "five resamples", "compare --resamples 5",
        ("'--resamples'", "greater than or equal to 39")),
    Row(18, "10^9 strengths of shrinking", "thresholds --trials 1000000000", ("'--trials'",)),
    Row(18, "10^9 workers", "run --workers 1000000000 --model guess --dataset tiny --seed 0",
        ("'--workers'",)),
    Row(19, "a download of what comes along", "data download rendered",
        ("data set 'rendered' can't be downloaded: it comes along",)),
    Row(19, "nothing to compare", ">>> pt.compare()",
        ("compare was given no run: give it what run returns",)),
    Row(19, "nothing to audit", "audit", ("say what to audit",)),
    Row(19, "nothing to publish", "publish", ("say what to publish",)),
    Row(19, "nothing to forget", "forget", ("say what to remove",)),
    Row(19, "to forget by id and by age", "forget {guess0} --older", ("not by both at once",)),
    Row(19, "to forget without an answer", "forget {guess0}", ("add --yes",)),
    Row(19, "a data set that lies nowhere", "run --dataset audioset20",
        ("say where it lies with --data-root",)),
    Row(19, "a data root that isn't there", "run --dataset audioset20 --data-root {place}/no",
        ("{place}/no does not exist; check --data-root",)),
    Row(19, "a scheduler that isn't an address",
        "run --dataset tiny --scheduler nowhere --model guess",
        ("no Dask scheduler can be reached at nowhere", "Check the address")),
]  # fmt: skip

LOOKS = (
    "compare", "gap", "list runs", "thresholds", "ensemble", "calibration", "show a", "study",
    "audit --dataset tiny", "forget a", "reproduce a", "publish a", "table comparison",
    "predict {place}/x.wav --run a",
)  # fmt: skip

NO_STORES = [
    Row(
        8,
        f"no store for {look.split()[0]}: {look}",
        f"{look} --store {{place}}/nowhere",
        (NO_STORE,),
        Place.sound,
    )
    for look in LOOKS
]

ROWS = [*PARAMETERS, *NAMES, *NO_STORES]
