"""The command line: one file per command, no logic.

`run` guards a command, `doctor` says what this machine can do, `policy` checks
and explains rules.
"""
