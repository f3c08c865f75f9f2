"""The JSON Schema (2020-12) of scenario files, made from the models that read them, so that editors complete them.

What a fault takes in `with`, and which targets it has, depends on its kind: an `if`/`then` for each. Wherever a value
may come from a variable, a text with `${…}` is right too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.model.fault import FaultKind
from harness.model.faultstep import PARTS, TARGETS, FaultStep, Target
from harness.model.fields import Frozen
from harness.model.scenario import Scenario
from harness.model.units import Quantity, Unit, format_seconds
from harness.runner.loading.variables import VERBATIM

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"$ref": "#/$defs/Variable"}
_VARIABLE = {"type": "string", "pattern": r"\$\{[^{}]+\}", "description": "a text with ${variables} of this scenario"}
_LEAVES = ("number", "integer", "boolean", "null")

Schema = dict[str, Any]


def scenario_schema(faults: Mapping[str, FaultKind]) -> Schema:
    """Return the schema of a scenario file in which these faults may be used."""
    kinds = [faults[name] for name in sorted(faults)]
    made = _tidied(Scenario.model_json_schema(by_alias=True, mode="validation"))
    definitions: Schema = made.pop("$defs")
    properties: Schema = made.pop("properties")
    step = definitions[FaultStep.__name__]
    step["properties"]["fault"] = _fault_names(kinds)
    step["allOf"] = [_one_of("at", "after"), *map(_when, kinds)]
    definitions[Target.__name__] |= _target()
    for model in ("Bound", "Recovered", "Noticed"):
        definitions[model]["allOf"] = [_one_of("at_least", "at_most", "equals")]
    definitions["AbortRule"]["allOf"] = [_one_of("probe", "alert")]
    definitions["After"]["allOf"] = [_one_of("alert", "probe", "event")]
    return {
        "$schema": DIALECT,
        "title": "Scenario",
        "description": "A chaos scenario of a machine-learning system, in a file named *.scenario.yaml",
        "type": "object",
        "additionalProperties": False,
        "required": made["required"],
        "properties": {k: v if k in VERBATIM else _or_variable(v) for k, v in properties.items()},
        "$defs": {name: _or_variable(body) for name, body in sorted(definitions.items())} | {"Variable": _VARIABLE},
    }


def schema_text(schema: Schema) -> str:
    """Return a schema as the published file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _tidied(value: Any) -> Any:
    """Drop what says nothing: titles, null where a field may as well be left out, and what stands for nothing."""
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: _tidied(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and not (key == "default" and item in (None, [], {}, ""))
    }
    if "default" in found:
        found["default"] = _as_written(found["default"], found)
    options = [option for option in found.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        del found["anyOf"]
        return {**options[0], **found}
    if options:
        found["anyOf"] = options
    return found


def _as_written(default: Any, schema: Schema) -> Any:
    """Return a default as a file has it: the models keep durations in seconds."""
    if isinstance(default, dict) and default.keys() == {"value", "unit"}:
        return str(Quantity(default["value"], Unit(default["unit"])))
    is_duration = "|min|" in schema.get("pattern", "")
    return format_seconds(default) if is_duration and isinstance(default, int | float) else default


def _fault_names(kinds: Sequence[FaultKind]) -> Schema:
    choices = [{"const": kind.kind, "description": kind.summary} for kind in kinds]
    return {"description": "the kind of fault; `harness list faults` prints the names", "oneOf": choices}


def _one_of(*names: str) -> Schema:
    return {"oneOf": [{"required": [name]} for name in names]}


def _target() -> Schema:
    """Return that a target is one thing, and that which replicas are meant goes with a service."""
    together = {"replica": ["service"], "share": ["service"]}
    return {"allOf": [_one_of(*TARGETS)], "dependentRequired": together, "not": {"required": ["replica", "share"]}}


def _when(kind: FaultKind) -> Schema:
    """Return what a fault of this kind may act on, and what it takes in `with`."""
    given = parameters_schema(kind.parameters)
    names = [*kind.targets, *(PARTS if kind.each_replica else ())]
    targets: Schema = {"type": "object", "propertyNames": {"enum": names}}
    misfire: Schema = {"properties": {"target": targets}}
    then: Schema = {"properties": {"target": targets, "with": given, "misfire": misfire}}
    if given.get("required"):
        then["required"] = ["with"]
    return {"if": {"properties": {"fault": {"const": kind.kind}}, "required": ["fault"]}, "then": then}


def parameters_schema(model: type[Frozen]) -> Schema:
    """Return the schema of what a fault takes in `with`, self-contained and with defaults as a file has them."""
    made = _tidied(model.model_json_schema(by_alias=True, mode="validation"))
    definitions = made.pop("$defs", {})
    return dict(_inlined(made, definitions))


def _inlined(value: Any, definitions: Schema) -> Any:
    """Put definitions where they are used, for the parameters of a fault stand inside another schema."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref", "")
    if reference.startswith("#/$defs/"):
        rest = {key: item for key, item in value.items() if key != "$ref"}
        return {**_inlined(definitions[reference.rpartition("/")[2]], definitions), **rest}
    return {key: _inlined(item, definitions) for key, item in value.items()}


def _or_variable(schema: Any) -> Any:
    """Allow a variable wherever a value is not free text anyway."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for key in ("properties", "$defs"):
        if key in found:
            found[key] = {name: _or_variable(inside) for name, inside in found[key].items()}
    for key in ("items", "additionalProperties", "then"):
        found |= {key: _or_variable(found[key])} if key in found else {}
    if "allOf" in found:
        found["allOf"] = [_or_variable(inside) for inside in found["allOf"]]
    narrow = {"pattern", "format", "enum", "const"} & found.keys()
    if found.get("type") in _LEAVES or ("type" in found and narrow):
        return _beside(found, [{k: v for k, v in found.items() if k not in ("description", "default", "examples")}])
    if "anyOf" in found or ("oneOf" in found and "description" in found):
        key = "anyOf" if "anyOf" in found else "oneOf"
        return _beside(found, found[key] if key == "anyOf" else [{"oneOf": found[key]}])
    return found


def _beside(schema: Schema, options: list[Schema]) -> Schema:
    annotations: Schema = {key: schema[key] for key in ("description", "default", "examples") if key in schema}
    return {**annotations, "anyOf": [*options, VARIABLE]}
