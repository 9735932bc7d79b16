"""Declares options: one declaration is all that a command, a settings file, a function and its documentation need.

A request is a frozen dataclass whose fields are declared with `argument`, `option`, `option_group` and `keyword`. From
these declarations come the options of a command (`voicegauge.cli`), the keywords and the documentation of the function
with the same fields (`voicegauge.api.calls.create_keyword_function`), the names, the trust and the JSON schema of
settings, the options of the pytest plugin, and the check that an option has an effect together with the others
(`validate_request`).
"""

from __future__ import annotations

import builtins
import dataclasses
import enum
import functools
import inspect
import math
import numbers
import os
import reprlib
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from voicegauge.errors import UnknownNameError, UsageError, find_similar_names

ArgumentsT = ParamSpec("ArgumentsT")
RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
DataclassT = TypeVar("DataclassT")

PathLike = str | os.PathLike[str]
_PATH_ANNOTATIONS = ("PathLike", "PathLike | None")
"""Annotations of options that are a path, as they are written."""

_METADATA_KEY = "voicegauge.option"
"""Key under which the metadata of a dataclass field has the field's `OptionSpec`."""


class Trust(enum.Enum):
    """Which values a settings file that was found in the current folder may give to an option.

    Such a file may belong to somebody else: CI checks the files of a pull request. An option that declares nothing is
    refused, so that a new option is safe until its author has thought about it.
    """

    REFUSED = "refused"
    """Only the user may set it, because it decides about keys, money, code, or files outside of the folder."""
    ANY_VALUE = "any value"
    UP_TO_DEFAULT = "at most the default"
    """A limit may become stricter, not looser."""
    PLAIN_NAME = "a plain name"
    """A name of letters, digits, hyphens, underscores and dots, which cannot be a path or a URL."""
    PATH_IN_FOLDER = "a path in its folder"
    """A file or folder to read, below the folder of the settings file."""
    NEW_OUTPUT = "an output in a folder of its own"
    """A file or folder to write, below a folder that voicegauge created, see `voicegauge.cli._settings`."""


class PathKind(enum.Enum):
    """What must be, or will be, at the path that an option takes."""

    ANY = "path"
    EXISTING = "existing path"
    EXISTING_FILE = "existing file"
    OUTPUT_FILE = "file to write"
    OUTPUT_FOLDER = "folder to write to"
    LATER_FOLDER = "folder to write to, checked when something is written"

    @property
    def is_output_folder(self) -> bool:
        """Whether the path is that of a folder to write to."""
        return self in {PathKind.OUTPUT_FOLDER, PathKind.LATER_FOLDER}


class Completion(enum.Enum):
    """Which known names a shell completes."""

    PROVIDER = "provider"
    TARGET = "target"
    """A target or a provider."""
    RULE = "rule"
    FAULT = "fault"
    SUITE = "suite"


class OptionRole(enum.Enum):
    """How a field of a request is given on the command line."""

    ARGUMENT = "argument"
    OPTION = "option"
    GROUP = "group"
    """A flag that permits the options of another request, which is the value of the field."""
    KEYWORD = "keyword"
    """The option is on no command line: only a caller of the Python function can set it."""


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """The declaration of an option, without the name, annotation and default of its field."""

    role: OptionRole
    help: str
    """What the value is for: the help of the option, and the documentation of the keyword."""
    keyword_note: str = ""
    """What only a caller of the function needs to know in addition."""
    flag: str | None = None
    """Name on the command line; `None` for "--" and the field's name with hyphens."""
    other_command_flag: str | None = None
    """Flag of the option of other commands that does the same; the error for it names this one. `None` for none."""
    off_flag: str | None = None
    """Name, on the command line, of the flag with the opposite effect; `None` if there is none."""
    metavar: str | None = None
    value_type: Any = None
    """Type on the command line if it is narrower than the annotation, which may also allow loaded objects."""
    minimum: float | None = None
    maximum: float | None = None
    excludes_bounds: bool = False
    """Whether `minimum` and `maximum` themselves are not allowed."""
    path: PathKind = PathKind.ANY
    replaced_mark: bytes | None = None
    """What an existing file must contain (`check_replaceable`) for the command to replace it; `None` if any file is
    replaced."""
    completion: Completion | None = None
    parse: Callable[[str], Any] | None = None
    """Reads one value, or one pair of a name and a value for a mapping. It raises `UsageError` for a value that is not
    valid; the error message does not repeat a value that may be secret."""
    environment_variable: str | None = None
    found_file: Trust = Trust.REFUSED
    """What a settings file that was found in the current folder may set the option to."""
    raises_cost: bool = False
    """Whether its value can raise what a live run costs, within the budget. A found file may then set it for runs that
    cost nothing only, if it may set it at all."""
    hides_live_run: bool = False
    """Whether its value can make a live command do something else than what the command line asks for, such as only
    print the plan, or succeed although most requests were lost. A found file may then set it for runs without `--live`
    only."""
    refusal_reason: str = "only you may decide it"
    """Why a found file may not set the option, if `found_file` refuses it; a part of the error message."""
    requires: tuple[str, ...] = ()
    """Fields of which at least one must be given, or this one has no effect."""
    excludes: tuple[str, ...] = ()
    """Fields that cannot be given together with this one."""
    default_text: str | None = None
    """The default in words, for the documentation; `None` if the default value itself says it."""

    @property
    def live_refusal_reason(self) -> str | None:
        """Why a found file may not set it for a command with `--live`; `None` if `--live` makes no difference."""
        if self.raises_cost:
            return "it can raise what a live run costs"
        return "it can hide that a live run did not do what you asked for" if self.hides_live_run else None


