"""Rule packs: TOML text in, rules and profiles out.

pydantic checks the form; what it cannot know (facts, parameters, templates, floors) is checked here and in
`standards.profile`. A pack that is wrong is refused whole, with the file, the rule and the field.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from standards.condition import Condition, Op
from standards.facts import FACTS
from standards.observation import freeze
from standards.packaged import packaged_texts
from standards.profile import ProfileError, ProfileSource, StandardProfile, resolve
from standards.reason import INCONCLUSIVE_REASONS, NOT_CHECKED_REASONS, Reason
from standards.rule import GROUPS, PEOPLE, Case, Document, Message, Parameter, Reference, Rule
from standards.verdict import Severity, Verdict
from standards.wording import EMPTY, Text, check_template, holes


class PackError(ValueError):
    """A rule pack that cannot be used: names the file, the rule or profile, and the field."""


class UnknownStandard(KeyError):
    """No profile has this id; `known` lists those that there are."""

    def __init__(self, standard: str, known: tuple[str, ...]) -> None:
        super().__init__(standard)
        self.standard = standard
        self.known = known

    def __str__(self) -> str:
        return f"there is no standard {self.standard!r}; known: {', '.join(self.known)}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Text(_Strict):
    vi: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def text(self) -> Text:
        return Text(self.vi, self.en)


def _both_languages(value: Any) -> Any:
    """A bare string stands for both languages: values and units need no translation."""
    return {"vi": value, "en": value} if isinstance(value, str) else value


_Shown = Annotated[_Text, BeforeValidator(_both_languages)]


def _joined(value: Any) -> Any:
    """A list of conditions stands for all of them."""
    return {"op": "all", "of": value} if isinstance(value, list) else value


class _Condition(_Strict):
    op: str
    fact: str = ""
    item: str | None = None
    value: Any = None
    param: str | list[str] = ""
    than: str = ""
    tolerance: float = Field(default=0.0, ge=0.0, lt=1.0)
    absolute: bool = False
    of: "_Condition | list[_Condition] | None" = None

    def condition(self, *, inside: bool = False) -> Condition:
        """Return the frozen condition.

        Raises:
            ValueError: an unknown operator or fact, or parts that do not go together.
        """
        try:
            op = Op(self.op)
        except ValueError:
            raise ValueError(f"unknown operator {self.op!r}; known: {', '.join(Op)}") from None
        for fact in (self.fact, self.than):
            if fact and fact not in FACTS:
                raise ValueError(f"unknown fact {fact!r} (standards/facts.py lists them)")
        parts = self.of if isinstance(self.of, list) else [self.of] if self.of is not None else []
        if op in (Op.ALL, Op.ANY):
            if not parts or (self.fact and len(parts) != 1):
                raise ValueError(f"{op} needs `of`: one condition for the elements of a fact, else a list")
        else:
            if parts:
                raise ValueError(f"{op} takes no `of`")
            if not self.fact and not inside:
                raise ValueError(f"{op} needs a fact")
            given = [name for name in ("value", "param", "than") if getattr(self, name) not in (None, "")]
            if len(given) != (0 if op is Op.EXISTS else 1):
                right = "no right side" if op is Op.EXISTS else "exactly one of value, param, than"
                raise ValueError(f"{op} takes {right}")
        if op is Op.MATCHES and isinstance(self.value, str):
            re.compile(self.value)
        param = self.param if isinstance(self.param, str) else (self.param[0], self.param[1])
        within = bool(self.fact) if op in (Op.ALL, Op.ANY) else False
        return Condition(
            op=op,
            fact=self.fact,
            item=self.item,
            value=freeze(self.value),
            param=param,
            than=self.than,
            tolerance=self.tolerance,
            absolute=self.absolute,
            of=tuple(part.condition(inside=inside or within) for part in parts),
        )


_Conditions = Annotated[_Condition, BeforeValidator(_joined)]


class _Case(_Strict):
    when: _Conditions | None = None
    sound_when: _Conditions | None = None
    unsound: str = "too_few_samples"
    expect: _Conditions


class _Parameter(_Strict):
    value: Any
    unit: str = ""
    floor: Any = None
    stricter: Literal["", "higher", "lower", "fewer", "more"] = ""


class _Message(_Text):
    verdict: str
    when: _Conditions | None = None
    remedy: dict[str, _Text] = {}


_Day = Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")]


class _Clause(_Strict):
    """One clause of a document and the rules that it backs."""

    doc: str
    clause: _Shown
    certainty: Literal["text", "secondary", "unconfirmed", "own"]
    rules: list[str] = Field(min_length=1)
    valid_from: _Day = ""
    valid_to: _Day = ""


class _Rule(_Strict):
    id: str = Field(pattern=r"^[A-Z]{2,3}-\d{2}[a-z]?$")
    rev: int = Field(ge=1)
    title: _Text
    why: _Text
    severity: str
    observable: str = Field(pattern=r"^(A0|A1|A2|M|N|O|L|D|F)(\+(A0|A1|A2|M|N|O|L|D|F))*$")
    probe: str = Field(min_length=1)
    applies_when: _Conditions | None = None
    expect: _Conditions | None = None
    sound_when: _Conditions | None = None
    unsound: str = "too_few_samples"
    case: list[_Case] = []
    params: dict[str, _Parameter] = {}
    waivable: bool = True
    needs_credential: bool = False
    over_time: bool = False
    max_age_h: float | None = Field(default=None, gt=0, strict=False)
    observed: _Shown | None = None
    required: _Shown
    claimed: _Shown | None = None
    unit: str = ""
    text: list[_Message] = []
    remedy: dict[str, _Text]
    remedy_unseen: list[Literal["ERROR", "NOT_CHECKED"]] = []


class _Document(_Strict):
    title: _Shown
    edition: _Shown
    valid_from: _Day = ""
    valid_to: _Day = ""


class RuleFile(_Strict):
    """A file of rules, of documents, or of clauses that map documents onto rules, as written."""

    document: dict[str, _Document] = {}
    clause: list[_Clause] = []
    rule: list[_Rule] = []
    parameter_titles: dict[str, _Text] = {}  # by "name" or "RULE.name": what limits are called by people
    deprecated_ids: dict[
        str, str
    ] = {}  # ids that were given up, and the rule that says it now; never used again


RULE_PARTS = frozenset(RuleFile.model_fields)  # by these a file of rules is told from a profile


class ProfileFile(_Strict):
    """A profile, as written."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    in_force_from: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    title: _Text
    summary: _Text
    extends: str = ""
    select: list[str] = []
    deselect: list[str] = []
    set: dict[str, dict[str, Any]] = {}
    refine: dict[str, str] = {}
    authority: dict[str, str] = {}


