"""What pydantic finds wrong in a file, in words."""

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Return the first thing that a schema found wrong, as part of a sentence, on one line."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ")
    value = "" if first["type"] in {"missing", "json_invalid"} else f" (it is {first['input']!r:.60})"
    return "".join(c if c.isprintable() else "?" for c in (f"{where}: {what}{value}" if where else what))