def option(
    *,
    help: str,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    kw_only: bool = True,
    **spec: Any,
) -> Any:
    """Declare a field that is an option of the command; `OptionSpec` describes the other keywords."""
    return _declare_field(OptionRole.OPTION, help, default, default_factory, spec, kw_only=kw_only)


def argument(
    *,
    help: str,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    kw_only: Literal[False],
    **spec: Any,
) -> Any:
    """Declare a field that is a positional argument of the command and of the function.

    Type checkers look for `kw_only` in the call, so each call has it.
    """
    return _declare_field(OptionRole.ARGUMENT, help, default, default_factory, spec, kw_only=kw_only)


def keyword(
    *,
    help: str,
    default: Any = dataclasses.MISSING,
    default_factory: Any = dataclasses.MISSING,
    kw_only: bool = True,
) -> Any:
    """Declare a field that only a caller of the function can give, such as a listener."""
    return _declare_field(OptionRole.KEYWORD, help, default, default_factory, {}, kw_only=kw_only)


def option_group(*, help: str, flag: str, default: None = None, **spec: Any) -> Any:
    """Declare a field whose value is an object of another class of options, or `None` if `flag` is not given.

    The other options become options of the command; each has an effect only together with `flag`. `spec` has further
    fields of `OptionSpec`.
    """
    return _declare_field(OptionRole.GROUP, help, default, dataclasses.MISSING, {"flag": flag, **spec})


def _declare_field(
    role: OptionRole, help_text: str, default: Any, default_factory: Any, spec: Mapping[str, Any], **field_options: Any
) -> Any:
    metadata = {_METADATA_KEY: OptionSpec(role=role, help=help_text, **spec)}
    return dataclasses.field(default=default, default_factory=default_factory, metadata=metadata, **field_options)


@typing.dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(option, argument, keyword, option_group)
)
def request(request_type: type[DataclassT]) -> type[DataclassT]:
    """Make a class with declared fields a request: a frozen dataclass whose fields are keywords by default.

    Its constructor raises a `TypeError` for an unknown keyword that suggests the nearest known one.
    """
    made = dataclass(frozen=True, kw_only=True)(request_type)
    initialize = made.__init__
    names = dict.fromkeys((field.name for field in dataclasses.fields(typing.cast("type[Any]", made))), "")

    @functools.wraps(initialize)
    def initialize_with_hints(self: object, *arguments: object, **keywords: object) -> None:
        reject_unknown_keywords(made.__name__, keywords, names)
        initialize(self, *arguments, **keywords)

    made.__init__ = initialize_with_hints  # type: ignore[method-assign]
    return made


def reject_unknown_keywords(name: str, keywords: Iterable[str], hint_by_known_name: Mapping[str, str]) -> None:
    """Raise a `TypeError` about the first unknown keyword, with the nearest known name, or what to write instead.

    Args:
        name: name of the called function or class.
        keywords: the keywords of the call.
        hint_by_known_name: for each accepted keyword an empty text; for any other known name what to write instead.
    """
    for keyword in keywords:
        if keyword in hint_by_known_name and not hint_by_known_name[keyword]:
            continue
        near = find_similar_names(keyword, hint_by_known_name)
        # max_cost is max_cost_usd, although max_calls has more letters in common.
        near.sort(key=lambda known: not known.startswith(f"{keyword}_"))
        if near:
            hint = f"; did you mean {hint_by_known_name[near[0]] or repr(near[0])}?"
        else:
            hint = f"; known: {', '.join(known for known, written in hint_by_known_name.items() if not written)}"
        raise TypeError(f"{name}() got an unexpected keyword argument {keyword!r}{hint}")


