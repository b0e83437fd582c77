"""`guard.data`: what the standard data classes promise, for the part guard uses."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import ClassVar

import pytest

from guard.data import dataclass, replace


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2

    kind: ClassVar[str] = "point"

    @property
    def sum(self) -> int:
        return self.x + self.y


@dataclass(frozen=True, slots=True)
class Named(Point):
    """Has what a point has, and a name."""

    name: str = ""


@dataclasses.dataclass(kw_only=True)
class Standard:
    a: int
    b: int = 2


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    name: str


def test_values_by_position_and_by_name() -> None:
    """Arguments, defaults and the order of inherited fields are those of the standard."""
    assert (Point(1).x, Point(1).y, Point(y=5, x=1).sum) == (1, 2, 6)
    assert (Named(1, 3, "n").name, Named(1).kind, Named.__match_args__) == (
        "n", "point", ("x", "y", "name"),
    )  # fmt: skip
    with pytest.raises(TypeError):
        Point()
    with pytest.raises(TypeError):
        Point(1, 2, 3)


def test_equal_values_are_equal() -> None:
    """Equality and hash go by class and values; `eq=False` keeps identity."""
    assert Point(1) == Point(1, 2) and hash(Point(1)) == hash(Point(1, 2))
    assert Point(1) != Point(2) and Point(1) != Named(1) and Point(1) != (1, 2)
    assert Nothing() == Nothing() and hash(Nothing()) == hash(Nothing())
    thing = Thing("a")
    assert thing == thing and thing != Thing("a") and len({thing, Thing("a")}) == 2  # noqa: PLR0124


def test_nothing_can_be_changed() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x
    with pytest.raises(AttributeError):
        object.__setattr__(point, "z", 1)


def test_copies() -> None:
    """`replace`, copying and pickling give equal instances of the same class."""
    assert replace(Named(1, 2, "a"), name="b") == Named(1, 2, "b")
    assert dataclasses.replace(Point(1), x=3) == Point(3)
    assert replace(Standard(a=1), b=3) == Standard(a=1, b=3)
    assert copy.deepcopy(Named(1)) == Named(1)
    assert pickle.loads(pickle.dumps(Named(1, 2, "a"))) == Named(1, 2, "a")


def test_looks_like_a_standard_data_class() -> None:
    """`dataclasses` works on them, and so do repr and patterns."""
    assert [(f.name, f.type) for f in dataclasses.fields(Named)] == [
        ("x", "int"), ("y", "int"), ("name", "str"),
    ]  # fmt: skip
    assert dataclasses.asdict(Named(1)) == {"x": 1, "y": 2, "name": ""}
    assert repr(Named(1)) == "Named(x=1, y=2, name='')"
    match Point(1, 9):
        case Point(1, y):
            assert y == 9
        case _:
            pytest.fail("the pattern does not match")
