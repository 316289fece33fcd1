/*
 * json_arena.h - memory for what jansson makes of one line: taken one thing behind the other, and
 * given back all at once, which costs less than a malloc for each. A line that needs more gets the
 * rest from the heap.
 */
#ifndef TOOL_JSON_ARENA_H
#define TOOL_JSON_ARENA_H

/* From here on jansson's memory is the arena's. */
void json_arena_begin(void);

/* And no longer: everything that was made since is gone, and cleansed. */
void json_arena_end(void);

#endif
