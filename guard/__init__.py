"""Watches what a coding agent really does in the kernel, and stops what the policy forbids.

A *session* is one agent, everything it starts, and guard around it. The kernel
programs turn what the session does into *events*. A *rule* is a condition on
an event and on the *process* behind it; a match is an *alert*. A rule may ask
for an *action*; the alert's *verdict* says what really happened.
"""
