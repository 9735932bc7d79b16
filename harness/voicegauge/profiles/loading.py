"""Loads the profiles that are part of voicegauge."""

from __future__ import annotations

import hashlib
from functools import cache

import msgspec

from voicegauge.contract import Contract, load_contract
from voicegauge.data_folders import find_profiles_folder
from voicegauge.errors import UnknownNameError
from voicegauge.profiles.profile import Profile

_PROFILES_FOLDER = find_profiles_folder()
_FILE_NAME, _CONTRACT_NAME = "profile.yaml", "openapi.yaml"


def list_profiles() -> tuple[str, ...]:
    """Return the ids of all profiles, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _PROFILES_FOLDER.glob(f"*/{_FILE_NAME}")))


@cache
def load_profile(profile_id: str) -> Profile:
    """Return a profile.

    Raises:
        UnknownNameError: there is no profile with this id; the message lists those that exist.
    """
    if profile_id not in list_profiles():
        raise UnknownNameError("profile", profile_id, list_profiles())
    return msgspec.yaml.decode((_PROFILES_FOLDER / profile_id / _FILE_NAME).read_bytes(), type=Profile)


def load_profile_contract(profile: Profile) -> Contract:
    """Return the contract from which the cases of `profile` are planned."""
    return load_contract(_PROFILES_FOLDER / profile.id / _CONTRACT_NAME)


def compute_profile_digest(profile_id: str) -> str:
    """Return the SHA-256 checksum of the two files of a profile, which never changes after its publication."""
    folder = _PROFILES_FOLDER / profile_id
    return hashlib.sha256((folder / _FILE_NAME).read_bytes() + (folder / _CONTRACT_NAME).read_bytes()).hexdigest()