@dataclass(frozen=True)
class Packs:
    """All rules and profiles that are known. `parse` is the only way to one."""

    rules: Mapping[str, Rule]
    sources: Mapping[str, ProfileSource]
    _resolved: dict[str, StandardProfile] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, rule_files: Mapping[str, str], profile_files: Mapping[str, str]) -> "Packs":
        """Parse TOML texts by file name, check everything and resolve every profile.

        Raises:
            PackError: the first thing that is wrong.
        """
        parsed = {name: _read(name, text, RuleFile) for name, text in sorted(rule_files.items())}
        documents = {key: one for file in parsed.values() for key, one in documents_of(file).items()}
        cited: dict[str, list[Reference]] = {told.id: [] for file in parsed.values() for told in file.rule}
        for name, file in parsed.items():
            for place, clause in enumerate(file.clause):
                try:
                    reference = reference_of(clause, documents)
                    for rule_id in clause.rules:
                        if rule_id not in cited:
                            raise ValueError(f"no rule {rule_id}")
                        cited[rule_id].append(reference)
                except ValueError as error:
                    raise PackError(f"{name}: clause {place + 1}: {error}") from error
        titles = {key: one.text() for file in parsed.values() for key, one in file.parameter_titles.items()}
        rules: dict[str, Rule] = {}
        deprecated = {old: new for file in parsed.values() for old, new in file.deprecated_ids.items()}
        for name, file in parsed.items():
            for old, new in file.deprecated_ids.items():
                if old in cited or new not in cited:
                    problem = f"{old} is in use again" if old in cited else f"no rule {new} says it now"
                    raise PackError(f"{name}: deprecated_ids: {problem}; an id is never reused")
        for name, file in parsed.items():
            for told in file.rule:
                try:
                    rule = rule_of(told, cited[told.id], titles)
                except ValueError as error:
                    raise PackError(f"{name}: rule {told.id}: {error}") from error
                if rule.id in rules:
                    raise PackError(f"{name}: rule {rule.id} is defined twice")
                rules[rule.id] = rule
        sources = {}
        for name, text in sorted(profile_files.items()):
            source = profile_source(name, _read(name, text, ProfileFile))
            if source.id in sources:
                raise PackError(f"{name}: profile {source.id} is defined twice")
            gone = next((rule for rule in (*source.select, *source.set_values) if rule in deprecated), "")
            if gone:
                raise PackError(
                    f"{name}: profile {source.id}: {gone} was given up; {deprecated[gone]} says it now"
                )
            sources[source.id] = source
        packs = cls(rules, sources)
        for standard in sources:
            packs.profile(standard)
        return packs

    def profile(self, standard: str) -> StandardProfile:
        """Return a resolved profile by id.

        Raises:
            UnknownStandard: there is none with this id.
            PackError: its chain is broken.
        """
        return self._profile(standard, ())

    def _profile(self, standard: str, below: tuple[str, ...]) -> StandardProfile:
        if standard in self._resolved:
            return self._resolved[standard]
        source = self.sources.get(standard)
        if source is None:
            if below:
                raise PackError(f"profile {below[-1]} extends {standard!r}, which does not exist")
            raise UnknownStandard(standard, self.standards())
        if standard in below:
            raise PackError(f"profile {standard} extends itself through {' -> '.join(below)}")
        parent = self._profile(source.extends, (*below, standard)) if source.extends else None
        try:
            profile = resolve(source, parent, self.rules)
        except ProfileError as error:
            raise PackError(str(error)) from error
        self._resolved[standard] = profile
        return profile

    def standards(self) -> tuple[str, ...]:
        """Return the ids of all profiles, sorted."""
        return tuple(sorted(self.sources))


