/*
 * json_arena.h - memory for what jansson makes of one line: taken one thing behind the other, and
 * given back all at once, which costs less than a malloc for each. A line that needs more gets the
 * rest from the heap. Threads have arenas of their own.
 */
#ifndef TOOL_JSON_ARENA_H
#define TOOL_JSON_ARENA_H

#include <stddef.h>

/* Empty when it is all zero. */
struct json_arena {
    size_t used;
    _Alignas(max_align_t) unsigned char bytes[(size_t)256 << 10];
};

/* From here on jansson's memory is the arena's, for this thread. The first call sets jansson's
 * functions, for good: no other thread may be using jansson outside of an arena meanwhile. */
void json_arena_begin(struct json_arena *arena);

/* And no longer: everything that this thread made since is gone, and cleansed. */
void json_arena_end(void);

#endif
