"""Where alerts go while a session runs.

A *sink* takes alerts and shows or ships them. It never decides anything. The
session record is not a sink: it is kept whatever the outputs are.
"""
