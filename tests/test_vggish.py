"""VGGish without its weights: the input, the network, the last steps, the checkpoint's format."""

import numpy as np
import pytest
from scipy.signal import correlate
from test_musicnn import field, varint, write_table

from benchmark.errors import DataError
from benchmark.features import vggish
from benchmark.features.pretrained import files
from benchmark.features.pretrained.checkpoints import read_single_file
from benchmark.features.pretrained.table import unsnap
from benchmark.features.vggish import CONVOLUTIONS, DENSE, Network, VGGish, quantise, whiten


def tensors(width=3, dense=7, seed=0):
    """Random weights of the network with fewer channels."""
    rng = np.random.default_rng(seed)
    channels, made = [1, width, width + 1, width, width + 2, width, width + 3], {}
    for (name, _), before, after in zip(CONVOLUTIONS, channels, channels[1:]):
        made[f"vggish/{name}/weights"] = rng.normal(0, 0.4, (3, 3, before, after))
    sizes = [6 * 4 * channels[-1], dense, dense + 1, 128]
    for name, before, after in zip(DENSE, sizes, sizes[1:]):
        made[f"vggish/{name}/weights"] = rng.normal(0, 0.3, (before, after))
    for name in list(made):
        made[name.replace("weights", "biases")] = rng.normal(0, 0.1, made[name].shape[-1])
    return {name: value.astype(np.float32) for name, value in made.items()}


# --- the input


def test_log_mel_agrees_with_a_slow_reference():
    """By definition: each window's transform as a sum, each filter's slope bin by bin."""
    signal = np.random.default_rng(0).normal(0, 0.1, 400 + 2 * 160)
    times = np.arange(400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * times / 400)

    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    edges = [mel(125) + i * (mel(7500) - mel(125)) / 65 for i in range(66)]
    expected = np.zeros((3, 64))
    for row in range(3):
        piece = signal[160 * row : 160 * row + 400] * window
        for line in range(1, 257):  # no DC
            hertz = line * 16_000 / 512
            magnitude = abs(np.sum(piece * np.exp(-2j * np.pi * hertz / 16_000 * times)))
            for band, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:])):
                rising = (mel(hertz) - low) / (centre - low)
                falling = (high - mel(hertz)) / (high - centre)
                expected[row, band] += max(0, min(rising, falling)) * magnitude
    np.testing.assert_allclose(vggish.log_mel(signal), np.log(expected + 0.01), atol=1e-5)


def test_ten_seconds_are_ten_frames_and_a_frame_needs_15_ms_more():
    front_end = VGGish()
    assert front_end.n_frames(160_000) == 10
    assert front_end.n_samples(10) == 153_840
    assert front_end.n_frames(153_839) == 9


# --- the network


def slow_embedding(weights, example, relu):
    x = example.astype(np.float64)[:, :, None]
    for name, pooled in CONVOLUTIONS:
        kernel = weights[f"vggish/{name}/weights"].astype(np.float64)
        out = np.stack(
            [
                sum(
                    correlate(x[:, :, i], kernel[:, :, i, o], mode="same", method="direct")
                    for i in range(x.shape[2])
                )
                for o in range(kernel.shape[3])
            ],
            axis=2,
        )
        x = np.maximum(out + weights[f"vggish/{name}/biases"], 0)
        if pooled:
            x = np.maximum.reduce([x[i::2, j::2] for i in (0, 1) for j in (0, 1)])
    x = x.ravel()
    for name in DENSE:
        x = x @ weights[f"vggish/{name}/weights"] + weights[f"vggish/{name}/biases"]
        x = np.maximum(x, 0) if relu or name != "fc2" else x
    return x


@pytest.mark.parametrize("relu", [True, False])
def test_network_agrees_with_a_slow_implementation(relu):
    weights = tensors()
    examples = np.random.default_rng(1).normal(size=(2, 96, 64)).astype(np.float32)
    found = Network(weights).embed(examples, relu)
    expected = np.stack([slow_embedding(weights, example, relu) for example in examples])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (found.min() < 0) is not relu


def test_principal_components_and_eight_bits():
    rng = np.random.default_rng(2)
    embedding, vectors, means = (rng.normal(size=shape) for shape in ((5, 128), (128, 128), 128))
    found = whiten(embedding, vectors, means)
    np.testing.assert_allclose(found[3], [row @ (embedding[3] - means) for row in vectors])
    values = np.array([[-9.0, -2.0, 0.0, 0.01, 1.999, 2.0, 9.0]])
    assert quantise(values, truncate=True).tolist() == [[0, 0, 127, 128, 254, 255, 255]]
    assert quantise(values, truncate=False).tolist() == [[0, 0, 128, 128, 255, 255, 255]]


# --- the checkpoint's format


