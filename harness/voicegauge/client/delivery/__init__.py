"""Performs deliveries: submits, polls and downloads, with retries and protection against hostile responses."""

from voicegauge.client.delivery.audio_input import FetchedAudio, audio_input_request, fetch_response_audio
from voicegauge.client.delivery.delivery import DeliveryTask
from voicegauge.client.delivery.links import id_parameter, is_id, link_parameters, parameters_by_location
from voicegauge.client.delivery.retry_policy import MAX_RETRY_AFTER_S, retry_after_s, retry_waits

__all__ = [
    "MAX_RETRY_AFTER_S",
    "DeliveryTask",
    "FetchedAudio",
    "audio_input_request",
    "fetch_response_audio",
    "id_parameter",
    "is_id",
    "link_parameters",
    "parameters_by_location",
    "retry_after_s",
    "retry_waits",
]
