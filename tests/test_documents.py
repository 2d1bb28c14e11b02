"""What the documents show: files, commands and links, each held to what it says."""

import ast
import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simulated_tables
import typer.main
from conftest import SEVERAL, Command, along
from openmic_replica import write_folder
from test_project import FLOORS

from benchmark.cli import app
from benchmark.contracts.model import Model
from benchmark.plugins import registry

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md", "CONTRIBUTING.md", "benchmark/README.md", "benchmark/datasets/README.md",
    "models/README.md", "paper/results/README.md",
)  # fmt: skip


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in fenced if name == language]


def plugin(document: str, name: str) -> str:
    """Return the file of a document that defines a plugin of that name."""
    (source,) = (b for b in blocks(document, "python") if f'name = "{name}"' in b)
    return source


def renamed(document: str, name: str) -> tuple[str, str]:
    """Return that file under another name of the plugin, and this: a user may have saved it."""
    called = f"documented_{name}"
    return plugin(document, name).replace(f'name = "{name}"', f'name = "{called}"'), called


MODELS = {
    "nearest_centroid": "NearestCentroid",
    "frame_network": "FrameNetwork",
    "discriminant": "Discriminant",
    "lightgbm": "LightGBM",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_the_documents_holds_to_the_contract_and_runs(
    polytimbre: Command, tmp_path, name
):
    if name == "lightgbm":
        try:
            import lightgbm  # noqa: F401
        except OSError as error:  # its wheel for Linux brings no OpenMP
            pytest.skip(f"LightGBM can't be loaded: {error}")
    source, called = renamed("models/README.md", name)
    source = source.replace("epochs: int = 15", "epochs: int = 3")  # the file is the matter
    polytimbre.add_plugin(called, source, "polytimbre.models", called, MODELS[name])
    if name == "frame_network":  # fits of one shape are compiled once, and quickly
        polytimbre.environment |= {
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    polytimbre("check", called)
    polytimbre("run", "--dataset", "tiny", "--model", called, "--seed", 0, "--workers", 0)
    output = polytimbre("compare")
    assert called in output


def test_what_people_saw_of_the_test_part_is_said_in_the_same_words_everywhere():
    page, paper = ((ROOT / name).read_text() for name in ("benchmark/README.md", "paper/paper.typ"))
    for text in (page, paper):
        said = " ".join(text.split())
        assert "people saw test scores of earlier versions while they built the benchmark" in said
        assert "no protocol can make a developer forget" in said
    for name in (*DOCUMENTS, "CHANGELOG.md", "benchmark/protocol.py"):
        assert "touched once" not in (ROOT / name).read_text(encoding="utf-8"), name


def test_what_the_paper_says_of_many_clips_to_fit_thresholds_on_is_what_was_measured():
    rows = simulated_tables.read("thresholds of training clips")
    (row,) = (
        r for r in rows if r["data set"] == "audioset20" and float(r["positives a class"]) > 100
    )
    paper = (ROOT / "paper/paper.typ").read_text()
    for number in re.findall(r"[0-9.]+", row["one a class"]):
        written = number.removeprefix("0")
        assert f'#given("{written}", "benchmark/README.md, thresholds")' in paper


def test_every_model_in_the_documents_is_tested():
    names = re.findall(r'^    name = "(\w+)"$', (ROOT / "models/README.md").read_text(), re.M)
    assert names == list(MODELS)


def test_a_model_file_is_found_by_scanning_its_folder(tmp_path):
    """A file put into ``models/`` is enough; one that fails to import is named."""
    folder = tmp_path / "scanned_models"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    source = plugin("models/README.md", "nearest_centroid")
    (folder / "nearest_centroid.py").write_text(source)
    (folder / "broken.py").write_text("import not_there\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import scanned_models

        models = registry.discover("model", scanned_models, "no.such.group", Model)
    finally:
        sys.path.remove(str(tmp_path))
    assert models.names() == ["nearest_centroid"]
    assert "not_there" in models.failures["scanned_models.broken"]


@pytest.fixture
def collection(tmp_path):
    """The files that the documented data set reads: three instruments, a quarter unobserved."""
    folder = tmp_path / "collection"
    folder.mkdir()
    rng = np.random.default_rng(0)
    y = rng.random((240, 3)) < 0.4
    X = (y @ rng.normal(size=(3, 8)))[:, None] + rng.normal(size=(240, 5, 8))
    np.save(folder / "features.npy", X.astype(np.float32))
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "recording", "partition", "cello", "flute", "voice"])
        for i, labels in enumerate(y):
            cells = ["" if rng.random() < 0.25 else int(label) for label in labels]
            part = "train" if i < 180 else "test"
            rows.writerow([f"clip{i:03d}", f"recording{i // 3:02d}", part, *cells])
    return folder


def install_collection(polytimbre: Command) -> str:
    """Install the documented data set and return its name."""
    source, called = renamed("benchmark/datasets/README.md", "my_collection")
    polytimbre.add_plugin("documented_data", source, "polytimbre.datasets", called, "MyCollection")
    return called


def test_the_data_set_in_the_documents_holds_to_the_contract_and_runs(polytimbre, collection):
    called = install_collection(polytimbre)
    data = ("--data-root", collection)
    run = ("run", "--dataset", called, *data, "--model", "logistic_regression")
    done = polytimbre.several(
        ("check", called, *data), (*run, "--workers", 0), ("compare", "--per-class")
    )
    assert [code for code, _ in done] == [0, 0, 0], done
    assert "flute" in done[-1][1]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "", "needs a heading"),
        (lambda text: text.replace(",voice", "", 1), "rows as long as that"),
        (lambda text: text.replace(",1,", ",maybe,", 1), "not 'maybe'"),
        (lambda text: text.replace("clip001", "clip000"), "duplicate key 'clip000'"),
    ],
)
def test_the_data_set_in_the_documents_names_what_is_wrong(
    polytimbre, collection, change, sentence
):
    called = install_collection(polytimbre)
    labels = collection / "labels.csv"
    labels.write_text(change(labels.read_text()))
    printed = polytimbre("check", called, "--data-root", collection, code=2)
    assert sentence in printed


