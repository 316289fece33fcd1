/*
 * procfs.h - lines of /proc/PID/maps and /proc/PID/mountinfo, taken apart (proc(5)). Pure.
 */
#ifndef TOOL_PROCFS_H
#define TOOL_PROCFS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* A mapping of a file. */
struct procfs_map {
    uint64_t start, end;
    unsigned major, minor; /* of the file's device */
    uint64_t inode;
    bool deleted; /* the file has no name any more; `path` is the last it had */
    char path[PATH_MAX];
};

/* Returns 0, or E_DATA for what is no line of maps, maps no file, or has a longer path. */
int procfs_map_parse(const char *line, struct procfs_map *ret_map);

struct procfs_mount {
    unsigned major, minor;
    bool deleted;        /* what is mounted has no name any more */
    char root[PATH_MAX]; /* what of its file system is mounted */
    char point[PATH_MAX];
};

/* Returns 0 or E_DATA. */
int procfs_mount_parse(const char *line, struct procfs_mount *ret_mount);

/* True if the path, or what it is below, is where this is mounted. */
bool procfs_is_below(const char *path, const char *point);

/* True if the last part of the path is what a daemon calls a table: "table" (*ret_number is 0),
 * "table.new" (0) or "table.<n>". */
bool procfs_is_table(const char *path, uint64_t *ret_number);

#endif
