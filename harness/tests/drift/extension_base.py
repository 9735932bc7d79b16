"""One contract with every `x-` key that is compared."""

from __future__ import annotations

import copy
from typing import Any

AUDIO = {
    "location": "body#/audio",
    "delivery_method": "base64",
    "format": "pcm_s16le",
    "sample_rate_hz": 24000,
    "media_type_location": "body#/type",
    "timestamps": [],
    "download_operation_id": "getAudio",
}

PIECE = {"type": "object", "properties": {"audio": {"type": "string"}, "index": {"type": "integer"}}}

_WEBHOOK_PLACES = {
    "submit_id_location": "body#/submit_id",
    "result_url_location": "body#/result",
    "charge_location": "body#/charged",
    "creation_time_location": "body#/created",
    "end_time_location": "body#/completed",
}

SOCKET: dict[str, Any] = {
    "id": "speakLive",
    "handshake_alternatives": [["query.version", "header.X-Version"]],
    "client_messages": {
        "session": {"message": "Session", "value": {"type": "session"}},
        "text": {"message": "Text", "value": {"text": "{text}"}, "recognized_by": {"/text": ["one"]}},
        "end": {"message": "End", "value": {"end": True}},
        "cancel": {"message": "Cancel", "value": {"cancel": True}, "effect": "stops"},
    },
    "server_messages": [
        {"message": "Audio", "event": "audio", "value": {"audio": "{audio}"}},
        {
            "message": "Words",
            "event": "timestamps",
            "value": {"words": "{word_items}"},
            "word_item": {"word": "{word}"},
            "recognized_by": {"/words": ["one"]},
        },
    ],
    "settings_messages": ["session"],
    "voice_location": "body#/voice",
    "language_location": "query.language",
    "turn": {"ends_with": "turn-end"},
    "transcript": {"turn_text": "end"},
    "limits": {
        "contexts": {"max_count": 5, "window_s": 10, "close_code": 4000},
        "flushes": {"max_count": 5},
        "message_bytes": {"max_count": 5},
        "inactivity": {"max_s": 5, "close_code": 4001},
        "context_expiry": {"max_s": 5},
    },
    "close_codes": {"4000": "too many contexts"},
    "targets": {
        "live": {
            "title": "Live",
            "price_of": "one",
            "default_voice": "anna",
            "formats": {
                "raw": {"codec": "pcm_s16le", "sample_rate_hz": 24000, "request_constants": {"query.format": "raw"}}
            },
        }
    },
}

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "x-provider": {
        "id": "acme",
        "title": "Acme",
        "key_variable": "ACME_KEY",
        "sources": {},
        "request_headers": {"X-Client": "one"},
        "credits": {"name": "coins", "usd_per_credit": 0.01, "free_credits": 100},
        "retry_policy": {
            "retried_statuses": [429, 503],
            "initial_delay_s": 1,
            "max_delay_s": 30,
            "delay_factor": 2,
            "max_attempts": 4,
        },
        "self_hosted": {
            "model_list": {
                "operation_id": "models",
                "list_locations": ["body#/data"],
                "request_field_location": "body#/model",
            },
            "voice_lists": [
                {"operation_id": "voices", "list_locations": ["body#/voices"], "request_field_location": "body#/voice"}
            ],
        },
    },
    "components": {
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "x-key": {
                    "key_variable": "ACME_TOKEN",
                    "id_variable": "ACME_ID",
                    "aws_signature": {"region": "eu-1", "service": "polly"},
                },
            }
        }
    },
    "x-limits": {
        "plan_limits": {
            "free": {"max_requests_per_minute": 10, "max_concurrent_requests": 2, "max_text_characters": 1000}
        },
        "upload_limits": {
            "file": {
                "max_bytes": 1000,
                "min_duration_s": 3,
                "max_duration_s": 30,
                "min_sample_rate_hz": 16000,
                "accepted_formats": ["wav", "mp3"],
            }
        },
        "keyless_limits": {"max_characters_per_day": 500},
        "rate_limit_header_names": {"limit": "X-Limit"},
    },
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speak",
                "x-pricing": {
                    "unit": "1m_tokens",
                    "usd_per_unit": 0.02,
                    "credits_per_unit": 2,
                    "usage": {"max_per_request": 5, "max_per_character": 1, "reported_usage_location": "body#/used"},
                    "character_counting": {"characters_counted_twice": "han", "uncounted_tag_names": ["speak"]},
                    "rounding_step": 10,
                    "plan_prices": {
                        "small": {
                            "usd_per_unit": 0.01,
                            "credits_per_unit": 1,
                            "included_units_per_month": 1000,
                            "monthly_fee_usd": 5,
                        }
                    },
                },
                "x-stream": {
                    "event_type_location": "data#/type",
                    "framing": "sse",
                    "media_type": "text/event-stream",
                    "ends_with_response": False,
                    "events": {
                        "audio": {
                            "successor_names": ["audio", "done"],
                            "data_schema": PIECE,
                            "identifying_location": "data#/audio",
                        },
                        "done": {"terminal_outcome": "success"},
                    },
                    "audio": {
                        "event_type": "audio",
                        "location": "data#/audio",
                        "encoding": "hex",
                        "sequence_number_location": "data#/index",
                        "timestamps": [],
                    },
                    "end_marker": "[DONE]",
                    "failure_reason_location": "data#/reason",
                    "max_gap_s": 5,
                },
                "x-webhook": {
                    "url_fields": [{"location": "body#/hook"}],
                    "callback_operation_id": "done",
                    "max_progress_interval_s": 15,
                    "body_locations": {
                        "id_location": "body#/task",
                        "state_location": "body#/state",
                        "outcome_by_state": {"ok": "success"},
                        **_WEBHOOK_PLACES,
                    },
                    "signature": {
                        "signature_header_name": "X-Signature",
                        "id_header_name": "X-Id",
                        "timestamp_header_name": "X-Time",
                        "secret_variable": "ACME_SECRET",
                    },
                },
                "x-idempotency": {"header_name": "Idempotency-Key", "key_lifetime_s": 3600},
                "x-submit": {"status_operation_id": "job"},
                "x-limits": {"plan_limits": {"pro": {"max_concurrent_requests": 20}}},
                "x-speech": {
                    "request_fields": {
                        "text": {"location": "body#/text", "markup_language": "ssml"},
                        "language": {
                            "location": "body#/lang",
                            "text_template": "{}",
                            "provider_values": {"en": "en-US"},
                        },
                    },
                    "response": {
                        "status_operation_id": "job",
                        "wait_preference": {"location": "header.Prefer", "preference": "wait", "max_wait_s": 60},
                        "audio": copy.deepcopy(AUDIO),
                        "charge_location": "body#/charged",
                        "balance_location": "body#/balance",
                    },
                    "formats": {"small": {"codec": "mp3", "sample_rate_hz": 24000, "bitrate_kbps": 32, "channels": 1}},
                    "targets": {
                        "one": {
                            "request_fields": {
                                "voice": {
                                    "location": "body#/own_voice",
                                    "provider_values": {"a": "b"},
                                    "markup_language": "ssml",
                                }
                            },
                            "default_voice_by_language": {"de": "dora"},
                            "title": "One",
                            "response_model_name": "one-v1",
                            "request_constants": {"body#/model": "one"},
                            "default_voice": "anna",
                            "default_voice_description": "calm",
                            "default_voice_sample_url": "https://acme.test/anna.wav",
                            "required_fields": ["voice"],
                            "default_language": "en",
                            "supported_languages": ["en", "de"],
                            "default_format": "wav",
                            "supported_formats": ["wav", "mp3"],
                            "recommended_max_characters": 500,
                            "response_audio": copy.deepcopy(AUDIO),
                            "request_media_type": "application/json",
                            "pricing": {
                                "unit": "second",
                                "usd_per_unit": 0.3,
                                "usage": {"max_per_character": 1},
                                "alternatives": [{"unit": "request", "usd_per_unit": 1}],
                            },
                        }
                    },
                },
            }
        },
        "/transcribe": {
            "post": {
                "operationId": "transcribe",
                "x-transcription": {
                    "request_fields": {
                        "audio": "body#/file",
                        "language": {"location": "body#/lang", "provider_values": {"en": "en-US"}},
                    },
                    "response": {
                        "text_location": "body#/text",
                        "language_location": "body#/lang",
                        "audio_duration_location": "body#/seconds",
                        "segments_location": "body#/parts",
                        "subtitle_format": "srt",
                        "segment_field_names": {"speaker_field": "who", "words_field": "words"},
                        "charge_location": "body#/charged",
                    },
                    "targets": {
                        "ear": {
                            "title": "Ear",
                            "response": {"text_location": "body#/transcribed"},
                            "request_constants": {"body#/model": "ear"},
                            "default_language": "en",
                            "supported_languages": ["en", "de"],
                            "pricing": {"unit": "request", "usd_per_unit": 0.3},
                        }
                    },
                },
            }
        },
        "/convert": {
            "post": {
                "operationId": "convert",
                "x-conversion": {
                    "purpose": "voice",
                    "request_fields": {"audio": "body#/file", "voice": "body#/voice"},
                    "response": {
                        "audio": copy.deepcopy(AUDIO),
                        "stems": {"list_location": "body#/stems", "download_operation_id": "getAudio"},
                        "fact_locations": {"key": "body#/key"},
                    },
                    "targets": {"changer": {"title": "Changer", "default_voice": "anna"}},
                },
            }
        },
        "/voices": {
            "get": {
                "operationId": "listPages",
                "x-pagination": {
                    "items_location": "body#/voices",
                    "page_size_location": "query.limit",
                    "cursor_location": "query.after",
                    "cursor_kind": "item-id",
                    "item_id_field": "id",
                    "next_cursor_location": "body#/next",
                    "more_pages_location": "body#/has_more",
                    "total_count_location": "body#/total",
                    "page_count_location": "body#/pages",
                },
            },
            "post": {
                "operationId": "createVoice",
                "x-resource": {
                    "display_name": "voice",
                    "id_location": "body#/id",
                    "state_location": "body#/state",
                    "states": ["active"],
                    "listing": {
                        "operation_id": "listVoices",
                        "count_location": "body#/used",
                        "max_count_location": "body#/limit",
                    },
                    "deletion": {"operation_id": "deleteVoice", "id_location": "path.id"},
                },
            },
        },
        "/batch": {
            "post": {
                "operationId": "batch",
                "x-batch": {
                    "requests_location": "body#/texts",
                    "item_operation_id": "speak",
                    "jobs_location": "body#/jobs",
                    "job_id_field": "id",
                    "index_field": "index",
                    "state_field": "state",
                    "charge_field": "cost",
                    "audio_url_field": "url",
                    "total_count_location": "body#/total",
                    "ended_count_location": "body#/completed",
                },
            }
        },
        "/chat": {
            "post": {
                "operationId": "chat",
                "x-chat": {
                    "text_location": "body#/message",
                    "audio_location": "body#/recording",
                    "transcript_location": "body#/transcript",
                    "reply_text_location": "body#/reply",
                    "reply_audio": copy.deepcopy(AUDIO),
                    "emulated_target_name": "one",
                    "voice_location": "body#/voice",
                    "charge_location": "body#/charged",
                },
            }
        },
        "/jobs/{id}": {
            "get": {
                "operationId": "job",
                "x-job": {
                    "submit_response": {
                        "job_id_location": "body#/id",
                        "state_location": "body#/state",
                        "polling_url_location": "body#/url",
                    },
                    "job_id_location": "body#/id",
                    "state_location": "body#/state",
                    "states": {
                        "QUEUED": {"flag_value": False, "successor_names": ["DONE"], "max_duration_s": 60},
                        "DONE": {
                            "flag_value": True,
                            "identifying_location": "body#/audio",
                            "terminal_outcome": "success",
                            "is_charged": True,
                            "required_locations": ["body#/audio"],
                        },
                        "FAILED": {"flag_value": True, "terminal_outcome": "failure"},
                    },
                    "audio": copy.deepcopy(AUDIO),
                    "result_operation_id": "result",
                    "failure_reason_location": "body#/reason",
                    "model_name_location": "body#/model",
                    "creation_time_location": "body#/created",
                    "update_time_location": "body#/updated",
                    "end_time_location": "body#/completed",
                    "charge_location": "body#/charged",
                    "poll_schedule": {
                        "min_interval_s": 1,
                        "max_interval_s": 5,
                        "interval_factor": 1.5,
                        "job_timeout_s": 300,
                    },
                    "cancellation": {"operation_id": "cancel", "resulting_state": "FAILED"},
                    "ended_job_lifetime_s": 3600,
                },
            }
        },
    },
    "x-asyncapi": {
        "asyncapi": "2.6.0",
        "info": {"title": "Acme", "version": "1"},
        "channels": {"/live": {"x-socket": SOCKET}},
    },
}
