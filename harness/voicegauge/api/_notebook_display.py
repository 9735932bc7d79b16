"""Lets notebooks show results as their summaries. The functions of the API that return results import this module.

What builds summaries knows every kind of result, and takes as long to import as a check. It is imported when the first
summary is built, so that a command that prints no summary does not wait for it.
"""

from __future__ import annotations

from typing import Any

from voicegauge.outputs.result_summary import ResultSummary, SummarizedResult


def _summarize(result: Any) -> ResultSummary:
    from voicegauge.report.result_summaries import summarize

    return summarize(result)


SummarizedResult.summarize = staticmethod(_summarize)
