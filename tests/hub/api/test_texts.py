"""The hub's sentences: two languages, the same parameters, nothing reachable through them."""

import pytest

from hub.problems import Problem
from hub.texts import Texts


def test_a_text_that_lacks_a_language_is_an_error() -> None:
    """A key that one language lacks, or other parameters, is refused when texts are read."""
    with pytest.raises(ValueError, match=r"missing in one language: problem\.a"):
        Texts({"vi": {"problem.a": "có"}, "en": {}})
    with pytest.raises(ValueError, match="same parameters"):
        Texts({"vi": {"problem.a": "có {x}"}, "en": {"problem.a": "there is {y}"}})


def test_parameters_are_only_text() -> None:
    """A parameter fills its place; attributes, indexes and formats of it are out of reach; a missing one shows."""
    texts = Texts({"vi": {"a": "{x} {x.__class__} {y:>9}"}, "en": {"a": "{x} {x.__class__} {y:>9}"}})

    assert texts.say("a", "vi", {"x": "{y}"}) == "{y} ? ?"


def test_problem_speaks_the_readers_language() -> None:
    """Parameters in both languages are said in the reader's."""
    texts = Texts.installed()
    problem = Problem("not_found", {"what": {"vi": "camera", "en": "camera entry"}}, field="id")

    assert (
        problem.as_json(texts, "en")["detail"] == "There is no such camera entry, or you may not know of it."
    )
    assert problem.as_json(texts, "vi")["params"] == {"what": "camera"}
    assert problem.as_json(texts, "vi")["field"] == "id"


def test_unknown_code_is_a_fault() -> None:
    """A problem whose code is not in the table cannot be made."""
    with pytest.raises(ValueError, match="no_such_code"):
        Problem("no_such_code")
