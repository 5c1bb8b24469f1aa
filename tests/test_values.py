"""Values behave as the standard library's frozen dataclasses with slots do."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field

import pytest

from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A value."""

    x: int
    y: "int | None" = None
    names: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """The same, made by the standard library."""

    x: int
    y: "int | None" = None
    names: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Nothing:
    """A value without fields."""


@dataclass(frozen=True, slots=True)
class One:
    """A value with one field."""

    x: object


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is not shown."""

    text: str

    def __repr__(self) -> str:
        return "Secret"


def test_methods_of_the_class_stay() -> None:
    assert repr(Secret("a")) == "Secret"
    assert Secret("a") == Secret("a")


def test_values_look_and_are_made_like_standard_ones() -> None:
    for given in ((1,), (1, 2), (1, None, ["a"], "b")):
        assert repr(Point(*given)) == repr(Standard(*given)).replace("Standard", "Point")
        assert dataclasses.asdict(Point(*given)) == dataclasses.asdict(Standard(*given))
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "names", "note"]
    assert Point(x=1).names is not Point(x=1).names
    for make in (Point, Standard):
        with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument: 'x'"):
            make()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
            make(1, z=2)  # type: ignore[call-arg]


def test_values_are_equal_by_the_fields_that_are_compared() -> None:
    assert Point(1, note="a") == Point(1, note="b")
    assert Point(1) != Point(2)
    assert Point(1) != Standard(1)  # type: ignore[comparison-overlap]
    assert One(1) == One(1) != One(2)
    assert One((1,)) != Nothing()  # type: ignore[comparison-overlap]
    assert Nothing() == Nothing()
    assert len({One(1), One(1), One(2), Nothing(), Nothing()}) == 3
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))


def test_values_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    with pytest.raises((FrozenInstanceError, AttributeError)):
        point.z = 2  # type: ignore[attr-defined]
    assert not hasattr(point, "__dict__")


def test_values_are_replaced_copied_and_matched() -> None:
    point = Point(1, 2, ["a"], "b")
    assert dataclasses.replace(point, x=3) == Point(3, 2, ["a"])
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("it does not match its own class")
