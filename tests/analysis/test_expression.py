import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dilatedloc.analysis.expression import ExpressionError, parse

COLUMNS = {
    "photons": np.array([100, 500, 900, 2500, np.nan], np.float32),
    "sigma_x_nm": np.array([30, 19, 8, 22, 5], np.float32),
    "frame": np.array([0, 1, 2, 3, 4], np.int32),
    "flag": np.array([True, False, True, False, True]),
    "small": np.array([0, 1, 2, 3, 250], np.uint8),
    "chi 2 [1]": np.array([1, 2, 3, 4, 5], np.float32),
}
P, S, FRAME, FLAG = (COLUMNS[name] for name in ("photons", "sigma_x_nm", "frame", "flag"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photons>500 & sigma_x_nm<20", (P > 500) & (S < 20)),
        ("photons>=500 & ~(sigma_x_nm<20) | frame==0", ((P >= 500) & ~(S < 20)) | (FRAME == 0)),
        ("photons > 500 and not sigma_x_nm < 20", (P > 500) & ~(S < 20)),
        ("photons>500 && sigma_x_nm<20 || frame == 1", ((P > 500) & (S < 20)) | (FRAME == 1)),
        ("500 <= photons < 2000", (P >= 500) & (P < 2000)),
        ("500 <= photons < 2000 < 3000", (P >= 500) & (P < 2000)),
        ("photons/10 - 2*sigma_x_nm > -(3 + frame)", P / 10 - 2 * S > -(3.0 + FRAME)),
        ("flag", FLAG),
        ("~flag & frame != 3", ~FLAG & (FRAME != 3)),
        ("small - 1 < 0", np.array([True, False, False, False, False])),  # no wrapping around
        ("small + 10 > 255", np.array([False, False, False, False, True])),
        ("`chi 2 [1]` > 2 & frame < 4", np.array([False, False, True, True, False])),
        ("photons / 0 > 1e300", np.array([True, True, True, True, False])),
        ("frame < 1 / 0", np.ones(5, bool)),
        ("frame * 3000000000 > 5e9", FRAME > 1),
    ],
)
def test_masks(text, expected):
    np.testing.assert_array_equal(parse(text).mask(COLUMNS.__getitem__), expected)


def test_numbers_are_compared_in_the_precision_of_the_column():
    prob = {"prob": np.array([0.9], np.float32)}
    assert parse("prob >= 0.9 & prob >= 1 - 0.1").mask(prob.__getitem__).all()


def test_the_columns_it_asks_for():
    assert parse("`a b` > photons & photons < frame").columns == ("a b", "photons", "frame")


OPERATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, "!=": operator.ne}
CALCULATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
A = {
    name: np.random.default_rng(i).integers(-9, 9, 40).astype(float) for i, name in enumerate("abc")
}


def _numbers(depth):
    """Texts of numbers with their values."""
    leaf = st.one_of(
        st.sampled_from("abc").map(lambda name: (name, A[name])),
        st.integers(0, 9).map(lambda number: (str(number), np.full(40, float(number)))),
    )
    if not depth:
        return leaf
    inner = _numbers(depth - 1)
    both = st.tuples(inner, st.sampled_from(list(CALCULATIONS)), inner).map(
        lambda t: (f"({t[0][0]} {t[1]} {t[2][0]})", CALCULATIONS[t[1]](t[0][1], t[2][1]))
    )
    return st.one_of(leaf, both, inner.map(lambda t: (f"-{t[0]}", -t[1])))


def _conditions(depth):
    """Texts of conditions, without parentheses around comparisons, with their values."""
    compared = st.tuples(_numbers(2), st.sampled_from(list(OPERATIONS)), _numbers(2)).map(
        lambda t: (f"{t[0][0]}{t[1]}{t[2][0]}", OPERATIONS[t[1]](t[0][1], t[2][1]))
    )
    if not depth:
        return compared
    inner = _conditions(depth - 1)
    return st.one_of(
        compared,
        st.tuples(compared, compared).map(lambda t: (f"{t[0][0]}&{t[1][0]}", t[0][1] & t[1][1])),
        st.tuples(inner, inner).map(lambda t: (f"({t[0][0]}) | ({t[1][0]})", t[0][1] | t[1][1])),
        inner.map(lambda t: (f"~({t[0]})", ~t[1])),
    )


@given(_conditions(2))
def test_any_condition_is_what_numpy_makes_of_it(case):
    text, expected = case
    condition = parse(f"({text}) & a < 99")
    np.testing.assert_array_equal(condition.mask(A.__getitem__), expected)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "photons.__class__ == 3",
        "photons[0] > 1",
        "(lambda: 1)() > photons",
        "photons > 'a'",
        "[photons for photons in frame]",
        "photons if frame else photons",
        "(photons := 3) > 2",
        "photons ** 9999 > 1",
        "photons // 2 > 1",
        "photons % 2 > 1",
        "photons << 3 > 1",
        "photons in frame",
        "photons is frame",
        "photons > True",
        "photons > 1j",
        "f'{photons}' > 1",
        "photons > 99999999999999999999999",
        "(photons > 3) > 2",
        "(photons > 3) + 1 > 1",
        "photons > 1 & 5",
        "-(photons > 3)",
        "await photons",
        "*photons, frame",
        "{photons: frame}",
    ],
)
def test_all_else_is_refused(text):
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("photons >", "cannot read the expression"),
        ("photons = 5", "cannot read the expression"),
        ("", "cannot read the expression"),
        ("photons > 5\0", "cannot read the expression"),
        ("photons + 5", "is a number and no condition"),
        ("1 < 2", "names no column"),
        ("photons > " + "1 + " * 600 + "1", "2000 characters"),
        ("photons > " + "1+" * 90 + "1", "nested deeper"),
        ("photons > " + "-" * 500 + "1", "nested deeper"),
        ("(" * 500 + "photons > 1" + ")" * 500, "cannot read the expression"),
    ],
)
def test_errors_say_what_to_do(text, sentence):
    with pytest.raises(ExpressionError, match=sentence):
        parse(text)


def test_a_column_of_numbers_is_no_condition():
    with pytest.raises(ExpressionError, match="photons is a column of numbers"):
        parse("photons & frame > 2").mask(COLUMNS.__getitem__)
