"""The API reference: a page on every name that ``import polytimbre`` hands out."""

import re
from pathlib import Path

#: What an example says to the tests alone.
SKIPPED = r" *(<span[^>]*>)?# doctest: \+SKIP(</span>)?"
TEMPLATES = Path(__file__).with_name("templates") / "api"


def write(folder: Path) -> Path:
    """Write the API reference from the docstrings; the same bytes each time.

    Parameters
    ----------
    folder : Path
        Made; gets ``polytimbre.html``.

    Returns
    -------
    Path
        Of the page.
    """
    from pdoc import doc, render

    module = doc.Module.from_name("polytimbre")
    for name in module.obj.__all__:  # pdoc sees what has been imported
        getattr(module.obj, name)
    render.configure(
        docformat="numpy", show_source=False, search=False, template_directory=TEMPLATES
    )
    folder.mkdir()
    page = folder / "polytimbre.html"
    text = render.html_module(module, {"polytimbre": module})
    page.write_text(re.sub(SKIPPED, "", text), encoding="utf-8")
    return page
