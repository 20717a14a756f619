"""The probe for servers that speak OpenAI's API, and rerankers: texts, multiple choice, embeddings, transcriptions.

vLLM, SGLang, TGI, llama.cpp, Ollama, hosted ones. https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from goldwatch.probe import BadAnswer, CannotLoad, Context, Description, Page, Tensors, Tokens, batch_size, option
from goldwatch_probes._answers import is_number, parse, parse_object, text
from goldwatch_probes._bodies import File, multipart
from goldwatch_probes._http import Answer
from goldwatch_probes._http_client import JSON, HttpProbe, Request
from goldwatch_probes._openai_answers import Completion, completion
from goldwatch_probes._openai_choices import Choices
from goldwatch_probes._openai_forms import Rerank, Transcriptions
from goldwatch_probes._openai_responses import response as response_completion
from goldwatch_probes._remote import RemoteOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PATHS = {
    "chat": "chat/completions",
    "completions": "completions",
    "responses": "responses",
    "embeddings": "embeddings",
}
_STREAMED = ("chat", "completions", "responses")
_MESSAGES, _REQUEST = "messages", "request"
_MOST_OF_ID = 4096
_MOST_TOKENS = 10**9
"""Of one answer. A budget of tokens would wait for what a server makes up."""


class Form(Protocol):
    """What an API asks for and answers that is no prompt and no text token by token."""

    path: str
    output: str
    """The name of the output, unless the option `output` has another."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Members of each request, unless `more` or an example has others."""

    def examples(self, inputs: Tensors) -> list[Any]:
        """Return the examples of a batch. Raises CannotLoad for inputs of another form."""

    def members(self, example: Any) -> dict[str, Any]:  # noqa: ANN401 - what `examples` made
        """Return the members of a request that are those of one example, which `more` does not change."""

    def value(self, example: Any, answer: Answer) -> Any:  # noqa: ANN401 - as above
        """Return the output of one example: a text, or a list of numbers. Raises BadAnswer."""


_FORMS: Mapping[str, Callable[[Mapping[str, Any]], Form]] = {
    "choices": lambda _: Choices(),
    "rerank": lambda more: Rerank("documents", more.get("top_n")),
    "rerank-tei": lambda _: Rerank("texts"),
    "transcriptions": lambda _: Transcriptions(),
}
"""How to make each, from the option `more`."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The request of one example, and what its form needs to read the answer."""

    request: Request
    example: Any = None


@dataclass(slots=True)
class _Answers:
    """The answers to the examples of one batch, which are asked for one after the other."""

    asked: tuple[_Asked, ...]
    answers: tuple[Answer, ...]
    reads: Callable[[Answer], Completion]
    _read: tuple[Completion, ...] | None = None

    def completions(self) -> tuple[Completion, ...]:
        """Parse the answers, once: a stream is many lines of JSON. Raises BadAnswer."""
        if self._read is None:
            self._read = tuple(map(self.reads, self.answers))
        return self._read


