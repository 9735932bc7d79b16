"""Reads settings from a file: `voicegauge.toml`, or `[tool.voicegauge]` of `pyproject.toml`.

Such a file may belong to somebody else: CI checks the files of a pull request. It must not decide where a key is sent,
what a run may cost, whose code runs, or which files outside of the folder are read or written. A file that the user
names with `voicegauge --settings FILE` or in VOICEGAUGE_SETTINGS is trusted.

A key at the top level applies to every command that has an option of this name. A table with
the name of a command applies to that command only. A table inside the table of a command gives
the pairs of an option that takes NAME=VALUE.
An option that may be repeated takes a list or a single value.
Flags override the environment, which overrides the file.
A file that the user did not name sets only what the declaration of an option allows, see `voicegauge.options.Trust`.

    seed = 7
    [bench]
    suite = "standard"
    [check.severity]
    retry-after-missing = "info"
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import tomllib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from voicegauge.cli._options import RequestOption
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import get_state_folder, read_file, require_files_in_folder, write_file
from voicegauge.options import DeclaredOption, Trust

# Decides where a settings file that the user did not name may let a command write.


OUTPUT_SUFFIXES = frozenset(
    {".csv", ".har", ".htm", ".html", ".json", ".md", ".parquet", ".patch", ".sarif", ".svg", ".xml", ".yaml"}
)
"""Suffixes of the outputs that a settings file may name although the user did not name the settings file itself. Files
with these suffixes are not executed by their name."""
_OUTPUT_MARKER_FILE_NAME = ".voicegauge-outputs"
"""Name of the file with the token, in the folder of outputs."""
_MAX_OUTPUT_RECORD_BYTES = 2**20
"""Maximum size of the record, and of the file with the token, that are read."""


@dataclasses.dataclass
class _OutputRecord:
    """The record in voicegauge's state folder of a folder of outputs that voicegauge created."""

    token: str
    """Content of the file `_OUTPUT_MARKER_FILE_NAME` in the folder, which shows that this is the folder that was
    created."""
    files: list[str] = dataclasses.field(default_factory=list)
    """Paths of the files that commands wrote, relative to the folder."""


def find_output_problem(value: str, folder: Path, *, is_folder: bool) -> str | None:
    """Return why a settings file in `folder` must not name this output; `None` if it may.

    Args:
        value: the path, as the settings file has it.
        folder: the folder of the settings file.
        is_folder: whether the output is a folder, not a file.
    """
    parts = PurePath(value).parts
    if PurePath(value).is_absolute() or ".." in parts or not is_path_inside(folder, value):
        return f"{value!r} is outside of this folder"
    # Git, shells and editors read their configuration, which may name programs, from hidden files.
    if any(part.startswith(".") for part in parts):
        return f"{value!r} is hidden"
    # A later `rm *` in the folder would take the name for an option.
    if any(part.startswith("-") for part in parts):
        return f"{value!r} reads like an option"
    # Beside the user's own files, an output could replace one, or be read by a tool as its configuration: what is in a
    # folder that voicegauge created was written by voicegauge.
    if len(parts) < (1 if is_folder else 2):
        return f"{value!r} is not in a folder of its own, such as reports/{value or 'out.json'}"
    if not is_folder and PurePath(value).suffix.lower() not in OUTPUT_SUFFIXES:
        return f"{value!r} has a suffix that no output has"
    return _find_problem_of_output_in_existing_folder(folder / parts[0], PurePath(*parts[1:]), is_folder=is_folder)


def _find_problem_of_output_in_existing_folder(root: Path, path_in_root: PurePath, *, is_folder: bool) -> str | None:
    """Return why an output in the existing folder `root` must not be written; `None` if it may."""
    if not root.is_symlink() and not root.exists():
        return None
    record = _read_output_record(root)
    if record is None:
        return f"{root.name!r} is a folder that voicegauge did not create"
    if not is_folder and (root / path_in_root).exists() and str(path_in_root) not in record.files:
        return f"'{root.name}/{path_in_root}' is a file that voicegauge did not write"
    return None


def create_output_folder(value: PurePath, folder: Path, *, is_folder: bool) -> None:
    """Create the topmost folder of the path of an output, with a record that voicegauge created it.

    The record names the output too if it is a file, so that later commands may replace it.

    Args:
        value: path of the output, relative to `folder`; `find_output_problem` has accepted it.
        folder: the folder of the settings file.
        is_folder: whether the output is a folder.

    Raises:
        StorageError: a file cannot be written.
    """
    root = folder / value.parts[0]
    # The token is random: a folder that a pull request brings along cannot have it.
    record = _read_output_record(root) or _OutputRecord(secrets.token_hex(16))
    name = str(PurePath(*value.parts[1:]))
    if not is_folder and name not in record.files:
        record.files.append(name)
    write_file(root / _OUTPUT_MARKER_FILE_NAME, record.token.encode())
    write_file(_get_record_file(root), json.dumps(dataclasses.asdict(record)).encode())


