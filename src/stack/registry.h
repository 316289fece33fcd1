/*
 * registry.h - modules in this process: each file is checked, loaded once, and stays.
 *
 * What was checked is what runs: the file is opened once, its owner, mode and parents are checked
 * (core/trust.h), and that descriptor is loaded. The C library remembers what it loaded by path,
 * so no two loads use the same one; libcatlatch stays loaded itself (-z nodelete), or it would
 * begin to count anew. A file that was replaced since is another file and is loaded beside the old
 * one, which handles that are open go on to use. One that was written over in place is refused: the
 * C library would take it for what it has. What was refused is unloaded again.
 *
 * The registry is the one piece of state that a process's handles share. Thread: any (a mutex).
 * Fork: not in one thread while another loads. Blocks: on the file system.
 */
#ifndef STACK_REGISTRY_H
#define STACK_REGISTRY_H

#include "catlatch_module.h"
#include "core/error.h"

/* The module NAME of the folder. Names are [a-z0-9_-], 1 to 64. Returns 0, E_CONFIG (bad name, not
 * a module, another ABI, another name), E_NOT_FOUND, E_PERMISSION (unsafe, or a symbolic link),
 * E_IO or E_MEMORY. */
int registry_load(const char *folder, const char *name, const struct catlatch_module **ret_module,
                  struct error *error);

/* The same checks up to loading: for who must not run it. */
int registry_check(const char *folder, const char *name, struct error *error);

#endif