@dataclass(frozen=True)
class DeclaredOption:
    """An option of a request: a field with its declaration."""

    name: str
    """Name of the field."""
    spec: OptionSpec
    annotation: Any
    """The resolved annotation. Types that are imported for type checking only are `Any`."""
    default: Any
    """The default value; `dataclasses.MISSING` if the field must be given."""
    group: DeclaredOption | None = None
    """The group that permits this option; `None` if it belongs to the request itself."""

    @property
    def flag(self) -> str:
        """The name on the command line; for an argument, the name of the field."""
        if self.spec.role is OptionRole.ARGUMENT:
            return self.name
        return self.spec.flag or f"--{self.name.replace('_', '-')}"

    @property
    def setting_name(self) -> str:
        """The name of the option in a settings file."""
        return self.flag.lstrip("-")

    @property
    def is_inverted(self) -> bool:
        """Whether the flag turns the field off, as "--no-report" does."""
        return self.default is True

    @property
    def requires(self) -> tuple[str, ...]:
        """Fields of which at least one must be given for this option to have an effect."""
        if self.spec.requires or self.group is None:
            return self.spec.requires
        return (self.group.name,)

    @property
    def shape(self) -> ValueShape:
        """The values that the option takes on the command line and in a settings file."""
        if self.spec.role is OptionRole.GROUP:
            return ValueShape(bool)
        return _find_value_shape(self.spec.value_type or self.annotation)


@dataclass(frozen=True)
class ValueShape:
    """The values that an option takes, as texts can express them."""

    item_type: type
    """`bool`, `int`, `float`, `str` or `Path`."""
    choices: tuple[str, ...] = ()
    """All values that are allowed; empty if others are allowed too."""
    is_repeated: bool = False
    is_mapping: bool = False
    """Whether each value is a pair of a name and a value; such an option may be repeated."""

    @property
    def is_multiple(self) -> bool:
        """Whether the option may be given several times."""
        return self.is_repeated or self.is_mapping


def list_options(request_type: type[Any]) -> tuple[DeclaredOption, ...]:
    """Return the declared fields of a request in the order of their declaration; those of a group follow its flag."""
    return tuple(_iterate_options(request_type))


