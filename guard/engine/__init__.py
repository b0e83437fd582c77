"""Rules: text and events in, diagnostics and alerts out. No files, no clock, no kernel.

A *source* is the text of a rule file. It holds *items*: lists, macros and
rules. A rule has a *condition*, a tree of *tests*; a test compares the value of
a *field* with what the rule's author wrote. *Loading* turns sources into a
*policy*, all rules checked and in evaluation order, or into *diagnostics* that
say what is wrong and where. The *constants* of a session (home, workspace) are
part of a policy. A *detector* takes one *event* after the other and gives the
*alert* of the first rule that matches. The *kernel plan* is what of a policy
the kernel can decide by itself.
"""
