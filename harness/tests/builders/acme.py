"""A fictional provider that has every feature the emulator supports."""

from __future__ import annotations

from typing import Any

ERROR = {
    "type": "object",
    "required": ["code", "reason"],
    "properties": {"code": {"type": "string"}, "reason": {"type": "string"}},
}


def _error(when: str, **headers: Any) -> dict[str, Any]:
    value = {"code": when, "reason": f"documented: {when}"}
    return {
        "description": when,
        "headers": headers,
        "content": {
            "application/json": {"schema": ERROR, "examples": {"one": {"x-rejection-reason": when, "value": value}}}
        },
    }


JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}
JOB_LOCATIONS = {
    "submit_response": {
        "job_id_location": "body#/id",
        "state_location": "body#/state",
        "polling_url_location": "body#/poll",
    },
    "job_id_location": "body#/id",
    "state_location": "body#/state",
    "audio": {"location": "body#/audio", "delivery_method": "url", "media_type_location": "body#/type"},
    "failure_reason_location": "body#/reason",
    "charge_location": "body#/cost",
}
"""Where the responses to a submit and a poll report a job."""


def build_preamble(server_url: str, **provider: Any) -> dict[str, Any]:
    """Return the parts of a document before its paths; `provider` adds to `x-provider`."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Acme speech", "version": "1"},
        "servers": [{"url": server_url, "x-name": "api"}],
        "security": [{"key": []}],
        "x-provider": {
            "id": "acme",
            "title": "Acme",
            "key_variable": "ACME_KEY",
            "sources": {"acme.txt": {"title": "Acme", "date": "2026-01-01"}},
            **provider,
        },
    }


YAML_PREAMBLE = """\
openapi: 3.1.0
info: {title: Acme speech, version: "1"}
servers: [{url: "https://api.acme.example"}]
security: [{bearer: []}]
x-provider:
  id: acme
  title: Acme
  key_variable: ACME_API_KEY
  sources: {acme.txt: {title: Acme, date: 2026-01-01}}