def _read_output_record(root: Path) -> _OutputRecord | None:
    """Return the record of an output folder; `None` if voicegauge did not create the folder that exists now."""
    # A link can be made to lead elsewhere after the folder was recorded.
    if root.is_symlink() or not root.is_dir():
        return None
    try:
        record = _OutputRecord(**json.loads(read_file(_get_record_file(root), _MAX_OUTPUT_RECORD_BYTES)))
        token = read_file(root / _OUTPUT_MARKER_FILE_NAME, _MAX_OUTPUT_RECORD_BYTES).decode()
    except (OSError, ValueError, TypeError):
        return None
    return record if token == record.token else None


def _get_record_file(root: Path) -> Path:
    return get_state_folder() / "outputs" / f"{hashlib.sha256(bytes(root.resolve())).hexdigest()[:16]}.json"


def is_path_inside(folder: Path, path: str) -> bool:
    """Whether a path relative to `folder` is below it, also if links are followed. A URL is not."""
    if "://" in path:
        return False
    try:
        return (folder / path).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a cycle of links, or a NUL character
        return False


# Decides which options a settings file may set that was found in the current folder, not named by the user.


_PLAIN_NAME_PATTERN = re.compile(r"[\w.-]+")
"""Matches a name of letters, digits, dots, hyphens and underscores, which cannot lead to another folder."""


def find_untrusted_reason(declared: DeclaredOption, values: Sequence[Any], file: Path, *, is_live: bool) -> str | None:
    """Return why a settings file that the user did not name must not give these values to an option.

    The result is `None` if it may, by the trust that the option declares.

    Args:
        declared: the declaration of the option.
        values: the values as on the command line, one for each use of the option.
        file: the settings file.
        is_live: whether the command line has --live.
    """
    spec = declared.spec
    if spec.found_file is Trust.REFUSED:
        return spec.refusal_reason
    if is_live and spec.live_refusal_reason is not None:
        return spec.live_refusal_reason
    find_reason = _REFUSAL_EXPLAINER_BY_TRUST.get(spec.found_file)
    reasons = () if find_reason is None else (find_reason(declared, value, file.parent.resolve()) for value in values)
    return next(filter(None, reasons), None)


def _explain_refused_limit(declared: DeclaredOption, value: Any, _folder: Path) -> str | None:
    if "=" in str(value):  # several of them could exceed the default together
        return "only you may decide about the budget of a provider"
    try:
        is_within = float(value) <= declared.default  # false for nan too
    except (TypeError, ValueError, OverflowError):
        is_within = False
    return None if is_within else f"it raises the limit of {declared.default:g}"


def _explain_refused_output(declared: DeclaredOption, value: Any, folder: Path) -> str | None:
    if value == "-" and declared.shape.item_type is str:  # standard output; a `Path` would be a file of this name
        return None
    return find_output_problem(str(value), folder, is_folder=declared.spec.path.is_output_folder)


_REFUSAL_EXPLAINER_BY_TRUST: Mapping[Trust, Callable[[DeclaredOption, Any, Path], str | None]] = {
    Trust.UP_TO_DEFAULT: _explain_refused_limit,
    Trust.PLAIN_NAME: lambda _declared, value, _folder: (
        None if _PLAIN_NAME_PATTERN.fullmatch(str(value)) else f"{value!r} is not a plain name"
    ),
    Trust.PATH_IN_FOLDER: lambda _declared, value, folder: (
        None if is_path_inside(folder, str(value)) else f"{value!r} is outside of this folder"
    ),
    Trust.NEW_OUTPUT: _explain_refused_output,
}
"""Functions that return why a value is refused, `None` if it is not, by the trust that the option declares."""


def describe_untrusted_settings(reasons: Mapping[str, str], file: Path) -> str:
    """Describe in one line which settings of `file` are not accepted, why, and what to do.

    Args:
        reasons: the reasons by setting.
        file: the settings file, which was found in the current folder.
    """
    listed = ", ".join(f"{setting} ({reason})" for setting, reason in reasons.items())
    flags = ", ".join(f"--{setting}" for setting in reasons)
    return (
        f"not read from a file that was found in the current folder: {listed}: "
        f"pass {flags}, or trust the file with `voicegauge --settings {file.name}`"
    )


