"""Any callable as a score: finds it, works out what its parameters are given, and reads the number that it returns.

Nothing of a framework is imported here: evaluators of other projects are called as they are. Runs in a worker.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import json
import math
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_overloads

from goldwatch.core.score_spec import ScoreSpec, UnscoredReason
from goldwatch.errors import GoldwatchError
from goldwatch.evaluator import BUILT_IN, ROLE_OF, Scored, Unscored
from goldwatch.installation import install_command
from goldwatch.worker.evaluators.inspected import inspected

if TYPE_CHECKING:
    from goldwatch.worker.evaluators.grading import Judge

GROUP = "goldwatch.scores"
_IMPORTED_AS = {"scikit-learn": "sklearn", "rouge-score": "rouge_score"}
_NAMED = ("score", "value")
_LONGEST = 200
_ROUNDING = 1e-9


class BadScore(GoldwatchError):
    """A score cannot be used: its callable cannot be had, or asks for what the examples do not have."""


class NoValue(GoldwatchError):
    """An example has no score, for the `reason`."""

    def __init__(self, reason: UnscoredReason, said: str) -> None:
        super().__init__(said[:_LONGEST])
        self.reason = reason


class Evaluator:
    """A score, ready to be called. `takes` has the source of each parameter; `fingerprint` changes with its meaning.

    One of the `whole` replay takes the lists of all answered examples. One with a `judge` is asked through that.

    Raises BadScore.
    """

    def __init__(self, spec: ScoreSpec) -> None:
        self.spec = spec
        self.judge: Judge | None = None
        if spec.judge is not None:
            from goldwatch.worker.evaluators.grading import Judge  # noqa: PLC0415 - it imports probes' machinery

            self.judge = Judge(spec, spec.judge)
            self.takes, self.whole = self.judge.takes, False
            self.fingerprint = self.judge.fingerprint
            return
        try:
            self._call, self.takes, code = _opened(spec)
        except BadScore as error:
            raise BadScore(f"scores.{spec.name}: {error}") from None
        self.whole = spec.over == "replay"
        self.fingerprint = _fingerprint(spec, code)

    def __call__(self, given: Mapping[str, Any]) -> float:
        """Return the score of the arguments by parameter, within its scale. Raises NoValue."""
        try:
            found = self._call(**given)
            value = number(_awaited(found) if inspect.isawaitable(found) else found, self.spec.gives)
        except NoValue:
            raise
        except Exception as error:  # whatever foreign code raises is no evidence about the model
            said = str(error) if isinstance(error, Unscored) else f"{type(error).__name__}: {error}"
            raise NoValue(UnscoredReason.RAISED, said) from error
        low, high = self.spec.scale
        least, most = low, math.inf if high is None else high
        if math.isinf(value) or not least - _slack(least) <= value <= most + _slack(most):
            end = f"from {low:g} to {high:g}" if high is not None else f"from {low:g} on"
            raise NoValue(UnscoredReason.OUT_OF_RANGE, f"gave {value:g}; its scale is {end}")
        return min(max(value, least), most)  # a perfect BLEU of sacrebleu is 100.00000000000004


def _slack(end: float) -> float:
    """Return how far rounding may carry a value over an end of its scale."""
    return _ROUNDING * (1 + abs(end))


def opened(spec: ScoreSpec) -> Evaluator:
    """Return the evaluator of a spec, the same one for the life of this process. Raises BadScore."""
    key = json.dumps(asdict(spec), sort_keys=True)
    if key not in _made:
        _made[key] = Evaluator(spec)
    return _made[key]


_made: dict[str, Evaluator] = {}


def _awaited(found: Awaitable[Any]) -> Any:  # noqa: ANN401 - whatever an evaluator gives
    import asyncio  # noqa: PLC0415 - few scores are coroutines

    async def wait() -> Any:  # noqa: ANN401 - as above
        return await found

    return asyncio.run(wait())


def _opened(spec: ScoreSpec) -> tuple[Callable[..., Any], Mapping[str, str], str]:
    """Return the callable, the source of each of its parameters, and the version of its code."""
    where = _where(spec.uses)
    found, module = _found(where, spec.path)
    packages = BUILT_IN[spec.uses].packages if spec.uses in BUILT_IN else ()
    for package in packages:
        if importlib.util.find_spec(_IMPORTED_AS.get(package, package)) is None:
            raise BadScore(f"needs {package}: {install_command(package)}")
    options = dict(spec.options)
    if inspect.isclass(found):
        try:
            found = found(**options)
        except Exception as error:  # whatever its constructor does
            raise BadScore(f"{where} cannot be made: {type(error).__name__}: {error}") from error
        if not callable(found):
            raise BadScore(f"an object of {where} cannot be called")
        options = {}
    elif (made := _made_by(where, found, options, spec.takes)) is not None:
        found, options = made, {}
    parameters = [p for p in _parameters(found) if p.name not in options]
    takes = dict(spec.takes) or {p.name: _source(p.name) for p in parameters if _is_given(p)}
    if unknown := _unknown_arguments(found, {*options, *takes}):
        raise BadScore(f"{where} has no parameter {unknown!r}")
    if not takes:
        raise BadScore(f"{where} takes no argument by name; say by `takes` what its parameters are given")
    return (partial(found, **options) if options else found), takes, _code(module, spec.path, packages)


def _made_by(
    where: str, found: Callable[..., Any], options: Mapping[str, Any], takes: Mapping[str, str]
) -> Callable[..., Any] | None:
    """Return the evaluator that a function makes of its options, such as `evaluate.load`; None for an evaluator itself.

    Such a function has no parameter that an example could give. Raises BadScore if it raises, unless `takes` says that
    an example could.
    """
    rest = [p for p in _parameters(found) if p.name not in options]
    if any(_is_given(p) or p.name in takes for p in rest):
        return None
    try:
        made = found(**options)
    except Exception as error:  # whatever a function without arguments does
        if takes:  # such as of a function of **keywords: it is no factory
            return None
        said = f"{type(error).__name__}: {error}"
        raise BadScore(f"{where}, called with its options, makes no score: {said}") from error
    made = getattr(made, "compute", made)  # of a metric of Hugging Face `evaluate`
    if not callable(made):
        return None
    return inspected(made) if {p.name for p in _parameters(made)} == {"state", "target"} else made


def _found(where: str, path: str) -> tuple[Any, ModuleType]:
    """Import "module:name", and return it with its module."""
    module_name, _, name = where.partition(":")
    module = _module(module_name, path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise BadScore(f"{module_name} has no {name}")
        found = getattr(found, part)
    if not callable(found):
        raise BadScore(f"{where} is not a function or a class")
    return found, module


def _where(uses: str) -> str:
    """Return the module:name of `uses`."""
    if ":" in uses:
        return uses
    if uses in BUILT_IN:
        return BUILT_IN[uses].where
    installed = {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
    if uses not in installed:
        names = ", ".join(sorted({*BUILT_IN, *installed}))
        raise BadScore(f'no score "{uses}" is built in or installed; there are {names}; or write module:function')
    return installed[uses]


def _module(name: str, path: str) -> ModuleType:
    """Import a module, from a folder if one is given."""
    if path and path not in sys.path:
        sys.path.insert(0, path)
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        where = f" in {path}" if path else ""
        raise BadScore(f"no module {error.name}{where}; install its package, or give the folder by `path`") from None
    except Exception as error:  # whatever a module does on import
        raise BadScore(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
    file = getattr(module, "__file__", None)
    if path and not (file and Path(file).resolve().is_relative_to(Path(path).resolve())):
        raise BadScore(f"{name} is another module already, {file or 'a built-in one'}; give yours another name")
    return module


def _parameters(found: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters that are given by name; of several overloads those of the first."""
    try:
        every = list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature
        raise BadScore("its parameters cannot be seen; wrap it in a function of your own") from None
    named = [p for p in every if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if named:
        return named
    call = found if inspect.isroutine(found) else type(found).__call__
    for overload in get_overloads(call)[:1]:
        return [p for p in inspect.signature(overload).parameters.values() if p.name != "self"]
    return []


def _is_given(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty or parameter.name in ROLE_OF


def _source(parameter: str) -> str:
    return ROLE_OF.get(parameter, f"fields.{parameter}")


def _unknown_arguments(found: Callable[..., Any], names: set[str]) -> str:
    """Return a name that a callable does not accept, empty if there is none."""
    every = inspect.signature(found).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in every) or not any(
        p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.KEYWORD_ONLY for p in every
    ):
        return ""
    return min(names - {p.name for p in _parameters(found)}, default="")


def number(found: Any, key: str = "") -> float:  # noqa: ANN401 - whatever an evaluator gives
    """Read the score in what an evaluator returned. Raises NoValue.

    It is a number or bool; a list of one; a mapping with `key` (dots lead into it), with "score" or "value", with a
    pair X and X_threshold as Azure's, or with one number alone; or an object with one of these as an attribute.
    """
    if isinstance(found, Sequence) and not isinstance(found, str | bytes) and len(found) == 1:
        found = found[0]
    if isinstance(found, Scored):
        found = found.value
    if (plain := _plain_number(found)) is not None:
        return plain
    value = _inside(found, key) if key else _chosen(found)
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
        value = value[0]
    if (plain := _plain_number(value)) is None:
        raise NoValue(UnscoredReason.NO_NUMBER, f"gave {found!r}; expected a number")
    return plain


def _plain_number(value: Any) -> float | None:  # noqa: ANN401 - as above
    """Return a Python or numpy number; None for anything else, NaN included."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1 and not isinstance(value, str):
        value = value.item()
    if not isinstance(value, bool | int | float) or math.isnan(value):
        return None
    return float(value)


def _inside(found: Any, key: str) -> Any:  # noqa: ANN401 - as above
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
    return found


def _chosen(found: Any) -> Any:  # noqa: ANN401 - as above
    """Return what is the score among several values."""
    if not isinstance(found, Mapping):
        return next((value for name in _NAMED if (value := getattr(found, name, None)) is not None), None)
    named = [name for name in _NAMED if name in found]
    thresholded = [name for name in found if f"{name}_threshold" in found]
    numbers = [n for n, v in found.items() if _plain_number(v) is not None and not isinstance(v, bool)]
    for names in (named, thresholded, numbers):
        if names:
            if len(names) > 1 and names is not named:
                said = f"gave several numbers, {', '.join(map(str, names))}; name one by `gives`"
                raise NoValue(UnscoredReason.NO_NUMBER, said)
            return found[names[0]]
    return None


def _fingerprint(spec: ScoreSpec, code: str) -> str:
    """Return what distinguishes two meanings of a score: its entry, and the version or the source of its code."""
    entry = {k: v for k, v in asdict(spec).items() if k not in ("name", "path", "limit", "loss")}
    digest = hashlib.sha256(json.dumps([entry, code], sort_keys=True, default=str).encode()).hexdigest()
    return f"{spec.uses} {code} {digest[:12]}"


def _distribution(package: str, module: ModuleType) -> str:
    """Return the distribution of a module; of several that share its package, as `azure`, the one that has its file."""
    names = metadata.packages_distributions().get(package, [])
    file = Path(getattr(module, "__file__", None) or "")
    for name in names if len(names) > 1 else ():
        found = metadata.distribution(name)
        if any(Path(str(found.locate_file(each))) == file for each in found.files or ()):
            return name
    return names[0] if names else ""


def _code(module: ModuleType, path: str, packages: Sequence[str] = ()) -> str:
    """Return the version of a package; of modules in a folder the digest of all that were imported from there."""
    if module.__name__.partition(".")[0] == "goldwatch":
        return " ".join(["built-in", *(f"{name} {metadata.version(name)}" for name in packages)])
    package = module.__name__.partition(".")[0]
    if not path:
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            if name := _distribution(package, module):
                return f"{name} {metadata.version(name)}"
    root = Path(path or Path(getattr(module, "__file__", None) or ".").parent).resolve()
    files = sorted(
        Path(file).resolve()
        for other in list(sys.modules.values())
        if (file := getattr(other, "__file__", None)) and Path(file).resolve().is_relative_to(root)
    )
    found = hashlib.sha256()
    for file in files if path else [Path(module.__file__ or "")]:
        found.update(file.read_bytes())
    return f"sha256:{found.hexdigest()[:12]}"
