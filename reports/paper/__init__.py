"""The paper: every number, claim and table row bound to the published runs it rests on."""

from reports.paper.building import Checked, PaperError, bind, build, check

__all__ = ["Checked", "PaperError", "bind", "build", "check"]
