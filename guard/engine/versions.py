"""What a rule file may demand of the engine: its version, and plugins."""

from __future__ import annotations

from guard.engine.diagnostics import Code
from guard.engine.nodes import Mapping, Sequence
from guard.engine.reader import Reader

ENGINE_VERSION = (0, 63, 0)  # of Falco's rules engine, whose language this is

# The fields of this plugin are part of the engine here.
PLUGINS = {"container": (0, 6, 0)}

_Version = tuple[int, int, int]


def check_engine_version(reader: Reader) -> None:
    """Reports a `required_engine_version` that is malformed or greater than ours."""
    scalar = reader.name()
    if scalar is None:
        return
    wanted = _parse(scalar.value)
    if wanted is None:
        reader.error(
            Code.BAD_KEY_VALUE,
            f"malformed engine version `{scalar.value}`",
            scalar.location,
            "write a number, or `x.y.z`",
        )
    elif wanted[0] != ENGINE_VERSION[0] or wanted > ENGINE_VERSION:
        reader.error(
            Code.VERSION_MISMATCH,
            f"rules require engine version {_text(wanted)}, this is {_text(ENGINE_VERSION)}",
            scalar.location,
            "use an older version of the rules, or update guard",
        )


def check_plugin_versions(reader: Reader) -> None:
    """Reports every required plugin of which no alternative is there."""
    sequence = reader.sequence("required_plugin_versions")
    for node in sequence.items if sequence else ():
        if not isinstance(node, Mapping):
            reader.error(
                Code.WRONG_STRUCTURE,
                "a required plugin must be a mapping",
                node.location,
                "write `- name: …` and `version: …`",
            )
            continue
        entry = Reader(node, "name", reader.diagnostics)
        entry.check_keys(("name", "version", "alternatives"))
        wanted = [_plugin(entry)]
        alternatives = node.entries.get("alternatives")
        for other in alternatives.items if isinstance(alternatives, Sequence) else ():
            if isinstance(other, Mapping):
                wanted.append(_plugin(Reader(other, "name", reader.diagnostics)))
        if not any(_is_provided(name, version) for name, version in wanted):
            names = " or ".join(f"`{name}` {_text(version)}" for name, version in wanted)
            entry.error(
                Code.VERSION_MISMATCH,
                f"rules require the plugin {names}, which guard does not have",
                entry.location,
                "remove the rules that need it",
            )


def _plugin(entry: Reader) -> tuple[str, _Version]:
    for key in ("name", "version"):
        entry.require(key)
    name, version = entry.text("name"), entry.text("version")
    parsed = _parse(version.text) if version else (0, 0, 0)
    if parsed is None or (version and version.text.isdigit()):
        assert version is not None
        entry.error(
            Code.BAD_KEY_VALUE,
            f"malformed plugin version `{version.text}`",
            version.locate(),
            "write `x.y.z`",
        )
    return name.text if name else "", parsed or (0, 0, 0)


def _is_provided(name: str, version: _Version) -> bool:
    ours = PLUGINS.get(name)
    return ours is not None and ours[0] == version[0] and ours >= version


def _parse(text: str) -> _Version | None:
    """`N` is `0.N.0`; None when malformed."""
    parts = text.strip().split(".")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return None
    numbers = [int(part) for part in parts]
    if len(numbers) == 1:
        return 0, numbers[0], 0
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None


def _text(version: _Version) -> str:
    return ".".join(map(str, version))
