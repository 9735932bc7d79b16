"""Mutation tests of voicegauge's own code: which changed operators, constants and arguments no test notices."""
