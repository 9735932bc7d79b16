"""Checks a graph of job states or stream events: every node is reachable, and either has successors or ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from voicegauge.formats import Document, escape_pointer_token


class GraphNode(Protocol):
    """A job state or a stream event."""

    @property
    def successor_names(self) -> tuple[str, ...]:
        """The names of the nodes that may follow."""

    @property
    def terminal_outcome(self) -> str | None:
        """How a terminal node ends: "success" or "failure"; `None` if the node is not terminal."""


def check_state_graph(
    document: Document,
    pointer: str,
    nodes: Mapping[str, GraphNode],
    *,
    node_type: str,
    start_nodes: Sequence[str],
    needs_end: bool = True,
) -> None:
    """Check that every node is reachable and has either `next` or `end`, and that some node ends in success.

    Args:
        document: the contract document, for error messages.
        pointer: JSON pointer to the mapping of nodes.
        nodes: the nodes by name.
        node_type: what a node is, for error messages: "state" or "event".
        start_nodes: the names of the nodes that may come first.
        needs_end: whether some node must end in success.

    Raises:
        ContractError: a node is not reachable, has both `next` and `end` or neither, or no node ends in success.
    """
    for name, node in nodes.items():
        for following in node.successor_names:
            if following not in nodes:
                raise document.build_error(
                    f"{pointer}/{escape_pointer_token(name)}/next", f"{following!r} is not among these {node_type}s"
                )
        if bool(node.successor_names) == bool(node.terminal_outcome):
            reason = f"{node_type} {name!r} must have either next or end: success | failure"
            raise document.build_error(f"{pointer}/{escape_pointer_token(name)}", reason)
    if needs_end and not any(node.terminal_outcome == "success" for node in nodes.values()):
        raise document.build_error(pointer, f"no {node_type} ends in success")
    reached = list(start_nodes)
    for name in reached:  # the list grows during the iteration
        reached += [following for following in nodes[name].successor_names if following not in reached]
    for name in nodes:
        if name not in reached:
            raise document.build_error(
                f"{pointer}/{escape_pointer_token(name)}",
                f"{node_type} {name!r} cannot be reached from {start_nodes[0]!r}",
            )
