"""One guarded command from start to end.

session     everything about one run; `Session` is the control API
command     the program the user asked for; its process is the *child*
group       the session's cgroup: the child and all its descendants
instrument  the kernel's side: sensor and enforcement, loaded and attached
watcher     a process that ends the session if guard is killed
record      the folder that is left, see guard.store
"""
