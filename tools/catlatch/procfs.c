#include "procfs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Copies up to `len` bytes in which \ooo stands for a byte; false if they do not fit. maps writes
 * only a newline so, and a backslash as it is. */
static bool unescape(const char *from, size_t len, bool newline_only, char ret[PATH_MAX])
{
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        if (c == '\\' && len - i >= 4 && is_octal(from[i + 1]) && is_octal(from[i + 2]) &&
            is_octal(from[i + 3]) && (!newline_only || strncmp(from + i, "\\012", 4) == 0)) {
            c = (char)((from[i + 1] - '0') * 64 + (from[i + 2] - '0') * 8 + (from[i + 3] - '0'));
            i += 3;
        }
        if (at + 1 >= PATH_MAX)
            return false;
        ret[at++] = c;
    }
    ret[at] = '\0';
    return true;
}

/* Takes the ending away; false if there is none. */
static bool take_ending(char *text, const char *ending)
{
    size_t len = strlen(text), ending_len = strlen(ending);

    if (len < ending_len || strcmp(text + len - ending_len, ending) != 0)
        return false;
    text[len - ending_len] = '\0';
    return true;
}

int procfs_map_parse(const char *line, struct procfs_map *ret_map)
{
    struct procfs_map map;
    int at = 0;

    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %*x %x:%x %" SCNu64 " %n", &map.start, &map.end,
               &map.major, &map.minor, &map.inode, &at) != 5 ||
        at == 0 || map.inode == 0 || line[at] != '/')
        return CATLATCH_E_DATA;
    if (!unescape(line + at, strcspn(line + at, "\n"), true, map.path))
        return CATLATCH_E_DATA;
    map.deleted = take_ending(map.path, " (deleted)");
    *ret_map = map;
    return 0;
}

int procfs_mount_parse(const char *line, struct procfs_mount *ret_mount)
{
    struct procfs_mount mount;
    int at = 0;

    if (sscanf(line, "%*u %*u %u:%u %n", &mount.major, &mount.minor, &at) != 2 || at == 0)
        return CATLATCH_E_DATA;
    const char *root = line + at;
    size_t root_len = strcspn(root, " \n");
    if (root_len == 0 || root[root_len] != ' ')
        return CATLATCH_E_DATA;
    const char *point = root + root_len + 1;
    size_t point_len = strcspn(point, " \n");
    if (point_len == 0 || point[point_len] != ' ' || !unescape(root, root_len, false, mount.root) ||
        !unescape(point, point_len, false, mount.point))
        return CATLATCH_E_DATA;
    mount.deleted = take_ending(mount.root, "//deleted");
    *ret_mount = mount;
    return 0;
}

bool procfs_is_below(const char *path, const char *point)
{
    size_t len = strlen(point);

    if (len > 0 && point[len - 1] == '/')
        len--; /* the root */
    return strncmp(path, point, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

bool procfs_is_table(const char *path, uint64_t *ret_number)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char again[32];
    uint64_t number;

    *ret_number = 0;
    if (strcmp(name, "table") == 0 || strcmp(name, "table.new") == 0)
        return true;
    if (sscanf(name, "table.%" SCNu64, &number) != 1)
        return false;
    snprintf(again, sizeof again, "table.%" PRIu64, number);
    if (strcmp(again, name) != 0)
        return false;
    *ret_number = number;
    return true;
}
