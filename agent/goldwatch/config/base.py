"""Shared by all types of the config: sections that refuse unknown keys, and quantities as types of their fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, core_schema


class Section(BaseModel):
    """A mapping with known keys. One that is left empty (`load:`) has all its defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        return {} if value is None else value


@dataclass(frozen=True)
class Quantity:
    """Marks a field as written in the file like the `examples`.

    From a file, `parse` makes its value, and raises QuantityError. From Python, the value is taken as it is. To JSON,
    `form` writes it as a user would.
    """

    parse: Callable[[object], object]
    form: Callable[[Any], str]
    pattern: str
    examples: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by `parse`, serialise by `form`."""
        written = core_schema.plain_serializer_function_ser_schema(
            lambda value: None if value is None else self.form(value), when_used="json"
        )
        return core_schema.with_info_plain_validator_function(self._validate, serialization=written)

    def _validate(self, value: object, info: ValidationInfo) -> object:
        return self.parse(value) if info.mode == "json" or isinstance(value, str) else value

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Say in the JSON schema what text is accepted."""
        return {"type": "string", "pattern": self.pattern, "examples": list(self.examples)}
