"""Which run hears, what it knows, and what is written about a recording."""

import csv
import io
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from heard import song, store_of

import polytimbre as pt
from benchmark.audio.files import find_recordings, read
from benchmark.cli.hearing import bar
from benchmark.contracts.dataset import CLASSES, Labels
from benchmark.errors import DataError, ParameterError, ProtocolError, StoreError, UnknownNameError
from benchmark.features.logmel import LogMel
from benchmark.predict import choosing
from benchmark.predict.labelled import read_labels
from benchmark.runs.published import DamagedError, PublishedSet
from benchmark.runs.reading import RunError, Runs
from reports import verify
from reports.hearing import figure, text
from reports.tables import recordings


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("hearing") / "store", "logistic_regression", "constant")


@pytest.fixture(scope="module")
def heard_by(store):
    return choosing.load_run(*choosing.choose_run([Runs(store)], features="logmel"))


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return song(tmp_path_factory.mktemp("songs") / "long.flac")


@pytest.fixture(scope="module")
def heard(heard_by, long):
    return heard_by.recogniser.hear(long, 2.5)


@pytest.fixture
def shipped(store, tmp_path):
    """A folder of published sets in which one run ships its model."""
    folder, runs = tmp_path / "sets" / "rendered", Runs(store)
    records = runs.records()
    shipped = [record.run_id for record in records if record.spec.model == "logistic_regression"]
    verify.copy_runs(records, [], runs, folder, shipped)
    (folder / "results.json").write_text("{}")
    return verify.seal(folder, runs.ids(), (), complete=True)


def test_the_best_run_on_select_is_chosen_of_those_that_were_asked_for(store):
    runs = [Runs(store)]
    for asked, model in (
        ({"dataset": "rendered"}, "logistic_regression"),
        ({"features": "logmel"}, "logistic_regression"),
        ({"model": "constant"}, "constant"),
    ):
        assert choosing.choose_run(runs, **asked)[1].spec.model == model
    _, record = choosing.choose_run(runs, model="constant")
    assert choosing.choose_run(runs, record.run_id[:9])[1] == record
    with pytest.raises(DataError, match=r"has the model 'constant', not 'cnn'"):
        choosing.choose_run(runs, record.run_id, model="cnn")
    with pytest.raises(StoreError, match="no stored run with the model 'cnn' and the features"):
        choosing.choose_run(runs, model="cnn", features="logmel")
    with pytest.raises(UnknownNameError, match="Did you mean 'cnn'"):
        choosing.choose_run(runs, model="cn")


def test_the_run_to_ship_is_the_best_on_select_whose_features_carry_over(store, monkeypatch):
    runs = Runs(store)
    with pytest.raises(StoreError, match=r"`polytimbre run --features musicnn` makes such runs"):
        choosing.best(runs, runs)
    monkeypatch.setattr(LogMel, "caveat", "")
    assert choosing.best(runs, runs).spec.model == "logistic_regression"
    assert choosing.best(runs, [r for r in runs if r.spec.model == "constant"]).finished


def test_by_default_a_shipped_run_hears_if_its_features_carry_over(
    shipped, store, long, monkeypatch
):
    monkeypatch.setenv("POLYTIMBRE_RESULTS", str(shipped.path.parent))
    monkeypatch.setenv("POLYTIMBRE_STORE", str(store))
    with pytest.raises(StoreError, match="no run comes with its model"):
        pt.predict(long)
    assert [one.path for one in choosing.sources(asked=False)] == [shipped.path]
    assert [one.path for one in choosing.sources(store, asked=False)] == [store]
    monkeypatch.setattr(LogMel, "caveat", "")
    found = pt.predict(long)
    assert repr(found) == f"<Prediction long.flac: {', '.join(found.present)}>"
    # the same scores as from the store, where all models are
    (stored,) = (one for one in pt.store(store) if one.label == "logistic_regression")
    assert pt.predict(long, stored).frame.equals(found.frame)
    assert pt.store(shipped.path)[stored.id].model.get_params() == stored.model.get_params()