def snap(content):
    """Compress by Snappy: bytes as they are, and copies of what came a little before."""
    out, at, start = varint(len(content)), 0, 0

    def literal(piece):
        if len(piece) <= 60:
            return bytes([(len(piece) - 1) << 2]) + piece if piece else b""
        return bytes([61 << 2]) + (len(piece) - 1).to_bytes(2, "little") + piece

    while at < len(content):
        for back, kind in ((4, 1), (8, 2), (3, 3)):
            size = 0
            while at >= back and size < 11 and at + size < len(content):
                if content[at + size] != content[at + size - back]:
                    break
                size += 1
            if size >= 4:
                out += literal(content[start:at])
                if kind == 1:
                    out += bytes([back >> 8 << 5 | (size - 4) << 2 | 1, back & 0xFF])
                else:
                    width = 2 if kind == 2 else 4
                    out += bytes([(size - 1) << 2 | kind]) + back.to_bytes(width, "little")
                at += size
                start = at
                break
        else:
            at += 1
            if at - start == 60_000:
                out += literal(content[start:at])
                start = at
    return out + literal(content[start:])


@pytest.mark.parametrize(
    "content", [b"", b"abc", b"ab" * 300, bytes(range(256)) * 3, b"abcabcabcabcabcdabcd" * 50]
)
def test_snappy_is_undone(content):
    assert bytes(unsnap(memoryview(snap(content)))) == content


def write_checkpoint(path, weights):
    """In the older format: one table, of the tensors' shapes and then of their values."""
    metas, entries = b"", []
    for name, value in sorted(weights.items()):
        dims = b"".join(field(2, field(1, size)) for size in value.shape)
        whole = b"".join(field(1, b"") for _ in value.shape)
        metas += field(1, field(1, name.encode()) + field(2, dims) + field(3, 1) + field(4, whole))
        tensor = field(1, 1) + field(5, value.tobytes())
        part = field(1, name.encode()) + field(2, whole) + field(3, tensor)
        entries.append((b"\0" + name.encode(), field(2, part)))
    blocks = [[(b"", field(1, metas))], *([entry] for entry in entries)]
    write_table(path, blocks, lambda content: (snap(content), 1))


def test_the_older_checkpoint_is_read_and_an_optimizers_state_left_out(tmp_path):
    weights = tensors()
    state = {"vggish/conv1/weights/Adagrad": np.ones((3, 3, 1, 3), np.float32)}
    write_checkpoint(tmp_path / "model.ckpt", {**weights, **state})
    found = read_single_file(tmp_path / "model.ckpt", Network.names())
    assert sorted(found) == sorted(weights)
    assert all(np.array_equal(found[name], value) for name, value in weights.items())


@pytest.mark.parametrize("damage", ["lacking", "text", "flipped", "cut", "missing"])
def test_a_damaged_checkpoint_is_a_sentence(tmp_path, damage):
    weights, path = tensors(), tmp_path / "model.ckpt"
    if damage == "lacking":
        del weights["vggish/fc2/biases"]
    write_checkpoint(path, weights)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage != "lacking":
        changed = {"text": b"text" * 99, "cut": content[:4000] + content[-48:]}
        path.write_bytes(changed.get(damage, content[:50] + b"\xff" * 40 + content[90:]))
    with pytest.raises(DataError, match=r"model\.ckpt"):
        read_single_file(path, Network.names())


# --- as a whole


@pytest.fixture
def with_weights(tmp_path, monkeypatch):
    """Random weights in files, as if they had been downloaded."""
    write_checkpoint(tmp_path / "model.ckpt", tensors())
    rng = np.random.default_rng(3)
    components = {"pca_eigen_vectors": rng.normal(size=(128, 128)), "pca_means": np.ones((128, 1))}
    np.savez(tmp_path / "pca.npz", **components)
    paths = [tmp_path / "model.ckpt", tmp_path / "pca.npz"]
    monkeypatch.setattr(files, "installed", lambda name, weights: paths)
    return components


def test_features_are_the_quantised_components_of_each_frame(with_weights):
    signal = np.random.default_rng(4).normal(0, 0.1, 48_000).astype(np.float32)
    front_end = VGGish(relu=False)
    features = front_end.extract(signal)
    assert features.shape == (3, 128) and features.dtype == np.uint8
    alone = front_end.extract(signal[15_360 : 2 * 15_360 + 240])
    assert np.array_equal(alone[0], features[1])
    vectors, means = with_weights["pca_eigen_vectors"], with_weights["pca_means"].ravel()
    expected = quantise((front_end.embed(signal) - means) @ vectors.T, truncate=True)
    assert np.array_equal(features, expected)


def test_verify_holds_a_sine_against_the_published_values(with_weights, monkeypatch):
    """Random weights do not pass; what they give, if it were published, would."""
    with pytest.raises(DataError, match=r"mean .* published 0\.131 and 0\.238"):
        VGGish().verify()
    seconds = np.arange(48_000) / 16_000
    sine = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    values = {"embedding": VGGish().embed(sine), "features": VGGish().extract(sine)}
    published = {name: (v.mean(), v.std()) for name, v in values.items()}
    monkeypatch.setattr(vggish, "SMOKE_TEST", published)
    assert len(VGGish().verify()) == 2
