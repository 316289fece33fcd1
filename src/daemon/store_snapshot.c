/* All keys at once, for a start: one thread reads blocks of them while another visits the block
 * before. With ten million keys either takes about half of the time. */
#include <stdlib.h>

#include "daemon/store_internal.h"

#define BLOCKS 4u

/* Keys: time enough for a line of the processor's cache to come from memory, and few enough that it
 * is not gone again. */
#define ANNOUNCE_AHEAD 16u

struct snapshot {
    struct store *store;
    const struct store_visitor *visitor;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. Blocks are filled and visited in turn: the reader owns those from read_count
     * on, the visiting thread those before. */
    DBT blocks[BLOCKS];
    uint64_t read_count, visited_count;
    bool ended;   /* no further block will be read */
    bool stopped; /* no further one will be visited */
    int result;   /* of the visits */
    struct error error;
};

/* The next block to visit, or NULL: that was all. */
static DBT *wait_for_block(struct snapshot *snapshot)
{
    DBT *block = NULL;

    pthread_mutex_lock(&snapshot->lock);
    while (!snapshot->ended && snapshot->read_count == snapshot->visited_count)
        pthread_cond_wait(&snapshot->changed, &snapshot->lock);
    if (snapshot->read_count != snapshot->visited_count)
        block = &snapshot->blocks[snapshot->visited_count % BLOCKS];
    pthread_mutex_unlock(&snapshot->lock);
    return block;
}

static void give_back(struct snapshot *snapshot)
{
    pthread_mutex_lock(&snapshot->lock);
    snapshot->visited_count++;
    pthread_cond_signal(&snapshot->changed);
    pthread_mutex_unlock(&snapshot->lock);
}

static void announce(const DBT *block, void **io_next, const struct store_visitor *visitor)
{
    struct digest digest;
    DBT key, data;

    if (*io_next != NULL && store_block_next(block, io_next, &key, &data) &&
        record_peek_digest(data.data, data.size, &digest))
        visitor->announce(visitor->context, &digest);
}

/* Returns what the visitor said last, or E_DATA or E_VERSION. */
static int visit_block(struct snapshot *snapshot, const DBT *block)
{
    const struct store_visitor *visitor = snapshot->visitor;
    struct record record;
    DBT key, data;
    void *next, *next_announced;
    int r = 0;

    DB_MULTIPLE_INIT(next, block);
    DB_MULTIPLE_INIT(next_announced, block);
    for (unsigned i = 0; i < ANNOUNCE_AHEAD; i++)
        announce(block, &next_announced, visitor);
    while (r == 0 && store_block_next(block, &next, &key, &data)) {
        announce(block, &next_announced, visitor);
        r = store_decode_key(snapshot->store, &key, &data, &record, &snapshot->error);
        if (r == 0)
            r = visitor->visit(visitor->context, &record);
    }
    return r;
}

static void *visit_blocks(void *context)
{
    struct snapshot *snapshot = context;
    int r = 0;

    for (DBT *block; r == 0 && (block = wait_for_block(snapshot)) != NULL; give_back(snapshot))
        r = visit_block(snapshot, block);
    pthread_mutex_lock(&snapshot->lock);
    snapshot->result = r;
    snapshot->stopped = true;
    pthread_cond_signal(&snapshot->changed);
    pthread_mutex_unlock(&snapshot->lock);
    return NULL;
}

/* A block to read into, or NULL: nobody wants more. */
static DBT *wait_for_room(struct snapshot *snapshot)
{
    DBT *block = NULL;

    pthread_mutex_lock(&snapshot->lock);
    while (!snapshot->stopped && snapshot->read_count - snapshot->visited_count == BLOCKS)
        pthread_cond_wait(&snapshot->changed, &snapshot->lock);
    if (!snapshot->stopped)
        block = &snapshot->blocks[snapshot->read_count % BLOCKS];
    pthread_mutex_unlock(&snapshot->lock);
    return block;
}

static void hand_over(struct snapshot *snapshot, bool has_block)
{
    pthread_mutex_lock(&snapshot->lock);
    if (has_block)
        snapshot->read_count++;
    else
        snapshot->ended = true;
    pthread_cond_signal(&snapshot->changed);
    pthread_mutex_unlock(&snapshot->lock);
}

static int read_blocks(struct snapshot *snapshot, struct store_walk *walk, struct error *error)
{
    int r = 1;

    for (DBT *block; r == 1 && (block = wait_for_room(snapshot)) != NULL;
         hand_over(snapshot, r == 1))
        r = store_walk_fetch(walk, block, error);
    return r < 0 ? r : 0;
}

/* The caller's thread reads, because Berkeley DB's cache grows with what it reads, page by page,
 * and glibc asks the kernel once for each page of another thread's heap. */
static int read_and_visit(struct snapshot *snapshot, struct store_walk *walk, struct error *error)
{
    pthread_t visiting;

    if (pthread_create(&visiting, NULL, visit_blocks, snapshot) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "no thread to take over the store with");
    int r = read_blocks(snapshot, walk, error);
    pthread_join(visiting, NULL);
    if (r == 0 && snapshot->result < 0) {
        r = snapshot->result;
        if (snapshot->error.code != 0)
            *error = snapshot->error;
    }
    return r;
}

static int make_blocks(struct snapshot *snapshot, struct error *error)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        snapshot->blocks[i] = store_dbt_room(malloc(STORE_BLOCK_BYTES), STORE_BLOCK_BYTES);
        if (snapshot->blocks[i].data == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "cannot read the store: out of memory");
    }
    return 0;
}

int store_snapshot(struct store *store, const struct store_visitor *visitor, struct error *error)
{
    static const unsigned char start[8] = {0};
    struct snapshot snapshot = {.store = store, .visitor = visitor};
    struct store_walk walk;

    int r = make_blocks(&snapshot, error);
    if (r == 0)
        r = store_walk_open(store, STORE_KEYS, start, sizeof start, 0, &walk, error);
    if (r == 0) {
        pthread_mutex_init(&snapshot.lock, NULL);
        pthread_cond_init(&snapshot.changed, NULL);
        r = read_and_visit(&snapshot, &walk, error);
        pthread_cond_destroy(&snapshot.changed);
        pthread_mutex_destroy(&snapshot.lock);
        store_walk_close(&walk);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        free(snapshot.blocks[i].data);
    return r;
}
