"""Limits of an operation override those of the whole contract."""

from __future__ import annotations

from pathlib import Path

from voicegauge.contract.loading import load_contract

DOCUMENT = """
openapi: 3.1.0
info: {title: Acme, version: "1"}
servers: [{url: "https://api.acme.example"}]
x-provider: {id: acme, title: Acme, key_variable: ACME_KEY, sources: {a.txt: {title: A, date: 2026-01-01}}}
x-limits:
  plan_limits: {free: {max_requests_per_minute: 10}}
  rate_limit_header_names: {limit: X-Limit}
paths:
  /plain:
    get: {operationId: plain, responses: {"200": {description: well}}}
  /upload:
    post:
      operationId: upload
      x-limits: {upload_limits: {voice: {max_bytes: 1000}}}
      responses: {"200": {description: well}}
  /slow:
    post:
      operationId: slow
      x-limits: {plan_limits: {free: {max_requests_per_minute: 1}}}
      responses: {"200": {description: well}}
"""


def test_limits_without_override_apply_to_an_operation(tmp_path: Path) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(DOCUMENT)
    contract = load_contract(path)
    plain, upload, slow = (contract.find_operation(name).limits for name in ("plain", "upload", "slow"))
    assert plain == contract.limits
    assert upload.upload_limits["voice"].max_bytes == 1000
    assert (upload.plan_limits, upload.rate_limit_header_names) == (
        contract.limits.plan_limits,
        contract.limits.rate_limit_header_names,
    )
    assert slow.plan_limits["free"].max_requests_per_minute == 1
    assert slow.rate_limit_header_names == contract.limits.rate_limit_header_names