"""
"""The parts of a document in YAML before its paths; the last line is one of `x-provider`."""

DOCUMENT: dict[str, Any] = {
    **build_preamble("https://api.acme.test/base", credits={"name": "coins", "free_credits": 100}),
    "x-limits": {
        "plan_limits": {
            "free": {"max_requests_per_minute": 5, "max_text_characters": 40},
            "paid": {"max_requests_per_minute": 50, "max_text_characters": 60},
        },
        "rate_limit_header_names": {
            "limit": "X-Limit",
            "remaining": "X-Left",
            "reset": "X-Reset",
            "retry_after": "Retry-After",
        },
    },
    "paths": {
        "/speech": {
            "post": {
                "operationId": "submit",
                "x-speech": {
                    "request_fields": {
                        "text": {"location": "body#/text", "text_template": "Speaker 0: {}"},
                        "voice": "body#/voice",
                        "language": {"location": "body#/lang", "provider_values": {"en": "english", "xx": "klingon"}},
                        "format": "body#/format",
                        "speed": "body#/speed",
                        "seed": "body#/seed",
                    },
                    "response": {
                        "status_operation_id": "status",
                        "charge_location": "body#/cost",
                        "balance_location": "body#/left",
                    },
                    "targets": {
                        "small": {
                            "title": "Small",
                            "response_model_name": "model-small",
                            "request_constants": {"body#/model": "small"},
                            "emulation": {
                                "job_id_format": "job_{hex8}",
                                "queue_ms": 1000,
                                "base_processing_ms": 2000,
                                "log_duration_deviation": 0,
                            },
                        },
                        "large": {
                            "title": "Large",
                            "response_model_name": "model-large",
                            "request_constants": {"body#/model": "large"},
                            "pricing": {"unit": "1k_characters", "credits_per_unit": 1000},
                            "emulation": {"unspoken_patterns": ["\\([^)]*\\)"], "sample_rate_hz": 16000},
                        },
                    },
                },
                "x-pricing": {"unit": "request", "credits_per_unit": 30},
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["text"],
                                "properties": {
                                    "text": {"type": "string", "maxLength": 100},
                                    "model": {"type": "string", "default": "small"},
                                    "voice": {"type": "string"},
                                    "lang": {"type": "string"},
                                    "format": {"enum": ["wav", "mp3", "flac", "ogg", "pcm"], "default": "flac"},
                                    "speed": {"type": "number", "minimum": 0.5, "maximum": 2},
                                    "seed": {"type": "integer"},
                                },
                            }
                        }
                    },
                },
                "responses": {
                    "202": {
                        "description": "queued",
                        "headers": {
                            "X-Limit": {"required": True, "schema": {"type": "integer"}},
                            "X-Left": {"schema": {"type": "integer"}},
                        },
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["id", "state", "cost"],
                                    "properties": {
                                        "id": {"type": "string"},
                                        "state": {"const": "queued"},
                                        "poll": {"type": "string", "format": "uri"},
                                        "cost": {"type": "number"},
                                        "left": {"type": "number"},
                                    },
                                }
                            }
                        },
                    },
                    "400": _error("invalid"),
                    "422": _error("invalid:text"),
                    "401": _error("unauthorized"),
                    "402": _error("no-credit"),
                    "429": _error("rate-limited", **{"Retry-After": {"schema": {"type": "integer"}}}),
                    "503": _error("busy", **{"Retry-After": {"schema": {"type": "integer"}}}),
                },
            }
        },
        "/jobs/{job_id}": {
            "get": {
                "operationId": "status",
                "parameters": [{**JOB_ID}],
                "x-job": {
                    **JOB_LOCATIONS,
                    "states": {
                        "queued": {"successor_names": ["working", "void"]},
                        "working": {"successor_names": ["done", "failed", "void"]},
                        "done": {"terminal_outcome": "success", "required_locations": ["body#/audio"]},
                        "failed": {"terminal_outcome": "failure"},
                        "void": {"terminal_outcome": "failure", "is_charged": False},
                    },
                    "model_name_location": "body#/model",
                    "creation_time_location": "body#/created",
                    "end_time_location": "body#/finished",
                    "cancellation": {"operation_id": "cancel", "resulting_state": "void"},
                    "ended_job_lifetime_s": 3600,
                },
                "responses": {
                    "200": {
                        "description": "the state",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["id", "state", "model", "created"],
                                    "properties": {
                                        "id": {"type": "string"},
                                        "state": {"enum": ["queued", "working", "done", "failed", "void"]},
                                        "model": {"enum": ["model-small", "model-large"]},
                                        "audio": {"type": "string", "format": "uri"},
                                        "type": {"type": "string"},
                                        "reason": {"type": "string"},
                                        "cost": {"type": "number"},
                                        "created": {"type": "string"},
                                        "finished": {"type": "string"},
                                    },
                                    "allOf": [
                                        {
                                            "if": {"properties": {"state": {"const": "done"}}},
                                            "then": {"required": ["audio", "type"]},
                                        }
                                    ],
                                },
                                "examples": {
                                    "done": {
                                        "value": {
                                            "id": "job_00000000",
                                            "state": "done",
                                            "model": "model-large",
                                            "audio": "https://cdn.acme.test/x.wav",
                                            "type": "audio/wav",
                                            "cost": 7,
                                            "created": "2026-05-22 13:19:23",
                                            "finished": "2026-05-22 13:19:25",
                                        }
                                    }
                                },
                            }
                        },
                    },
                    "404": _error("not-found"),
                },
            },
            "delete": {
                "operationId": "cancel",
                "parameters": [{**JOB_ID}],
                "responses": {"204": {"description": "gone"}, "404": _error("not-found")},
            },
        },
        "/now": {
            "post": {
                "operationId": "now",
                "security": [{"key": []}, {}],
                "x-limits": {"keyless_limits": {"max_characters_per_day": 30}},
                "x-speech": {
                    "request_fields": {"text": "body#/text", "format": "query.format", "language": "query.lang"},
                    "response": {
                        "audio": {"location": "body", "delivery_method": "bytes"},
                        "charge_location": "header.X-Cost",
                    },
                    "targets": {
                        "now": {"title": "Now", "works_without_key": True, "emulation": {"default_format": "mp3"}}
                    },
                },
                "x-pricing": {"unit": "1k_characters", "credits_per_unit": 100},
                "parameters": [
                    {
                        "name": "format",
                        "in": "query",
                        "schema": {"enum": ["wav", "mp3", "ogg", "opus", "flac"], "default": "mp3"},
                    },
                    {"name": "lang", "in": "query", "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "required": ["text"],
                                "properties": {"text": {"type": "string"}},
                            }
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "audio",
                        "headers": {"X-Cost": {"required": True, "schema": {"type": "number"}}},
                        "content": {"audio/mpeg": {}, "audio/x-wav": {}, "audio/ogg": {}, "audio/flac": {}},
                    },
                    "400": _error("invalid"),
                    "401": _error("unauthorized"),
                    "429": _error("rate-limited"),
                },
            }
        },
        "/clone": {
            "post": {
                "operationId": "clone",
                "x-limits": {
                    "upload_limits": {
                        "sample": {
                            "max_bytes": 200000,
                            "min_duration_s": 1,
                            "min_sample_rate_hz": 16000,
                            "accepted_formats": ["wav", "mp3"],
                        }
                    }
                },
                "x-speech": {
                    "request_fields": {"text": "body#/text", "voice_sample_upload": "body#/sample"},
                    "response": {
                        "audio": {
                            "location": "body#/audio",
                            "delivery_method": "base64",
                            "format": "pcm_s16le",
                            "sample_rate_hz": 8000,
                        }
                    },
                    "targets": {"clone": {"title": "Clone", "required_fields": ["voice_sample_upload"]}},
                },
                "requestBody": {
                    "required": True,
                    "content": {
                        "multipart/form-data": {
                            "schema": {
                                "type": "object",
                                "required": ["text", "sample"],
                                "properties": {
                                    "text": {"type": "string"},
                                    "sample": {"type": "string", "format": "binary"},
                                    "strength": {"type": "integer", "minimum": 1, "maximum": 9},
                                },
                            }
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "audio",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["audio", "rate"],
                                    "properties": {"audio": {"type": "string"}, "rate": {"const": 8000}},
                                }
                            }
                        },
                    },
                    "400": _error("invalid"),
                    "413": _error("too-large"),
                },
            }
        },
        "/voices": {
            "get": {
                "operationId": "voices",
                "security": [],
                "parameters": [{"name": "gender", "in": "query", "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "voices",
                        "content": {
                            "application/json": {
                                "examples": {
                                    "list": {
                                        "value": {
                                            "voices": [
                                                {
                                                    "id": "a",
                                                    "gender": "f",
                                                    "preview": "https://api.acme.test/base/a.wav",
                                                },
                                                {"id": "b", "gender": "m"},
                                            ],
                                            "total": 2,
                                        }
                                    }
                                }
                            }
                        },
                    }
                },
            }
        },
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
}
