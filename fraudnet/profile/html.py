"""Sections as one HTML page."""

from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from fraudnet.profile.tables import Section


def html(title: str, sections: Sequence[Section]) -> str:
    """The page as HTML that needs no other file; every text of the data is escaped."""
    template = resources.files(__package__).joinpath("page.html.jinja").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(title=title, sections=sections)
