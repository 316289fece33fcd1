/*
 * Fuzzes the usage area in two ways, by the first byte of the input:
 *  even  somebody scribbles on it between operations: they answer without leaving it, and what they
 *        answer is bounded;
 *  odd   nobody does, and a plain model must agree with each answer.
 */
#include "input.h"
#include "usage/record.h"
#include "usage/sweep.h"

#define SEGMENTS 2u
#define LATE UINT64_C(10)
#define OPERATIONS_MAX 200u /* more are more of the same */

/* Around the borders of words and segments, and what the area does not have. */
static const uint32_t refs[] = {1,     2,     62,         63,        64,         65,
                                127,   128,   16319,      16320,     16383,      16384,
                                16385, 16447, 16448,      32703,     32704,      32766,
                                32767, 32768, 1073741824, 1u << 31u, UINT32_MAX, 0};
#define REFS (sizeof refs / sizeof *refs)
#define THERE 19u /* that many of them the area has */

struct model_event {
    uint64_t unix_s, count, from[2];
};

struct model {
    struct model_event used[REFS], refused[REFS];
    bool marked[REFS];
    int64_t now;
};

static struct usage_area area;

/* Each segment is of exactly its size, and made once: filling megabytes would take all the time. */
static void open_area(void)
{
    for (; area.segment_count < SEGMENTS; area.segment_count++) {
        void *segment;
        size_t size = usage_segment_size(area.segment_count);
        CHECK(posix_memalign(&segment, 64, size) == 0);
        memset(segment, 0, size);
        area.segments[area.segment_count] = segment;
    }
}

static void clear_area(void)
{
    for (unsigned i = 0; i < THERE; i++)
        memset((void *)usage_record_at(&area, refs[i]), 0, sizeof(struct usage_record));
    for (unsigned k = 0; k < SEGMENTS; k++) {
        uint32_t records = usage_segment_records(k);
        memset((void *)(area.segments[k] + records), 0, records / 8);
    }
}

static void expect_note(struct model_event *event, int64_t now, const struct address *from)
{
    event->count++;
    if (event->unix_s >= (uint64_t)now && event->unix_s - (uint64_t)now <= LATE)
        return;
    event->unix_s = (uint64_t)now;
    memset(event->from, 0, sizeof event->from);
    if (from != NULL)
        memcpy(event->from, from, sizeof event->from);
}

static void note(struct model *model, struct input *input)
{
    unsigned i = take(input) % REFS, how = take(input);
    struct address address = {{0}};
    const struct address *from = how & 2 ? &address : NULL;
    take_bytes(input, &address, how % 17);
    (how & 1 ? usage_note_use : usage_note_refusal)(&area, refs[i], model->now, from);
    expect_note(how & 1 ? &model->used[i] : &model->refused[i], model->now, from);
    model->marked[i] = true;
}

/* Forward as time goes, and sometimes as it does not. */
static void move_clock(struct model *model, struct input *input)
{
    unsigned by = take(input);
    model->now += by % 4 == 3 ? -(int64_t)(by / 4) : (int64_t)(by / 4);
    if (model->now < 1)
        model->now = 1;
}

static void check_event(const struct usage_event *event, int64_t now,
                        const struct model_event *expected)
{
    CHECK(event->last_unix_s >= 0 && event->last_unix_s <= now);
    if (expected == NULL)
        return;
    uint64_t last = expected->unix_s < (uint64_t)now ? expected->unix_s : (uint64_t)now;
    CHECK(event->count == expected->count && (uint64_t)event->last_unix_s == last);
    CHECK(event->has_from == (last != 0 && (expected->from[0] | expected->from[1]) != 0));
    CHECK(!event->has_from || memcmp(&event->from, expected->from, sizeof event->from) == 0);
}

static void read_all(const struct model *model, bool agrees)
{
    for (unsigned i = 0; i < REFS; i++) {
        struct usage_numbers numbers;
        bool is_there = usage_read(&area, refs[i], model->now, &numbers);
        CHECK(is_there == (i < THERE));
        if (!is_there)
            continue;
        check_event(&numbers.used, model->now, agrees ? &model->used[i] : NULL);
        check_event(&numbers.refused, model->now, agrees ? &model->refused[i] : NULL);
    }
}

static unsigned find_ref(uint32_t ref)
{
    unsigned i = 0;
    while (i < REFS && refs[i] != ref)
        i++;
    return i;
}

static void sweep(struct model *model, struct usage_cursor *at, struct input *input, bool agrees)
{
    size_t max_words = 1 + take(input) * 3, max_refs = 1 + take(input), count;
    uint32_t *found = malloc(max_refs * sizeof *found), begin = at->ref, last = 0;
    CHECK(found != NULL);
    bool is_over = usage_sweep(&area, at, max_words, found, max_refs, &count);
    uint32_t end = is_over ? 1u << 31 : at->ref;
    CHECK(is_over ? at->ref == 0 : at->ref > begin);
    CHECK(count <= max_refs);
    for (size_t n = 0; n < count; n++) {
        CHECK(found[n] > last && found[n] >= begin && found[n] < end);
        CHECK(found[n] <= usage_capacity(SEGMENTS));
        last = found[n];
        unsigned i = find_ref(found[n]);
        CHECK(!agrees || (i < THERE && model->marked[i]));
        if (i < THERE)
            model->marked[i] = false;
    }
    for (unsigned i = 0; i < THERE; i++)
        CHECK(!agrees || !model->marked[i] || refs[i] < begin || refs[i] >= end);
    free(found);
}

/* A word of a record or of marks, or part of one. */
static void scribble(struct input *input)
{
    unsigned i = take(input) % THERE, where = take(input);
    _Atomic uint64_t *words = (void *)usage_record_at(&area, refs[i]);
    uint64_t word;
    take_bytes(input, &word, where & 8 ? 8 : 1);
    atomic_store(where & 16 ? usage_mark_word(&area, refs[i]) : &words[where % 8], word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model model;
    struct usage_cursor at = {0};
    if (size == 0)
        return 0;
    bool agrees = data[0] % 2 != 0;
    struct input input = {data + 1, size - 1};
    open_area();
    model = (struct model){.now = 1790000000};
    for (unsigned n = 0; n < OPERATIONS_MAX && input.left > 0; n++) {
        unsigned what = take(&input) % 8;
        if (what < 4)
            note(&model, &input);
        else if (what == 4)
            move_clock(&model, &input);
        else if (what == 5 && !agrees)
            scribble(&input);
        else
            sweep(&model, &at, &input, agrees);
    }
    read_all(&model, agrees);
    clear_area();
    return 0;
}
