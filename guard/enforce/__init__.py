"""From what a policy asks for to what happens on this machine.

programs    bits of programs that run already
support     what this kernel can do, found by doing it
plan        policy and support: what each rule gets here, and why
tags        the plan's places, found in the file tree: inodes, names, texts
kernel      plan and tags as the bytes of the kernel's maps, and the swap to them
respond     what is left to user space: killing or freezing after the fact
"""
