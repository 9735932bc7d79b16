"""The modules that are mutated, and the tests that must notice it."""

from __future__ import annotations

_LIBRARY = "harness/voicegauge"
AREAS: dict[str, tuple[str, ...]] = {
    "ledger": (
        f"{_LIBRARY}/client/ledger.py",
        f"{_LIBRARY}/client/spending_journal.py",
    ),
    "journal": (f"{_LIBRARY}/bench/run_store.py",),
    "charges": (f"{_LIBRARY}/contract/price_computation.py", f"{_LIBRARY}/rules/charges.py"),
    "delivery": (
        f"{_LIBRARY}/client/client.py",
        f"{_LIBRARY}/client/job_polling.py",
        f"{_LIBRARY}/client/exchange_log.py",
    ),
    "job rules": (f"{_LIBRARY}/rules/_jobs.py",),
    "audio facts": (
        f"{_LIBRARY}/bench/audio_measurement.py",
        f"{_LIBRARY}/speech/audio_measurement.py",
    ),
}
"""Modules by what they are about."""

_TESTS = "harness/tests"
TESTS = (
    f"{_TESTS}/bench",
    f"{_TESTS}/benchmarks/test_crashes.py",
    f"{_TESTS}/checks",
    f"{_TESTS}/client",
    f"{_TESTS}/conformance/test_case_journal.py",
    f"{_TESTS}/conformance/test_settlement.py",
    f"{_TESTS}/conformance/test_usage_prices.py",
    f"{_TESTS}/conformance/test_workers.py",
    f"{_TESTS}/contract/test_pricing.py",
    f"{_TESTS}/speech/test_audio.py",
    f"{_TESTS}/speech/test_levels.py",
)
"""The files and folders with the nearest tests; of these, each mutant runs the ones that execute its lines."""
