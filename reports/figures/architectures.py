"""Drawings of the networks' architectures, made by visualkeras.

visualkeras 0.2.0 reads each layer's ``output_shape``, which Keras 3 has dropped. It is given
stand-ins for model and layers that have what it reads, so neither library is changed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reports.figures.style import PAGE, Figure

#: Sizes of the drawing, in dots: of boxes, between them and at the margin, of a line of text.
LEAST, SPACING, PADDING, LINE = 24, 46, 40, 40

#: What all networks are drawn for: frames, features and classes.
SHAPE = (10, 128, 20)

DOTS_AN_INCH = 300

#: Colour of each kind of layer, light enough for grey print to tell them from the outlines.
COLOURS = {
    "input": "#FFFFFF",
    "convolution": "#D55E00",
    "dense": "#0072B2",
    "normalisation": "#F0E442",
    "activation": "#E69F00",
    "dropout or noise": "#BBBBBB",
    "pooling or sum": "#009E73",
    "attention (softmax, product)": "#CC79A7",
    "reshape": "#56B4E9",
}

#: Kind of layer by the beginning of its class's name, first match counts.
KINDS = {
    "InputLayer": "input",
    "Conv": "convolution",
    "Dense": "dense",
    "BatchNorm": "normalisation",
    "LayerNorm": "normalisation",
    "Softmax": "attention (softmax, product)",
    "Multiply": "attention (softmax, product)",
    "Activation": "activation",
    "GaussianNoise": "dropout or noise",
    "SpatialDropout": "dropout or noise",
    "Dropout": "dropout or noise",
    "MaxPooling": "pooling or sum",
    "Global": "pooling or sum",
    "Sum": "pooling or sum",
    "Mean": "pooling or sum",
    "Max": "pooling or sum",
    "Add": "pooling or sum",
    "Reshape": "reshape",
    "Flatten": "reshape",
}

#: Kinds whose output shape is written beside them.
TOLD = {"input", "convolution", "dense", "pooling or sum", "reshape"}


@dataclass(frozen=True)
class Architecture:
    """A network to be drawn.

    Attributes
    ----------
    label : str
        As in the tables, such as ``"cnn tuned"``.
    model : str
        Name of the plugin, such as ``"cnn"``.
    preset : str or None
    params : dict
        Parameters that differ from the preset's.
    """

    label: str
    model: str
    preset: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


class _Layer:
    """What visualkeras reads of a layer; it tells kinds apart by their class."""

    def __init__(self, name: str, shape: tuple[int | None, ...]) -> None:
        self.name = name
        self.output_shape = shape


class _Network:
    """What visualkeras reads of a model."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self.layers = list(layers)


def kind(name: str) -> str:
    """Return what kind of layer a Keras class is, by its name; its own name if unknown."""
    return next((kind for start, kind in KINDS.items() if name.startswith(start)), name.lower())