def test_what_is_shipped_is_checked_before_it_is_loaded(shipped):
    record = next(record for record in shipped if record.spec.model == "logistic_regression")
    other = next(record for record in shipped if record.spec.model == "constant")
    with pytest.raises(StoreError, match=r"reproduce \w+ --keep FOLDER` fits it again"):
        choosing.load_run(shipped, other)
    folder = shipped.model_folder(record)
    (folder / "class_19.skops").rename(folder / "class_20.skops")
    with pytest.raises(RunError, match="holds model/class_20.skops, which its record does not"):
        choosing.load_run(shipped, record)
    shutil.copy(folder / "class_18.skops", folder / "class_19.skops")
    (folder / "class_20.skops").unlink()
    with pytest.raises(DamagedError, match="does not match its SHA-256"):
        choosing.load_run(shipped, record)
    # nor is a set that was sealed anew around another model
    verify.seal(shipped.path, shipped.runs, (), complete=True)
    with pytest.raises(DamagedError, match="does not match its SHA-256 in the record"):
        choosing.load_run(PublishedSet(shipped.path), record)


def test_a_run_says_what_it_knows_and_what_to_be_careful_of(heard_by, store, monkeypatch):
    known = dict(zip(CLASSES, heard_by.known(), strict=True))
    first = CLASSES[0]  # nobody observed it
    assert known[first] == {"AP": None, "chance": None, "known": False}
    assert heard_by.knowledge.why_not(0) == "never learnt"
    assert known["drums"]["known"] and known["drums"]["AP"] > known["drums"]["chance"]
    constant = choosing.load_run(*choosing.choose_run([Runs(store)], model="constant"))
    assert not constant.knowledge.known.any()
    assert constant.knowledge.why_not(CLASSES.index("drums")) == "no better than chance"
    assert heard_by.cautions == (LogMel.caveat,)
    recordings_run = replace(heard_by.record, spec=replace(heard_by.record.spec, dataset="folder"))
    assert not choosing._cautions(recordings_run, heard_by.record.spec.source)
    monkeypatch.setattr(choosing, "source_hash", lambda cls: "another")
    source, record = choosing.choose_run([Runs(store)], model="constant")
    assert "was changed since run" in choosing.load_run(source, record).cautions[-1]


def test_windows_may_be_shorter_than_the_clips_and_are_repeated(heard_by, long):
    short = heard_by.recogniser.with_window(3)
    assert short.window_seconds == pytest.approx(2.88)
    scores = [scores for _, scores in zip(range(2), scored(short, long), strict=False)]
    samples = read(long, 24_000)
    once = np.resize(samples[: round(2.88 * 24_000)], round(9.6 * 24_000))
    expected = heard_by.recogniser.model.predict_proba(LogMel().extract(once)[None])[0]
    assert np.array_equal(scores[0], expected)
    for wrong in (0.5, 11, float("nan")):
        with pytest.raises(ParameterError, match="can't be scored"):
            heard_by.recogniser.with_window(wrong)
    with pytest.raises(ParameterError, match="a time of 0.01 to"):
        heard_by.recogniser.hear(long, float("nan"))


def scored(recogniser, path):
    return (scores for _, scores in recogniser.windows([read(path, 24_000)], 24_000))


