"""Both sides of the wire between the kernel and guard.

Contract   event.h (records) and policy.h (map data): stated once, read by both sides.
Object     guard.bpf.c and what it includes, compiled ahead; the same for every policy.
Layout     sizes, offsets and enum values, read from the object's type information.
Program    the object loaded into this kernel: its maps and attachments.
Ring       a buffer of records between the kernel and one reader.
Block      records back to back, as bytes: what a ring gives and a segment holds.
Decoder    turns records into Event values.
Sensor     yields batches of events, live or from a recorded session.

This package decides nothing: rules are in the engine, maps are filled by enforce.
"""
