"""Matches paths of URLs with the path template of an operation."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote


class PathMatch(NamedTuple):
    """The path of a URL, split at the beginning of an operation's path."""

    base_path: str
    """The path of the base URL."""
    path_parameters: dict[str, str]
    """The values of the path parameters, with percent-encoding decoded."""


@dataclass(frozen=True)
class PathTemplate:
    """The path of an operation, in which parameters have braces."""

    path: str
    """The template, such as "/v1/speech/{id}"."""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the path parameters if `path` matches the template; `None` if it does not."""
        found = self._pattern.match(path)
        if not found:
            return None
        return dict(zip(self._parameter_names, found.groups(), strict=True))

    def match_end(self, path: str) -> PathMatch | None:
        """Return `path`, split into a base path and the end that matches the template; `None` if no end matches.

        The base path may be anything, because users can set any base URL.
        """
        # A parameter is one segment, so every URL of the operation ends with the same number of segments.
        prefix, *segments = path.rsplit("/", self.path.count("/"))
        parameters = self.match("/" + "/".join(segments))
        if parameters is None:
            return None
        return PathMatch(prefix, {name: unquote(value) for name, value in parameters.items()})

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Groups are numbered, because a parameter's name need not be a valid group name.
        parts = re.split(r"(\{[^}]+\})", self.path)
        pattern = "".join(
            f"(?P<p{index}>[^/]+)" if part.startswith("{") else re.escape(part) for index, part in enumerate(parts)
        )
        return re.compile(f"^{pattern}$")

    @functools.cached_property
    def _parameter_names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.path)
