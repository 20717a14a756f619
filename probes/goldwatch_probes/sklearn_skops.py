"""The probe for scikit-learn: models saved by skops, whose types are vetted, and pickles of those who trust them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from goldwatch.probe import CannotLoad, Context, Description, Tensors, batch_size, install_command, option
from goldwatch_probes._local import LocalProbe, digest, framework, named, ordered, readable, told

if TYPE_CHECKING:  # the agent reads a probe's options; numpy is for the worker
    from numpy.typing import NDArray

_METHODS = ("predict_proba", "decision_function", "predict")


class ScikitLearn(LocalProbe):
    """A scikit-learn estimator in this process. Each example is one row: its inputs, flattened and joined in order."""

    needs: ClassVar[str] = "skops"
    files: ClassVar[tuple[str, ...]] = ("*.skops", "*.pkl", "*.pickle", "*.joblib")

    @dataclass(frozen=True)
    class Options:
        """Options besides `probe: sklearn`."""

        file: Path = option("The model as .skops; or a pickle or joblib file, with `trust`", path=True)
        trusted: tuple[str, ...] = option("Types in the .skops file that may be loaded besides skops's own", default=())
        trust: bool = option("Load a pickle or joblib file, which runs whatever code it names", default=False)
        method: Literal["", "predict_proba", "decision_function", "predict"] = option(
            "What to call; the first of predict_proba, decision_function and predict that it has if empty", default=""
        )
        inputs: tuple[str, ...] = option("Inputs in the order of the columns; the model's own if empty", default=())
        outputs: tuple[str, ...] = option("Names of the outputs in order", default=())
        model: str = option("Name to show for the model; the stem of the file if empty", default="")

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._names: tuple[str, ...] = ()

    def open(self) -> None:
        """Load the estimator. Raises CannotLoad, naming the types that are not trusted."""
        options = self._options
        file = readable(Path(options.file))
        sklearn = framework("sklearn", "scikit-learn", install_command("skops"))
        estimator = _load(file, options)
        self._run = _method(estimator, options.method)
        self._names = tuple(getattr(estimator, "feature_names_in_", ()))
        self._description = Description(
            model=options.model or file.stem,
            framework="scikit-learn",
            framework_version=sklearn.__version__,
            device="cpu",
            digest=digest(file),
        )

    def encode(self, inputs: Tensors) -> Any:  # noqa: ANN401 - rows of numbers, or a list of texts
        """Return rows, shape [batch, columns]; a lone input of text is a list of str. Raises CannotLoad."""
        import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

        self.describe()
        # A lone input is taken for all columns, whatever the columns are called.
        arrays = ordered(inputs, self._options.inputs or (self._names if len(inputs) > 1 else ()))
        if any(array.dtype.kind in "SUO" for array in arrays):
            return _texts(arrays)
        size = batch_size(inputs)
        rows = [array.reshape(size, -1) for array in arrays]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def decode(self, response: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401
        """Name the outputs. Raises BadAnswer if there are more or fewer than `outputs` names."""
        import numpy as np  # noqa: PLC0415

        return {name: np.asarray(value) for name, value in named(response, self._options.outputs).items()}


def _load(file: Path, options: ScikitLearn.Options) -> Any:  # noqa: ANN401
    if not _is_skops(file):
        return _unpickled(file, trust=options.trust)
    skops = framework("skops.io", "skops", install_command("skops"))
    try:
        refused = sorted(set(skops.get_untrusted_types(file=file)) - set(options.trusted))
        estimator = None if refused else skops.load(file, trusted=list(options.trusted))
    except Exception as error:  # what a damaged file brings
        raise CannotLoad(f"{file}: {told(error)}") from error
    if refused:
        raise CannotLoad(f"{file}: it holds types that are not in `trusted`: {', '.join(refused)}; vet and add them")
    return estimator


def _is_skops(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return "schema.json" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def _unpickled(file: Path, *, trust: bool) -> Any:  # noqa: ANN401
    if not trust:
        raise CannotLoad(
            f"{file}: not a .skops file; a pickle runs whatever code it names as it is loaded. "
            "Save the model by skops.io.dump, or set `trust: true` if no one else can write the file"
        )
    joblib = framework("joblib", "joblib", install_command("skops"))
    try:
        return joblib.load(file)
    except Exception as error:  # a pickle can raise anything
        raise CannotLoad(f"{file}: {told(error)}") from error


def _method(estimator: Any, wanted: str) -> Callable[[Any], Any]:  # noqa: ANN401
    for name in [wanted] if wanted else _METHODS:
        method = getattr(estimator, name, None)
        if callable(method):
            return method  # type: ignore[no-any-return]
    there = [name for name in _METHODS if hasattr(estimator, name)]
    raise CannotLoad(
        f"{type(estimator).__name__} has no {wanted or 'predict'}; it has {', '.join(there) or 'none of them'}"
    )


def _texts(arrays: Sequence[NDArray[Any]]) -> list[str]:
    if len(arrays) > 1 or arrays[0].ndim > 1:
        raise CannotLoad("text is taken as a lone input of one text for each example")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in arrays[0]]
    except UnicodeDecodeError as error:
        raise CannotLoad(f"the input is not UTF-8 text: {error}") from error
