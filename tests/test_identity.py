"""A model's identity changes with what it computes, and with nothing else."""

import importlib
import io
import json
import keyword
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import PluginError
from benchmark.plugins import registry
from benchmark.plugins.identity import imported_libraries, source_hash

ROOT = Path(__file__).parent.parent
NETWORKS = {"attention", "cnn", "cnn_pretrained", "probe"}
PER_CLASS = {
    "hist_gradient_boosting", "logistic_regression", "random_forest", "semi_supervised", "xgboost",
}  # fmt: skip
#: It takes its folds from the protocol, and what that scores with counts as a whole.
HOLDS_OUT = {"semi_supervised"}
ALL = NETWORKS | PER_CLASS | {"constant"}

IDS = """
import json
from benchmark.plugins import registry
from benchmark.plugins.identity import source_hash
models = registry.models()
assert not models.failures, models.failures
print(json.dumps({name: source_hash(models.get(name)) for name in models.names()}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    for name in ("benchmark", "models", "reports"):
        kept = shutil.ignore_patterns("__pycache__", "*.npz")
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    for path in (folder / "models").glob("[a-z]*.py"):
        if path.stem not in ALL:  # one that a user has added, say
            path.unlink()
    return folder


def ids(tree, python=sys.executable):
    done = subprocess.run([python, "-c", IDS], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def before(tree):
    known = ids(tree)
    assert set(known) == ALL and len(set(known.values())) == len(ALL)
    return known


@pytest.fixture
def edit(tree):
    """Change a file of the copy; everything is as it was after the test."""
    changed = {}

    def change(path, old, new):
        file = tree / path
        text = changed.setdefault(file, file.read_text())
        assert old in file.read_text(), f"{path} has no {old!r}"
        file.write_text(file.read_text().replace(old, new, 1))
        assert file.read_text() != text

    yield change
    for file, text in changed.items():
        file.write_text(text)


def test_words_versions_and_fields_leave_every_identity_alone(tree, before, edit):
    edit("benchmark/__init__.py", '"0.1.0"', '"7.0.0"')
    edit("benchmark/errors.py", "Did you mean", "Perhaps you mean")
    edit("benchmark/bases/network.py", "training diverged in", "training went astray in")
    edit("benchmark/scoring/metrics.py", '"no class can be scored', '"nothing can be scored')
    edit("benchmark/contracts/dataset.py", "    y_mask: np", "    extra: int\n    y_mask: np")
    edit(
        "benchmark/contracts/model.py", "    best: int = 0\n", "    best: int = 0\n    n: int = 0\n"
    )
    edit("benchmark/bases/per_class.py", "Pool frames into", "Turn all frames into")
    edit("models/cnn.py", "Convolutional neural network", "Network")
    edit("models/cnn.py", "# a 2-D block", "# one 2-D block")
    assert ids(tree) == before


def test_moving_and_renaming_modules_leaves_every_identity_alone(tree, before):
    moved = tree.parent / "moved"
    shutil.copytree(tree, moved)
    for old, new in (
        ("benchmark.bases.network", "benchmark.bases.neural"),
        ("benchmark.bases.per_class", "benchmark.bases.ensembles.one_each"),
        ("benchmark.scoring.metrics", "benchmark.scoring.measures"),
        ("benchmark.contracts.model", "benchmark.contracts.classifier"),
    ):
        target = moved / f"{new.replace('.', '/')}.py"
        target.parent.mkdir(exist_ok=True)
        (moved / f"{old.replace('.', '/')}.py").rename(target)
        for path in moved.rglob("*.py"):
            path.write_text(path.read_text().replace(old, new))
    (moved / "benchmark/bases/augmentation.py").rename(moved / "benchmark/bases/changes.py")
    network = moved / "benchmark/bases/neural.py"
    text = network.read_text().replace("import augmentation", "import changes as chg")
    network.write_text(re.sub(r"\baugmentation\.(roll|mix|mask_frames)\(", r"chg.\1(", text))
    (moved / "models/cnn.py").rename(moved / "models/convolutional.py")
    pretrained = moved / "models/cnn_pretrained.py"
    pretrained.write_text(pretrained.read_text().replace("models.cnn", "models.convolutional"))
    assert ids(moved) == before


@pytest.mark.parametrize(
    ("path", "old", "new", "who"),
    [
        ("benchmark/bases/network.py", "+ 1e-6)", "+ 1e-5)", NETWORKS),
        ("benchmark/bases/augmentation.py", ") >= share", ") > share", NETWORKS),
        ("benchmark/bases/network.py", "SCORED_AT_ONCE = 256", "SCORED_AT_ONCE = 128", NETWORKS),
        ("benchmark/bases/per_class.py", "X.max(axis=1)", "X.min(axis=1)", PER_CLASS),
        ("benchmark/scoring/metrics.py", "previous_tp) / 2", "previous_tp) / 3", HOLDS_OUT),
        ("benchmark/scoring/metrics.py", "1 - 1e-7)", "1 - 1e-6)", ALL),
        ("benchmark/scoring/metrics.py", "RELEVANCE = 0.5", "RELEVANCE = 0.4", ALL),
        ("benchmark/plugins/identity.py", "ENGINE_FORMAT = 1", "ENGINE_FORMAT = 2", ALL),
        ("models/cnn.py", "MaxPooling2D(2)", "MaxPooling2D(3)", {"cnn", "cnn_pretrained"}),
        ("models/xgboost.py", "nthread=1)", "nthread=2)", {"xgboost"}),
    ],
)  # fmt: skip
def test_arithmetic_changes_the_models_that_use_it(tree, before, edit, path, old, new, who):
    edit(path, old, new)
    after = ids(tree)
    assert {name for name in before if before[name] != after[name]} == who


BY_NAME = """
import ast, json, pathlib
from benchmark.plugins.identity import source_hash
known = {}
for path in pathlib.Path("models").glob("[a-z]*.py"):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            cls = type(node.name, (), {"__module__": f"models.{path.stem}"})
            known[path.stem] = source_hash(cls)
