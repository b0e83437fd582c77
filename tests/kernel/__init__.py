"""The kernel ring: real system calls, watched by the programs loaded into the running kernel.

A test arms a *session* (programs loaded, attached to a cgroup of their own),
runs the *trigger* (a C program that makes exactly the calls it is told to, and
says what it did) as a guarded process, and compares every field of the events
with what the trigger said and what the file system says. One file for each
event kind, named after it.
"""