def test_json_csv_and_labels_say_the_same(heard_by, heard):
    (told,) = json.loads(text.as_json(heard_by, [heard]))
    assert list(told) == ["file", "run", "features", "duration", "clip", "windows"]
    assert told["duration"] == 25 and told["features"] == "logmel"
    rows = list(csv.DictReader(io.StringIO(text.as_csv(heard_by, [heard]))))
    assert [row["start"] for row in rows] == [f"{w['start']:.3f}" for w in told["windows"]]
    assert {name: float(rows[3][name]) for name in CLASSES} == told["windows"][3]["scores"]
    (clip,) = csv.DictReader(io.StringIO(text.as_csv(heard_by, [heard], windows=False)))
    assert {n: float(clip[n]) for n in CLASSES} == {n: c["score"] for n, c in told["clip"].items()}
    assert "windows" not in json.loads(text.as_json(heard_by, [heard], windows=False))[0]
    present = {name for name, one in told["clip"].items() if one["present"]}
    assert set(clip["present"].split("; ")) == present
    assert all(
        set(filter(None, row["present"].split("; ")))
        == {name for name in CLASSES if float(row[name]) >= told["clip"][name]["threshold"]}
        for row in rows
    )
    labels = [line.split("\t") for line in text.as_labels(heard_by, heard).splitlines()]
    assert {name for _, _, name in labels} == present and present
    sounding = {
        (f"{w[edge]:.3f}", name)
        for w in told["windows"]
        for edge in ("start", "end")
        for name in present
        if w["scores"][name] >= told["clip"][name]["threshold"]
    }
    for *edges, name in labels:
        assert {(f"{float(edge):.3f}", name) for edge in edges} <= sounding


def test_a_prediction_shows_itself(heard_by, heard, tmp_path):
    found = pt.Prediction(heard_by, heard)
    assert found.frame.shape == (len(heard.starts), 20)
    assert found.summary["score"].is_monotonic_decreasing
    assert [*found.summary] == ["score", "present", "AP", "chance", "known"]
    assert set(found.present) == set(found.summary.index[found.summary["present"]])
    for words in ("long.flac", "does not carry over", "<img", "alt="):
        assert words in found._repr_html_()
    for suffix in ("png", "svg"):
        (tmp_path / f"figure.{suffix}").write_bytes(figure.content(heard_by, heard, f".{suffix}"))
        assert (tmp_path / f"figure.{suffix}").stat().st_size > 1000
    assert "long.flac" in found.plot().axes[0].get_title(loc="left")
    with pytest.raises(DataError, match=r"name a \.svg"):
        figure.check(tmp_path / "figure.doc")


def test_lists_name_files(tmp_path, long):
    (tmp_path / "list.m3u").write_text(f"#EXTM3U\n\n{long}\nother.wav\n")
    assert find_recordings(tmp_path / "list.m3u") == [long, tmp_path / "other.wav"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match="names no file"):
        find_recordings(tmp_path / "empty.txt")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"fmt": "xml"}, "unknown format"),
        ({"per": "clip"}, "--per clip is for"),
        ({"timeline": "page.html", "files": 2}, "show one recording"),
        ({"fmt": "audacity", "files": 2}, "name a folder with --out"),
        ({"out": "nowhere/scores.csv"}, "there is no folder"),
        ({"figure": "figure.doc"}, "a figure can't be written"),
    ],
)
def test_what_can_not_be_written_is_refused_first(tmp_path, asked, sentence):
    from benchmark.cli.predict import _check

    files = [song(tmp_path / "song.wav", seconds=1, channels=1)] * asked.get("files", 1)
    asked = {name: value for name, value in asked.items() if name != "files"}
    paths = {n: tmp_path / asked[n] for n in ("out", "timeline", "figure") if n in asked}
    given = {"fmt": "table", "per": "window", "out": None, "timeline": None, "figure": None}
    with pytest.raises((DataError, ProtocolError, UnknownNameError), match=sentence):
        _check(files, files, **{**given, **asked, **paths})


def test_a_place_that_can_not_be_written_is_refused_first(tmp_path, monkeypatch):
    from benchmark.cli.common import check_output

    check_output(tmp_path / "scores.csv")
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(DataError, match=r"scores\.csv can't be written: there is no right to"):
        check_output(tmp_path / "scores.csv")


