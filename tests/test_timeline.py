"""The page that plays a recording, in a real browser."""

import re
import time

import chromium
import pytest
from chromium import Chromium
from heard import song, store_of

from benchmark.predict import choosing
from benchmark.runs.reading import Runs
from reports.hearing import timeline
from reports.hearing.timeline import MOST_STRETCHES, page

pytestmark = pytest.mark.xdist_group("report")  # one browser

TIME = "document.querySelector('audio').currentTime"
SAID = "document.getElementById('at').getAttribute('aria-valuetext')"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    store = Runs(store_of(tmp_path_factory.mktemp("timeline"), "logistic_regression"))
    return choosing.load_run(*choosing.choose_run([store], features="logmel"))


@pytest.fixture(scope="module")
def heard(run, tmp_path_factory):
    file = song(tmp_path_factory.mktemp("song") / "a <b> & c.wav", seconds=30, rate=24_000)
    return run.recogniser.hear(file, 2)


@pytest.fixture(scope="module")
def opened(run, heard, tmp_path_factory):
    """The page of a recording, opened from disk."""
    if chromium.path() is None:
        pytest.skip("no Chromium here: apt-get install chromium, or set POLYTIMBRE_CHROMIUM")
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page(run, heard), encoding="utf-8")
    with Chromium(tmp_path_factory.mktemp("browser") / "profile") as browser:
        browser.size(1200)
        browser.go(file.as_uri())
        browser.file = file
        yield browser


def wait(browser, expression, seconds=20):
    until = time.monotonic() + seconds
    while not browser.js(expression):
        assert time.monotonic() < until, expression
        time.sleep(0.05)


def test_a_click_on_the_picture_moves_the_sound(opened, run, heard):
    wait(opened, "document.querySelector('audio').readyState > 0")
    assert opened.js("document.querySelector('audio').duration") == pytest.approx(30, abs=0.1)
    opened.js("document.querySelector('.strip').scrollIntoView()")
    box = opened.js("(({x, y, width}) => ({x, y, width}))"
                    "(document.querySelector('.strip').getBoundingClientRect())")  # fmt: skip
    for kind in ("mousePressed", "mouseReleased"):
        x, y = box["x"] + box["width"] / 2, box["y"] + 5
        opened.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                    clickCount=1)  # fmt: skip
    assert opened.js(TIME) == pytest.approx(15, abs=0.5)
    window = 5  # of 10 s to 19.6 s, in the middle of which the cursor stands
    present = {
        name
        for name, score, threshold in zip(run.classes, heard.scores[window], run.thresholds)
        if score >= threshold
    }
    told, _, names = opened.js(SAID).partition(", ")
    assert told == "0:15" and set(names.split(", ")) == present
    bold = opened.js("[...document.querySelectorAll('tr.sounds th')].map(e => e.textContent)")
    assert set(bold) == present
    cursor = opened.js("document.querySelector('table').style.getPropertyValue('--at')")
    assert float(cursor.rstrip("%")) == pytest.approx(50, abs=2)


def test_it_plays_and_the_cursor_follows(opened):
    opened.click("#play")
    before = opened.js(TIME)
    wait(opened, f"{TIME} > {before} + 0.2")
    wait(opened, "document.getElementById('play').textContent == 'Pause'")
    assert float(opened.js("document.getElementById('at').value")) >= before
    opened.click("#play")
    wait(opened, "document.querySelector('audio').paused")
    wait(opened, "document.getElementById('play').textContent == 'Play'")


def test_it_can_be_used_by_keyboard_alone(opened):
    opened.js(
        "document.querySelector('audio').currentTime = 4; document.getElementById('play').focus()"
    )
    order = []
    for _ in range(3):
        opened.press("Tab")
        order.append(opened.js("document.activeElement.id || document.activeElement.className"
                               " || document.activeElement.dataset.at"))  # fmt: skip
    assert order[:2] == ["at", "scroll"]
    at = float(order[2])  # the first stretch of the highest class
    opened.press("Enter")
    assert opened.js(TIME) == pytest.approx(at, abs=0.1)
    opened.js("document.getElementById('at').focus()")
    opened.send("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight",
                windowsVirtualKeyCode=39)  # fmt: skip
    assert opened.js(TIME) == pytest.approx(at + 2, abs=0.1)  # a hop


