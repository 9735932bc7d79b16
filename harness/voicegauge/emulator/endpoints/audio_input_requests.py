"""Reads requests with audio input: the addressed target, the fields and the uploaded files."""

from __future__ import annotations

from typing import Any

import msgspec

from voicegauge.contract import MISSING, AudioInputTarget
from voicegauge.contract.extension import AudioInputField, UploadLimits
from voicegauge.emulator.audio import check_audio_upload
from voicegauge.emulator.faults import FaultInjector
from voicegauge.emulator.http import ParsedRequest, find_default_value, iterate_uploaded_files


def select_audio_input_target(request: ParsedRequest) -> AudioInputTarget:
    """Return the target whose constants (fixed values) the request contains.

    For a value that the request omits, the default from the schema counts.
    """
    targets = [t for t in request.operation.contract.audio_input_targets.values() if t.operation is request.operation]

    def has_matching_constants(target: AudioInputTarget) -> bool:
        for location, constant in target.target_spec.request_constants.items():
            value = request.read_value(location)
            if (find_default_value(request, location) if value is MISSING else value) != constant:
                return False
        return True

    return next((target for target in targets if has_matching_constants(target)), targets[0])


def read_audio_input_field(request: ParsedRequest, target: AudioInputTarget, field: AudioInputField) -> Any:
    """Return the request's value of a provider-independent field, or its documented default, or else `None`."""
    slot = target.audio_input.request_fields.get(field)
    if slot is None:
        return None
    value = request.read_value(slot.location)
    if value is MISSING or value is None:
        value = find_default_value(request, slot.location)
    if isinstance(value, str):
        value = slot.find_provider_independent_value(value)
    return None if value is MISSING else value


def check_audio_uploads(request: ParsedRequest, fault_injector: FaultInjector) -> None:
    """Check the uploaded files against `x-limits.uploads`, except for limits that a fault disables.

    Raises:
        Rejection: a file violates a limit.
    """
    limits = request.operation.limits.upload_limits
    for field, file in iterate_uploaded_files(request.body):
        if field in limits:
            check_audio_upload(file, field, _select_enforced_limits(limits[field], request, fault_injector))


def _select_enforced_limits(
    limits: UploadLimits, request: ParsedRequest, fault_injector: FaultInjector
) -> UploadLimits:
    if fault_injector.is_check_skipped("upload-size", request.operation):
        limits = msgspec.structs.replace(limits, max_bytes=None)
    if fault_injector.is_check_skipped("upload-format", request.operation):
        limits = msgspec.structs.replace(limits, accepted_formats=())
    return limits
