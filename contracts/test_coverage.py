"""A check of the emulator leaves nothing out: each operation's success, documented errors, and limits from both sides.

Gaps are computed from the contract and the plan. The accepted ones are listed here with their reason.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from voicegauge.cases.case import ConformanceCase
from voicegauge.cases.plan import plan_cases
from voicegauge.contract.contract import Contract
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import is_form
from voicegauge.formats.located_yaml import escape_pointer_token

CONTRACTS = list(load_catalogue())
BOUNDS = ("maxLength", "maxItems", "maximum", "minimum", "minItems", "minLength")
UPLOADS = ("max_bytes", "min_duration_s", "max_duration_s", "min_sample_rate_hz", "accepted_formats")

# the end of the contract's pointer: why its limit is not tried from below or at it
A_MATTER_OF_THE_PLAN = (
    "100,000 characters are more than some plans allow (500, 50,000) and an hour of speech: only what is above is sent."
)
LEFT_OUT = {
    "/SpeechRequest/properties/text/maxLength": A_MATTER_OF_THE_PLAN,
    "/OpenAiSpeechRequest/properties/input/maxLength": A_MATTER_OF_THE_PLAN,
    "/texts/items/properties/text/maxLength": A_MATTER_OF_THE_PLAN,
}

ONLY_WITH_AN_ID = "Only an id that exists is accepted; a check knows none and sends an unknown one."
NEVER_ACCEPTED = {
    "openai/retrieveModel": ONLY_WITH_AN_ID,
    "openai/getVoiceConsent": ONLY_WITH_AN_ID,
    "openai/updateVoiceConsent": ONLY_WITH_AN_ID,
    "openai/deleteVoiceConsent": ONLY_WITH_AN_ID,
    "deepgram/getModel": ONLY_WITH_AN_ID,
    "mistral/retrieve_model_v1_models__model_id__get": ONLY_WITH_AN_ID,
    "elevenlabs/getHistoryItem": ONLY_WITH_AN_ID,
    "elevenlabs/deleteHistoryItem": ONLY_WITH_AN_ID,
    "elevenlabs/getHistoryItemAudio": ONLY_WITH_AN_ID,
    "azure/getBatchSynthesis": ONLY_WITH_AN_ID,
    "azure/getBatchOperation": ONLY_WITH_AN_ID,
    "azure/deleteBatchSynthesis": ONLY_WITH_AN_ID,
    "elevenlabs/getDub": ONLY_WITH_AN_ID,
    "elevenlabs/deleteDub": ONLY_WITH_AN_ID,
    "elevenlabs/getDubbedAudio": ONLY_WITH_AN_ID,
    "elevenlabs/addProfessionalSamples": ONLY_WITH_AN_ID,
    "elevenlabs/addPronunciationRules": ONLY_WITH_AN_ID,
    "elevenlabs/addSharedVoice": ONLY_WITH_AN_ID,
    "elevenlabs/deleteProfessionalSample": ONLY_WITH_AN_ID,
    "elevenlabs/deleteSample": ONLY_WITH_AN_ID,
    "elevenlabs/deleteTranscript": ONLY_WITH_AN_ID,
    "elevenlabs/downloadPronunciationDictionary": ONLY_WITH_AN_ID,
    "elevenlabs/getDubTranscript": ONLY_WITH_AN_ID,
    "elevenlabs/getProfessionalSampleAudio": ONLY_WITH_AN_ID,
    "elevenlabs/getPronunciationDictionary": ONLY_WITH_AN_ID,
    "elevenlabs/getSampleAudio": ONLY_WITH_AN_ID,
    "elevenlabs/getTranscript": ONLY_WITH_AN_ID,
    "elevenlabs/getVoiceCaptcha": ONLY_WITH_AN_ID,
    "elevenlabs/getVoicePreview": ONLY_WITH_AN_ID,
    "elevenlabs/remixVoice": ONLY_WITH_AN_ID,
    "elevenlabs/removePronunciationRules": ONLY_WITH_AN_ID,
    "elevenlabs/requestVerification": ONLY_WITH_AN_ID,
    "elevenlabs/setPronunciationRules": ONLY_WITH_AN_ID,
    "elevenlabs/trainProfessionalVoice": ONLY_WITH_AN_ID,
    "elevenlabs/updateProfessionalSample": ONLY_WITH_AN_ID,
    "elevenlabs/updatePronunciationDictionary": ONLY_WITH_AN_ID,
    "elevenlabs/verifyVoiceCaptcha": ONLY_WITH_AN_ID,
    "inworld/publishVoice": ONLY_WITH_AN_ID,
    "deepgram/listProjectModels": ONLY_WITH_AN_ID,
    "deepgram/getProjectModel": ONLY_WITH_AN_ID,
}

CHANGED_ONCE = "A check changes the voice that it created once, with documented values."
CHANGES_OF_A_VOICE = {
    "elevenlabs/editVoiceSettings": CHANGED_ONCE,
    "elevenlabs/updateProfessionalVoice": CHANGED_ONCE,
}
"""Operations whose limits are not tried, with the reason; those of `NEVER_ACCEPTED` have nothing to be tried on."""


@pytest.fixture(params=CONTRACTS, ids=lambda contract: contract.id, scope="module")
def contract(request) -> Contract:
    return request.param


@pytest.fixture(scope="module")
def cases(contract) -> dict[str, list[ConformanceCase]]:
    targets = [*contract.targets.values()] or [*contract.audio_input_targets.values()]
    plan = plan_cases(targets, is_emulated=True, include_all_billable_cases=True, include_webhooks=True)
    found: dict[str, list[ConformanceCase]] = {name: [] for name in contract.operations}
    for case in plan.cases:
        found[case.operation].append(case)
    return found


def followed(contract: Contract) -> Iterator[str]:
    """Yield operations that are called with ids of jobs and resources: status, cancel, download, list, delete."""
    for operation in contract.operations.values():
        parts = [operation.speech.response.audio, operation.job] if operation.speech else [operation.job]
        if operation.started_job_operation is not None:
            yield operation.started_job_operation.id
        if operation.job is not None:
            yield from filter(None, (operation.job.result_operation_id,))
            yield from filter(None, (getattr(operation.job.audio, "download_operation_id", None),))
            yield from [operation.job.cancellation.operation_id] if operation.job.cancellation else []
        yield from filter(None, (getattr(part, "download_operation_id", None) for part in parts))
        response = getattr(operation.audio_input, "response", None)
        for key in ("audio", "stems"):
            yield from filter(None, [getattr(getattr(response, key, None), "download_operation_id", None)])
        if operation.resource is not None:
            parts = (operation.resource.listing, operation.resource.deletion, *operation.resource.transitions)
            yield from (part.operation_id for part in parts if part is not None)
            yield from (use.operation_id for use in operation.resource.uses)


def test_every_operation_has_an_accepted_case(contract, cases) -> None:
    met = set(followed(contract))
    accepted = {
        name for name, own in cases.items() if any(case.expected_response.acceptance == "accepted" for case in own)
    }
    never = {name.partition("/")[2] for name in NEVER_ACCEPTED if name.partition("/")[0] == contract.id}
    assert set(contract.operations) - met - accepted == never


def test_every_documented_error_is_caused(contract, cases) -> None:
    missing = [
        f"{name} {status}"
        for name, operation in contract.operations.items()
        for status in operation.responses
        if status[0] in "45" and status.isdecimal() and not meets(cases[name], int(status))
    ]
    assert missing == []


def meets(cases: list[ConformanceCase], status: int) -> bool:
    return any(
        case.expected_response.acceptance == "rejected" and status in case.expected_response.statuses for case in cases
    )


def limits(contract: Contract, operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield every limit of requests to `operation`: JSON pointer and keyword."""
    for media in operation.request_media.values():
        schema, pointer = media.part_data.get("schema", {}), media.schema_pointer or ""
        yield from bounds(contract, schema, pointer, 0)
    for parameter in operation.parameters:
        if parameter.message_part in ("query", "header"):
            yield from bounds(contract, parameter.part_data.get("schema", {}), f"{parameter.pointer}/schema", 0)