_Model = TypeVar("_Model", bound=BaseModel)


def _read(name: str, text: str, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PackError(f"{name}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PackError(f"{name}: {where}: {first['msg']} ({error.error_count()} in all)") from error


def documents_of(file: RuleFile) -> dict[str, Document]:
    """Return the documents that a file names, by key."""
    return {
        key: Document(key, one.title.text(), one.edition.text(), one.valid_from, one.valid_to)
        for key, one in file.document.items()
    }


def reference_of(told: _Clause, documents: Mapping[str, Document]) -> Reference:
    """Return a clause as a reference.

    Raises:
        ValueError: no document has its key.
    """
    document = documents.get(told.doc)
    if document is None:
        raise ValueError(f"unknown document {told.doc!r}")
    return Reference(
        document,
        told.clause.text(),
        told.certainty,
        told.valid_from or document.valid_from,
        told.valid_to or document.valid_to,
    )


_SUREST = ("text", "secondary", "unconfirmed", "own")


def rule_of(told: _Rule, references: Iterable[Reference], titles: Mapping[str, Text]) -> Rule:
    """Return a rule with the clauses that are mapped onto it, the surest first.

    Raises:
        ValueError: what is wrong with it, the first thing.
    """
    cited = tuple(sorted(references, key=lambda one: _SUREST.index(one.certainty)))
    if not cited:
        raise ValueError("no clause is mapped onto it: a [[clause]] names it in `rules`")
    if told.id.partition("-")[0] not in GROUPS:
        raise ValueError(f"the group is none of {', '.join(GROUPS)}")
    if (told.expect is None) == (not told.case):
        raise ValueError("either expect or [[rule.case]], not both and not neither")
    unknown = set(told.remedy).union(*(message.remedy for message in told.text)) - set(PEOPLE)
    if unknown or not told.remedy:
        raise ValueError(f"remedy is for {', '.join(PEOPLE)}")
    cases = [_case(case.expect, case.sound_when, case.unsound, case.when) for case in told.case]
    if told.expect is not None:
        cases = [_case(told.expect, told.sound_when, told.unsound, None)]
    elif told.sound_when is not None:
        raise ValueError("with cases, sound_when stands in each case")
    params = {
        name: Parameter(
            name,
            freeze(one.value),
            one.unit,
            freeze(one.floor),
            one.stricter,
            titles.get(f"{told.id}.{name}") or titles.get(name) or EMPTY,
        )
        for name, one in told.params.items()
    }
    rule = Rule(
        id=told.id,
        rev=told.rev,
        title=told.title.text(),
        why=told.why.text(),
        severity=Severity(told.severity),
        observable=told.observable,
        probe=told.probe,
        cases=tuple(cases),
        applies_when=told.applies_when.condition() if told.applies_when else None,
        params=params,
        waivable=told.waivable,
        needs_credential=told.needs_credential,
        over_time=told.over_time,
        max_age_h=told.max_age_h,
        observed=told.observed.text() if told.observed else EMPTY,
        required=told.required.text(),
        claimed=told.claimed.text() if told.claimed else EMPTY,
        unit=told.unit,
        messages=tuple(
            Message(
                Verdict(message.verdict),
                message.text(),
                message.when.condition() if message.when else None,
                {who: text.text() for who, text in message.remedy.items()},
            )
            for message in told.text
        ),
        remediation={who: text.text() for who, text in told.remedy.items()},
        remedy_unseen=tuple(Verdict(verdict) for verdict in told.remedy_unseen),
        references=cited,
    )
    _check(rule)
    return rule


def _case(expect: _Condition, sound_when: _Condition | None, unsound: str, when: _Condition | None) -> Case:
    if unsound not in INCONCLUSIVE_REASONS | NOT_CHECKED_REASONS:
        raise ValueError(f"unsound takes a reason of INCONCLUSIVE or NOT_CHECKED, not {unsound!r}")
    return Case(
        expect.condition(),
        when=when.condition() if when else None,
        sound_when=sound_when.condition() if sound_when else None,
        unsound=Reason(unsound),
    )


def _check(rule: Rule) -> None:
    """Check what only the whole rule shows: parameters used and declared, templates, the order of parameters."""
    used = {name for condition in rule.conditions() for name in condition.params()}
    missing = used - set(rule.params)
    if missing:
        raise ValueError(f"the conditions use the undeclared parameter {min(missing)}")
    idle = set(rule.params) - used
    if idle:
        raise ValueError(f"the parameter {min(idle)} is declared and never used")
    said = [rule.observed, rule.required, rule.claimed, *rule.remediation.values()]
    said += [text for message in rule.messages for text in message.remediation.values()]
    for text in (*said, *(message.text for message in rule.messages)):
        for template in (text.vi, text.en):
            check_template(template)
            for name, _filters in holes(template):
                if name not in FACTS and name not in rule.params and name != "detail":
                    raise ValueError(f"{{{name}}} is neither a fact nor a parameter of this rule")
        if {name for name, _ in holes(text.vi)} != {name for name, _ in holes(text.en)}:
            raise ValueError(f"the languages of {text.en!r} name different values")
    for parameter in rule.params.values():
        if parameter.floor is not None and parameter.loosened_below_floor(parameter.value):
            raise ValueError(f"{parameter.name} starts below its own floor")


def profile_source(name: str, told: ProfileFile) -> ProfileSource:
    """Return a profile as its file says it.

    Raises:
        PackError: a severity that there is not.
    """
    try:
        severities = {rule: Severity(severity) for rule, severity in told.refine.items()}
    except ValueError as error:
        raise PackError(f"{name}: refine: {error}") from error
    return ProfileSource(
        id=told.id,
        version=told.version,
        title=told.title.text(),
        summary=told.summary.text(),
        in_force_from=told.in_force_from,
        extends=told.extends,
        select=tuple(told.select),
        deselect=tuple(told.deselect),
        set_values={
            rule: {key: freeze(value) for key, value in values.items()} for rule, values in told.set.items()
        },
        severities=severities,
        authorities=told.authority,
    )


@lru_cache(maxsize=1)
def packaged() -> Packs:
    """Return the packs that the program ships, parsed once."""
    return packaged_with({})


def packaged_with(files: Mapping[str, str]) -> Packs:
    """Return the shipped packs and own ones on top: TOML texts by file name, rule files and profiles told apart.

    Raises:
        PackError: the first thing that is wrong (`standards.lint` tells all).
    """
    rules = {
        **{f"rules/{name}": text for name, text in packaged_texts("rules").items()},
        **{f"mappings/{name}": text for name, text in packaged_texts("mappings").items()},
    }
    profiles = packaged_texts("profiles")
    for name, text in files.items():
        try:
            top = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PackError(f"{name}: not TOML: {error}") from error
        (rules if top.keys() & RULE_PARTS else profiles)[f"own/{name}"] = text
    return Packs.parse(rules, profiles)
