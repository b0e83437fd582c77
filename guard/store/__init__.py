"""The session record: everything that is left of a session, in one folder.

``meta.json``        what ran, where, under which policy, and how it ended
``violations.jsonl`` alerts; every line holds the hash of the line before
``layout.btf``       the layout of the raw events (compressed BTF)
``events-0001.seg``  raw events in *frames*, compressed one by one; a full
                     *segment* is followed by the next

Everything up to the last synchronisation is readable after a crash.
"""
