"""Compares texts with the documented limits of targets, before anything is sent."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Sequence

import msgspec

from voicegauge.bench.planning.suite import SuiteText
from voicegauge.client import RequestParts
from voicegauge.contract import Target
from voicegauge.errors import UsageError

_MAX_TEXTS_NAMED_IN_MESSAGE = 3


def check_text_lengths(
    target: Target, texts: Collection[SuiteText], build_request: Callable[[SuiteText], RequestParts], *, is_live: bool
) -> None:
    """Compare the lengths of `texts` with the limits that the contract documents for `target`.

    Args:
        target: the target.
        texts: the texts to be sent to the target.
        build_request: builds the request for a text.
        is_live: whether the limit of the user's account plan applies; for the emulator, the most generous limit of all
            plans applies.

    Raises:
        UsageError: texts are too long; the message names them, the target and its limit.
    """
    longest_first = sorted(texts, key=lambda one: len(one.text), reverse=True)
    plan_limit = _find_account_plan_limit(target, is_live=is_live)
    schema_limit = _find_schema_limit(target, longest_first[0], build_request)
    limit = min((one for one in (plan_limit, schema_limit) if one is not None), default=None)
    too_long = [one for one in longest_first if limit is not None and len(one.text) > limit]
    if too_long:
        hint = ", or name your plan with --plan" if is_live and limit == plan_limit else ""
        raise UsageError(
            f"{target.id} takes texts of at most {limit} characters, as its contract says, and would reject "
            f"{_format_text_names(too_long)}: shorten them, or leave out this target{hint}"
        )


def _find_account_plan_limit(target: Target, *, is_live: bool) -> int | None:
    limits = target.operation.limits
    if is_live:
        return limits.find_plan(target.contract.account_plans).max_text_characters
    known = [plan.max_text_characters for plan in limits.plan_limits.values()]
    return None if None in known else max((one for one in known if one is not None), default=None)


def _find_schema_limit(
    target: Target, longest_text: SuiteText, build_request: Callable[[SuiteText], RequestParts]
) -> int | None:
    """Return the largest text length that the schema of the request body allows, in characters.

    Return `None` if the schema allows `longest_text`.
    """

    def list_violated_keywords(character_count: int) -> frozenset[str]:
        parts = build_request(msgspec.structs.replace(longest_text, text="a" * character_count))
        media = target.operation.request_media.get(parts.media_type or "multipart/form-data")
        return frozenset(media.iterate_violated_keywords(msgspec.to_builtins(parts.body)) if media is not None else ())

    # A text of one character shows what is not about its length, such as form fields, which are text.
    shortest = list_violated_keywords(1)

    def is_too_long(character_count: int) -> bool:
        return bool(list_violated_keywords(character_count) - shortest)

    if not is_too_long(len(longest_text.text)):
        return None
    return bisect.bisect_left(range(1, len(longest_text.text)), True, key=is_too_long)


def _format_text_names(texts: Sequence[SuiteText]) -> str:
    named = ", ".join(f"{one.id} ({len(one.text)})" for one in texts[:_MAX_TEXTS_NAMED_IN_MESSAGE])
    return named + (
        f" and {len(texts) - _MAX_TEXTS_NAMED_IN_MESSAGE} more" if len(texts) > _MAX_TEXTS_NAMED_IN_MESSAGE else ""
    )
