"""The modules that are mutated, and the tests that must notice it."""

from __future__ import annotations

_LIBRARY = "harness/voicegauge"
AREAS: dict[str, tuple[str, ...]] = {
    "ledger": (
        f"{_LIBRARY}/client/spending/ledger.py",
        f"{_LIBRARY}/client/spending/shared_budget.py",
        f"{_LIBRARY}/client/spending/settlement.py",
    ),
    "journal": (
        f"{_LIBRARY}/client/spending/journal.py",
        f"{_LIBRARY}/client/spending/purchases.py",
        f"{_LIBRARY}/bench/running/journal.py",
        f"{_LIBRARY}/bench/running/purchases.py",
    ),
    "charges": (f"{_LIBRARY}/contract/pricing.py", f"{_LIBRARY}/checks/rules/charges.py"),
    "delivery": (
        f"{_LIBRARY}/client/delivery/delivery.py",
        f"{_LIBRARY}/client/delivery/job_tracking.py",
        f"{_LIBRARY}/client/delivery/polling.py",
        f"{_LIBRARY}/client/delivery/retry_policy.py",
        f"{_LIBRARY}/client/delivery/deadline.py",
        f"{_LIBRARY}/client/delivery/failures.py",
    ),
    "job rules": (f"{_LIBRARY}/checks/rules/jobs.py", f"{_LIBRARY}/checks/rules/job_isolation.py"),
    "audio facts": (
        f"{_LIBRARY}/bench/running/audio_facts.py",
        f"{_LIBRARY}/speech/audio/encoded_audio.py",
        f"{_LIBRARY}/speech/audio/levels.py",
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
