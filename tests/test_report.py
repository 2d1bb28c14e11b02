"""The HTML report, looked at with a real browser; the notebooks; what stops a build."""

import base64
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import chromium
import numpy as np
import pandas as pd
import pytest
from chromium import Chromium
from test_figures import CLASSES, labelled, made

from benchmark.analysis.derivation import Analysis
from benchmark.datasets import rendered
from benchmark.datasets.reading import genres
from benchmark.errors import StoreError
from benchmark.protocol import PARTS, PROTOCOLS
from benchmark.runs.files import sha256
from benchmark.runs.published import DamagedError, PublishedSet, sets
from benchmark.runs.record import Record, RunSpec, digest, run_id
from reports import html, verify
from reports.figures.style import Figure, family
from reports.html import answers, content, notebooks, shown
from reports.html import pages as pages_
from reports.tables import results
from reports.tables.confusion import CONFUSIONS, above_chance
from reports.tables.declaration import Result, facts_of
from reports.tables.runs import RUNS
from reports.tables.slices import ATTRIBUTES, explained

pytestmark = pytest.mark.xdist_group("report")  # one browser, one report

MODELS = ("cnn", "cnn tuned", "random_forest", "hist_gradient_boosting", "constant")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)
COMMIT = "c0ffee" * 6 + "abcd"


def draw(tables, folder):
    """Two figures a data set, quickly."""
    folder.mkdir(exist_ok=True)
    found = []
    for dataset in tables:
        for name in ("one", "two"):
            for ending in ("svg", "pdf", "png"):
                text = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"></svg>'
                (folder / f"{dataset}-{name}.{ending}").write_text(text)
            found.append(
                Figure(f"{dataset}-{name}", "A <figure>", "What it shows.", "A box.", "draw it")
            )
    return found


def draw_networks(networks, folder):
    found = []
    for one in networks:
        name = f"architecture-{one.label.replace(' ', '-')}"
        (folder / f"{name}.png").write_bytes(PIXEL)
        found.append(Figure(name, one.label, "Layers.", f"Layers of {one.label}.", "draw it"))
    return found


OWN = """
# %%
import numpy as np
import polytimbre as pt

LEVEL = 0.5

def level():
    return LEVEL

# %%
class Mine(pt.Model):
    name = "mine"
    seeded = False

    def fit(self, train, stop, *, seed, report=None):
        history = pt.History("fit")
        scores = self.predict_proba(train.X), self.predict_proba(stop.X)
        history.record(1, train, stop, *scores, report)
        return history

    def predict_proba(self, X):
        return np.full((len(X), 20), level(), np.float32)

    def save(self, folder):
        pass

    load = save

# %%
data = pt.load("rendered")
run = pt.run(Mine, data)
run

# %%
LEVEL = 0.25
other = pt.run(Mine, data)
LEVEL = 0.5
again = pt.run(Mine, data)
print(f"told apart: {run.id != other.id}, the same again: {run.id == again.id}")
"""


