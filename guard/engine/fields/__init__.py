"""The fields that rules can ask for.

A *field* (`FieldDef`) has a name, a type and a way to get its *value* from a
*context*: one event and the process behind it. No value (None) is Falco's NA.
Each module defines the fields of one prefix; `registry` joins them.
"""

from guard.engine.fields.definition import (
    INTEGER_RANGES,
    Argument,
    Context,
    FieldDef,
    FieldType,
    Flag,
    Getter,
    Many,
    Value,
    Values,
)
from guard.engine.fields.registry import FALCO_ONLY, FIELDS, lookup

__all__ = [
    "FALCO_ONLY",
    "FIELDS",
    "INTEGER_RANGES",
    "Argument",
    "Context",
    "FieldDef",
    "FieldType",
    "Flag",
    "Getter",
    "Many",
    "Value",
    "Values",
    "lookup",
]
