"""Performs deliveries: submits, polls and downloads, with retries and protection against hostile responses."""

from voicegauge.client.delivery.audio_input import FetchedAudio, build_audio_input_request, fetch_response_audio
from voicegauge.client.delivery.delivery import DeliveryInterruptedError, DeliveryTask
from voicegauge.client.delivery.links import (
    find_id_parameter,
    group_parameters_by_location,
    is_storable_id,
    is_usable_id,
    read_link_parameters,
)
from voicegauge.client.delivery.retry_policy import MAX_RETRY_AFTER_S, get_retry_after_s, iterate_retry_waits_s

__all__ = [
    "MAX_RETRY_AFTER_S",
    "DeliveryInterruptedError",
    "DeliveryTask",
    "FetchedAudio",
    "build_audio_input_request",
    "fetch_response_audio",
    "find_id_parameter",
    "get_retry_after_s",
    "group_parameters_by_location",
    "is_storable_id",
    "is_usable_id",
    "iterate_retry_waits_s",
    "read_link_parameters",
]