def build(published, target, pages, figures=draw):
    """Build with quick figures and notebooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html.figures, "draw", figures)
        patch.setattr(html.architectures, "draw", draw_networks)
        patch.setattr(notebooks, "FOLDER", pages)
        return html.build(sets(published), target)


def test_a_report_at_a_link_is_built_where_the_link_leads(tmp_path, monkeypatch):
    def plan(published, made, pool):
        return [html.BuildStep("page", lambda: (made / "index.html").write_text("new"))]

    monkeypatch.setattr(html, "_plan", plan)
    (tmp_path / "there").mkdir()
    for link, leads in (("current", "there"), ("dangling", "nowhere")):
        (tmp_path / link).symlink_to(leads)
        html.build({}, tmp_path / link)
        assert (tmp_path / link).is_symlink()
        assert (tmp_path / leads / "index.html").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 4


def records(dataset, runs=3):
    found = []
    for model in MODELS:
        for seed in range(1 if model == "constant" else runs):
            spec = RunSpec(
                dataset=dataset, split="official", official=True, fingerprint="f" * 64,
                division_id="d" * 16, protocol_id=PROTOCOLS["default"].id, model=model.split()[0],
                preset=None, params={"depth": 3}, seed=seed, source="5" * 16,
                study=f"{dataset}-cnn" if "tuned" in model else None,
            )  # fmt: skip
            found.append(
                Record(
                    run_id=run_id(spec, {"python": "3.13"}, 1), spec=spec,
                    versions={"python": "3.13"}, threads=1, status="finished",
                    clips=dict.fromkeys(PARTS, 40),
                    created="2026-01-01T00:00:00+00:00", seconds={"fit": 1.5, "predict": 0.5,
                    "warm_up": 0.0}, model_bytes=1000, peak_memory_mib=10.0,
                    machine={"processor": "a processor"}, git={"commit": COMMIT, "dirty": False},
                )
            )  # fmt: skip
    return found


def tables():
    """Made-up tables, with all columns that pages and notebooks read."""
    found = made(list(MODELS), CLASSES[:6])

    def widen(name, **columns):
        found[name] = replace(found[name], frame=found[name].frame.assign(**columns))

    widen("comparison", seeds=3, p=0.5, behind=[np.nan, 0.01, 0.02, 0.03, 0.3], **{"seed sd": 0.01})
    widen("comparison", rank=[1, 1, 3, 3, 5])
    frame = found["comparison"].frame
    first = ["rank", "model", "seeds"]
    frame = frame[[*first, *frame.columns.difference(first, sort=False)]]
    found["comparison"] = replace(found["comparison"], frame=frame)
    named = ["ensemble stacked, all seeds", *MODELS[1:]]
    widen("ensembles", behind=0.01, p=0.5, model=named)
    widen("pairs", p=0.01, better=found["pairs"].frame["difference"] > 0.005)
    widen("trials", seconds=12.0, parameters="depth=3", **{"stop mAP": 0.5, "stands at": "3 of 5"})
    for name in ("gap", "learning_curve", "trials"):
        found[name] = replace(found[name], notes=(f"what {name} says, of random_forest",) * 2)
    return found


def seal(folder, runs=(), complete=False):
    """Write the list of a set's files, as publishing does."""
    (folder / "set.json").unlink(missing_ok=True)
    files = {
        p.relative_to(folder).as_posix(): sha256(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    listed = {"format": 1, "complete": complete, "runs": list(runs), "audit": [], "files": files}
    (folder / "set.json").write_text(json.dumps({**listed, "digest": digest(listed)}))


def publish(folder, stored, made_of=(), complete=False):
    folder.mkdir(parents=True, exist_ok=True)
    for record in made_of:
        place = folder / "runs" / record.run_id
        place.mkdir(parents=True)
        (place / "record.json").write_text(record.to_json())
    (folder / "results.json").write_text(results.write(stored))
    seal(folder, [record.run_id for record in made_of], complete)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with a set of runs, and one of labels alone."""
    folder = tmp_path_factory.mktemp("published")
    publish(folder / "rendered", tables(), records("rendered"))
    publish(folder / "openmic2018", labelled())
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with notebooks that are quick."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name in notebooks.NOTEBOOKS:
        (folder / f"{name}.py").write_text(
            f"# %% [markdown]\n# # About {name}\n\n# %%\nimport os\nprint('read', "
            "os.path.basename(os.environ['POLYTIMBRE_RESULTS'])[:9], '<&>')\n"
        )
    return folder


@pytest.fixture(scope="module")
def report(published, pages, tmp_path_factory):
    target = tmp_path_factory.mktemp("built") / "report"
    index = build(published, target, pages)
    assert index == target / "index.html"
    return target


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    if chromium.path() is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set POLYTIMBRE_CHROMIUM")
    with Chromium(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.fixture
def browser(window, report):
    """The index page, freshly opened; what it logged and asked for is checked at the end."""
    window.errors.clear()
    window.requests.clear()
    window.size(1280)
    window.media(scheme="light")
    window.scripts(True)
    window.go(f"{report.as_uri()}/index.html")
    window.js("try { localStorage.clear() } catch {}")
    yield window
    assert window.errors == []
    outside = [url for url in window.requests if not url.startswith((report.as_uri(), "data:"))]
    assert outside == []


def models(browser):
    """Return the models that are shown, in order."""
    return browser.js(
        "[...document.querySelectorAll('table.headline tbody')].filter(b => b.offsetHeight)"
        ".map(b => b.dataset.model)"
    )


def heading(name):
    shown = content.headline_columns(tables()["comparison"].frame)
    n = [column.name for column in shown].index(name) + 1
    return f"table.headline thead th:nth-child({n})"


def test_the_page_shows_what_is_stored(browser, published):
    stored = results.read(sets(published)["rendered"])["comparison"].frame
    assert models(browser) == list(stored["model"])
    cell = browser.js("document.querySelector('table.headline tbody td:nth-child(4)').innerText")
    assert cell.split() == [
        f"{stored['mAP'][0]:.3f}",
        f"{stored['mAP low'][0]:.3f}–{stored['mAP high'][0]:.3f}",
    ]
    assert browser.js("document.documentElement.lang") == "en-GB"
    everything = browser.js("document.body.textContent")
    for record in records("rendered"):
        assert record.run_id in everything
    alts = browser.js("[...document.images].map((i) => i.alt)")
    assert "Layers of cnn." in alts and "Layers of cnn tuned on rendered." in alts
    assert browser.js("[...document.images].every((i) => i.naturalWidth > 0)")
    assert COMMIT in everything and "f" * 64 in everything
    assert "polytimbre run --dataset rendered --model cnn --tuned" in everything


def test_the_front_page_answers_in_order_and_says_what_nothing_shows(browser):
    shown = browser.js(
        "[...document.querySelectorAll('.answer')].map(a => [a.querySelector('h3').textContent, "
        "...[...a.querySelectorAll('p')].map(p => p.textContent)])"
    )
    assert [one[0].split()[0] for one in shown] == [
        "Which", "What", "Where", "What", "Which", "What",
    ]  # fmt: skip
    best, comparable, fails, gap, thresholds, claim = (" ".join(one[1:]) for one in shown)
    assert best == "No published set shows it."  # there are no recordings
    stored = tables()
    assert f"5 on rendered, {1464:,} test clips" in comparable
    per_class = stored["per_class"].frame
    lowest = per_class[per_class["model"] == "cnn"].nsmallest(1, "AP").iloc[0]
    assert f"lowest average precision on {lowest['class']} ({lowest['AP']:.3f})" in fails
    at = stored["gap"].frame.iloc[0]
    assert f"cnn, the best on select, falls from a mAP of {at['fit mAP']:.3f}" in gap
    assert "no other policy is shown to gain macro F1 over it on rendered" in thresholds
    assert "published" not in claim or "No published set" in claim


def test_recordings_come_first():
    sources = [
        answers.Source(name, tables(), name == "audioset20", ["vggish"])
        for name in ("rendered", "audioset20")
    ]
    shown = {one.name: one.sentences for one in answers.answers(sources)}
    best = shown["best"][0].text
    assert "On audioset20, cnn, on vggish as all models there," in best
    row = tables()["pairs"].frame.query("model == 'cnn' and against == 'random_forest'").iloc[0]
    assert f"), {row['difference']:.3f} (" in best
    assert f"above {row['against']}, the best of another model; not significantly" in best
    assert shown["best"][0].href == "#audioset20-models" and len(shown["best"]) == 1
    assert shown["gap"][0].href == "#audioset20-gap"
    assert all(not one.sentences for one in answers.answers([]))


def test_a_best_model_that_is_told_tags_is_named_beside_the_best_that_only_hears():
    stored = tables()
    frame = stored["comparison"].frame
    frame = frame.assign(model=[f"{frame['model'][0]} on vggish+tags", *frame["model"][1:]])
    stored["comparison"] = replace(stored["comparison"], frame=frame)
    source = answers.Source("audioset20", stored, True, ["vggish", "vggish+tags"])
    (said, *_) = answers.best([source])
    told, heard = said.text.split("Its tags are written beside a clip, not heard; ")
    assert "cnn on vggish+tags has the highest mAP" in told
    second = frame.iloc[1]
    assert heard.startswith(f"on sound alone {second['model']} is best, {second['mAP']:.3f}")
    rendered = tables()
    pair = {"model": "cnn on musicnn", "against": "cnn on logmel"}
    frame = rendered["pairs"].frame.head(1).assign(**pair)
    rendered["pairs"] = replace(rendered["pairs"], frame=frame)
    of_rendered = answers.Source("rendered", rendered, False, ["logmel", "musicnn"])
    (_, front_ends) = answers.best([source, of_rendered])
    assert "on rendered, cnn on musicnn is" in front_ends.text


def test_front_ends_that_are_joined_are_heard():
    stored = tables()
    frame = stored["comparison"].frame
    frame = frame.assign(model=[f"{frame['model'][0]} on logmel+musicnn", *frame["model"][1:]])
    stored["comparison"] = replace(stored["comparison"], frame=frame)
    (said, *_) = answers.best([answers.Source("audioset20", stored, True, ["logmel+musicnn"])])
    assert "not heard" not in said.text


def test_models_and_instruments_have_pages_that_tables_link_to(browser, report):
    browser.follow("tbody[data-model='cnn tuned'] th a")
    assert browser.js("location.pathname").endswith("/model-cnn.html")
    text = browser.js("document.body.textContent")
    stored = tables()
    for model in ("cnn", "cnn tuned"):
        row = stored["comparison"].frame.set_index("model").loc[model]
        assert f"{row['mAP']:.3f}" in text
    assert browser.js("document.querySelectorAll('svg polyline.stop').length") == 2
    assert browser.js("document.querySelector('td a, th a').getAttribute('href')")
    assert browser.js("document.querySelector('a[href=\"instrument-bass.html\"]') !== null")
    browser.go(f"{report.as_uri()}/instrument-bass.html")
    assert browser.js("document.querySelector('h1').textContent") == "bass"
    shown = browser.js(
        "[...document.querySelector('table').tBodies[0].rows].map((r) => r.cells[0].textContent)"
    )
    frame = stored["per_class"].frame
    of_class = frame[frame["class"] == "bass"].sort_values("AP", ascending=False, kind="stable")
    assert shown == list(of_class["model"])
    everything = browser.js("document.body.innerText")
    assert "Where cnn hears bass wrongly" in everything
    assert "cnn on slices, against all other clips" in everything and "jazz" in everything
    for meant in ("optimism", "shift", "above chance", "ROC-AUC difference"):
        assert f"{meant}: " in everything
    commands = browser.js("[...document.querySelectorAll('.source code')].map(c => c.textContent)")
    assert "polytimbre table confusions --store paper/results/rendered" in commands


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_headings_sort(browser, by):
    at = heading("fit (s)")

    def act():
        if by == "mouse":
            browser.click(f"{at} button")
        else:
            browser.js(f"document.querySelector('{at} button').focus({{preventScroll: true}})")
            browser.press("Enter")

    before = models(browser)
    act()
    assert models(browser) == before[::-1]
    assert browser.js(f"document.querySelector('{at}').getAttribute('aria-sort')") == "ascending"
    act()
    assert models(browser) == before
    assert browser.js("document.querySelectorAll('[aria-sort]').length") == 1
    browser.click(f"{heading('model')} button")
    assert models(browser) == sorted(before)


def test_what_is_missing_is_sorted_last_either_way(browser):
    button = f"{heading('behind')} button"
    browser.click(button)
    assert models(browser) == [*MODELS[1:], "cnn"]
    browser.click(button)
    assert models(browser) == [*MODELS[:0:-1], "cnn"]


def test_models_are_filtered_by_text_and_kind(browser):
    browser.click("input[name=text]")
    browser.write("CNN tun")
    assert models(browser) == ["cnn tuned"]
    assert browser.js("document.querySelector('.count').textContent") == "1 of 5 models"
    browser.js(
        "const i = document.querySelector('input[name=text]'); i.value = ''; "
        "i.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    browser.click("input[value=networks]")
    assert models(browser) == list(MODELS[2:])
    browser.click("input[value=trees]")
    assert models(browser) == ["constant"]


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_row_shows_its_classes_and_runs(browser, by):
    row = "tbody[data-model=random_forest]"
    shown = f"document.querySelector('{row} .classes').offsetHeight > 0"
    state = f"document.querySelector('{row} button').getAttribute('aria-expanded')"
    assert not browser.js(shown) and browser.js(state) == "false"
    if by == "mouse":
        browser.click(f"{row} td.number:nth-child(4)")
    else:
        browser.js(f"document.querySelector('{row} button').focus()")
        browser.press("Enter")
    assert browser.js(shown) and browser.js(state) == "true"
    text = browser.js(f"document.querySelector('{row} .detail').innerText")
    assert all(name in text for name in CLASSES[:6])
    ours = [r for r in records("rendered") if r.spec.model == "random_forest"]
    assert all(record.run_id in text for record in ours)
    browser.click(f"{row} .runs a")
    assert browser.js(f"document.getElementById('run-{ours[0].run_id}').offsetHeight > 0")
    browser.click(f"{row} button")
    assert not browser.js(shown) and browser.js(state) == "false"


def colours(browser):
    """Return the brightness of paper and ink, 0 to 255."""
    found = browser.js("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    return [sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in found]


def test_dark_and_light_follow_the_system_and_the_button(browser, report):
    paper, ink = colours(browser)
    assert paper > 230 and ink < 60
    browser.media(scheme="dark")
    paper, ink = colours(browser)
    assert paper < 40 and ink > 200
    browser.click("button.theme")
    assert colours(browser)[0] > 230
    browser.go(f"{report.as_uri()}/tuning.html")
    assert colours(browser)[0] > 230  # remembered
    assert browser.js("document.querySelector('button.theme').textContent") == "Dark"


@pytest.mark.parametrize("page", ["index", "model-cnn", "api/polytimbre"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser, report, scheme, page):
    browser.media(scheme=scheme)
    browser.go(f"{report.as_uri()}/{page}.html")
    lowest = browser.js("""(() => {
        const light = (text) => {
            const [r, g, b] = text.match(/\\d+/g).slice(0, 3).map((v) => {
                v /= 255;
                return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
            });
            return .2126 * r + .7152 * g + .0722 * b;
        };
        const behind = (node) => {
            for (; node; node = node.parentElement) {
                const colour = getComputedStyle(node).backgroundColor;
                if (!colour.startsWith("rgba(")) return colour;  // one that is solid
            }
        };
        document.querySelectorAll("details").forEach((one) => { one.open = true; });
        let worst = [99, ""];
        for (const node of document.body.querySelectorAll("*")) {
            const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
            if (!own) continue;
            const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
            const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (ratio < worst[0]) worst = [ratio, node.outerHTML.slice(0, 200)];
        }
        return worst;
    })()""")
    assert lowest[0] >= 4.5, lowest


def test_print_leaves_out_what_can_not_be_used_on_paper(browser, tmp_path):
    browser.media(kind="print", scheme="dark")
    for control in (".controls", "button.theme", "header.site nav", ".files", ".skip"):
        assert (
            browser.js(f"getComputedStyle(document.querySelector('{control}')).display") == "none"
        )
    assert colours(browser)[0] == 255
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_every_page_is_there_and_fits_a_narrow_window(browser, report):
    browser.size(400)
    wide = "document.documentElement.scrollWidth > innerWidth"
    for name in ("index", "model-cnn", "instrument-bass", *notebooks.NOTEBOOKS):
        browser.go(f"{report.as_uri()}/{name}.html")
        browser.js("document.querySelectorAll('.headline th button').forEach((b) => b.click())")
        assert not browser.js(wide), name
        assert browser.js("document.querySelectorAll('h1').length") == 1
        assert browser.js("document.querySelectorAll('main, header, footer, nav').length") >= 4
        assert browser.js("[...document.images].every((i) => i.alt && i.complete)")
        assert browser.js(
            "[...document.querySelectorAll('table')].every((t) => t.caption && "
            "[...t.querySelectorAll('th')].every((h) => h.scope))"
        )
        ids = browser.js("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
        links = browser.js(
            "[...document.links].filter((a) => a.hash && a.pathname === location.pathname)"
            ".map((a) => a.hash.slice(1))"
        )
        assert set(links) <= set(ids)


def test_links_lead_to_files_of_the_report(browser, report):
    for name in ("index", "model-cnn", "instrument-bass"):
        browser.go(f"{report.as_uri()}/{name}.html")
        links = browser.js("[...document.links].map((a) => a.href.split('#')[0])")
        assert len(links) > 20
        for link in set(links):
            assert (report / link.removeprefix(f"{report.as_uri()}/")).is_file(), link


def test_without_scripts_all_is_readable(browser, report):
    browser.scripts(False)
    browser.go(f"{report.as_uri()}/index.html")
    browser.scripts(True)  # so that the page can be asked; its own script has not run
    assert models(browser) == list(MODELS)
    assert browser.js("document.querySelector('tr.detail summary').offsetHeight > 0")
    assert browser.js("document.querySelector('form.controls').offsetHeight") == 0
    assert browser.js("document.querySelectorAll('table.headline button').length") == 0


HOSTILE = (
    "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>"
    "<a href='javascript:window.hit = 3' id='here'>here</a>"
)


#: Shows a set's tables in every way that a notebook has.
SHOWS = """# %%
from IPython.display import display
import polytimbre as pt

runs = pt.published("rendered")
table = runs.tables["comparison"]
print(table.title, *table.notes)
display(runs, table, table.frame, runs.plot("comparison"))
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report of a set whose notes, titles, models and records are markup, by the notebooks."""
    folder = tmp_path_factory.mktemp("hostile")
    stored = {
        name: replace(one, title=one.title + HOSTILE, notes=(*one.notes, HOSTILE))
        for name, one in tables().items()
    }
    for one in stored.values():
        for column in {"model", "against", "class", "parameters"} & {*one.frame.columns}:
            one.frame[column] = [f"{value}{HOSTILE}" for value in one.frame[column]]
    made_of = records("rendered")
    for record in made_of:
        record.machine["processor"] = record.git["commit"] = HOSTILE
    publish(folder / "sets" / "rendered", stored, made_of)
    (folder / "comparison.py").write_text(SHOWS)
    found = [notebooks.execute(folder / "comparison.py", folder / "sets")]
    found.append(notebooks.Executed("tuning", "Live", f"<h1>Live</h1>{HOSTILE}"))
    (folder / "report").mkdir()
    pages_.write(sets(folder / "sets"), folder / "report", {"rendered": [], "": []}, found)
    return folder / "report"


def test_what_a_published_set_holds_is_text(window, hostile):
    window.scripts(True)
    for name in ("index", "comparison"):
        window.errors.clear()
        window.go(f"{hostile.as_uri()}/{name}.html")
        assert HOSTILE in window.js("document.body.textContent")
        assert window.js("document.querySelectorAll('#here, main script').length") == 0
        assert window.js("window.hit === undefined")
        assert window.errors == []


def test_what_were_live_would_not_run(window, hostile):
    window.go(f"{hostile.as_uri()}/tuning.html")
    assert window.js("document.querySelectorAll('#here').length") == 1
    assert window.js("window.hit || 'nothing'") == "nothing"
    window.click("#here")
    assert window.js("window.hit || 'nothing'") == "nothing"
    assert any("Content Security Policy" in error for error in window.errors)
    window.errors.clear()
    assert window.js("document.querySelector('button.theme').hidden") is False  # ours does run


def test_the_first_tab_stop_skips_to_the_content(browser):
    browser.press("Tab")
    assert browser.js("document.activeElement.className") == "skip"
    assert browser.js("document.activeElement.getBoundingClientRect().left") >= 0
    browser.press("Enter")
    assert browser.js("document.activeElement.id") == "content"


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_bytes_are_built_twice(report, published, pages, tmp_path):
    build(published, tmp_path / "again", pages)
    first, second = files(report), files(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    text = first[Path("comparison.html")].decode()
    assert "read published"[:14] in text and "&lt;&amp;&gt;" in text
    outside = rb"""(src|href)=.?https?:|@import|url\((?!"data:)|//cdn|0x[0-9a-f]{8}"""
    for name, page in first.items():
        if name.suffix in (".html", ".css", ".js"):
            assert not re.search(outside, page)


def test_a_failed_build_leaves_the_report_before_it(report, published, pages, tmp_path):
    shutil.copytree(report, tmp_path / "report")
    before = files(tmp_path / "report")

    def fail(tables, folder):
        raise StoreError("no ink")

    with pytest.raises(StoreError, match="no ink"):
        build(published, tmp_path / "report", pages, fail)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "letter.txt").write_text("dear")
    with pytest.raises(StoreError, match="holds something that is no report"):
        build(published, tmp_path / "own", pages)
    assert files(tmp_path / "report") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "report"]


def test_a_notebook_that_fails_is_named(published, tmp_path):
    (tmp_path / "broken.py").write_text("# %%\n1 / 0\n")
    with pytest.raises(notebooks.NotebookError, match=r"broken\.py failed with ZeroDivisionError"):
        notebooks.execute(tmp_path / "broken.py", published)
    shown = "# %%\nclass A:\n    def _repr_html_(self):\n        return 1 / 0\n\n# %%\n"
    for use in ("A()", "from IPython.display import display\ndisplay(A())\n0"):
        (tmp_path / "broken.py").write_text(shown + use)
        with pytest.raises(notebooks.NotebookError, match="failed with ZeroDivisionError: div"):
            notebooks.execute(tmp_path / "broken.py", published)


def test_what_a_cell_prints_is_one_text_however_the_kernel_sends_it(published, tmp_path):
    (tmp_path / "slow.py").write_text(
        "# %%\nimport time\nfrom IPython.display import HTML, display\nprint('one')\n"
        "time.sleep(0.5)\nprint('two')\ndisplay(HTML('<b>between</b>'))\nprint('three')\n"
    )
    body = notebooks.execute(tmp_path / "slow.py", published).body
    assert re.findall("<pre>([a-z\n]*)</pre>", body) == ["one\ntwo\n", "three\n"]


def test_a_notebook_runs_a_model_that_it_defines(published, tmp_path):
    """Its identity follows the constants and functions that other cells define."""
    (tmp_path / "own.py").write_text(OWN)
    body = notebooks.execute(tmp_path / "own.py", published).body
    assert "told apart: True, the same again: True" in re.sub("<.*?>", "", body)
    assert '<th scope="row">mine</th>' in body or "<td>mine</td>" in body


@pytest.mark.parametrize("name", notebooks.NOTEBOOKS)
def test_the_notebooks_run(name, published):
    found = notebooks.execute(notebooks.FOLDER / f"{name}.py", published)
    assert found.title.endswith("?")
    assert found.body.count("<img") >= 2 and 'alt=""' not in found.body
    assert "<table>" in found.body or name == "training_gap"
    assert not re.search(r"<script|0x[0-9a-f]{8}|nan\b", found.body)
    if name == "training_gap":
        assert "of random_forest" in found.body  # its underscore is no emphasis


def score(records_, folder):
    """Add scores and labels to a set's runs; return the metrics that follow from them."""
    rng = np.random.default_rng(0)
    parts = ("fit", "stop", "select", "test")
    arrays = {"classes": np.array(["cello", "flute", "violin"])}
    for part in parts:
        arrays[f"{part}_y_true"] = (rng.random((40, 3)) > 0.5).astype(np.float32)
        arrays[f"{part}_y_mask"] = np.ones((40, 3), bool)
        names = np.array([f"{part}{i}" for i in range(40)])
        arrays[f"{part}_keys"] = arrays[f"{part}_groups"] = names
    (folder / "labels").mkdir(parents=True)
    np.savez(folder / "labels" / f"{'d' * 16}.npz", **arrays)
    for record in records_:
        made = {part: rng.random((40, 3)).astype(np.float32) for part in parts}
        place = folder / "runs" / record.run_id
        np.savez(place / "scores.npz", **made)


def test_metrics_that_do_not_follow_from_the_scores_are_refused(tmp_path):
    folder, runs = tmp_path / "rendered", records("rendered", runs=1)
    publish(folder, {}, runs)
    score(runs, folder)
    seal(folder, [record.run_id for record in runs], complete=True)
    analysis = Analysis(PublishedSet(folder), "rendered")
    derived = {"runs": RUNS.make(analysis, facts_of(analysis))}
    publish_again = {"runs": derived["runs"]}
    (folder / "results.json").write_text(results.write(publish_again))
    seal(folder, [record.run_id for record in runs], complete=True)
    verify.check(PublishedSet(folder))
    frame = derived["runs"].frame.copy()
    frame.loc[1, "mAP"] += 1e-6
    changed = {"runs": replace(derived["runs"], frame=frame)}
    (folder / "results.json").write_text(results.write(changed))
    seal(folder, [record.run_id for record in runs], complete=True)
    run = derived["runs"].frame["run"][1]
    with pytest.raises(StoreError, match=f"does not follow from its scores: .*{run}.*mAP is"):
        verify.check(PublishedSet(folder))


def test_false_alarms_that_do_not_depend_on_what_sounds_are_not_above_chance(tmp_path):
    """Cello, flute: each with and without the other; violin is absent everywhere."""
    runs = records("rendered", runs=1)[:1]
    publish(tmp_path, {}, runs)
    score(runs, tmp_path)
    truth = np.repeat([[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 1, 0]], 10, axis=0)
    said = np.tile([0.9, 0.1], 20)
    labels_ = next((tmp_path / "labels").iterdir())
    with np.load(labels_) as stored:
        parts = {f"{part}_y_true": truth.astype(np.float32) for part in ("select", "test")}
        np.savez(labels_, **{**stored, **parts})
    right = (0.1 + 0.8 * truth).astype(np.float32)

    def above(violin):
        test = np.stack([said, said, violin], axis=1).astype(np.float32)
        scores = {"fit": right, "stop": right, "select": right, "test": test}
        np.savez(tmp_path / "runs" / runs[0].run_id / "scores.npz", **scores)
        seal(tmp_path, [runs[0].run_id], complete=True)
        frame = CONFUSIONS.make(Analysis(PublishedSet(tmp_path), "rendered")).frame
        known = frame.assign(above=above_chance(frame)).dropna(subset=["above"])
        estimated = above_chance(frame.drop(columns="chance"))[known.index]
        return known.set_index(["class", "with"])["above"], estimated

    independent, estimated = above(said)
    assert len(independent) == 4
    assert np.allclose(independent, 0) and np.allclose(estimated, 0)
    mistaken, estimated = above(right[:, 0])  # violin is heard wherever a cello sounds
    assert mistaken["cello", "violin"] == 0.5 and mistaken["flute", "violin"] == 0
    assert mistaken["cello", "flute"] == 0
    assert estimated.to_numpy()[mistaken.index.get_loc(("cello", "violin"))] > 0.2


def test_damaged_or_missing_sets_are_one_sentence(polytimbre, published, tmp_path):
    said = polytimbre("report", "--results", tmp_path / "nothing", code=2)
    assert "nothing is published in" in said and "polytimbre publish" in said
    shutil.copytree(published, tmp_path / "sets")
    path = tmp_path / "sets" / "rendered" / "results.json"
    path.write_text(path.read_text().replace("random_forest", "random_florist", 1))
    with pytest.raises(DamagedError):
        verify.check(PublishedSet(tmp_path / "sets" / "rendered"))
    out = tmp_path / "out" / "report"
    said = polytimbre("report", "--results", tmp_path / "sets", "--out", out, code=2)
    assert re.search(r"error: the published set 'rendered': .*results\.json does not match", said)
    assert not out.exists()


def test_a_heading_gives_way_so_that_every_column_is_in_sight(browser):
    browser.size(1280)
    table = "document.querySelector('.scroll:has(table.headline)')"
    browser.js("document.querySelectorAll('.headline tbody th a')[0].textContent += ' on vggish'")
    assert browser.js(f"{table}.scrollWidth <= {table}.clientWidth")


def test_a_claim_is_named_by_whose_it_is():
    frame = pd.DataFrame(
        {"scored": ["published network", "always yes"], "w. precision": [0.93, 0.923],
         "w. recall": 1.0, "mAP*": [np.nan, 0.447]}
    )  # fmt: skip
    source = answers.Source("openmic2018", {"strategies": Result("", frame)}, True, [])
    claim = answers.answers([source])[-1]
    assert "student project" in claim.question
    assert claim.sentences[0].text.startswith("A student project published, for a network on Open")


def test_slices_say_what_their_attributes_are():
    assert explained(["region", "tags", "region", "one's own"]) == (
        f"region: {ATTRIBUTES['region']}; tags: {ATTRIBUTES['tags']}"
    )
    assert {*rendered.ATTRIBUTES, *genres.ATTRIBUTES, "instruments", "tags"} <= {*ATTRIBUTES}


def test_the_front_page_says_what_columns_mean(browser):
    said = browser.js("[...document.querySelectorAll('.result p.notes')].map(p => p.textContent)")
    assert any("optimism: fit minus select" in one for one in said)


def test_commands_in_notes_are_code():
    assert shown.coded("see `polytimbre table pairs` <") == (
        "see <code>polytimbre table pairs</code> &lt;"
    )


def test_numbers_stand_right_where_some_are_stored_as_a_dash():
    frame = pd.DataFrame(
        {"model": ["a", "–"], "rank": ["1", "–"], "wins": [3, "–"], "slice": ["1", "2"],
         "place": pd.array([1, None], "Int64"), "nothing": ["", "–"]}
    )  # fmt: skip
    first, last = content.rows(frame)
    assert [name for name, cell in first.items() if cell["numeric"]] == ["rank", "wins", "place"]
    assert [cell["text"] for cell in last.values()] == ["–", "–", "–", "2", "–", "–"]


def test_cells_say_what_is_not_there():
    frame = pd.DataFrame(
        {"model": ["cnn"], "mAP": [0.5], "mAP low": [0.4], "mAP high": [0.6], "p": [np.nan]}
    )
    (row,) = content.rows(frame)
    assert [(c["text"], c["interval"]) for c in row.values()] == [
        ("cnn", ""), ("0.500", "0.400–0.600"), ("–", ""),
    ]  # fmt: skip
    assert [family(label) for label in ("cnn:published tuned", "xgboost", "new_one")] == [
        "networks", "trees", "others",
    ]  # fmt: skip