def bounds(contract: Contract, schema: object, pointer: str, depth: int) -> Iterator[tuple[str, str]]:
    schema, pointer = contract.schemas.resolve_reference(schema, pointer)
    if not isinstance(schema, dict) or depth > 4:
        return
    yield from ((f"{pointer}/{keyword}", keyword) for keyword in BOUNDS if keyword in schema)
    for name, inner in schema.get("properties", {}).items():
        yield from bounds(contract, inner, f"{pointer}/properties/{escape_pointer_token(name)}", depth + 1)
    if "items" in schema:
        yield from bounds(contract, schema["items"], f"{pointer}/items", depth + 1)


def verdicts(cases: list[ConformanceCase], pointer: str) -> tuple[int, int]:
    """Count the valid and the invalid cases for `pointer`: those that must be accepted, or rejected.

    Both may be either if only a client library states the limit.
    """
    here = [case.expected_response.acceptance for case in cases if case.expected_response.contract_pointer == pointer]
    return here.count("accepted") + here.count("either"), here.count("rejected") + here.count("either")


def inside(contract: Contract, keyword: str) -> int:
    """How many valid values belong to a bound: itself and one further in.

    Whatever rejects a text of one character less than the longest rejects the longest too. A least length is 1
    throughout: a voice or a model of one letter is none, so what is valid is the plain request.
    A value between two bounds that are 2 apart counts for one of them.
    """
    if keyword in ("minLength", "minItems"):
        return 0
    is_own_server = contract.provider.self_hosted is not None
    if keyword == "maxLength":
        return 0 if is_own_server else 1
    return 1 if keyword == "maximum" else 2


