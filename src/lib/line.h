/*
 * line.h - this handle's line of the process segment (usage/process.h): where it counts what came
 * of its verifications, and says which table it uses.
 *
 * Which line it is stands in a page of its own that a child finds empty after a fork
 * (MADV_WIPEONFORK), however it was forked: so it never writes its parent's line, and asks for one
 * of its own. Where the kernel does not know that, nobody has a line.
 *
 * A handle asks whether its line is still that of the segment that the keeper has, which a keeper
 * that was killed and started again lost, with each generation and each refresh. What it counts
 * until then is lost; no key's count is.
 *
 * The page is made when the handle is; else nothing is allocated, and no descriptor stays open. One
 * thread at a time; both sides of a fork.
 */
#ifndef LIB_LINE_H
#define LIB_LINE_H

#include <sys/types.h>

#include "lib/attach.h"
#include "usage/fetch.h"
#include "usage/process.h"

/* After an answer that gave none: too many are taken, and a crowd that asks each second would keep
 * the keeper from those that have one. */
#define LINE_REFUSED_MS 60000u
#define LINE_LOOK_MS 1000u

/* The page: zeros in a child. */
struct line_own {
    struct process_line *line; /* NULL: none */
    uint32_t number;           /* of it */
    bool settled;              /* there is nothing to ask the keeper for */
    bool asked;                /* asked_ms is set */
    uint64_t asked_ms;
    uint64_t again_ms; /* not to be asked again for so long */
};

struct line {
    struct line_own *own;
    bool is_possible;
    void *page;   /* of the segment, with the line in it; also one that only the parent may write */
    dev_t device; /* of the segment; while it is mapped, no other has its inode */
    ino_t inode;
};

/* Returns 0 or E_MEMORY. */
int line_init(struct line *ret_line, struct error *error);

/* Gives the line back, waiting for the keeper for patience_ms at most, and unmaps. */
void line_end(struct line *line, const struct attach *attach, unsigned patience_ms);

/* Whether the keeper is to be asked for a line now. */
static inline bool line_is_due(const struct line *line, uint64_t now_ms)
{
    const struct line_own *own = line->own;
    return line->is_possible && !own->settled &&
           (!own->asked || now_ms - own->asked_ms >= own->again_ms);
}

/* Another table, or a refresh: it is to be asked whether the line is still one. */
void line_doubt(struct line *line);

/* Nothing is to be asked for: the table names no area, so there is no keeper. */
void line_settle(struct line *line);

/* Takes what the keeper answered, NULL: nothing. The line that it gave is ours, or is given back
 * because the one that we have is good. */
void line_take(struct line *line, const struct attach *attach, unsigned patience_ms,
               const struct usage_attached *attached, uint64_t now_ms);

static inline void line_note(const struct line *line, enum catlatch_result result)
{
    process_note(line->own->line, result);
}

#endif
