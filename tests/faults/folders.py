"""Rows: folders with a table of labels, and slices by what is known of their clips."""

from row import Place, Row
from test_folder import HEADS, changed, good_rows, with_features, write_table

VERIFY = "data verify folder --data-root {place}/data"
SLICES = ">>>run = pt.run('constant', pt.load('folder', '{place}/data'))\n"
SLICES += "pt.compare(run, resamples=99).slices('NAME')"


def table(rows=None, features: bool = True, **how):
    def arrange(place: Place) -> None:
        root = write_table(place.path / "data", rows or good_rows(), **how)
        if features:
            with_features(root)

    return arrange


def bad(done: str, arrange, *says: str, command: str = VERIFY, **more) -> Row:
    return Row(32, f"labels.csv: {done}", command, says, arrange, **more)


ONE_EACH = [[*row[:3], row[0], *row[4:]] for row in good_rows()]
NEVER_HEARD = [[*row[:4], "0", row[5]] for row in good_rows()]
ROWS = [
    bad("a byte order mark", table(mark="\ufeff"), "holds to its contract", code=0),
    bad("line ends of Windows", table(ending="\r\n"), "holds to its contract", code=0),
    bad("a key twice", table(changed(5, "key", "clip01")),
        "labels.csv: the key 'clip01' is in rows 2 and 6"),
    bad("an unknown partition", table(changed(5, "partition", "valid")),
        "clip 'clip05' is in partition 'valid'; write 'train' or 'test'"),
    bad("a relevance above 1", table(changed(5, "cello", "1.5")),
        "clip 'clip05' has '1.5' for 'cello'", "a relevance in [0, 1], or empty"),
    bad("an attribute without @", table(heads=[*HEADS[:3], "genre", *HEADS[4:]]),
        "has 'folk' for 'genre'", "an attribute's column is called '@genre'"),
    bad("a relevance below 0", table(changed(5, "cello", "-0.1")), "has '-0.1' for 'cello'"),
    bad("semicolons", table(between=";"), "no column 'key'", "separated by semicolons: save it"),
    bad("tabs", table(between="\t"), "no column 'key'", "separated by tabs: save it with commas"),
    bad("UTF-16", table(encoding="utf-16"), "labels.csv is no text in UTF-8", "save it as that"),
    bad("no training clip", table([[*row[:2], "test", *row[3:]] for row in good_rows()]),
        "no clip is in partition 'train'"),
    bad("a class without positives", table(NEVER_HEARD),
        "nothing can be learnt of 'cello', heard in no training clip", "leave each such column"),
    bad("no audio", table(features=False), "holds no audio file"),
    bad("a clip without features", table(changed(5, "key", "clip99")), "features.npz",
        "lacks 1 of the data set's 40 clips"),
    bad("slices by an attribute that is not there", table(), "unknown attribute", "'gener'",
        "Did you mean 'genre'?", command=SLICES.replace("NAME", "gener")),
    bad("slices by an attribute with a value a clip", table(ONE_EACH),
        "'genre' has a value of its own for each clip", command=SLICES.replace("NAME", "genre")),
    Row(32, "slices of clips that nothing is known of", "slices --dataset tiny --by genre",
        ("no attributes of these clips are stored", "'tiny' has none")),
    Row(31, "few positives of an unknown part", "transfer --dataset tiny --part tset",
        ("Did you mean 'test'?",)),
]  # fmt: skip
