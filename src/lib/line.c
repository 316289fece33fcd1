#include "lib/line.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int line_init(struct line *ret_line, struct error *error)
{
    void *own = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (own == MAP_FAILED)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a handle");
    *ret_line =
        (struct line){.own = own, .is_possible = madvise(own, page_size(), MADV_WIPEONFORK) == 0};
    return 0;
}

static void drop(struct line *line)
{
    if (line->page != NULL)
        munmap(line->page, page_size());
    line->page = NULL;
    line->own->line = NULL;
    line->own->number = 0;
}

void line_end(struct line *line, const struct attach *attach, unsigned patience_ms)
{
    uint32_t number = line->own->number;

    drop(line);
    if (number != 0)
        usage_detach(attach->run_dir, &attach->trust, patience_ms, number, NULL);
    munmap(line->own, page_size());
    line->own = NULL;
}

void line_doubt(struct line *line)
{
    line->own->settled = false;
    line->own->asked = false;
}

void line_settle(struct line *line)
{
    line->own->settled = true;
}

static bool is_same_segment(const struct line *line, const struct stat *segment)
{
    return line->own->number != 0 && line->device == segment->st_dev &&
           line->inode == segment->st_ino;
}

/* Maps the page of the segment that has the line in it, in the place of the one that was. */
static bool take_line(struct line *line, const struct usage_attached *attached,
                      const struct stat *segment)
{
    size_t at = attached->line * sizeof(struct process_line), size = page_size();
    void *page = MAP_FAILED;

    drop(line);
    if (attached->line != 0)
        page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, attached->processes,
                    (off_t)(at / size * size));
    if (page == MAP_FAILED)
        return false;
    madvise(page, size, MADV_DONTDUMP);
    line->page = page;
    line->device = segment->st_dev;
    line->inode = segment->st_ino;
    line->own->number = attached->line;
    line->own->line = (struct process_line *)((char *)page + at % size);
    return true;
}

static void ask_again_after(struct line *line, uint64_t now_ms, uint64_t again_ms)
{
    line->own->settled = line->own->number != 0;
    line->own->asked = true;
    line->own->asked_ms = now_ms;
    line->own->again_ms = again_ms;
}

void line_take(struct line *line, const struct attach *attach, unsigned patience_ms,
               const struct usage_attached *attached, uint64_t now_ms)
{
    struct stat segment;

    if (attached == NULL || fstat(attached->processes, &segment) != 0) {
        ask_again_after(line, now_ms, LINE_LOOK_MS);
        return;
    }
    bool taken = !is_same_segment(line, &segment) && take_line(line, attached, &segment);
    if (!taken && attached->line != 0)
        usage_detach(attach->run_dir, &attach->trust, patience_ms, attached->line, NULL);
    ask_again_after(line, now_ms, LINE_REFUSED_MS);
}
