#include "usage/roll.h"

/* "CLRO" and the layout's version. */
#define ROLL_MAGIC UINT64_C(0x4f524c4300000001)

static void set(_Atomic uint64_t *word, uint64_t value)
{
    /* release: behind everything before it; see roll.h and process.h */
    atomic_store_explicit(word, value, memory_order_release);
}

static uint64_t get(const _Atomic uint64_t *word)
{
    /* relaxed: nobody else writes it */
    return atomic_load_explicit(word, memory_order_relaxed);
}

void roll_init(struct roll *roll)
{
    roll->magic = ROLL_MAGIC;
}

bool roll_is_sound(const struct roll *roll)
{
    return roll->magic == ROLL_MAGIC && get(&roll->folding) < PROCESS_LINES;
}

/* The segment's is written, never read: whatever is scribbled there, the next one is another one
 * than readers have seen of us. */
static void set_sequence(struct roll *roll, struct process_segment *segment, uint64_t sequence)
{
    roll->sequence = sequence;
    set(&segment->lines[0].sequence, sequence);
}

static void change_begin(struct roll *roll, struct process_segment *segment)
{
    set_sequence(roll, segment, roll->sequence | 1);
}

static void change_end(struct roll *roll, struct process_segment *segment)
{
    set_sequence(roll, segment, (roll->sequence | 1) + 1);
}

static void clear_line(struct process_line *line, uint64_t attached_ms)
{
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        set(&line->results[i], 0);
    set(&line->generation, 0);
    set(&line->attached_ms, attached_ms);
}

/* From `next` and `folding` alone, so that it can be done again from the start. */
static void fold_rest(struct roll *roll, struct process_segment *segment)
{
    uint32_t line = (uint32_t)get(&roll->folding);

    change_begin(roll, segment);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        set(&segment->lines[0].results[i], get(&roll->next[i]));
    clear_line(&segment->lines[line], 0);
    change_end(roll, segment);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        set(&roll->past[i], get(&roll->next[i]));
    set(&roll->list[line].taken, 0);
    set(&roll->folding, 0);
}

void roll_fold(struct roll *roll, struct process_segment *segment, uint32_t line)
{
    struct process_counts counts;

    process_read_line(&segment->lines[line], &counts);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        set(&roll->next[i], process_add(get(&roll->past[i]), counts.results[i]));
    set(&roll->folding, line);
    fold_rest(roll, segment);
}

void roll_show_past(struct roll *roll, struct process_segment *segment)
{
    change_begin(roll, segment);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        set(&segment->lines[0].results[i], get(&roll->past[i]));
    change_end(roll, segment);
}

void roll_recover(struct roll *roll, struct process_segment *segment)
{
    if (get(&roll->folding) != 0)
        fold_rest(roll, segment);
    roll_show_past(roll, segment);
}

/* The first that is free, if the uid may have one more. */
static uint32_t find_room(const struct roll *roll, uint32_t uid)
{
    uint32_t first = 0, free = 0, own = 0;

    for (uint32_t i = PROCESS_LINES - 1; i > 0; i--) {
        if (get(&roll->list[i].taken) == 0) {
            first = i;
            free++;
        } else {
            own += roll->list[i].uid == uid;
        }
    }
    return own < free ? first : 0;
}

uint32_t roll_attach(struct roll *roll, struct process_segment *segment,
                     const struct roll_entry *who)
{
    uint32_t line = find_room(roll, who->uid);
    struct roll_entry *entry = &roll->list[line];

    if (line == 0)
        return 0;
    /* Anybody could have written there while it was free. */
    clear_line(&segment->lines[line], who->attached_ms);
    entry->pid = who->pid;
    entry->uid = who->uid;
    entry->identity = who->identity;
    entry->attached_ms = who->attached_ms;
    set(&entry->taken, 1);
    return line;
}

const struct roll_entry *roll_find(const struct roll *roll, uint32_t line)
{
    if (line == 0 || line >= PROCESS_LINES || get(&roll->list[line].taken) == 0)
        return NULL;
    return &roll->list[line];
}
