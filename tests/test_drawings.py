"""Drawings of the networks."""

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import UnknownNameError
from models.attention import Attention
from models.cnn import CNN
from reports.figures import architectures
from reports.figures.architectures import Architecture

#: Every default network, and its presets.
DEFAULTS = [
    Architecture(f"{cls.name}:{preset}" if preset else cls.name, cls.name, preset)
    for cls in (Attention, CNN)
    for preset in (None, *cls.presets)
]
#: What a tuned network may look like: two dimensions, several heads, many layers.
TUNED = (
    Architecture("cnn tuned", "cnn", None, {"kind": "2d", "filters": [16], "pooling": "mean"}),
    Architecture("attention tuned", "attention", None, {"units": 128, "heads": 4}),
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawings") / "new"
    return folder, architectures.draw([*DEFAULTS, *TUNED], folder)


def test_every_network_is_drawn_at_the_size_it_is_printed_with(drawn):
    folder, found = drawn
    assert [one.name for one in found] == [
        "architecture-attention", "architecture-attention-published", "architecture-cnn",
        "architecture-cnn-published", "architecture-cnn-tuned", "architecture-attention-tuned",
    ]  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {f"{one.name}.png" for one in found}
    for one in found:
        with Image.open(folder / f"{one.name}.png") as picture:
            assert picture.width == round(17.5 / 2.54 * 300)
            pixels = np.asarray(picture.convert("RGB"))
        margins = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
        assert all((side == 255).all() for side in margins), one.name  # nothing is cut
        assert len(np.unique(pixels @ np.array([1, 256, 65536]))) > 20


def test_captions_tell_the_network(drawn):
    published = next(one for one in drawn[1] if one.name == "architecture-cnn-published")
    assert "cnn:published, 2,080,020 weights" in published.caption
    assert "order in which they are computed" not in published.caption  # it has no branches
    assert "convolution 10×128×64" in published.alt and "dense 256" in published.alt
    attention = drawn[1][0]
    assert "weighted sum over frames" in attention.caption
    assert "attention (softmax, product) 10×20" in attention.alt
    assert "reshape 1×20" in attention.alt


def test_bytes_repeat_and_keras_is_left_as_it_was(drawn, tmp_path):
    import keras

    architectures.draw([Architecture("cnn", "cnn")], tmp_path)
    name = "architecture-cnn.png"
    assert (tmp_path / name).read_bytes() == (drawn[0] / name).read_bytes()
    assert not hasattr(keras.layers.Layer, "output_shape")


@pytest.mark.parametrize("one", [*DEFAULTS, *TUNED],
                         ids=lambda one: one.label)  # fmt: skip
def test_sizes_touch_neither_each_other_nor_the_lines_to_them(one):
    network = architectures._stand_in(architectures._built(one, architectures.SHAPE))
    texts = architectures._placed(network, architectures._boxes(network), 28)
    assert len(texts) >= 5
    halves = [architectures._font(7).getlength(text) / 2 for text, *_ in texts]
    for i, (_, x, _, row) in enumerate(texts):
        for j, (_, other, _, other_row) in enumerate(texts):
            if i != j and row == other_row:
                assert abs(x - other) > halves[i] + halves[j]
            if row > other_row:  # the line to a lower text passes this one
                assert abs(x - other) > halves[j]


def test_every_kind_of_layer_has_a_name_and_a_colour():
    for one in (*DEFAULTS, *TUNED):
        network = architectures._stand_in(architectures._built(one, architectures.SHAPE))
        assert {type(layer).__name__ for layer in network.layers} <= set(architectures.COLOURS)
    assert architectures.kind("Conv1D") == architectures.kind("Conv2D") == "convolution"
    assert architectures.kind("SomethingNew") == "somethingnew"


def test_unknown_networks_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="cnn"):
        architectures.draw([Architecture("cnm", "cnm")], tmp_path)