class OpenAI(HttpProbe):
    """One model of a server, asked for one answer an example."""

    @dataclass(frozen=True)
    class Options(RemoteOptions):
        """Options besides `probe: openai`. `url` is what comes before /chat/completions, such as .../v1."""

        model: str = option("Name of the model; may be left out if the server has one", default="")
        api: Literal[
            "chat", "completions", "responses", "choices", "embeddings", "rerank", "rerank-tei", "transcriptions"
        ] = option("What is asked for; choices: log-likelihoods", default="chat")
        stream: bool = option("Have the answer token by token, so that the first can be timed", default=True)
        max_tokens: int = option("The most tokens of an answer; 0 leaves it to the server", default=64)
        temperature: float = option("0 for the most likely answer", default=0.0)
        seed: int = option("Of the server's sampling", default=0)
        system: str = option("System message before each prompt; only for chat and responses", default="")
        more: dict[str, Any] = option(
            "Further members of each request; null leaves one out, such as temperature", default_factory=dict
        )
        metadata: Literal["check", "ignore"] = option(
            "ignore: do not ask for the server's models, which may not name this one", default="check"
        )
        output: str = option("Name of the output in the golden set; empty for text or embedding", default="")

    _options: Options

    def __init__(self, options: Options, context: Context) -> None:
        super().__init__(options, context)
        self._form = _FORMS[options.api](options.more) if options.api in _FORMS else None

    @staticmethod
    def recognise(url: str, model: str, page: Page) -> list[dict[str, Any]]:
        """Return the options of the named model, or of each that the server lists, here or under /v1."""
        for base, path in ((url, "models"), (f"{url}/v1", "v1/models")):
            found = page(path)
            listed = found.get("data") if isinstance(found, dict) else None
            if isinstance(listed, list):
                names = [_id(entry.get("id")) for entry in listed if isinstance(entry, dict)]
                return [{"url": base, "model": name} for name in ([model] if model else names) if name]
        return []

    def open(self) -> None:
        """Connect, and make sure that the server has the model. Raises CannotLoad, Unreachable or NotReady."""
        self._connect()
        self.describe()

    def describe(self) -> Description:
        """Ask the server for its models. Raises CannotLoad, Unreachable or NotReady."""
        asks = self._options.metadata == "check"
        page = self._opened().page("models", missing_allowed=True) if asks else {}
        listed = page.get("data")
        models = {_id(m.get("id")): m for m in listed if isinstance(m, dict)} if isinstance(listed, list) else {}
        wanted = self._options.model
        if models and not wanted and len(models) == 1:
            wanted = next(iter(models))
        if not wanted or (models and wanted not in models):
            names = ", ".join(list(models)[:20]) or "none"
            how = "; if it is an alias, set `metadata: ignore`" if wanted else ""
            raise CannotLoad(f"`model` is {wanted!r}; the server has {names}{how}")
        entry = models.get(wanted, {})
        root = _id(entry.get("root"))
        self._description = Description(
            model=wanted, version=root if root != wanted else "", framework=text(entry.get("owned_by"))
        )
        return self._description

    def encode(self, inputs: Tensors) -> tuple[_Asked, ...]:
        """Make a request for each example. Raises CannotLoad for inputs of another form."""
        if (form := self._form) is not None:
            return tuple(_Asked(self._formed(form, each), each) for each in form.examples(inputs))
        if batch_size(inputs) and len(inputs) != 1:
            names = ", ".join(sorted(inputs))
            raise CannotLoad(
                f"a prompt is one input of text, or `{_MESSAGES}` or `{_REQUEST}` of dtype json; the set has {names}"
            )
        name, values = next(iter(inputs.items()))
        if values.ndim != 1 or values.dtype.kind not in "OUS":
            raise CannotLoad(f'input "{name}" is {values.dtype} {list(values.shape[1:])}; a prompt is text')
        return tuple(_Asked(self._request(name, value)) for value in values.tolist())

    def predict(self, request: tuple[_Asked, ...]) -> _Answers:  # type: ignore[override] # one for each example
        """Send the requests one after another. Raises TimeoutError, Unreachable, Rejected or BadAnswer."""
        client = self._opened()
        reads = response_completion if self._options.api == "responses" else completion
        return _Answers(request, tuple(client.send(each.request) for each in request), reads)

    def times_ns(self, response: _Answers) -> tuple[int, int]:  # type: ignore[override]
        """Return when the first request was sent, and when the last byte of the last answer arrived."""
        return response.answers[0].sent_ns, response.answers[-1].arrived_ns

    def decode(self, response: _Answers) -> dict[str, NDArray[Any]]:
        """Return the texts, or the vectors. Raises BadAnswer."""
        if (form := self._form) is not None:
            pairs = zip(response.asked, response.answers, strict=True)
            return {self._options.output or form.output: _array([form.value(a.example, b) for a, b in pairs])}
        if self._options.api == "embeddings":
            return {self._options.output or "embedding": _array([_vector(answer) for answer in response.answers])}
        return {self._options.output or "text": _array([each.text for each in response.completions()])}

    def tokens(self, response: _Answers) -> Tokens:
        """Return what the one answer was made of. Raises BadAnswer."""
        if self._options.api not in _STREAMED:
            (answer,) = response.answers
            found = parse(answer.body)
            usage = found.get("usage") if isinstance(found, dict) else None
            sent = ("prompt_tokens", "input_tokens", *(["total_tokens"] if isinstance(self._form, Rerank) else []))
            return Tokens(input=_count(usage, *sent), output=_count(usage, "completion_tokens", "output_tokens"))
        (read,) = response.completions()
        return Tokens(
            input=_count(read.usage, "prompt_tokens"),
            output=_count(read.usage, "completion_tokens"),
            finish=read.finish,
            **read.times._asdict(),
        )

    def _formed(self, form: Form, example: Any) -> Request:  # noqa: ANN401 - of the form
        merged = {"model": self._described().model, **form.defaults} | self._options.more | form.members(example)
        if any(isinstance(member, File) for member in merged.values()):
            return self._opened().request(form.path, *multipart(_fields(merged)))
        return self._opened().request(form.path, _json(merged), JSON)

    def _request(self, name: str, value: object) -> Request:
        prompt = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        members = _members(prompt, self._options.api) if name == _REQUEST else {}
        streamed = self._options.stream and self._options.api in _STREAMED
        body: dict[str, Any] = {"model": self._described().model}
        body |= {} if name == _REQUEST else self._prompt(name, prompt)
        if self._options.api != "embeddings":
            body |= self._sampling(streamed=streamed)
        merged = body | self._options.more | members
        request = self._opened().request(_PATHS[self._options.api], _json(merged), JSON)
        return Request(request.written, streamed)

    def _sampling(self, *, streamed: bool) -> dict[str, Any]:
        """Return the members that say how to answer. The Responses API has no seed, and would keep answers."""
        options = self._options
        found: dict[str, Any] = {"temperature": options.temperature, "stream": streamed}
        if options.api == "responses":
            return found | {"store": False} | ({"max_output_tokens": options.max_tokens} if options.max_tokens else {})
        found |= {"seed": options.seed} | ({"max_tokens": options.max_tokens} if options.max_tokens else {})
        return found | ({"stream_options": {"include_usage": True}} if streamed else {})

    def _prompt(self, name: str, prompt: str) -> dict[str, Any]:
        if self._options.api == "embeddings":
            return {"input": prompt}
        if self._options.api == "completions":
            return {"prompt": prompt}
        if self._options.api == "responses":
            system = {"instructions": self._options.system} if self._options.system else {}
            return {"input": _messages(prompt) if name == _MESSAGES else prompt} | system
        messages = _messages(prompt) if name == _MESSAGES else [{"role": "user", "content": prompt}]
        if self._options.system:
            messages = [{"role": "system", "content": self._options.system}, *messages]
        return {"messages": messages}


