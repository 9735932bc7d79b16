"""One contract with every `x-` key that is compared."""

from __future__ import annotations

import copy
from typing import Any

AUDIO = {
    "at": "body#/audio",
    "delivered": "base64",
    "format": "pcm_s16le",
    "sample_rate_hz": 24000,
    "media_type": "body#/type",
    "timestamps": [],
    "download": "getAudio",
}

PIECE = {"type": "object", "properties": {"audio": {"type": "string"}, "index": {"type": "integer"}}}

_WEBHOOK_PLACES = {key: f"body#/{key}" for key in ("submit_id", "result", "charged", "created", "completed")}

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "x-provider": {
        "id": "acme",
        "title": "Acme",
        "key_env": "ACME_KEY",
        "sources": {},
        "headers": {"X-Client": "one"},
        "credits": {"name": "coins", "usd": 0.01, "free": 100},
        "retry": {"statuses": [429, 503], "initial_delay_s": 1, "max_delay_s": 30, "factor": 2, "max_attempts": 4},
        "self_hosted": {
            "models": {"operation": "models", "items": ["body#/data"], "sets": "body#/model"},
            "voices": [{"operation": "voices", "items": ["body#/voices"], "sets": "body#/voice"}],
        },
    },
    "components": {
        "securitySchemes": {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "x-key": {"env": "ACME_TOKEN", "id_env": "ACME_ID", "aws": {"region": "eu-1", "service": "polly"}},
            }
        }
    },
    "x-limits": {
        "plans": {"free": {"requests_per_minute": 10, "concurrent": 2, "text_characters": 1000}},
        "uploads": {
            "file": {"max_bytes": 1000, "min_s": 3, "max_s": 30, "min_sample_rate_hz": 16000, "formats": ["wav", "mp3"]}
        },
        "keyless": {"characters_per_day": 500},
        "headers": {"limit": "X-Limit"},
    },
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speak",
                "x-pricing": {
                    "per": "1m_tokens",
                    "usd": 0.02,
                    "credits": 2,
                    "usage": {"max_per_request": 5, "max_per_character": 1, "reported": "body#/used"},
                    "count": {"doubled": "han", "free_tags": ["speak"]},
                    "step": 10,
                    "plans": {"small": {"usd": 0.01, "credits": 1, "included": 1000, "monthly_fee_usd": 5}},
                },
                "x-stream": {
                    "event_type": "data#/type",
                    "framing": "sse",
                    "media_type": "text/event-stream",
                    "ends_with_response": False,
                    "events": {
                        "audio": {"next": ["audio", "done"], "schema": PIECE, "has": "data#/audio"},
                        "done": {"end": "success"},
                    },
                    "audio": {
                        "event": "audio",
                        "at": "data#/audio",
                        "encoding": "hex",
                        "index": "data#/index",
                        "timestamps": [],
                    },
                    "end_marker": "[DONE]",
                    "reason": "data#/reason",
                    "max_gap_s": 5,
                },
                "x-webhook": {
                    "url": [{"at": "body#/hook"}],
                    "callback": "done",
                    "progress_max_s": 15,
                    "body": {
                        "id": "body#/task",
                        "state": "body#/state",
                        "states": {"ok": "success"},
                        **_WEBHOOK_PLACES,
                    },
                    "signature": {
                        "header": "X-Signature",
                        "id": "X-Id",
                        "timestamp": "X-Time",
                        "secret_env": "ACME_SECRET",
                    },
                },
                "x-idempotency": {"header": "Idempotency-Key", "valid_s": 3600},
                "x-submit": {"job": "job"},
                "x-limits": {"plans": {"pro": {"concurrent": 20}}},
                "x-speech": {
                    "request": {
                        "text": {"at": "body#/text", "markup": "ssml"},
                        "language": {"at": "body#/lang", "template": "{}", "map": {"en": "en-US"}},
                    },
                    "response": {
                        "job": "job",
                        "wait": {"at": "header.Prefer", "value": "wait", "max_s": 60},
                        "audio": copy.deepcopy(AUDIO),
                        "charged": "body#/charged",
                        "balance": "body#/balance",
                    },
                    "formats": {"small": {"codec": "mp3", "sample_rate_hz": 24000, "bitrate_kbps": 32, "channels": 1}},
                    "targets": {
                        "one": {
                            "request": {"voice": {"at": "body#/own_voice", "map": {"a": "b"}, "markup": "ssml"}},
                            "voices": {"de": "dora"},
                            "title": "One",
                            "model": "one-v1",
                            "constants": {"body#/model": "one"},
                            "voice": "anna",
                            "voice_description": "calm",
                            "voice_sample_url": "https://acme.test/anna.wav",
                            "required_fields": ["voice"],
                            "language": "en",
                            "languages": ["en", "de"],
                            "format": "wav",
                            "formats": ["wav", "mp3"],
                            "recommended_max_characters": 500,
                            "audio": copy.deepcopy(AUDIO),
                            "media_type": "application/json",
                            "pricing": {
                                "per": "second",
                                "usd": 0.3,
                                "usage": {"max_per_character": 1},
                                "alternatives": [{"per": "request", "usd": 1}],
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
                    "request": {"audio": "body#/file", "language": {"at": "body#/lang", "map": {"en": "en-US"}}},
                    "response": {
                        "text": "body#/text",
                        "language": "body#/lang",
                        "audio_s": "body#/seconds",
                        "segments": "body#/parts",
                        "segment": {"speaker": "who", "words": "words"},
                        "charged": "body#/charged",
                    },
                    "targets": {
                        "ear": {
                            "title": "Ear",
                            "constants": {"body#/model": "ear"},
                            "language": "en",
                            "languages": ["en", "de"],
                            "pricing": {"per": "request", "usd": 0.3},
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
                    "request": {"audio": "body#/file", "voice": "body#/voice"},
                    "response": {
                        "audio": copy.deepcopy(AUDIO),
                        "stems": {"at": "body#/stems", "download": "getAudio"},
                        "facts": {"key": "body#/key"},
                    },
                    "targets": {"changer": {"title": "Changer", "voice": "anna"}},
                },
            }
        },
        "/voices": {
            "post": {
                "operationId": "createVoice",
                "x-resource": {
                    "name": "voice",
                    "id": "body#/id",
                    "state": "body#/state",
                    "states": ["active"],
                    "list": {"operation": "listVoices", "count": "body#/used", "max_count": "body#/limit"},
                    "delete": {"operation": "deleteVoice", "id": "path.id"},
                },
            }
        },
        "/batch": {
            "post": {
                "operationId": "batch",
                "x-batch": {
                    "items": "body#/texts",
                    "item_operation": "speak",
                    "results": "body#/jobs",
                    "job_id": "id",
                    "index": "index",
                    "state": "state",
                    "charged": "cost",
                    "url": "url",
                    "total": "body#/total",
                    "completed": "body#/completed",
                },
            }
        },
        "/chat": {
            "post": {
                "operationId": "chat",
                "x-chat": {
                    "text": "body#/message",
                    "audio": "body#/recording",
                    "transcript": "body#/transcript",
                    "reply": "body#/reply",
                    "reply_audio": copy.deepcopy(AUDIO),
                    "emulation_target": "one",
                    "voice": "body#/voice",
                    "charged": "body#/charged",
                },
            }
        },
        "/jobs/{id}": {
            "get": {
                "operationId": "job",
                "x-job": {
                    "submit": {"id": "body#/id", "state": "body#/state", "url": "body#/url"},
                    "id": "body#/id",
                    "state": "body#/state",
                    "states": {
                        "QUEUED": {"next": ["DONE"], "max_s": 60},
                        "DONE": {"end": "success", "charged": True, "required": ["body#/audio"]},
                        "FAILED": {"end": "failure"},
                    },
                    "audio": copy.deepcopy(AUDIO),
                    "result": "result",
                    "reason": "body#/reason",
                    "model": "body#/model",
                    "created": "body#/created",
                    "updated": "body#/updated",
                    "completed": "body#/completed",
                    "charged": "body#/charged",
                    "poll": {"min_s": 1, "max_s": 5, "factor": 1.5, "timeout_s": 300},
                    "cancel": {"operation": "cancel", "state": "FAILED"},
                    "expires_s": 3600,
                },
            }
        },
    },
}
