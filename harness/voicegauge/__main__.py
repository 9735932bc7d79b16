"""`python -m voicegauge` is the `voicegauge` command."""

from voicegauge.cli import main

main()