def test_a_folder_of_label_tracks_stays_one_where_a_file_is_unreadable(tmp_path, store):
    import typer

    from benchmark.cli.predict import predict

    files = [song(tmp_path / "song.wav", seconds=1, channels=1), tmp_path / "noise.wav"]
    files[1].write_bytes(b"no audio")
    with pytest.raises(typer.Exit):
        predict(
            files, model="logistic_regression", store=store, fmt="audacity", out=tmp_path / "out"
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["song.txt"]


# --- recordings with labels


@pytest.fixture
def labelled(tmp_path):
    """Five recordings of noise; in the table one cell in three was not observed."""
    folder = tmp_path / "audio"
    folder.mkdir()
    rows = [["clip", "source", "drums", "violin"]]
    for i in range(5):
        song(folder / f"clip{i}.wav", seconds=1 + i, rate=24_000, channels=1)
        rows.append([f"clip{i}", "made", str(i % 2), "" if i % 2 else "1"])
    write(tmp_path / "labels.csv", rows)
    return folder, tmp_path / "labels.csv", rows


def write(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_a_run_is_scored_on_labelled_recordings(labelled, store, heard_by, capsys):
    from sklearn.metrics import average_precision_score

    from benchmark.cli.evaluate import evaluate

    folder, table, _ = labelled
    evaluate(folder, table, model="logistic_regression", store=store, fmt="json", resamples=99)
    out, err = capsys.readouterr()
    assert "columns that are no class of this run are left out: source\n" in err
    told = json.loads(out)
    rows = {row["class"]: row for row in told["rows"]}
    scores = [heard_by.recogniser.hear(file).clip for file in sorted(folder.iterdir())]
    drums = np.array(scores)[:, CLASSES.index("drums")]
    expected = average_precision_score([0, 1, 0, 1, 0], drums)
    assert rows["drums"]["AP"] == rows["mAP"]["AP"] == pytest.approx(expected)
    assert rows["drums"]["chance"] == 0.4 and rows["violin"]["AP"] is None
    assert (rows["violin"]["observed"], rows["voice"]["observed"]) == (3, 0)
    known = heard_by.knowledge.average_precision[CLASSES.index("drums")]
    assert rows["drums"]["AP on test"] == pytest.approx(known)
    assert "violin" in told["notes"][-2]
    assert told["notes"][-3].endswith("may be far too short: drums")


def test_too_few_resamples_are_refused_before_anything_is_heard(labelled, store, monkeypatch):
    from benchmark.cli.evaluate import evaluate
    from benchmark.predict.recogniser import Recogniser

    folder, table, _ = labelled
    monkeypatch.setattr(Recogniser, "hear", lambda *_: pytest.fail("it was heard"))
    with pytest.raises(ProtocolError, match=r"too few for an interval.*Ask for more resamples"):
        evaluate(folder, table, model="logistic_regression", store=store, resamples=39)


def test_a_column_that_is_nearly_called_like_a_class_is_asked_about(labelled, store, capsys):
    from benchmark.cli.evaluate import evaluate

    folder, table, rows = labelled
    rows[0][1] = "Voice"
    write(table, rows)
    evaluate(folder, table, model="logistic_regression", store=store, fmt="json", resamples=99)
    assert "are left out: Voice (did you mean 'voice'?)" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"there is no folder .*audios: name the one"):
        read_labels(table, folder.with_name("audios"), CLASSES)


def test_a_single_positive_gives_no_interval(heard_by):
    y_true, scores = np.zeros((3, 20), np.float32), np.linspace(0, 1, 60).reshape(3, 20)
    y_true[2, CLASSES.index("drums")] = y_true[1, CLASSES.index("voice")] = 1
    labels = Labels(y_true, np.ones((3, 20), bool))
    frame, notes = recordings.result(heard_by, labels, scores.astype(np.float32), 99)
    rows = frame.set_index("class")
    assert rows.loc["drums", "AP"] == 1 and rows.loc["mAP", "AP"] == 0.75
    assert rows[["AP low", "AP high"]].isna().all(axis=None)
    assert any(note.endswith("gives none: drums, voice") for note in notes)


def test_nothing_to_score_is_said(heard_by):
    none = Labels(np.zeros((2, 20), np.float32), np.zeros((2, 20), bool))
    frame, notes = recordings.result(heard_by, none, np.zeros((2, 20), np.float32), 99)
    assert frame["AP"].isna().all() and "in no mean" in notes[-1]


def test_a_name_that_two_recordings_have_is_refused(labelled):
    folder, table, rows = labelled
    (folder / "deep").mkdir()
    shutil.copy(folder / "clip1.wav", folder / "deep")
    with pytest.raises(DataError, match=r"'clip1', which may be clip1.wav or deep/clip1.wav"):
        read_labels(table, folder, CLASSES)
    rows[2][0] = "deep/clip1.wav"
    write(table, rows)
    assert read_labels(table, folder, CLASSES).files[1] == folder / "deep" / "clip1.wav"
    rows[2][0] = "deep/clip1"  # as a folder's table says it
    write(table, rows)
    assert read_labels(table, folder, CLASSES).files[1] == folder / "deep" / "clip1.wav"


def test_recordings_that_are_not_there_are_left_out(labelled):
    folder, table, rows = labelled
    whole = read_labels(table, folder, CLASSES)
    rows[1][0] = "clip9"
    write(table, rows)
    found = read_labels(table, folder, CLASSES)
    assert found.missing == ["clip9"] and not whole.missing
    assert found.files == whole.files[1:]
    np.testing.assert_array_equal(found.labels.y_true, whole.labels.y_true[1:])
    np.testing.assert_array_equal(found.labels.y_mask, whole.labels.y_mask[1:])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows[0].__setitem__(0, "thing"), "has no column `clip`"),
        (lambda rows: rows[0].__setitem__(slice(2, 4), ["a", " Drums"]),
         "called like a class: .*' Drums'"),
        (lambda rows: [row.__setitem__(0, f"{row[0]}9") for row in rows[1:]],
         "names 'clip09', and .* no audio"),
        (lambda rows: rows[1].__setitem__(2, "yes"), "says 'yes' of drums in clip0"),
        (lambda rows: rows[1].__setitem__(2, "nan"), "says 'nan' of drums"),
        (lambda rows: rows[2].__setitem__(0, "clip0"), "names clip0.wav twice"),
        (lambda rows: rows.__delitem__(slice(1, None)), "holds no row"),
        (lambda rows: rows.__setitem__(slice(None), [[";".join(row)] for row in rows]),
         "no column `clip`; its cells are separated by semicolons"),
        (lambda rows: rows[2].pop(), "row 2 has another number of cells"),
        (lambda rows: rows[3].append("1"), "row 3 has another number of cells"),
        (lambda rows: rows[0].__setitem__(0, "x" * 200_000), "is no CSV file"),
        (lambda rows: rows[0].__setitem__(1, "drums"), "has two columns 'drums'"),
        (lambda rows: rows.clear(), "no column `clip`; its first line is empty"),
        (lambda rows: [row.__setitem__(slice(2, 4), ["", ""]) for row in rows[1:]],
         "observes no label"),
    ],
)  # fmt: skip
def test_a_table_that_can_not_be_used_is_refused(labelled, change, sentence):
    folder, table, rows = labelled
    change(rows)
    write(table, rows)
    with pytest.raises(DataError, match=sentence):
        read_labels(table, folder, CLASSES)


def test_a_bar_passes_the_mark_of_its_threshold_just_where_the_score_reaches_it():
    assert bar(0.5, 0.5, 8) == "████│█   "
    assert bar(0.49, 0.5, 8) == "████│    "
    assert bar(0.0, 0.0, 8) == "│█       " and bar(1.0, 1.0, 8) == "███████│█"
    assert bar(0.9, np.inf, 8) == "███████│ "
