"""The pages' templates, and how they are filled."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@lru_cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("ectopy.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def render(template: str, **context: object) -> str:
    """Fill a template; every value is escaped unless it is Markup."""
    return _environment().get_template(template).render(context)
