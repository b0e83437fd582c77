"""The words of the condition language."""

from __future__ import annotations

TRANSFORMERS = ("tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt")
STRING_OPERATORS = (
    "=",
    "==",
    "!=",
    "glob",
    "iglob",
    "contains",
    "icontains",
    "bcontains",
    "startswith",
    "bstartswith",
    "endswith",
    "regex",
)
LIST_OPERATORS = ("in", "intersects", "pmatch")
MODIFIERS = ("oneof", "anyof", "allof")
OPERATORS = ("exists", "<=", "<", ">=", ">", *STRING_OPERATORS, *LIST_OPERATORS)
