#include "import_check.h"

#include <pthread.h>
#include <stdlib.h>

#include "process.h"

/* One that is given out, one in each thread, and one that waits for whoever is ready first. */
#define BLOCKS 4u

enum { CALLER, HELPER, THREADS };

/* Blocks are a ring. They are counted up from the first of the input: [taken, claimed) were or are
 * being checked, [claimed, filled) wait for it, and the others are empty. */
struct import_check {
    const struct import_rules *rules;
    struct import_lines *lines;
    uint64_t taken;              /* the caller's alone */
    struct import_block *giving; /* that of `taken`, checked; NULL: not yet */
    int read_code;               /* of what comes behind the last block */
    struct error read_error;
    struct import_checked long_line;
    bool tried; /* to start the thread */
    bool helped;
    pthread_t helper;

    pthread_mutex_t lock; /* of what follows, up to the blocks */
    pthread_cond_t filled_more, checked_more;
    uint64_t filled, claimed;
    bool is_checked[BLOCKS];
    bool stops;

    struct json_arena arenas[THREADS];
    struct import_block blocks[BLOCKS]; /* each of them one thread's at a time */
};

/* Takes the lock off while it checks the first block that waits. */
static void check_one(struct import_check *check, struct json_arena *arena)
{
    uint64_t number = check->claimed++;

    pthread_mutex_unlock(&check->lock);
    import_block_check(&check->blocks[number % BLOCKS], check->rules, arena);
    pthread_mutex_lock(&check->lock);
    check->is_checked[number % BLOCKS] = true;
}

static void *help(void *arg)
{
    struct import_check *check = arg;

    pthread_mutex_lock(&check->lock);
    while (!check->stops) {
        if (check->claimed == check->filled) {
            pthread_cond_wait(&check->filled_more, &check->lock);
            continue;
        }
        check_one(check, &check->arenas[HELPER]);
        pthread_cond_signal(&check->checked_more);
    }
    pthread_mutex_unlock(&check->lock);
    process_stack_cleanse();
    return NULL;
}

/* The caller will check the first of the blocks itself; the second is for the helper. */
static void publish(struct import_check *check)
{
    pthread_mutex_lock(&check->lock);
    check->is_checked[check->filled % BLOCKS] = false;
    check->filled++;
    pthread_cond_signal(&check->filled_more);
    pthread_mutex_unlock(&check->lock);
    if (!check->tried && check->filled - check->taken > 1) {
        check->tried = true;
        check->helped = pthread_create(&check->helper, NULL, help, check) == 0;
    }
}

/* Fills what is empty, so that the helper has something to do. Only the caller writes `filled`. */
static void fill_all(struct import_check *check)
{
    while (check->read_code == 0 && check->filled - check->taken < BLOCKS) {
        struct import_block *block = &check->blocks[check->filled % BLOCKS];
        check->read_code = import_block_fill(block, check->lines, check->filled == check->taken,
                                             &check->read_error);
        if (block->line_count == 0)
            break;
        publish(check);
    }
}

/* The block of `taken`, when it is checked. */
static struct import_block *first_checked(struct import_check *check)
{
    pthread_mutex_lock(&check->lock);
    while (!check->is_checked[check->taken % BLOCKS]) {
        if (check->claimed < check->filled)
            check_one(check, &check->arenas[CALLER]);
        else
            pthread_cond_wait(&check->checked_more, &check->lock);
    }
    pthread_mutex_unlock(&check->lock);
    return &check->blocks[check->taken % BLOCKS];
}

/* What comes behind all blocks, and is no line that could be in one. */
static int rest_next(struct import_check *check, const struct import_checked **ret_checked,
                     struct error *error)
{
    struct import_checked *line = &check->long_line;
    int code = check->read_code;

    *ret_checked = NULL;
    if (code != 0) {
        *error = check->read_error;
        return code;
    }
    *line = (struct import_checked){0};
    code = import_lines_next(check->lines, &line->text, &line->len, &line->more, error);
    line->number = check->lines->number;
    line->code = code;
    if (code == CATLATCH_E_DATA)
        *ret_checked = line;
    return code;
}

int import_check_open(const struct import_rules *rules, struct import_lines *lines,
                      struct import_check **ret_check, struct error *error)
{
    struct import_check *check = calloc(1, sizeof *check);

    if (check == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    check->rules = rules;
    check->lines = lines;
    pthread_mutex_init(&check->lock, NULL);
    pthread_cond_init(&check->filled_more, NULL);
    pthread_cond_init(&check->checked_more, NULL);
    *ret_check = check;
    return 0;
}

int import_check_next(struct import_check *check, const struct import_checked **ret_checked,
                      struct error *error)
{
    const struct import_checked *checked;

    while (check->giving == NULL || (checked = import_block_next(check->giving, check->rules,
                                                                 &check->arenas[CALLER])) == NULL) {
        if (check->giving != NULL) {
            import_block_clear(check->giving);
            check->giving = NULL;
            check->taken++;
        }
        fill_all(check);
        if (check->filled == check->taken)
            return rest_next(check, ret_checked, error);
        check->giving = first_checked(check);
    }
    *ret_checked = checked->code == 0 || checked->code == CATLATCH_E_DATA ? checked : NULL;
    if (checked->code != 0)
        *error = check->giving->error;
    return checked->code;
}

void import_check_close(struct import_check *check)
{
    if (check == NULL)
        return;
    if (check->helped) {
        pthread_mutex_lock(&check->lock);
        check->stops = true;
        pthread_cond_signal(&check->filled_more);
        pthread_mutex_unlock(&check->lock);
        pthread_join(check->helper, NULL);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        import_block_clear(&check->blocks[i]);
    pthread_cond_destroy(&check->checked_more);
    pthread_cond_destroy(&check->filled_more);
    pthread_mutex_destroy(&check->lock);
    free(check);
}