def test_every_limit_of_a_request_is_tested_below_at_and_above(contract, cases) -> None:
    missing = []
    untried = NEVER_ACCEPTED | CHANGES_OF_A_VOICE
    for name, operation in contract.operations.items():
        if f"{contract.id}/{name}" in untried:
            continue
        for pointer, keyword in limits(contract, operation):
            accepted, rejected = verdicts(cases[name], pointer)
            if rejected < 1 or (accepted < inside(contract, keyword) and not any(map(pointer.endswith, LEFT_OUT))):
                missing.append(f"{name} {pointer}: {accepted} accepted, {rejected} rejected")
    assert missing == []


def test_every_limit_of_an_upload_is_tested_on_both_sides(contract, cases) -> None:
    missing = []
    for name, operation in contract.operations.items():
        forms = (media for media in operation.request_media.values() if is_form(media.name))  # JSON has audio as a text
        fields = {key for media in forms for key in media.schema.get("properties", {})}
        for field, upload in operation.limits.upload_limits.items():
            own = [
                case for case in cases[name] if f"/upload_limits/{field}/" in case.expected_response.contract_pointer
            ]
            for limit in UPLOADS if field in fields else ():
                if getattr(upload, limit):
                    at = [case for case in own if case.expected_response.contract_pointer.endswith(f"/{limit}")]
                    kinds = {case.expected_response.acceptance for case in at}
                    missing += [f"{name} {field} {limit}: {kinds}"] if not {"accepted", "rejected"} <= kinds else []
    assert missing == []


def test_exceptions_exist() -> None:
    assert all(LEFT_OUT.values())
    assert {
        f"{one.id}/{name}" for one in CONTRACTS for name in one.operations
    } >= NEVER_ACCEPTED.keys() | CHANGES_OF_A_VOICE
    known = {pointer for one in CONTRACTS for op in one.operations.values() for pointer, _ in limits(one, op)}
    assert all(any(pointer.endswith(end) for pointer in known) for end in LEFT_OUT)