print(json.dumps(known))
"""


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_gives_the_same_identity(tree, before, version):
    """The hash reads text alone, so that another Python needs no libraries for it."""
    python = shutil.which(f"python{version}") or "none"
    try:
        done = subprocess.run([python, "-c", BY_NAME], cwd=tree, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip(f"no Python {version} here")
    if done.returncode and "pyenv" in done.stderr:
        pytest.skip(f"no Python {version} here")
    assert json.loads(done.stdout) == before, done.stderr


class Folder:
    """A folder of plugin modules; each is imported anew."""

    def __init__(self, path):
        self.path = path

    def __call__(self, files):
        """Write files, texts by path, and hash the class ``Plugin`` of the first."""
        for name in [n for n in sys.modules if n.partition(".")[0].startswith("plug")]:
            del sys.modules[name]
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode())
        importlib.invalidate_caches()
        module = next(iter(files)).removesuffix(".py").replace("/", ".")
        return source_hash(importlib.import_module(module).Plugin)

    def text(self, text):
        """Hash the class ``Plugin`` of a module with this text."""
        return self({"plug.py": text})


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Folder(tmp_path)


PACKAGE = {
    "plugged/model.py": "from .layers import size\nfrom . import more\n"
    "class Plugin:\n    x = size(1)\n    def fit(self):\n        return more.double(self.x)\n",
    "plugged/__init__.py": "",
    "plugged/layers.py": "from .deep import SHARE\n"
    "def size(n):\n    return n * SHARE\nUNUSED = 1\n",
    "plugged/deep.py": "SHARE = 2\n",
    "plugged/more.py": "def double(x):\n    return x + x\ndef unused():\n    return 3\n",
}


@pytest.mark.parametrize(
    ("module", "old", "new", "changes"),
    [
        ("plugged/layers.py", "n * SHARE", "n + SHARE", True),
        ("plugged/deep.py", "2", "3", True),
        ("plugged/more.py", "x + x", "2 * x", True),
        ("plugged/__init__.py", "", "import numpy as np\nnp.seterr(**np.geterr())\n", True),
        ("plugged/layers.py", "UNUSED = 1", "UNUSED = 2", False),
        ("plugged/more.py", "return 3", "return 4", False),
        ("plugged/deep.py", "2", "2  # half of four", False),
    ],
)
def test_what_a_packaged_plugin_imports_from_its_package_counts(hashed, module, old, new, changes):
    first = hashed(PACKAGE)
    edited = {**PACKAGE, module: PACKAGE[module].replace(old, new) if old else new}
    assert (hashed(edited) != first) == changes


@pytest.mark.parametrize(
    "model",
    [
        "from .layers import *\nclass Plugin:\n    x = size(1)\n",
        "import plugged.layers\nclass Plugin:\n    x = plugged.layers.size(1)\n",
        "from plugged import layers as m\nclass Plugin:\n    x = getattr(m, 'si' + 'ze')(1)\n",
        "class Plugin:\n    def fit(self):\n        from .layers import size\n        size(1)\n",
        "from importlib import import_module\nclass Plugin:\n"
        "    x = import_module('.layers', __package__).size(1)\n",
        "import importlib\nclass Plugin:\n    x = importlib.import_module('plugged.' + 'layers')\n",
        "try:\n    from .layers import size\nexcept ImportError:\n    size = None\n"
        "class Plugin:\n    x = size(1)\n",
        "from . import layers\nclass Plugin:\n    x = f'{layers.size(1):d}'\n",
        "from .layers import size\ndef Plugin_(base=object, n=size(1)):\n"
        "    class Plugin(base):\n        x = n\n    return Plugin\nPlugin = Plugin_()\n",
        "from .layers import size\nclass Plugin:\n    pass\nPlugin.x = size(1)\n",
    ],
)  # fmt: skip
def test_however_a_helper_is_reached_it_counts(hashed, model):
    files = {**PACKAGE, "plugged/model.py": model}
    first = hashed(files)
    again = {**files, "plugged/layers.py": PACKAGE["plugged/layers.py"].replace("n * SHARE", "n")}
    assert hashed(again) != first


def test_aliases_are_followed_not_read(hashed):
    """Two names that change places are another computation, another alias is none."""
    helpers = "def one():\n    return 1\ndef two():\n    return 2\n"

    def of(imports, one, two):
        text = f"from {imports}\nclass Plugin:\n    x = {one} - {two}\n"
        return hashed({"plugged/m.py": text, "plugged/__init__.py": "", "plugged/h.py": helpers})

    plain = of(".h import one, two", "one()", "two()")
    assert plain == of(".h import one as a, two as b", "a()", "b()")
    assert plain == of(". import h as other", "other.one()", "other.two()")
    assert plain != of(".h import two as a, one as b", "a()", "b()")


def test_the_public_api_leads_to_where_its_names_live(hashed, monkeypatch):
    """``import polytimbre as pt; class Plugin(pt.NeuralNetwork)`` rests on the base's code."""
    from types import ModuleType

    from benchmark.bases.network import NeuralNetwork

    api = ModuleType("polytimbre")
    api.Network = NeuralNetwork
    monkeypatch.setitem(sys.modules, "polytimbre", api)
    body = "class Plugin({}):\n    name = 'n'\n"
    through = hashed.text("import polytimbre as pt\n" + body.format("pt.Network"))
    direct = "from benchmark.bases.network import NeuralNetwork\n"
    assert through == hashed.text(direct + body.format("NeuralNetwork"))
    assert through == hashed.text("from polytimbre import Network\n" + body.format("Network"))
    assert through != hashed.text(body.format("object"))


