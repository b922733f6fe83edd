"""Conditions on columns as people write them: ``photons>500 & sigma_x_nm<20``.

The text is parsed by Python's own parser and walked node by node; what is not on the short list
below is refused, and nothing is ever evaluated by Python itself.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

LONGEST = 2000
"""Characters."""

DEEPEST = 60
"""Levels of nesting, far below what Python's stack holds."""

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_CALCULATE: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SIGN: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
# in Python & binds before <, which is never meant here
_WORDS = (("&&", "&"), ("||", "|"), ("&", " and "), ("|", " or "), ("~", " not "))
_EXAMPLE = "write comparisons of columns as in photons>500 & sigma_x_nm<20"

Mask = NDArray[np.bool_]


class ExpressionError(ValueError):
    """An expression that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Expression:
    """A condition that was read and found harmless; `parse` makes one.

    Attributes
    ----------
    text : str
        As it was written.
    columns : tuple of str
        Names of the columns it asks for.
    """

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr
    _quoted: tuple[str, ...]

    def mask(self, column: Callable[[str], NDArray[Any]]) -> Mask:
        """Rows for which the condition holds, bool (N,).

        Comparisons with NaN do not hold, as everywhere, but for ``!=``.

        Parameters
        ----------
        column : callable
            Gives the numbers (N,) of a column by its name; raises if there is none.
        """
        columns = {name: column(name) for name in self.columns}
        with np.errstate(all="ignore"):  # 1 / 0 is inf and compares as such
            return _truth(self._tree, columns, self._quoted)


def parse(text: str) -> Expression:
    """Read a condition.

    Columns by name (in backticks where a name is no word), numbers, ``+ - * /``, comparisons that
    may be chained, ``& | ~`` (or ``and or not``) and parentheses. ``&`` binds less than ``<``.

    Raises
    ------
    ExpressionError
        One sentence: what is not understood, or not allowed.

    Examples
    --------
    >>> photons = np.array([100.0, 900.0, 2000.0])
    >>> parse("500 < photons < 1000 | photons / 2 >= 1000").mask({"photons": photons}.get).tolist()
    [False, True, True]
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression has at most {LONGEST} characters, got {len(text)}")
    plain, quoted = _unquote(text)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"cannot read the expression {text!r}; {_EXAMPLE}") from error
    names: dict[str, None] = {}
    _check(tree, names, quoted, text, 0)
    if not names:
        raise ExpressionError(f"{text!r} names no column; {_EXAMPLE}")
    if not _is_condition(tree) and not isinstance(tree, ast.Name):
        raise ExpressionError(f"{text!r} is a number and no condition; {_EXAMPLE}")
    return Expression(text, tuple(names), tree, quoted)


def _unquote(text: str) -> tuple[str, tuple[str, ...]]:
    """Text with words in place of quoted names and of symbols; the quoted names."""
    quoted: list[str] = []
    parts = re.split(r"`([^`]*)`", text)
    for i, part in enumerate(parts):
        if i % 2:
            quoted.append(part)
            parts[i] = f" _{len(quoted) - 1}_ "
            continue
        for symbol, word in _WORDS:
            part = part.replace(symbol, word)
        parts[i] = part
    return "".join(parts), tuple(quoted)


def _name(node: ast.Name, quoted: tuple[str, ...]) -> str:
    index = re.fullmatch(r"_(\d+)_", node.id)
    if index is None or int(index.group(1)) >= len(quoted):
        return node.id
    return quoted[int(index.group(1))]


def _check(
    node: ast.expr, names: dict[str, None], quoted: tuple[str, ...], text: str, depth: int
) -> None:
    """Refuse all that is not on the list, and collect names."""
    if depth > DEEPEST:
        raise ExpressionError(f"the expression is nested deeper than {DEEPEST} levels; shorten it")
    if isinstance(node, ast.Name):
        names[_name(node, quoted)] = None
    elif not _is_number(node) and not _is_allowed(node):
        raise ExpressionError(
            f"{ast.unparse(node)!r} in {text!r} is not allowed; use columns, numbers, comparisons, "
            "& | ~ and + - * /"
        )
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _check(child, names, quoted, text, depth + 1)


def _is_number(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant):
        return False
    value = node.value
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _is_allowed(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        return all(_is_condition(part) or isinstance(part, ast.Name) for part in node.values)
    if isinstance(node, ast.Compare):
        numbers = not any(_is_condition(part) for part in (node.left, *node.comparators))
        return numbers and all(type(op) in _COMPARE for op in node.ops)
    if isinstance(node, ast.BinOp):
        numbers = not any(_is_condition(part) for part in (node.left, node.right))
        return numbers and type(node.op) in _CALCULATE
    if isinstance(node, ast.UnaryOp):
        inner = node.operand
        if isinstance(node.op, ast.Not):
            return _is_condition(inner) or isinstance(inner, ast.Name)
        return type(node.op) in _SIGN and not _is_condition(inner)
    return False


def _is_condition(node: ast.expr) -> TypeGuard[ast.BoolOp | ast.Compare | ast.UnaryOp]:
    """Whether the node is true or false, rather than a number or a column."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    return isinstance(node, ast.BoolOp | ast.Compare)


def _truth(node: ast.expr, columns: dict[str, NDArray[Any]], quoted: tuple[str, ...]) -> Mask:
    """Value of a condition."""
    if isinstance(node, ast.BoolOp):
        parts = [_truth(part, columns, quoted) for part in node.values]
        combine = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return np.asarray(combine.reduce(parts), dtype=bool)
    if isinstance(node, ast.UnaryOp):
        return ~_truth(node.operand, columns, quoted)
    if isinstance(node, ast.Compare):
        values = [_number(part, columns, quoted) for part in (node.left, *node.comparators)]
        steps = zip(node.ops, values[:-1], values[1:], strict=True)
        holds = [_COMPARE[type(op)](left, right) for op, left, right in steps]
        rows = len(next(iter(columns.values())))
        every = np.logical_and.reduce([np.broadcast_to(part, rows) for part in holds])
        return np.asarray(every, dtype=bool)
    column = _number(node, columns, quoted)
    if column.dtype.kind != "b":
        raise ExpressionError(
            f"{ast.unparse(node)} is a column of numbers and no condition; compare it with one"
        )
    return np.asarray(column)


def _number(node: ast.expr, columns: dict[str, NDArray[Any]], quoted: tuple[str, ...]) -> Any:
    """Value of a column, a number or a calculation with them."""
    if isinstance(node, ast.Name):
        return columns[_name(node, quoted)]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = (
            _as_float(_number(part, columns, quoted)) for part in (node.left, node.right)
        )
        return _plain(_CALCULATE[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp):
        return _plain(_SIGN[type(node.op)](_as_float(_number(node.operand, columns, quoted))))
    raise ExpressionError(f"{ast.unparse(node)!r} is not allowed")


def _as_float(value: Any) -> Any:
    """Floats: unsigned and small integers would wrap around, and Python's own refuse 1 / 0."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind == "f" else value.astype(np.float64)
    return np.float64(value)


def _plain(value: Any) -> Any:
    """Numbers as Python's, so that float32 columns are compared with them in float32."""
    return value if isinstance(value, np.ndarray) else float(value)
