"""Wire and file formats, independent of contracts: bodies, locations in them, SSE, YAML with line numbers."""
