"""The table: every kind of cause, and its rows."""

import data
import disks
import folders
import options
import plugins
import published
import stores

#: Kinds of causes, as they were found by hand in hard tests.
CAUSES = {
    1: "reading moves or hides good runs",
    2: "what an analysis reads is not covered by a hash and a contract",
    3: "code of the working folder is executed",
    4: "something is named twice",
    5: "advice that does not help",
    6: "errors of disks outside the store",
    7: "a database that is lost or read-only",
    8: "a store that can't be written can't be read",
    9: "published text becomes live in a browser",
    10: "small files that take memory without limit",
    11: "deeply nested JSON",
    12: "parameters out of range",
    13: "terminal escape sequences",
    14: "formulas in CSV",
    15: "resealed records of other types",
    16: "special files that hang",
    17: "tracebacks of odd names and encodings",
    18: "planning without a bound",
    19: "unclear sentences",
    20: "options that are ignored in silence",
    21: "settings from outside change results",
    22: "relative imports are not hashed",
    23: "code that the hash of a source drops",
    24: "checksums that are not verified",
    25: "a plugin that ends the command",
    26: "output that can't be encoded",
    27: "plugin files of odd kinds",
    28: "damaged journals of studies",
    29: "empty variables",
    30: "plugins that keep parameters otherwise",
    31: "misspelt names",
    32: "variants of data files",
    33: "reproduction on another processor",
}

ROWS = [
    *options.ROWS, *stores.ROWS, *published.ROWS, *disks.ROWS, *data.ROWS, *folders.ROWS,
    *plugins.ROWS,
]  # fmt: skip