def list_own_options(request_type: type[Any]) -> tuple[DeclaredOption, ...]:
    """Return the declared fields of a request, without those of its groups."""
    return tuple(
        DeclaredOption(
            field.name,
            field.metadata[_METADATA_KEY],
            _resolve_annotation(field.type, _find_declaring_class(request_type, field.name).__module__),
            field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(request_type)
        if _METADATA_KEY in field.metadata
    )


def get_group_type(group: DeclaredOption) -> type[Any]:
    """Return the request whose options a group permits."""
    (request_type,) = _list_types_of_union(group.annotation)
    return typing.cast("type[Any]", request_type)


def _iterate_options(request_type: type[Any]) -> Iterator[DeclaredOption]:
    for field in list_own_options(request_type):
        yield field
        if field.spec.role is OptionRole.GROUP:
            for inner in list_own_options(get_group_type(field)):
                yield dataclasses.replace(inner, group=field)


class _AnnotationNamespace(dict[str, Any]):
    """The names of a module and their values. A missing name gives `Any`: it is imported for type checking only."""

    def __missing__(self, name: str) -> Any:
        return Any


def _find_declaring_class(request_type: type[Any], name: str) -> type[Any]:
    """Return the class, of a request and its bases, that declares a field."""
    return next(base for base in request_type.__mro__ if name in inspect.get_annotations(base))


def _resolve_annotation(annotation: Any, module_name: str) -> Any:
    """Return the type that an annotation of a module names. `typing.get_type_hints` rejects missing names."""
    if not isinstance(annotation, str):
        return annotation
    names = _AnnotationNamespace(vars(builtins) | vars(sys.modules[module_name]))
    # Compiled first: after Ctrl-C during the `eval` of a text, Python exits by SIGINT instead of with our status.
    return eval(compile(annotation, module_name, "eval"), {}, names)  # noqa: S307 - our own source


def _list_types_of_union(annotation: Any) -> list[Any]:
    """Return the types of a union that a text can express; the annotation itself if it is not a union."""
    is_union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    alternatives = typing.get_args(annotation) if is_union else (annotation,)
    return [one for one in alternatives if one not in {type(None), Any}]


def _find_value_shape(annotation: Any) -> ValueShape:
    alternatives = _list_types_of_union(annotation)
    if any(typing.get_origin(one) is os.PathLike for one in alternatives):
        return ValueShape(Path)
    chosen = next((one for one in alternatives if typing.get_origin(one) in {Sequence, Mapping}), alternatives[0])
    origin, arguments = typing.get_origin(chosen), typing.get_args(chosen)
    if origin is Literal:
        return ValueShape(str, choices=arguments)
    if origin in {Sequence, tuple}:
        return dataclasses.replace(_find_value_shape(arguments[0]), is_repeated=True)
    if origin is Mapping:
        return ValueShape(str, is_mapping=True)
    return ValueShape(chosen)


# Checks that every given option has an effect, and reads single values.


def find_option_problem(
    options: Sequence[DeclaredOption],
    given_names: typing.Container[str],
    values: Mapping[str, Any],
    *,
    is_for_command_line: bool,
) -> str | None:
    """Return why the given options do not fit together; `None` if they do.

    They do not if one of them requires an option that was not given, or if two exclude each other.

    Args:
        options: all options of the request or of the command.
        given_names: names of the options that were given, possibly with their default value.
        values: the values of all options, by name.
        is_for_command_line: whether the result names flags of the command line; otherwise it names keywords.
    """
    label_by_name = {one.name: one.flag if is_for_command_line else one.name for one in options}
    default_by_name = {one.name: one.default for one in options}
    for one in options:
        if one.name not in given_names:
            continue
        required = [name for name in one.requires if name in values]
        if required and not any(is_given(values[name]) for name in required):
            labels = " or ".join(label_by_name[name] for name in required)
            joined = f"goes with {labels}" if is_for_command_line else f"has no effect without {labels}"
            return f"{label_by_name[one.name]} {joined}"
        for other in one.spec.excludes:
            value = values.get(other)
            # A flag that was switched off, such as --emulated for `live`, asks for nothing.
            is_asked_for = other in given_names and value is not False
            if is_asked_for or (is_given(value) and _differs_from_default(value, default_by_name[other])):
                return f"{label_by_name[one.name]} and {label_by_name[other]} exclude each other: leave out one of them"
    return None


def is_given(value: Any) -> bool:
    """Whether a value asks for something: not `None`, `False`, zero or empty. An object always does."""
    return bool(value) if isinstance(value, bool | int | float | str | Sequence | Mapping) else value is not None


def validate_request(given_request: Any) -> None:
    """Check that the values of a request fit together.

    Raises:
        UsageError: values have another type than declared, contradict each other, have no effect, or are out of their
            bounds.
    """
    options = list_own_options(type(given_request))
    values = {one.name: getattr(given_request, one.name) for one in options}
    _raise_on_wrong_type(options, given_request)
    given = {name for name, value in values.items() if is_given(value)}
    given -= {one.name for one in options if not _differs_from_default(values[one.name], one.default)}
    problem = find_option_problem(options, given, values, is_for_command_line=False)
    if problem is not None:
        raise UsageError(problem)
    for one in options:
        value = values[one.name]
        for label, number in _iterate_named_numbers(one.name, value):
            if not is_in_bounds(number, one.spec):
                raise UsageError(f"{label} is {number:.15g}: choose a number {describe_bounds(one.spec)}")
        if one.spec.role is OptionRole.GROUP and value is not None:
            group_type = get_group_type(one)
            if not isinstance(value, group_type):
                raise UsageError(f"{one.name} is {value!r}: pass {group_type.__name__}(...), or leave it out")
            validate_request(value)


def _raise_on_wrong_type(options: Sequence[DeclaredOption], given_request: Any) -> None:
    written_by_name = {field.name: field.type for field in dataclasses.fields(given_request)}
    for one in options:
        value = getattr(given_request, one.name)
        if one.spec.role is not OptionRole.GROUP and not _has_type(value, one.annotation):
            entry = _find_wrong_number_key_and_required_type(value, one.annotation)
            if entry is not None:
                key, number_type = entry
                raise UsageError(f"{one.name}[{key!r}] is {value[key]!r}: its type is {number_type.__name__}")
            # What is parsed, such as a URL, may contain a password.
            shown = f"a {type(value).__name__}" if one.spec.parse else reprlib.repr(value)
            written = written_by_name[one.name]
            needed = f"pass a path. {one.spec.help}" if written in _PATH_ANNOTATIONS else f"its type is {written}"
            raise UsageError(f"{one.name} is {shown}: {needed}")


def with_checked_arguments(function: Callable[ArgumentsT, ResultT]) -> Callable[ArgumentsT, ResultT]:
    """Return `function` with a check of its arguments, for functions that take no request.

    An argument of another type than declared raises a `UsageError`, and an unknown keyword a `TypeError`.
    """
    signature = inspect.signature(function)
    known_names = dict.fromkeys(signature.parameters, "")

    @functools.wraps(function)
    def checked(*arguments: ArgumentsT.args, **keywords: ArgumentsT.kwargs) -> ResultT:
        reject_unknown_keywords(function.__name__, keywords, known_names)
        for name, value in signature.bind(*arguments, **keywords).arguments.items():
            annotation = signature.parameters[name].annotation
            resolved = _resolve_annotation(annotation, function.__module__)
            if not _has_type(value, resolved):
                if typing.get_origin(resolved) is Literal:
                    raise UnknownNameError(name, str(value), typing.get_args(resolved))
                hint = f"help(voicegauge.{function.__name__}) says what it is"
                raise UsageError(f"{name} is {reprlib.repr(value)}: its type is {annotation}; {hint}")
        return function(*arguments, **keywords)

    return checked


def _find_wrong_number_key_and_required_type(value: Any, annotation: Any) -> tuple[Any, type] | None:
    """Return the key of the first wrong value in a mapping of numbers, and the right type; `None` if all are right."""
    if not isinstance(value, Mapping):
        return None
    for one in _list_types_of_union(annotation):
        arguments = typing.get_args(one)
        if typing.get_origin(one) is Mapping and arguments[1] in {int, float}:
            wrong = [key for key, item in value.items() if not _has_type(item, arguments[1])]
            return (wrong[0], arguments[1]) if wrong else None
    return None


def _has_type(value: Any, annotation: Any) -> bool:
    """Whether a value has the type of a resolved annotation. An integer is a `float` too; a `bool` is neither."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        known = [one for one in arguments if one is not Any]
        # Nothing imported for type checking only, which is `Any` here, is of a built-in type, functions apart.
        is_other = type(value).__module__ != "builtins" or callable(value)
        return any(_has_type(value, one) for one in known) or (len(known) < len(arguments) and is_other)
    if origin is Literal:
        return value in arguments
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _has_type(key, arguments[0]) and _has_type(item, arguments[1]) for key, item in value.items()
        )
    if origin in {Sequence, tuple}:
        is_list = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
        return is_list and all(_has_type(item, arguments[0]) for item in value)
    if annotation is Any:
        return not isinstance(value, bytes | numbers.Number | None)
    kind = {int: numbers.Integral, float: numbers.Real}.get(annotation, origin or annotation)
    return isinstance(value, kind) and (kind in {bool, object} or not isinstance(value, bool))


def _iterate_named_numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield the numbers in a value, which may be a mapping, each with its name in error messages."""
    items = {f"{name}[{key!r}]": item for key, item in value.items()} if isinstance(value, Mapping) else {name: value}
    for label, item in items.items():
        if isinstance(item, int | float) and not isinstance(item, bool):
            yield label, item


def _differs_from_default(value: Any, default: Any) -> bool:
    return type(value) is not type(default) or bool(value != default)


def is_in_bounds(number: float, spec: OptionSpec) -> bool:
    """Whether a number is finite and within the declared bounds."""
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if not math.isfinite(number):
        return False
    return low < number < high if spec.excludes_bounds else low <= number <= high


def describe_bounds(spec: OptionSpec) -> str:
    """Return the declared bounds in words, such as "of at least 1"; without bounds "that is finite"."""
    if spec.minimum is not None and spec.maximum is not None:
        ends = ", both excluded" if spec.excludes_bounds else ""
        return f"from {spec.minimum:.15g} to {spec.maximum:.15g}{ends}"
    if spec.minimum is not None:
        return f"above {spec.minimum:.15g}" if spec.excludes_bounds else f"of at least {spec.minimum:.15g}"
    if spec.maximum is not None:
        return f"below {spec.maximum:.15g}" if spec.excludes_bounds else f"of at most {spec.maximum:.15g}"
    return "that is finite"


def build_arguments(given_request: Any, *, names: Sequence[str]) -> list[str]:
    """Return the command-line arguments for the fields `names` of a request; fields that are not given are left out."""
    arguments: list[str] = []
    for one in list_own_options(type(given_request)):
        value = getattr(given_request, one.name)
        if one.name not in names or not is_given(value):
            continue
        if value is True:
            arguments.append(one.flag)
            continue
        if isinstance(value, Mapping):
            texts = [
                f"{name}={_format_argument_value(item)}" if name else _format_argument_value(item)
                for name, item in value.items()
            ]
        else:
            texts = [
                _format_argument_value(item) for item in ((value,) if isinstance(value, str | int | float) else value)
            ]
        arguments += [word for text in texts for word in (one.flag, text)]
    return arguments


def _format_argument_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