CODE = (
    '"""Doc."""\nimport numpy as np\nSHARE = 0.5\n\ndef helper(x, y=SHARE):\n    """Doc."""\n'
    "    if x > 1:\n        return [x, f'{y:.2f} {SHARE!r}']\n    return np.exp(x)\n\n"
    "class Plugin:\n    '''Doc.'''\n    n: int = 3\n    def fit(self):\n        'doc'\n"
    "        for i in range(self.n):\n            yield helper(i)\n"
)


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace('"""Doc."""', '"""Other words.\n\n    And more.\n    """'),
        CODE.replace('    """Doc."""\n', ""),
        CODE.replace("SHARE = 0.5\n", "SHARE = 0.5  # why\n\n\n# more\n"),
        CODE.replace("        for i", "        # \u2028 so\n\n        for i"),
        CODE.replace("(x, y=SHARE)", "(\n    x,  # \x0c this\n    y=SHARE)"),
        "\ufeff" + CODE,
        "# -*- coding: latin-1 -*-\n" + CODE,
        CODE.replace("\n", "\r\n"),
        CODE.replace("\n\nclass", "\n\n\x0c\nclass"),
        CODE.replace("import numpy as np\n", "import numpy as np\nimport json\n"),
    ],
)
def test_words_do_not_count(hashed, same):
    assert hashed.text(same) == hashed.text(CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("        'doc'\n", "        'doc'; self.n = 4\n"),
        CODE.replace("    '''Doc.'''\n", "    '''Doc.'''; m = 1\n"),
        CODE.replace("SHARE = 0.5\n", "\x0cSHARE = 0.25  # why\n"),
        CODE.replace("SHARE = 0.5\n", "SHARE = 0.5; SHARE = 0.6  # \u2028 # why\n"),
        CODE.replace("return np.exp(x)", "return np.exp(x) * len('\u2028 # no')  # why"),
        CODE.replace("import numpy as np", "import scipy as np"),
        CODE.replace("    return np", "        return np"),
        CODE.replace(":.2f", ":.3f"),
        CODE + "Plugin.n = 5\n",
        CODE + "def other():\n    global SHARE\n    SHARE = 2\nother()\n",
    ],
)
def test_code_counts_wherever_it_stands(hashed, other):
    assert hashed.text(other) != hashed.text(CODE)


