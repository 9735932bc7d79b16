"""Writes many runs as a static site."""

from voicegauge.report.static_site.site_pages import write_site

__all__ = ["write_site"]
