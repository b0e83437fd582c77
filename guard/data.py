"""`dataclass` and `replace` as in the standard library, without its cost at import.

The standard decorator writes and compiles up to eight methods for every class:
a millisecond each, a fifth of a second for the classes behind `guard run`, of
which a short command uses a few. Here a class gets its slots at once,
`__init__` is compiled by the first call, and all other methods are shared.
Type checkers see the standard functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

_Class = TypeVar("_Class", bound=type)
_DEFAULTS = "_defaults"


def _dataclass(*, frozen: bool, slots: bool, eq: bool = True) -> Callable[[_Class], _Class]:
    """For frozen classes with slots whose defaults are plain values; nothing else."""
    assert frozen and slots
    return _by_value if eq else _by_identity


# Any: instances have the attributes that their class names, of any types.
def _replace(instance: Any, /, **changes: Any) -> Any:
    """A copy with other values in the named fields."""
    if not hasattr(instance, _DEFAULTS):
        import dataclasses  # noqa: PLC0415  the module exists to avoid it

        return dataclasses.replace(instance, **changes)
    for name in instance.__match_args__:
        if name not in changes:
            changes[name] = getattr(instance, name)
    return instance.__class__(**changes)


if TYPE_CHECKING:
    from dataclasses import dataclass, replace
else:
    dataclass, replace = _dataclass, _replace

__all__ = ["dataclass", "replace"]


def _by_identity(cls: _Class) -> _Class:
    own = [name for name, kind in _annotations(cls).items() if not kind.startswith("ClassVar")]
    names = (*getattr(cls, "__match_args__", ()), *own)
    body = {k: v for k, v in cls.__dict__.items() if k not in ("__dict__", "__weakref__")}
    given = {name: body.pop(name) for name in own if name in body}
    body |= _SHARED
    body["__slots__"] = tuple(own)
    body["__match_args__"] = names
    body[_DEFAULTS] = {**getattr(cls, _DEFAULTS, {}), **given}
    # A tuple of the values; of a single one the value itself, of none the class.
    body["_values"] = attrgetter(*names or ("__class__",))

    def first(self: object, *values: object, **named: object) -> None:
        made.__init__ = _initializer(made)
        made.__init__(self, *values, **named)

    body.setdefault("__init__", first)
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)  # Any: its attributes are made here
    made.__qualname__ = cls.__qualname__
    result: _Class = made
    return result


def _by_value(cls: _Class) -> _Class:
    made: Any = _by_identity(cls)  # Any: a class is given methods
    if "__eq__" not in cls.__dict__:
        made.__eq__ = _equal
        made.__hash__ = _hash
    result: _Class = made
    return result


def _initializer(cls: Any) -> Callable[..., None]:
    names: tuple[str, ...] = cls.__match_args__
    defaults: Mapping[str, object] = getattr(cls, _DEFAULTS)
    head = ", ".join(f"{name}=_defaults[{name!r}]" if name in defaults else name for name in names)
    body = "".join(f"\n    _set(self, {name!r}, {name})" for name in names)
    scope: dict[str, Any] = {"_defaults": defaults, "_set": object.__setattr__}
    code = compile(f"def __init__(self, {head}):{body or ' pass'}", f"<{cls.__name__}>", "exec")
    exec(code, scope)  # noqa: S102  made from the names of fields only
    made: Callable[..., None] = scope["__init__"]
    return made


def _equal(self: Any, other: Any) -> object:
    if self is other:
        return True
    if self.__class__ is not other.__class__:
        return NotImplemented
    return self._values(self) == self._values(other)


def _hash(self: Any) -> int:
    return hash(self._values(self))


def _show(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{self.__class__.__qualname__}({values})"


def _refuse(self: Any, name: str, _value: object = None) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415  the module exists to avoid it

    raise FrozenInstanceError(f"cannot change field {name!r} of {self.__class__.__qualname__}")


def _reduce(self: Any) -> tuple[type, tuple[object, ...]]:
    return self.__class__, tuple([getattr(self, name) for name in self.__match_args__])


def _annotations(cls: type) -> Mapping[str, str]:
    # Of the class itself, as they are written. Texts: every module asks for that.
    found: Mapping[str, str] = vars(cls).get("__annotations__", {})
    return found


class _StandardFields:
    """What `dataclasses.fields` and its kin ask a class for."""

    def __get__(self, instance: object, owner: Any) -> Mapping[str, Any]:
        from dataclasses import MISSING, field, make_dataclass  # noqa: PLC0415  see _refuse

        kinds: dict[str, str] = {}
        for base in reversed(owner.__mro__):
            kinds |= _annotations(base)
        defaults: Mapping[str, Any] = getattr(owner, _DEFAULTS)
        twin = make_dataclass(
            owner.__name__,
            [
                (name, kinds[name], field(default=defaults.get(name, MISSING)))
                for name in owner.__match_args__
            ],
        )
        found: Mapping[str, Any] = twin.__dict__["__dataclass_fields__"]
        return found


_SHARED = {
    "__dataclass_fields__": _StandardFields(),
    "__repr__": _show,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
    "__reduce__": _reduce,
}