def test_a_statement_behind_a_docstring_stays_in_its_function(hashed):
    inside = "class Plugin:\n    def f(self): 'doc'; x = 1\n"
    outside = "class Plugin:\n    def f(self): 'doc'\n    x = 1\n"
    assert hashed.text(inside) != hashed.text(outside)


def places(text):
    """Return the tokens that compute something, with where they stand."""
    docs = {"Doc.", "doc"}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        word = token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING, tokenize.OP)
        if word and token.string.strip("'\"") not in docs:
            yield token


TOKENS = [t for t in places(CODE) if not keyword.iskeyword(t.string)]
OTHER = {
    tokenize.NAME: lambda text: f"{text}_",
    tokenize.NUMBER: lambda text: f"{text}1",
    tokenize.STRING: lambda text: f"{text[:-1]}+{text[-1]}",
    tokenize.OP: lambda text: {"+": "-", ">": "<", "=": "= 1 or", "[": "[0, "}.get(text, text),
}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TOKENS), st.text("abc #\x0c\u2028'", max_size=20))
def test_any_token_counts_and_no_comment_does(token, words):
    """Checked on the text alone: changed code is rarely code that can be imported."""
    lines = CODE.splitlines(keepends=True)
    row, (start, end) = token.start[0] - 1, (token.start[1], token.end[1])
    line = lines[row]
    new = OTHER[token.type](token.string)
    changed = [*lines[:row], line[:start] + new + line[end:], *lines[row + 1 :]]
    whole = hash_of(CODE)
    if new != token.string and (altered := hash_of("".join(changed))):
        assert altered != whole
    commented = [*lines[:row], f"{line.rstrip()}  # {words}\n", *lines[row + 1 :]]
    assert hash_of("".join(commented)) == whole
    assert hash_of(CODE.replace('"""Doc."""', f'"""{words.replace(chr(39), "")}."""')) == whole


def hash_of(text):
    """Hash a module's text as the plugin ``plug_text``; None if it is no Python."""
    from types import ModuleType

    try:
        compile(text, "plug_text", "exec")
    except SyntaxError:
        return None
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        module = ModuleType("plug_text")
        module.__file__ = str(Path(folder) / "plug_text.py")
        Path(module.__file__).write_text(text, encoding="utf-8", newline="")
        sys.modules["plug_text"] = module
        try:
            return source_hash(type("Plugin", (), {"__module__": "plug_text"}))
        finally:
            del sys.modules["plug_text"]