def test_the_python_lines_of_the_front_page_run(tmp_path):
    """With few resamples: no interval is shown."""
    (source,) = blocks("README.md", "python")
    source = f"from benchmark.api import comparing\ncomparing.RESAMPLES = 200\n{source}"
    source += "\nassert sum('on logmel (C=0.0003)' in name for name in result.frame['model']) == 1"
    source += "\nassert sum('on logmel (C=0.003)' in name for name in result.frame['model']) == 1"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert 0.25 < float(done.stdout) < 0.28
    assert (tmp_path / "comparison.png").stat().st_size > 10_000


#: Stands for an encoder: two layers of three numbers that follow from the file's content.
ENCODER = """
import zlib
import numpy as np

def embed(path):
    return np.random.default_rng(zlib.crc32(path.read_bytes())).normal(size=(2, 3))
"""


def test_the_lines_that_compare_an_encoder_on_openmic_run(polytimbre: Command, tmp_path):
    keys = [f"{number:06d}_{number * 3840}" for number in range(60)]
    rng = np.random.default_rng(0)
    y_mask = rng.random((60, 20)) < 0.6
    artists = {key: f"artist {key}" for key in keys}
    folder = tmp_path / "openmic-2018"
    write_folder(folder, keys, rng.random((60, 20)), y_mask, keys[:40], keys[40:], artists)
    for key in keys:
        (folder / "audio" / key[:3]).mkdir(parents=True, exist_ok=True)
        (folder / "audio" / key[:3] / f"{key}.ogg").write_text(key)
    (tmp_path / "my_encoder.py").write_text(ENCODER)
    text = (ROOT / "benchmark/README.md").read_text()
    section = text[text.index("## Other features") : text.index("## New recordings")]
    source, commands = re.findall(r"^```\w*\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    here = f"import os, sys; os.chdir({str(tmp_path)!r}); sys.path.insert(0, '.')\n"
    polytimbre.python(here + source)
    lines = [shlex.split(line)[1:] for line in commands.replace("\\\n", "").splitlines()]
    lines = [[*line, "--workers", "0"] if line[0] == "run" else line for line in lines]
    results = json.loads(polytimbre.python(here + SEVERAL, json.dumps(lines)))
    assert [code for code, _ in results] == [0, 0, 0], results
    assert "on vggish" in results[-1][1] and "on mert.npz[1]" in results[-1][1]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_python_code_in_a_document_can_be_read(document):
    for source in blocks(document, "python"):
        ast.parse(source)


def shown_commands() -> list[tuple[str, str]]:
    """Return every command line that a document shows, with the document."""
    lines = []
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
        inline = re.findall(r"`(?:\.tox/\w+/bin/)?(polytimbre [^`\n]+)`", text)
        fenced = re.findall(r"^(polytimbre .+)$", text, re.MULTILINE)
        lines += [(document, line) for line in dict.fromkeys(inline + fenced)]
    return lines


def problem(line: str) -> str | None:
    """Say what a command line names that the command doesn't have."""
    command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if getattr(command, "commands", None) and words and words[0].isalpha() and words[0].islower():
        return f"there is no command {words[0]}"
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"there is no option {unknown[0]}" if unknown else None


def test_every_command_in_a_document_exists():
    lines = shown_commands()
    assert len(lines) > 60
    assert [(where, line, wrong) for where, line in lines if (wrong := problem(line))] == []
    assert problem("polytimbre compar --ranks") and problem("polytimbre compare --rank")


def test_the_list_of_commands_is_what_help_prints():
    help_ = subprocess.run(
        [sys.executable, "-m", "benchmark", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, env={"COLUMNS": "80"},
    ).stdout  # fmt: skip
    listed = help_[help_.index("\nRun:") :].strip()
    assert blocks("benchmark/README.md", "")[-1].strip() == listed


def commands(command: typer.core.TyperCommand, path: tuple[str, ...] = ("polytimbre",)):
    """Yield each command with its path, those below others too."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


def test_help_has_whole_sentences_and_no_types_of_python():
    for path, command in commands(typer.main.get_command(app)):
        context = command.context_class(command, info_name=" ".join(path), max_content_width=80)
        text = command.get_help(context)
        assert not re.search(r"\w\.\.\.$|<\w+", text, re.MULTILINE), text


def test_every_link_in_a_document_leads_somewhere():
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", text)
        for target in filter(None, (one for link in links for one in link)):
            if not target.startswith("https://"):
                assert (ROOT / document).parent.joinpath(target).exists(), (document, target)


@pytest.mark.parametrize(
    ("document", "plugins"),
    [
        ("models/README.md", registry.models),
        ("benchmark/datasets/README.md", registry.datasets),
    ],
)
def test_every_plugin_that_comes_along_is_in_the_table(document, plugins):
    own = along(plugins())
    text = (ROOT / document).read_text()
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)[: len(own)]) == sorted(own)


def test_the_list_of_folders_is_complete_and_in_the_order_of_the_floors():
    listing = next(b for b in blocks("benchmark/README.md", "") if b.startswith("cli/"))
    listed = [name.strip("/").removesuffix(".py") for name in re.findall(r"(?m)^(\S+)", listing)]
    floors = [floor.removeprefix("benchmark/") for floor in FLOORS if floor.startswith("benchmark")]
    assert listed == [name for name in reversed(floors) if not name.startswith("__")]
    folder = ROOT / "benchmark"
    there = {p.parent.name for p in folder.glob("*/__init__.py")} | {
        p.stem for p in folder.glob("*.py")
    }
    assert set(listed) == {name for name in there if not name.startswith("__")}