def test_a_screen_reader_gets_names_and_words(opened):
    nodes = opened.send("Accessibility.getFullAXTree")["nodes"]
    roles = {(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if "role" in n}
    for expected in (
        ("heading", "a <b> & c.wav"),
        ("slider", "position in the recording"),
        ("button", "Play"),
        ("region", "instruments over time"),
        ("rowheader", "violin"),
    ):
        assert expected in roles


def test_it_is_dark_and_light_and_loads_nothing(opened):
    colours, drawn = set(), set()
    for scheme in ("dark", "light"):
        opened.media(scheme=scheme)
        opened.js("new Promise((done) => setTimeout(done, 100))")
        colours.add(opened.js("getComputedStyle(document.body).backgroundColor"))
        drawn.add(opened.js("document.querySelector('canvas').toDataURL()"))
    assert len(colours) == len(drawn) == 2
    assert opened.errors == []
    assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}
    policy = re.search(r'Policy" content="([^"]*)"', opened.file.read_text()).group(1)
    assert "default-src 'none'" in policy and "unsafe" not in policy
    opened.js("document.body.append(Object.assign(document.createElement('script'),"
              " {textContent: 'window.foreign = 1'}))")  # fmt: skip
    assert opened.js("window.foreign") is None


def test_a_large_or_foreign_file_becomes_an_mp3(run, heard, tmp_path):
    import soundfile

    signal, rate = soundfile.read(heard.file)
    soundfile.write(tmp_path / "song.au", signal[: 3 * rate], rate)
    made = page(run, run.recogniser.hear(tmp_path / "song.au"))
    assert 'src="data:audio/mpeg;base64,' in made and "it was repeated" in made


def test_on_a_phone_the_names_stay_in_sight(opened):
    opened.size(390)
    place = "document.querySelector('tbody th').getBoundingClientRect().x"
    before = opened.js(place)
    opened.js("document.querySelector('.scroll').scrollLeft = 300")
    assert opened.js("document.querySelector('.scroll').scrollLeft") == 300
    assert opened.js(place) == before
    opened.size(1200)


def test_on_a_desktop_the_times_of_a_class_take_two_lines_at_most(opened):
    opened.size(1440)
    cell = "document.querySelector('td.when')"
    times = ", ".join(["<button>0:00–0:10</button>"] * MOST_STRETCHES)
    before = opened.js(f"{cell}.innerHTML")
    opened.js(f"{cell}.innerHTML = {times!r}")
    assert opened.js(f"{cell}.parentElement.getBoundingClientRect().height") < 60
    assert opened.js("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('.scroll'))")
    opened.js(f"{cell}.innerHTML = {before!r}")
    opened.size(1200)


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        (1.92, "0:00 0:01"),
        (9.6, "0:00 0:05"),
        (10, "0:00 0:05 0:10"),
        (30, "0:00 0:10 0:20 0:30"),
        (185.3, "0:00 1:00 2:00 3:00"),
        (20_000, "0:00 2:00:00 4:00:00"),
    ],
)
def test_times_above_the_picture_are_whole_steps_at_their_places(seconds, times):
    texts = re.findall(r'x="([\d.]+)%"[^>]*>([\d:]+)<', timeline._axis(seconds))
    assert " ".join(told for _, told in texts) == times
    for place, told in texts:
        parts = (0, 0, *map(int, told.split(":")))[-3:]
        at = sum(part * size for part, size in zip(parts, (3600, 60, 1), strict=True))
        assert float(place) == pytest.approx(100 * at / seconds, abs=0.01)