def cells(monkeypatch, **texts):
    """Run texts as a notebook runs its cells, and hash the class ``Plugin``."""
    import linecache
    from types import ModuleType

    notebook = ModuleType("notebook_")
    monkeypatch.setitem(sys.modules, "notebook_", notebook)
    for name, text in texts.items():
        lines = text.splitlines(keepends=True)
        monkeypatch.setitem(linecache.cache, f"<{name}>", (len(text), None, lines, f"<{name}>"))
        exec(compile(text, f"<{name}>", "exec"), vars(notebook))
    return source_hash(notebook.Plugin)


def test_a_class_in_a_notebook_rests_on_what_its_cells_define(monkeypatch):
    cell = "import numpy as np\nSHARE = 2\ndef double(x):\n    return SHARE * np.exp(x)\n"
    model = "from benchmark.bases.network import NeuralNetwork as Base\nclass Plugin(Base):\n"
    model += "    '''Doc.'''\n    def layers(self):\n        return double(1)\n"
    first = cells(monkeypatch, a=cell, b=model)
    assert first == cells(monkeypatch, a=cell, b=model.replace("Doc", "Words"), c="other = 3\n")
    changes = {"SHARE = 2": "SHARE = 3", "SHARE *": "SHARE +", "numpy as": "math as"}
    for old, new in changes.items():
        assert first != cells(monkeypatch, a=cell.replace(old, new), b=model)
    assert first != cells(monkeypatch, a=cell, b=model.replace("double(1)", "double(2)"))
    assert first != cells(monkeypatch, a=cell, b=model.replace("(Base)", ""))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[1, 3]"),
        ("{'a': [1]}", "{'a': [2]}"),
        ("{'a', 'b'}", "{'a', 'c'}"),
        ("np.arange(9)", "np.arange(10)"),
        ("[np.float32(1)]", "[np.float64(1)]"),
        ("float('nan')", "float('inf')"),
        ("Path('a')", "Path('b')"),
    ],
)
def test_constants_of_a_notebook_are_lists_dicts_and_arrays_too(monkeypatch, one, other):
    model = "import numpy as np\nfrom pathlib import Path\nfrom benchmark.bases.network import "
    model += "NeuralNetwork\nclass Plugin(NeuralNetwork):\n    def layers(self):\n"
    model += "        return HELD\n"
    first = cells(monkeypatch, a=f"{model}HELD = {one}\n")
    assert first == cells(monkeypatch, a=f"{model}HELD = {one}\nOTHER = {{1: np.zeros(3)}}\n")
    assert first != cells(monkeypatch, a=f"{model}HELD = {other}\n")


@pytest.mark.parametrize("held", ["object()", "[object()]", "lambda: 1"])
def test_what_has_no_text_in_a_notebook_is_refused_where_it_is_used(monkeypatch, held):
    model = "from benchmark.bases.network import NeuralNetwork\nclass Plugin(NeuralNetwork):\n"
    cells(monkeypatch, a=f"{model}    def layers(self):\n        pass\nHELD = {held}\n")
    with pytest.raises(PluginError, match="so its runs can't be told apart: use constants"):
        cells(monkeypatch, a=f"{model}    def layers(self):\n        HELD\nHELD = {held}\n")


def test_a_class_without_a_file_is_refused():
    with pytest.raises(PluginError, match="define it in a Python file"):
        source_hash(type("Made", (), {"__module__": "nowhere_to_be_found"}))


def test_libraries_that_a_models_own_code_imports():
    imported = {n: imported_libraries(registry.models().get(n)) - {"numpy"} for n in ALL}
    on_sklearn = PER_CLASS - {"xgboost"}
    assert imported == {
        "constant": set(),
        "xgboost": {"xgboost"},
        **{name: {"sklearn"} for name in on_sklearn},
        **{name: {"keras"} for name in NETWORKS},
    }