def draw(
    networks: Sequence[Architecture], folder: Path, shape: tuple[int, int, int] = SHAPE
) -> list[Figure]:
    """Draw each network into a folder, as PNG of 17.5 cm at 300 dots an inch.

    Parameters
    ----------
    networks : sequence of Architecture
    folder : Path
        Made if need be.
    shape : tuple of int
        Frames, features and classes.

    Returns
    -------
    list of Figure
        Named ``architecture-LABEL``, with what is no letter or digit replaced by hyphens.

    Raises
    ------
    UnknownNameError
        If there is no such model or preset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = []
    for one in networks:
        keras_model = _built(one, shape)
        picture = _picture(_stand_in(keras_model), _branches(keras_model))
        name = "architecture-" + re.sub(r"[^A-Za-z0-9]+", "-", one.label).strip("-")
        picture.save(folder / f"{name}.png", dpi=(DOTS_AN_INCH, DOTS_AN_INCH))
        figures.append(_figure(name, one, keras_model, shape))
    return figures


def _built(one: Architecture, shape: tuple[int, int, int]) -> Any:
    """Return a network that was never trained."""
    from benchmark.plugins import registry

    model = registry.models().get(one.model).from_params(one.preset, **one.params)
    return model._network(*shape)


def _stand_in(keras_model: Any) -> _Network:
    kinds: dict[str, type[_Layer]] = {}
    layers = []
    for layer in keras_model.operations:
        name = kind(type(layer).__name__)
        cls = kinds.setdefault(name, type(name, (_Layer,), {}))
        layers.append(cls(layer.name, tuple(layer.output.shape)))
    return _Network(layers)


def _branches(keras_model: Any) -> bool:
    """Whether any layer takes more than one other layer's output, so that order isn't flow."""
    return any(isinstance(one.input, list) and len(one.input) > 1 for one in keras_model.operations)


def _text(layer: _Layer) -> str:
    return "×".join(str(size) for size in layer.output_shape[1:])


def _is_told(layer: _Layer) -> bool:
    """Whether the size is written: not where nothing but an axis of length 1 came or went."""
    name = type(layer).__name__
    return name in TOLD and not (name == "reshape" and 1 in layer.output_shape)


def _font(points: float) -> Any:
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    size = round(points * DOTS_AN_INCH / 72)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _picture(network: _Network, branches: bool) -> Any:
    """Draw all layers in a row; below them the sizes of their outputs, then a legend."""
    from PIL import Image, ImageDraw

    boxes = _boxes(network)
    width = round(PAGE / 2.54 * DOTS_AN_INCH)
    free = width - 2 * PADDING - sum(box[0] for box in boxes) - boxes[0][2]
    spacing = min(SPACING, int(free / len(boxes)))
    drawn = _layered(network, branches, spacing, legend=False)
    with_legend = _layered(network, branches, spacing, legend=True)
    legend = with_legend.crop((0, drawn.height, with_legend.width, with_legend.height))

    texts = _placed(network, boxes, spacing)
    start = drawn.height + LINE // 2
    foot = start + LINE * (1 + max(row for *_, row in texts))
    whole = Image.new("RGB", (width, foot + LINE // 2 + legend.height), "white")
    left = (width - drawn.width) // 2
    whole.paste(drawn, (left, LINE // 4), drawn)
    pen = ImageDraw.Draw(whole)
    for text, x, height, row in texts:
        top = start + LINE * row
        pen.line([(left + x, (drawn.height + height) // 2 + LINE // 4 + 2), (left + x, top - 2)],
                 fill="#777777", width=2)  # fmt: skip
        pen.text((left + x, top), text, font=_font(7), fill="black", anchor="ma")
    whole.paste(legend, (max(0, (width - legend.width) // 2), foot + LINE // 2), legend)
    return whole


#: How layers become boxes, in dots; read by visualkeras.
_SCALE = {
    "scale_xy": 1.2, "scale_z": 0.35, "min_xy": 45, "max_xy": 420, "min_z": LEAST, "max_z": 110,
    "one_dim_orientation": "y",
}  # fmt: skip


def _layered(network: _Network, branches: bool, spacing: int, legend: bool) -> Any:
    import warnings

    import visualkeras

    colours = {
        cls: {"fill": COLOURS.get(cls.__name__, "#DDDDDD"), "outline": "#222222"}
        for cls in {type(layer) for layer in network.layers}
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that an option, left alone here, is deprecated
        return visualkeras.layered_view(
            network, color_map=colours, legend=legend, font=_font(7), draw_funnel=not branches,
            spacing=spacing, padding=PADDING, shade_step=18, **_SCALE,
        )  # fmt: skip


def _boxes(network: _Network) -> list[tuple[float, float, float]]:
    """Return width, height and depth of each layer's box, as visualkeras draws it."""
    from visualkeras.layer_utils import calculate_layer_dimensions

    boxes = []
    for layer in network.layers:
        x, y, z = calculate_layer_dimensions(layer.output_shape, **_SCALE)
        boxes.append((z, y, x / 3))
    return boxes


def _placed(
    network: _Network, boxes: Sequence[tuple[float, float, float]], spacing: int
) -> list[tuple[str, int, int, int]]:
    """Return text, centre, height of the box and line of each size that is told.

    A text stands in the first line where it does not touch the one before it.
    """
    at, first = float(PADDING), boxes[0][2] / 2
    ends: list[float] = []
    placed = []
    for layer, (width, height, depth) in zip(network.layers, boxes, strict=True):
        if _is_told(layer):
            centre = at - depth / 2 + first + width / 2
            half = _font(7).getlength(_text(layer)) / 2 + 6
            row = next((r for r, end in enumerate(ends) if end < centre - half), len(ends))
            ends[row : row + 1] = [centre + half]
            placed.append((_text(layer), round(centre), round(height + depth), row))
        at += width + spacing
    return placed


def _figure(name: str, one: Architecture, keras_model: Any, shape: tuple[int, int, int]) -> Figure:
    frames, features, classes = shape
    caption = (
        f"Architecture of {one.label}, {keras_model.count_params():,} weights: from {frames} "
        f"frames of {features} features to scores for {classes} classes. Numbers are sizes of "
        "the outputs; the drawing cuts large ones short."
    )
    if _branches(keras_model):
        caption += (
            " Layers stand in the order in which they are computed; the last dense layers, for "
            "scores and for attention weights, take the same input and meet in a weighted sum "
            "over frames."
        )
    steps = [
        f"{kind(type(layer).__name__)} {_text(_Layer(layer.name, tuple(layer.output.shape)))}"
        for layer in keras_model.operations
    ]
    alt = f"Layers of {one.label} in order, with their outputs: {', '.join(steps)}."
    return Figure(name, f"Architecture of {one.label}", caption, alt, "polytimbre report")
