"""Reports saved runs as one self-contained HTML page, JSON, CSV or Markdown."""