def create_output_folders(ctx: click.Context, options: Iterable[DeclaredOption]) -> None:
    """Create the folders of the outputs that a settings file names which the user did not name.

    Raises:
        StorageError: a folder cannot be created.
    """
    settings = ctx.meta.get(SETTINGS_FILE_CONTEXT_KEY)
    if settings is None or settings.is_trusted:
        return
    for one in options:
        value = ctx.params.get(one.name)
        is_from_file = ctx.get_parameter_source(one.name) is ParameterSource.DEFAULT_MAP
        if one.spec.found_file is Trust.NEW_OUTPUT and is_from_file and value is not None and str(value) != "-":
            is_folder = one.spec.path.is_output_folder
            create_output_folder(PurePath(value), settings.path.parent.resolve(), is_folder=is_folder)


# Reads settings from a file: `voicegauge.toml`, or `[tool.voicegauge]` of `pyproject.toml`.


LIVE_SETTING_NAME = "live"
"""The flag that a settings file must not set, because only the command line may cause costs."""
_LIVE_REJECTION_MESSAGE = "live cannot be set in a file, because it costs money: write --live on the command line"

SETTINGS_FILE_CONTEXT_KEY = "voicegauge.settings_file"
"""Key under which `click.Context.meta` has the `SettingsFile`, if there is one."""
MAX_SETTINGS_FILE_BYTES = 2**20
"""Maximum size of a settings file."""
MAX_SETTING_KEY_PARTS = 100
"""Largest number of parts of a key in TOML, such as 2 in "bench.suite"."""
_KEY_SEPARATOR_PATTERN = re.compile(r"[\w\"'-]\s*\.(?=\s*[\w\"'-])")


class SettingsFile(NamedTuple):
    """A settings file and its content."""

    path: Path
    settings: Mapping[str, Any]
    is_trusted: bool
    """Whether the user named the file; otherwise it was found in the current folder."""

    @property
    def display_name(self) -> str:
        """Name of the file in error messages: as the user named it, or its name in the current folder."""
        return str(self.path) if self.is_trusted else self.path.name


def load_settings(file: Path) -> SettingsFile:
    """Read the settings file that the user named.

    Raises:
        UsageError: the file does not exist or holds no settings, or its content is not valid.
    """
    values = (_read_pyproject_settings if file.name == "pyproject.toml" else _read_toml_file)(file, str(file))
    if values is None:
        raise UsageError(f"{file}: no such file, or no settings in it")
    return SettingsFile(file, values, is_trusted=True)


def find_settings(folder: Path) -> SettingsFile | None:
    """Return the settings in `folder`, from `voicegauge.toml` or from `[tool.voicegauge]` of `pyproject.toml`.

    The result is `None` if neither has any.

    Raises:
        UsageError: a file cannot be read or is not valid TOML; `[tool.voicegauge]` is not a table; or both files have
            settings.
        DataError: `voicegauge.toml`, or a `pyproject.toml` with settings, is a link out of the folder. Error messages
            would quote names of settings in it.
    """
    own, shared = folder / "voicegauge.toml", folder / "pyproject.toml"
    require_files_in_folder([own], folder)
    found, tool = _read_toml_file(own, own.name), _read_pyproject_settings(shared, shared.name)
    if tool is not None:  # a pyproject.toml for other tools may be a link
        require_files_in_folder([shared], folder)
    if found is not None and tool is not None:
        raise UsageError(f"{own.name} and [tool.voicegauge] of {shared.name} both hold settings: remove one")
    if found is not None:
        return SettingsFile(own, found, is_trusted=False)
    return SettingsFile(shared, tool, is_trusted=False) if tool is not None else None


def _read_pyproject_settings(path: Path, file_label: str) -> dict[str, Any] | None:
    tools = (_read_toml_file(path, file_label) or {}).get("tool")
    tool = tools.get("voicegauge") if isinstance(tools, dict) else None
    if tool is not None and not isinstance(tool, dict):
        raise UsageError(f"{file_label}: [tool.voicegauge] must be a table of settings")
    return tool


