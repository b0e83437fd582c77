// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* The object: one translation unit, a file for each family of hooks. */
#include "maps.h"

char LICENSE[] SEC("license") = "GPL";

#include "process.bpf.c"
#include "open.bpf.c"
#include "path.bpf.c"
#include "network.bpf.c"
#include "system.bpf.c"
#include "syscall.bpf.c"
#include "connect.bpf.c"
#include "inodes.bpf.c"
#include "contract.bpf.c"
