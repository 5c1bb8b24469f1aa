"""The built-in tool calculate: arithmetic by walking a syntax tree; nothing is ever evaluated as Python."""

import ast
import math
import operator
from collections.abc import Callable

READ_ONLY = {"calculate"}

_Number = int | float
_MOST_CHARACTERS = 1000
_MOST_BITS = 10_000
_MOST_DIGITS = 4000  # no number here has more
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}
_OPERATORS: dict[type, Callable[[_Number, _Number], _Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., _Number]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "round": lambda number, digits=0: _round(number, digits),
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "hypot": math.hypot,
    "degrees": math.degrees,
    "radians": math.radians,
    "gcd": math.gcd,
    "factorial": lambda number: _factorial(number),
}


def calculate(expression: str) -> int | float:
    """Work out an arithmetic expression exactly.

    Args:
        expression: Numbers with + - * / // % ** and brackets, functions such as sqrt, log, sin, round, and pi or e; \
for example (3 + 4) * 2 ** 10.
    """
    if len(expression) > _MOST_CHARACTERS:
        raise ValueError(f"the expression is longer than {_MOST_CHARACTERS} characters")
    try:
        # The power sign of people; in Python ^ means something else.
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        return _value(tree.body)
    except SyntaxError as error:
        raise ValueError(f"{expression} is not an arithmetic expression") from error
    except ZeroDivisionError as error:
        raise ValueError("division by zero") from error
    except OverflowError as error:
        raise ValueError("the result is too large") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("the expression is nested too deeply") from error


def _value(node: ast.expr) -> _Number:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _applied(name, [_value(one) for one in arguments])
    raise ValueError(f"{ast.unparse(node)} is not arithmetic; there are + - * / // % ** and {', '.join(_FUNCTIONS)}")


def _applied(name: str, arguments: list[_Number]) -> _Number:
    try:
        return _bounded(_FUNCTIONS[name](*arguments))
    except (TypeError, ValueError) as error:
        why = str(error).replace("<lambda>", name)
        raise ValueError(f"{name}({', '.join(map(str, arguments))}): {why}") from error


def _power(base: _Number, exponent: _Number) -> _Number:
    """`base ** exponent` if the result stays within bounds, which is checked before computing it."""
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1:
        if exponent * abs(base).bit_length() > _MOST_BITS:
            raise OverflowError
        if exponent < -_MOST_BITS:
            return 0.0
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base} ** {exponent} is not a real number")
    return _bounded(result)


def _round(number: _Number, digits: _Number) -> _Number:
    if not isinstance(digits, int):
        raise TypeError("the number of digits must be whole")
    return round(number, max(-_MOST_DIGITS, min(digits, _MOST_DIGITS)) or None)


def _factorial(number: _Number) -> int:
    if number > 1000:
        raise ValueError("the number is too large")
    return math.factorial(int(number) if number == int(number) else number)  # type: ignore[arg-type]


def _bounded(number: _Number) -> _Number:
    if isinstance(number, int) and number.bit_length() > _MOST_BITS:
        raise OverflowError
    if isinstance(number, float) and not math.isfinite(number):
        raise OverflowError
    return number