def _messages(value: str) -> list[Any]:
    """Return the messages of a chat, which come as JSON. Raises CannotLoad."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list) or not found:
        raise CannotLoad(f'input "{_MESSAGES}" is {value[:60]!r}; expected a list of messages, of dtype json')
    return found


def _members(value: str, api: str) -> dict[str, Any]:
    """Return the members of a request that a golden set has frozen, which come as JSON. Raises CannotLoad."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"messages", "prompt", "input"} & found.keys():
        raise CannotLoad(
            f'input "{_REQUEST}" is {value[:60]!r}; expected an object with messages, prompt or input, of dtype json'
        )
    own = {"model", "stream", "stream_options"} | ({"store", "background"} if api == "responses" else set())
    if fixed := sorted(own & found.keys()):
        raise CannotLoad(f'input "{_REQUEST}" has {fixed[0]}, which the target sets; leave it out of the golden set')
    return found


def _fields(members: Mapping[str, Any]) -> Iterator[tuple[str, File | str]]:
    """Yield the parts of a form: one for each value of a list, and none for a member that is left out."""
    for name, member in members.items():
        for value in member if isinstance(member, list) else [member]:
            if value is not None:
                yield name, value if isinstance(value, File | str) else json.dumps(value)


def _json(members: Mapping[str, Any]) -> bytes:
    """Return the body of a request, without the members that are left out."""
    return json.dumps({key: member for key, member in members.items() if member is not None}).encode()


def _array(values: list[Any]) -> NDArray[Any]:
    """Return texts [n], or vectors [n, size] as float32. Raises BadAnswer for vectors of different sizes."""
    import numpy as np  # noqa: PLC0415 - the agent, which only reads the options, stays without

    if values and isinstance(values[0], str):
        found: NDArray[Any] = np.empty(len(values), dtype=object)
        found[:] = values
        return found
    if len({len(vector) for vector in values}) > 1:
        raise BadAnswer("the vectors of one batch differ in length")
    return np.array(values, dtype=np.float32)


def _vector(answer: Answer) -> list[float]:
    data = parse_object(answer.body).get("data")
    vector = data[0].get("embedding") if isinstance(data, list) and data and isinstance(data[0], dict) else None
    if not isinstance(vector, list) or not vector or not all(map(is_number, vector)):
        raise BadAnswer("the answer has no list of numbers at data[0].embedding")
    return vector


def _id(value: object) -> str:
    """Return the name of a model, which may be the path of a folder; an empty one for anything else."""
    return value[:_MOST_OF_ID] if isinstance(value, str) else ""


def _count(usage: object, *names: str) -> int | None:
    """Return a number of tokens, by the first name that has one. Raises BadAnswer for an impossible number."""
    if not isinstance(usage, Mapping):
        return None
    for name in names:
        found = usage.get(name)
        if type(found) is int and found > _MOST_TOKENS:
            raise BadAnswer(f"the answer says that it took more than {_MOST_TOKENS:,} {name}")
        if type(found) is int and found >= 0:
            return found
    return None
