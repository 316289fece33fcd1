#include "lib/records.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/huge.h"

int64_t records_compare_clocks(struct records *records, uint64_t now_ms)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    records->clocked_ms = now_ms;
    records->ahead_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)now_ms;
    return records->ahead_ms;
}

static const unsigned char no_area[sizeof((struct usage_area *)0)->id];

int records_init(struct records *records, struct error *error)
{
    return line_init(&records->line, error);
}

static void unmap_segments(struct records *records)
{
    for (unsigned k = 0; k < records->area.segment_count; k++)
        munmap(records->area.segments[k], usage_segment_size(k));
    records->area.segment_count = 0;
    records->fits = records->whole = false;
}

void records_end(struct records *records, const struct attach *attach)
{
    unmap_segments(records);
    line_end(&records->line, attach, RECORDS_PATIENCE_MS);
}

/* Maps the segments from the first one on that is not mapped; as far as it comes. */
static void map_segments(struct usage_area *area, const struct usage_fetched *fetched)
{
    for (unsigned k = area->segment_count; k < fetched->segments.count; k++) {
        size_t size = usage_segment_size(k);
        void *base = huge_map(fetched->segments.fds[k], size, PROT_READ | PROT_WRITE);
        if (base == MAP_FAILED)
            return;
        /* As with the table: fewer walks of page tables, and no addresses in core dumps. */
        madvise(base, size, MADV_HUGEPAGE);
        madvise(base, size, MADV_DONTDUMP);
        area->segments[k] = base;
        area->segment_count = k + 1;
    }
}

static void take_area(struct records *records, const struct usage_fetched *fetched)
{
    if (memcmp(fetched->area, records->area.id, sizeof fetched->area) != 0) {
        unmap_segments(records);
        memcpy(records->area.id, fetched->area, sizeof fetched->area);
    }
    map_segments(&records->area, fetched);
}

static void fetch(struct records *records, const struct attach *attach, unsigned patience_ms)
{
    struct usage_fetched fetched;

    if (usage_fetch(attach->run_dir, &attach->trust, patience_ms, &fetched, NULL) != 0)
        return;
    take_area(records, &fetched);
    usage_fetched_close(&fetched);
}

/* The line comes with the area, so one request brings both. */
static void fetch_with_line(struct records *records, const struct attach *attach,
                            unsigned patience_ms, uint64_t now_ms)
{
    struct usage_attached attached;

    if (usage_attach(attach->run_dir, &attach->trust, patience_ms, &attached, NULL) != 0) {
        line_take(&records->line, attach, patience_ms, NULL, now_ms);
        return;
    }
    take_area(records, &attached.fetched);
    line_take(&records->line, attach, patience_ms, &attached, now_ms);
    usage_attached_close(&attached);
}

static bool names_none(const struct table_header *header)
{
    return memcmp(header->usage_area, no_area, sizeof no_area) == 0;
}

/* Whether what is mapped is what this table needs. */
static void compare(struct records *records, const struct table_header *header)
{
    bool none = names_none(header);

    records->fits =
        !none && memcmp(header->usage_area, records->area.id, sizeof records->area.id) == 0;
    records->whole =
        none || (records->fits && records->area.segment_count >= header->usage_segments);
}

/* What is missing, or due to be asked for again. */
static void fetch_due(struct records *records, const struct attach *attach, unsigned patience_ms,
                      bool now)
{
    uint64_t now_ms = attach_clock_ms();
    bool area_is_due = !records->whole && (now || records->looked_ms == 0 ||
                                           now_ms - records->looked_ms >= RECORDS_LOOK_MS);
    bool line_is_due_too = line_is_due(&records->line, now_ms);

    if (area_is_due || line_is_due_too)
        records->looked_ms = now_ms;
    if (line_is_due_too)
        fetch_with_line(records, attach, patience_ms, now_ms);
    else if (area_is_due)
        fetch(records, attach, patience_ms);
}

const struct usage_area *records_follow(struct records *records, const struct attach *attach,
                                        unsigned patience_ms, bool now)
{
    if (!attach->attached)
        return NULL;
    const struct table_header *header = attach->view.header;
    if (names_none(header))
        line_settle(&records->line);
    else if (now || records->generation != attach->view.generation)
        line_doubt(&records->line);
    compare(records, header);
    fetch_due(records, attach, patience_ms, now);
    compare(records, header);
    records->generation = attach->view.generation;
    process_note_generation(records->line.own->line, records->generation);
    return records->fits ? &records->area : NULL;
}