def _read_toml_file(path: Path, file_label: str) -> dict[str, Any] | None:
    try:
        text = read_file(path, MAX_SETTINGS_FILE_BYTES).decode()
        # The time that `tomllib` takes for a key grows with the square of its parts: minutes for a file of this size.
        for number, line in enumerate(text.splitlines(), start=1):
            longest = max(map(len, map(_KEY_SEPARATOR_PATTERN.findall, re.split(r"[=,{\[]", line))))
            if longest >= MAX_SETTING_KEY_PARTS:
                raise UsageError(f"{file_label}:{number}: has a key of more than {MAX_SETTING_KEY_PARTS} parts")
        return tomllib.loads(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{file_label}: cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise UsageError(f"{file_label}: is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file_label}: is not text in UTF-8") from error
    except ValueError as error:  # also an integer of thousands of digits
        raise UsageError(f"{file_label}: is not valid TOML: {error}") from error


def collect_command_defaults(
    command: click.Command,
    settings_file: SettingsFile,
    command_loader_by_name: Mapping[str, Callable[[], click.Command]],
    *,
    given_flags: Container[str] = (),
) -> dict[str, Any]:
    """Return the settings that apply to `command`, by parameter name.

    Args:
        command: the command that was called.
        settings_file: the settings file.
        command_loader_by_name: functions that import a command, by the command's name.
        given_flags: flags on the command line, which replace the settings of their name.

    Raises:
        UnknownNameError: a key is neither an option of the commands it applies to nor a command.
        UsageError: there is a value instead of a table, a value is not valid for its option, or values are not
            accepted from this file; the error message names all of these.
    """
    options = _map_options_by_setting(command)
    table = _read_command_table(command, settings_file, command_loader_by_name)
    _reject_unknown_setting_names(command, settings_file, table, command_loader_by_name)
    entries = [
        *(
            _SettingEntry(name, value, name)
            for name, value in settings_file.settings.items()
            if not isinstance(value, dict)
        ),
        *(_SettingEntry(name, value, f"[{command.name}] {name}") for name, value in table.items()),
    ]
    defaults: dict[str, Any] = {}
    problems = (
        [_LIVE_REJECTION_MESSAGE]
        if any(one.name == LIVE_SETTING_NAME and one.value is not False for one in entries)
        else []
    )
    untrusted: dict[str, str] = {}
    for entry in entries:
        if entry.name not in options or entry.name == LIVE_SETTING_NAME:
            continue
        option = options[entry.name]
        # The flag replaces the value, so that it can do no harm.
        if option.declared.flag in given_flags:
            continue
        values = _convert_to_flag_values(option, entry.value, f"{settings_file.display_name}: {entry.location_in_file}")
        defaults[str(option.name)] = values
        if not settings_file.is_trusted and entry.value is not False:
            reason = find_untrusted_reason(
                option.declared,
                values if option.multiple else [values],
                settings_file.path,
                is_live=f"--{LIVE_SETTING_NAME}" in given_flags,
            )
            untrusted |= {entry.name: reason} if reason else {}
    if untrusted:
        problems.append(describe_untrusted_settings(untrusted, settings_file.path))
    if problems:
        raise UsageError(f"{settings_file.display_name}: {'; '.join(problems)}")
    return defaults


class _SettingEntry(NamedTuple):
    """One setting of a settings file."""

    name: str
    value: Any
    location_in_file: str
    """Name of the table and of the setting, for error messages."""


def _read_command_table(
    command: click.Command,
    settings_file: SettingsFile,
    command_loader_by_name: Mapping[str, Callable[[], click.Command]],
) -> Mapping[str, Any]:
    table = settings_file.settings.get(command.name or "", {})
    if isinstance(table, dict):
        return table
    if command.name not in _list_setting_names(command_loader_by_name):
        raise UsageError(f"{settings_file.display_name}: {command.name} must be a table of settings")
    return {}  # `asr` is an option as well as a command


def _reject_unknown_setting_names(
    command: click.Command,
    settings_file: SettingsFile,
    table: Mapping[str, Any],
    command_loader_by_name: Mapping[str, Callable[[], click.Command]],
) -> None:
    """Reject a key that is neither a command nor an option of the commands that it applies to.

    Raises:
        UnknownNameError: there is such a key.
    """
    options = _map_options_by_setting(command).keys()
    for name, value in settings_file.settings.items():
        if isinstance(value, dict) and name not in command_loader_by_name:
            raise UnknownNameError(f"command in {settings_file.display_name}", name, command_loader_by_name)
        if not isinstance(value, dict) and name not in options | {LIVE_SETTING_NAME}:
            known = _list_setting_names(command_loader_by_name)
            if name not in known and name in command_loader_by_name:
                raise UsageError(f"{settings_file.display_name}: {name} must be a table of settings")
            if name not in known:
                raise UnknownNameError(
                    f"setting in {settings_file.display_name}",
                    name,
                    known - {LIVE_SETTING_NAME},
                    listing_command="voicegauge COMMAND --help",
                )
    for name in sorted(table.keys() - options - {LIVE_SETTING_NAME}):
        raise UnknownNameError(
            f"setting [{command.name}] in {settings_file.display_name}",
            name,
            options - {LIVE_SETTING_NAME},
            listing_command=f"voicegauge {command.name} --help",
        )


def add_value_source_to_error_message(error: click.BadParameter) -> None:
    """Let the error message name where the user wrote the value of an option: a flag, a variable or the settings."""
    option, ctx = error.param, error.ctx
    if error.param_hint is not None or not isinstance(option, RequestOption) or ctx is None or option.name is None:
        return
    source = ctx.get_parameter_source(option.name)
    if source is ParameterSource.DEFAULT_MAP:
        error.param_hint = f"'{option.declared.setting_name}' in {ctx.meta[SETTINGS_FILE_CONTEXT_KEY].display_name}"
    elif source is ParameterSource.ENVIRONMENT:
        error.param_hint = f"the environment variable {option.envvar}"
    else:
        error.param_hint = " / ".join(f"'{flag}'" for flag in option.opts)


def _convert_to_flag_values(option: RequestOption, value: Any, location_in_file: str) -> Any:
    """Convert a value of the settings file to the value that the same flags on the command line would have.

    The result is a list if the option may be repeated; a table becomes a list of NAME=VALUE.
    """
    if option.multiple and isinstance(value, dict):
        value = [f"{name}={inner}" for name, inner in value.items()]
    values = value if option.multiple and isinstance(value, list) else [value]
    if not all(_is_valid_option_value(option, one) for one in values):
        a_list = ", or a list of them" if option.multiple else ""
        raise UsageError(
            f"{location_in_file} must be {'true or false' if option.is_flag else f'a string or a number{a_list}'}"
        )
    return values if option.multiple else value


def _is_valid_option_value(option: RequestOption, value: Any) -> bool:
    if option.is_flag or isinstance(value, bool):
        return option.is_flag and isinstance(value, bool)
    return isinstance(value, str | int | float)


def _list_setting_names(command_loader_by_name: Mapping[str, Callable[[], click.Command]]) -> set[str]:
    """Return the names of all options of all commands; this imports every command."""
    return {flag for make in command_loader_by_name.values() for flag in _map_options_by_setting(make())}


def _map_options_by_setting(command: click.Command) -> dict[str, RequestOption]:
    return {option.declared.setting_name: option for option in command.params if isinstance(option, RequestOption)}


# Describes the settings file as a JSON schema.


def build_settings_schema(command_loader_by_name: Mapping[str, Callable[[], click.Command]]) -> dict[str, Any]:
    """Return the JSON Schema of a settings file, with the trust of each option as `x-found-file`.

    Settings at the top level apply to every command with an option of this name.
    """
    tables = {name: _map_options_by_setting(load()) for name, load in command_loader_by_name.items()}
    shared: dict[str, list[dict[str, Any]]] = {}
    for options in tables.values():
        for setting, option in options.items():
            schema = _build_option_schema(option.declared)
            if setting != LIVE_SETTING_NAME and schema not in shared.setdefault(setting, []):
                shared[setting].append(schema)
    properties: dict[str, Any] = {
        setting: schemas[0] if len(schemas) == 1 else {"anyOf": schemas} for setting, schemas in sorted(shared.items())
    }
    for command_name, options in tables.items():
        if options:
            table = {
                setting: _build_option_schema(option.declared)
                for setting, option in options.items()
                if setting != LIVE_SETTING_NAME
            }
            properties[command_name] = {"type": "object", "properties": table, "additionalProperties": False}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _build_option_schema(declared: DeclaredOption) -> dict[str, Any]:
    shape, spec = declared.shape, declared.spec
    if shape.choices:
        schema: dict[str, Any] = {"enum": list(shape.choices)}
    elif spec.parse is not None:
        schema = {"type": ["string", "number"]}
    else:
        schema = {"type": {bool: "boolean", int: "integer", float: "number"}.get(shape.item_type, "string")}
    low, high = ("exclusiveMinimum", "exclusiveMaximum") if spec.excludes_bounds else ("minimum", "maximum")
    schema |= {key: bound for key, bound in ((low, spec.minimum), (high, spec.maximum)) if bound is not None}
    if shape.is_mapping:
        pairs = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
        schema = {"anyOf": [schema, {"type": "array", "items": schema}, pairs]}
    elif shape.is_repeated:
        schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
    trust = f"{spec.found_file.value}, not with --live" if spec.live_refusal_reason else spec.found_file.value
    return {"description": spec.help, "x-found-file": trust, **schema}
