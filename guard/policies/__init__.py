"""The policies that guard ships: data only.

A *policy* is a file of Falco rules, lists and macros; `guard run --policy NAME`
takes it by the name of its file. Beside `NAME.yaml` stand its *cases* in
`NAME_test.yaml`: for every rule events that must match and events that must
not (see `guard.engine.cases`). A rule says in its `desc` what it cannot see.
"""
