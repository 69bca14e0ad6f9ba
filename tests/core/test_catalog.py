"""Catalogues: loading by path, and names that are mistyped."""

import pytest

from amortex.core.catalog import check_name, load, similar_names
from amortex.core.errors import InputError

NAMES = ("gaussian", "uniform", "zero")


def test_objects_are_loaded_by_module_and_name():
    assert load("amortex.core.errors:InputError") is InputError


def test_known_names_pass_and_others_get_a_hint():
    assert check_name("obfuscation", "zero", NAMES) == "zero"
    with pytest.raises(InputError, match="unknown obfuscation 'gausian': did you mean gaussian"):
        check_name("obfuscation", "gausian", NAMES)
    with pytest.raises(InputError, match="use one of gaussian, uniform, zero"):
        check_name("obfuscation", "xyz", NAMES)


def test_similar_names_are_those_spelled_alike():
    assert similar_names("unifrom", NAMES) == "did you mean uniform?"
    assert similar_names("xyz", NAMES) == ""
