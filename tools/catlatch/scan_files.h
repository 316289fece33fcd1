/*
 * scan_files.h - takes files, folders and standard input through scan.h.
 *
 * A folder is read with all below it, in the order of names. Symbolic links in it are not followed
 * (one that was named itself is), .git/objects is left out (what is there is compressed), and so is
 * what is neither file nor folder. Memory is bounded by one buffer and by the largest folder's
 * names. A name can hold a key, too: it is looked at as line 0.
 */
#ifndef TOOL_SCAN_FILES_H
#define TOOL_SCAN_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "scan.h"

/* What is told on the way. Names come with the keys in them masked and otherwise as they are: any
 * bytes. They and the finding are only valid during the call. */
struct scan_listener {
    void (*found)(void *context, const char *file, const struct scan_finding *finding);
    /* Could not be read; the scan goes on. E_PERMISSION, E_DATA (no file) or another. */
    void (*failed)(void *context, const char *file, const struct error *error);
    void *context;
};

struct scan_files {
    const struct scan_rules *rules;
    const struct scan_listener *listener;
    char *buffer;
    uint64_t file_count; /* that were read, wholly or not */
    uint64_t byte_count;
};

/* Returns 0 or E_MEMORY. scan_files_end in any case. */
int scan_files_begin(const struct scan_rules *rules, const struct scan_listener *listener,
                     struct scan_files *ret_files, struct error *error);

/* A file, a folder, or "-" for standard input. What cannot be read goes to the listener. Returns 0
 * or E_MEMORY. Blocks. */
int scan_files_path(struct scan_files *files, const char *path, struct error *error);

/* Cleanses the buffer and frees it. */
void scan_files_end(struct scan_files *files);

#endif
