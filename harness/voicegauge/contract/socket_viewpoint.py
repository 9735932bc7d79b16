"""Finds out whose messages the operations of an AsyncAPI document are, if the document does not say it as it should.

AsyncAPI 2.6 calls what clients send `publish`, and 3.0 `receive`, because its operations are those of the server. Many
official documents are written from the other point of view: of 3.0 documents that of the client, of generated 2.6
documents that of the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

OPPOSITE_ACTIONS = {"publish": "subscribe", "subscribe": "publish", "send": "receive", "receive": "send"}
"""The action of the other side of a channel."""
_CLIENT = re.compile(r"(?<![a-z])client(?![a-z])")
_SERVER = re.compile(r"(?<![a-z])server(?![a-z])")
_REPORT = re.compile(r"(?<![a-z])(error|warning)s?$")
"""End of the name of a message that only a server sends."""


def get_usual_client_action(*, is_version_3: bool) -> str:
    """Return the action of the client's messages according to the specification."""
    return "receive" if is_version_3 else "publish"


def find_client_action(
    descriptions_by_action: Mapping[str, Iterable[str]], names_by_action: Mapping[str, Iterable[str]]
) -> str | None:
    """Return the action whose messages clients send, as far as the words of a document show it.

    The word "client" or "server" counts for its side, and a message called an error or a warning for the server.

    Args:
        descriptions_by_action: summaries and ids of operations, and titles and summaries of messages, by action.
        names_by_action: names of messages by action.

    Returns:
        The action; `None` if nothing shows it, or as much speaks for one as for the other.
    """
    votes = dict.fromkeys(descriptions_by_action, 0) | dict.fromkeys(names_by_action, 0)
    for action in votes:
        names = [_split_words(name) for name in names_by_action.get(action, ())]
        texts = [*names, *map(_split_words, descriptions_by_action.get(action, ()))]
        for_client = sum(bool(_CLIENT.search(text)) for text in texts)
        for_server = sum(bool(_SERVER.search(text)) for text in texts)
        for_server += sum(bool(_REPORT.search(name)) for name in names)
        votes[action] += for_client - for_server
        if OPPOSITE_ACTIONS[action] in votes:
            votes[OPPOSITE_ACTIONS[action]] -= for_client - for_server
    best = max(votes, key=lambda action: votes[action], default=None)
    return best if best is not None and votes[best] > 0 else None


def _split_words(text: str) -> str:
    """Return a text in lower case, with spaces between the words of a name such as "AgentV1Error"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).lower()
