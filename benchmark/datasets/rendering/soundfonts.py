"""Presets taken out of SoundFont 2 banks, and notes played on them.

A bank holds all of General MIDI in up to 150 MB. The synthesiser reads a bank anew for every
clip, so each preset is first copied into a small bank of its own.
"""

import io
import struct
import wave
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from types import ModuleType

import numpy as np

from benchmark.datasets.rendering.scores import MISSING
from benchmark.errors import DataError

#: In Hz. midirenderer renders at twice this rate; half is enough for the features' highest
#: band and takes half the time.
SAMPLE_RATE = 24_000
#: The bank of drum kits.
DRUMS = 128

#: Bytes of a record of each table.
_SIZES = {
    "phdr": 38, "pbag": 4, "pmod": 10, "pgen": 4, "inst": 22, "ibag": 4, "imod": 10, "igen": 4,
    "shdr": 46,
}  # fmt: skip
#: Generators that name an instrument (in a preset) and a sample (in an instrument).
_INSTRUMENT, _SAMPLE = 41, 53
#: Silence after each sample, as the format demands.
_GAP = 46
_VOLUME, _REVERB, _CHORUS = 7, 91, 93


class Bank:
    """A SoundFont 2 file, as tables of records.

    Parameters
    ----------
    content : bytes
        The whole file.
    """

    def __init__(self, content: bytes):
        self.tables: dict[str, list[bytes]] = {}
        for name, chunk in _chunks(memoryview(content)[12:]):
            if name == "smpl":
                self.samples = np.frombuffer(chunk, "<i2", len(chunk) // 2)
            elif size := _SIZES.get(name):
                self.tables[name] = [bytes(chunk[i : i + size]) for i in range(0, len(chunk), size)]

    def presets(self) -> dict[tuple[int, int], int]:
        """Return the row of each (bank, program)."""
        rows = [struct.unpack_from("<HH", row, 20) for row in self.tables["phdr"][:-1]]
        return {(bank, program): i for i, (program, bank) in enumerate(rows)}

    def alone(self, bank: int, program: int) -> bytes:
        """Return a SoundFont with one preset: program 0, of the drums' bank or of bank 0."""
        row = self.presets()[bank, program]
        header = struct.pack("<20sHHHIII", b"preset", 0, DRUMS if bank == DRUMS else 0, 0, 0, 0, 0)
        bags = self._zones("phdr", 24, row, "pbag", "pmod", "pgen")
        instruments = _named(bags, _INSTRUMENT)
        zones = [
            self._zones("inst", 20, old, "ibag", "imod", "igen") for old in sorted(instruments)
        ]
        used = sorted(set().union(*(_named(zone, _SAMPLE) for zone in zones)))
        samples = {old: new for new, old in enumerate(used)}
        instruments = {old: new for new, old in enumerate(sorted(instruments))}
        tables = _write("phdr", [header], 24, "pbag", "pmod", "pgen", [bags], instruments)
        names = [b"instrument".ljust(20, b"\0") + b"\0\0"] * len(zones)
        tables |= _write("inst", names, 20, "ibag", "imod", "igen", zones, samples)
        tables["shdr"], wave_data = self._copy(used)
        pdta = b"".join(_chunk(name, tables[name]) for name in _SIZES)
        info = _chunk("ifil", struct.pack("<HH", 2, 1)) + _chunk("isng", b"EMU8000\0")
        lists = ((b"INFO", info), (b"sdta", _chunk("smpl", wave_data)), (b"pdta", pdta))
        return _chunk("RIFF", b"sfbk" + b"".join(_chunk("LIST", a + b) for a, b in lists))

    def _zones(self, table, offset, row, bag, mod, gen) -> list[tuple[list[bytes], list[bytes]]]:
        """Return the zones of a preset or an instrument: the generators, the modulators."""
        first, last = (
            struct.unpack_from("<H", self.tables[table][r], offset)[0] for r in (row, row + 1)
        )
        bounds = [struct.unpack("<HH", self.tables[bag][b]) for b in range(first, last + 1)]
        return [
            (self.tables[gen][g0:g1], self.tables[mod][m0:m1])
            for (g0, m0), (g1, m1) in pairwise(bounds)
        ]

    def _copy(self, rows: list[int]) -> tuple[bytes, bytes]:
        """Copy samples; each becomes mono, since the mix is."""
        headers, parts, position = [], [], 0
        for row in rows:
            name, *points, rate, pitch, correction, _, _ = struct.unpack(
                "<20sIIIIIBbHH", self.tables["shdr"][row]
            )
            start, end = points[:2]
            points = [point + position - start for point in points]
            headers.append(
                struct.pack("<20sIIIIIBbHH", name, *points, rate, pitch, correction, 0, 1)
            )
            parts += [self.samples[start:end], np.zeros(_GAP, np.int16)]
            position += end - start + _GAP
        end = struct.pack("<20sIIIIIBbHH", b"EOS", *[0] * 9)
        return b"".join([*headers, end]), np.concatenate(parts).astype("<i2").tobytes()


def _chunks(content: bytes | memoryview) -> Iterator[tuple[str, memoryview]]:
    """Yield the name and the content of each chunk, of those in lists too."""
    view, position = memoryview(content), 0
    while position + 8 <= len(view):
        size = struct.unpack_from("<I", view, position + 4)[0]
        chunk = view[position + 8 : position + 8 + size]
        if view[position : position + 4] == b"LIST":
            yield from _chunks(chunk[4:])
        else:
            yield bytes(view[position : position + 4]).decode("ascii"), chunk
        position += 8 + size + size % 2


def _chunk(name: str, content: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _named(zones: list[tuple[list[bytes], list[bytes]]], kind: int) -> set[int]:
    """Return the instruments or samples that zones name."""
    pairs = (struct.unpack("<HH", one) for generators, _ in zones for one in generators)
    return {value for generator, value in pairs if generator == kind}


def _write(table, heads, offset, bag, mod, gen, owners, renumbered) -> dict[str, bytes]:
    """Write presets or instruments, whose zones name what was renumbered."""
    kind = _INSTRUMENT if gen == "pgen" else _SAMPLE
    rows, bags, mods, gens = [], [], [], []
    for head, zones in zip(heads, owners, strict=True):
        rows.append(head[:offset] + struct.pack("<H", len(bags)) + head[offset + 2 :])
        for generators, modulators in zones:
            bags.append(struct.pack("<HH", len(gens), len(mods)))
            mods += modulators
            for one in generators:
                number, value = struct.unpack("<HH", one)
                value = renumbered[value] if number == kind else value
                gens.append(struct.pack("<HH", number, value))
    # Each table ends with a record that only marks where the last one's zones end.
    rows.append(bytes(offset) + struct.pack("<H", len(bags)) + bytes(_SIZES[table] - offset - 2))
    bags.append(struct.pack("<HH", len(gens), len(mods)))
    joined = {table: rows, bag: bags, mod: [*mods, bytes(10)], gen: [*gens, bytes(4)]}
    return {name: b"".join(records) for name, records in joined.items()}


def play(font: bytes, notes: np.ndarray, seconds: float, *, drums: bool) -> np.ndarray:
    """Play notes on a SoundFont's only preset.

    Parameters
    ----------
    font : bytes
        From :meth:`Bank.alone`.
    notes : ndarray, shape (n_notes, 4), float64
        Start and end in seconds, MIDI pitch, velocity.
    seconds : float
        How much to render at least.
    drums : bool
        Whether the preset is a drum kit.

    Returns
    -------
    ndarray, shape (n_samples,), float64
        Mono at 24 kHz, in 16-bit steps.
    """
    pretty_midi, midirenderer = imported("pretty_midi"), imported("midirenderer")
    player = pretty_midi.Instrument(0, is_drum=drums)
    for number, value in {_VOLUME: 100, _REVERB: 0, _CHORUS: 0}.items():
        player.control_changes.append(pretty_midi.ControlChange(number, value, 0.0))
    for start, end, pitch, velocity in notes.tolist():
        player.notes.append(pretty_midi.Note(int(velocity), int(pitch), start, end))
    # The renderer stops at the last event: keep it going past the end of the clip.
    player.notes.append(pretty_midi.Note(1, 60, seconds + 0.1, seconds + 0.2))
    midi = pretty_midi.PrettyMIDI(resolution=960)
    midi.instruments.append(player)
    data = io.BytesIO()
    midi.write(data)
    with wave.open(io.BytesIO(midirenderer.render_wave_from(font, data.getvalue()))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    mono = samples[: 2 * round(seconds * SAMPLE_RATE)].astype(np.float64).mean(axis=1)
    # Neighbours are averaged to halve the rate.
    return (mono[::2] + mono[1::2]) / 2


def imported(name: str) -> ModuleType:
    """Import a module of the extra `render`.

    Raises
    ------
    DataError
        Where it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise DataError(MISSING.format(name)) from error
