"""A page that plays a recording and shows what was heard in it, as it sounds.

One file with everything in it: it opens from disk, loads nothing, and a policy in the page
forbids that it ever does.
"""

import io
import json
import math
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from benchmark.audio.files import Recording, open_recording
from benchmark.audio.resampling import Resampler
from benchmark.predict.choosing import HearingRun
from benchmark.predict.recogniser import Heard
from reports.hearing.figure import edges_of
from reports.hearing.text import clock
from reports.tables.words import count

#: What browsers play as it is, by a file's suffix.
PLAYED = {
    ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg",
    ".flac": "audio/flac", ".wav": "audio/wav", ".m4a": "audio/mp4", ".mp4": "audio/mp4",
}  # fmt: skip
#: Bytes of a file that is put into the page as it is; a larger one becomes a mono mp3.
LARGEST = 16 * 2**20
#: Rates that an mp3 may have; others are resampled to the first.
MP3_RATES = (44_100, 48_000, 32_000, 24_000, 22_050, 16_000)
#: Stretches that the table names for a class; the picture shows all.
MOST_STRETCHES = 6
#: Seconds between the times above the picture, and how often the one that is taken may fit.
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
MOST_STEPS = 4


def page(run: HearingRun, heard: Heard) -> str:
    """Return the page of one recording.

    Raises
    ------
    DataError
        Where the recording can't be read again.
    """
    layout, style, script = (
        Path(__file__).with_name(f"timeline.{kind}").read_text(encoding="utf-8")
        for kind in ("html", "css", "js")
    )
    order = np.argsort(-heard.clip, kind="stable")
    warnings = (*heard.warnings, *run.cautions)
    hop = float(np.diff(heard.starts[:2])[0]) if len(heard.starts) > 1 else heard.seconds
    return Template(layout).substitute(
        policy=f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "media-src data:; base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        name=escape(heard.name),
        length=clock(heard.seconds),
        windows=count(len(heard.starts), "window"),
        title=escape(run.title),
        run=run.record.run_id,
        said="".join(f'<p class="caution">{escape(sentence)}</p>' for sentence in warnings),
        audio=_audio(heard.file),
        seconds=f"{heard.seconds:.3f}",
        hop=f"{hop:.3f}",
        threshold=f"{run.thresholds.min():.2f}",
        axis=_axis(heard.seconds),
        rows="".join(_row(run, heard, c) for c in order),
        data=_data(run, heard, order),
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _axis(seconds: float) -> str:
    """Return the times that stand above the strips: whole steps, each above its own place."""
    hours = 3600 * math.ceil(seconds / 3600 / MOST_STEPS)
    step = next((one for one in STEPS if seconds / one <= MOST_STEPS), hours)
    texts = []
    for time in range(0, math.floor(seconds) + 1, step):
        at = 100 * time / seconds if seconds else 0
        end = "start" if time == 0 else "end" if at > 95 else "middle"
        texts.append(f'<text x="{at:.2f}%" y="1em" text-anchor="{end}">{clock(time)}</text>')
    return "".join(texts)


def _row(run: HearingRun, heard: Heard, c: int) -> str:
    """Return one class's row: name, strip, score now and at most, when it sounds, what is known."""
    stretches = heard.stretches(c, run.thresholds[c])
    when = ", ".join(
        f'<button type="button" data-at="{start:.3f}">{clock(start)}–{clock(end)}</button>'
        for start, end in stretches[:MOST_STRETCHES]
    )
    if more := len(stretches) - MOST_STRETCHES:
        when += f' <span class="more">and {more} more</span>' if more > 0 else ""
    known = run.knowledge
    told = known.why_not(c)
    if np.isfinite(known.average_precision[c]):
        told = f"{known.average_precision[c]:.2f} (chance {known.prior[c]:.2f}) {told}".rstrip()
    kinds = " ".join(["present"] * bool(stretches) + ["unknown"] * (not known.known[c]))
    return (
        f'<tr class="{kinds}"><th scope="row">{escape(run.classes[c])}</th>'
        '<td class="strip"><canvas aria-hidden="true"></canvas></td>'
        f'<td class="now"></td><td class="score">{heard.clip[c]:.2f}</td>'
        f'<td class="when">{when or "–"}</td><td class="known">{told}</td></tr>\n'
    )


def _data(run: HearingRun, heard: Heard, order: np.ndarray) -> str:
    """Return what the script draws, in the order of the rows; no text in it can end the script."""
    content = {
        "duration": round(heard.seconds, 3),
        "edges": np.round(edges_of(heard), 3).tolist(),
        "classes": [run.classes[c] for c in order],
        "thresholds": run.thresholds[order].astype(float).tolist(),
        "scores": [[float(f"{score:.4g}") for score in row] for row in heard.scores[:, order]],
    }
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _audio(path: Path) -> str:
    """Return the recording as a data URL: the file itself, or an mp3 of it."""
    kind = PLAYED.get(path.suffix.lower())
    if kind is not None and path.stat().st_size <= LARGEST:
        return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
    return f"data:audio/mpeg;base64,{b64encode(_mp3(open_recording(path))).decode()}"


def _mp3(recording: Recording) -> bytes:
    import soundfile

    rate = recording.sample_rate if recording.sample_rate in MP3_RATES else MP3_RATES[0]
    resampler, out = Resampler(recording.sample_rate, rate), io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, 1, format="MP3") as file:
        for block in recording.blocks():
            file.write(resampler.push(block))
        file.write(resampler.finish())
    return out.getvalue()
