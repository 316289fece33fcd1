#include "lib_load.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/lib_table.h"
#include "core/key.h"

void load_init(struct load *load, struct board *board, const struct trial *trial, uint64_t random)
{
    *load = (struct load){.board = board,
                          .trial = trial,
                          .random = random,
                          .owner_count = LOAD_OWNERS,
                          .create_share = 30};
}

void load_free(struct load *load)
{
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
        if (load->connections[i].context != NULL)
            redisFree(load->connections[i].context);
    *load = (struct load){0};
}

void load_connect(struct load *load)
{
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
        load->connections[i] = (struct load_connection){.context = trial_connect(load->trial)};
}

static uint32_t draw(struct load *load, uint32_t below)
{
    return (uint32_t)(sample_random(&load->random) >> 16) % below;
}

uint32_t load_key_count(const struct load *load)
{
    return atomic_load_explicit(&load->board->key_count, memory_order_relaxed);
}

static enum board_phase settled_phase(const struct load *load, const struct board_key *key)
{
    if (key->key.raw[0] == '\0')
        return BOARD_NOTHING; /* it was made by a daemon that could not tell any more */
    if (key->revoked)
        return BOARD_REVOKED;
    return key->disabled || load->owners[key->owner].suspended ? BOARD_DISABLED : BOARD_ACTIVE;
}

/* What must be answered may become another thing. */
static void unsettle(struct board_key *key)
{
    if (key->key.raw[0] != '\0')
        board_set(key, BOARD_CHANGING);
}

void load_settle_key(const struct load *load, struct board_key *key)
{
    enum board_phase phase = settled_phase(load, key);
    if (board_phase(key) != phase)
        board_set(key, phase);
}

typedef void each_key(const struct load *load, struct board_key *key);

static void each_of_owner(const struct load *load, uint32_t owner, each_key *visit)
{
    for (uint32_t i = 0; i < load_key_count(load); i++)
        if (load->board->keys[i].owner == owner && !load->board->keys[i].revoked)
            visit(load, &load->board->keys[i]);
}

static void unsettle_one(const struct load *load, struct board_key *key)
{
    (void)load;
    unsettle(key);
}

void load_set_revision(struct board_key *key, uint32_t revision)
{
    atomic_store_explicit(&key->revision_sent, revision, memory_order_release);
    atomic_store_explicit(&key->revision_acknowledged, revision, memory_order_release);
}

static uint32_t *find_place(struct load *load, const char *id)
{
    uint64_t number = 0;
    assert_int_equal(key_id_parse(id, strlen(id), &number), 0);
    uint32_t at = (uint32_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LOAD_IDS;
    while (load->by_id[at] != 0 && strcmp(load->board->keys[load->by_id[at] - 1].key.id, id) != 0)
        at = (at + 1) % LOAD_IDS;
    return &load->by_id[at];
}

uint32_t load_find_key(struct load *load, const char *id)
{
    uint32_t found = *find_place(load, id);
    return found != 0 ? found - 1 : load_key_count(load);
}

struct board_key *load_add_key(struct load *load, uint32_t label, uint32_t revision, uint32_t owner,
                               const char *id, const char *raw)
{
    struct board_key *key = board_add(load->board);
    assert_non_null(key);
    key->label = label;
    key->owner = owner;
    load_set_revision(key, revision);
    snprintf(key->key.id, sizeof key->key.id, "%s", id);
    snprintf(key->key.raw, sizeof key->key.raw, "%s", raw != NULL ? raw : "");
    load->owners[owner].exists = true;
    *find_place(load, id) = load_key_count(load);
    return key;
}

/* Out of 100 draws, after those that create. */
static enum load_kind choose_kind(struct load *load)
{
    static const struct {
        enum load_kind kind;
        unsigned share;
    } shares[] = {{LOAD_UPDATE, 35}, {LOAD_DISABLE, 17}, {LOAD_ENABLE, 17}, {LOAD_REVOKE, 12},
                  {LOAD_ROTATE, 9},  {LOAD_SUSPEND, 5},  {LOAD_RESUME, 5}};
    if (load_key_count(load) < 8 || draw(load, 100) < load->create_share)
        return LOAD_CREATE;
    unsigned at = draw(load, 100), i = 0;
    while (at >= shares[i].share)
        at -= shares[i++].share;
    return shares[i].kind;
}

static bool choose_key(struct load *load, struct load_op *op)
{
    op->key = draw(load, load_key_count(load));
    const struct board_key *key = &load->board->keys[op->key];
    op->owner = key->owner;
    op->revision = atomic_load(&key->revision_acknowledged) + 1;
    if (key->busy || key->revoked || load->owners[key->owner].busy)
        return false;
    return op->kind == LOAD_DISABLE  ? !key->disabled
           : op->kind == LOAD_ENABLE ? key->disabled
           : op->kind == LOAD_ROTATE ? !key->rotated
                                     : true;
}

static bool choose_owner(struct load *load, struct load_op *op)
{
    op->owner = draw(load, load->owner_count);
    const struct load_owner *owner = &load->owners[op->owner];
    return owner->exists && !owner->busy && owner->busy_keys == 0 &&
           owner->suspended == (op->kind == LOAD_RESUME);
}

static bool choose(struct load *load, struct load_op *op)
{
    *op = (struct load_op){.kind = choose_kind(load)};
    if ((op->kind == LOAD_CREATE || op->kind == LOAD_ROTATE) &&
        load_key_count(load) >= BOARD_KEYS_MAX - LOAD_CONNECTIONS * LOAD_WINDOW)
        return false;
    switch (op->kind) {
    case LOAD_CREATE:
        op->owner = draw(load, load->owner_count);
        op->key = load->labels;
        return !load->owners[op->owner].busy;
    case LOAD_UPDATE:
    case LOAD_DISABLE:
    case LOAD_ENABLE:
    case LOAD_REVOKE:
    case LOAD_ROTATE:
        return choose_key(load, op);
    case LOAD_SUSPEND:
    case LOAD_RESUME:
        return choose_owner(load, op);
    case LOAD_KINDS:
        break;
    }
    return false;
}

static bool is_of_owner(enum load_kind kind)
{
    return kind == LOAD_SUSPEND || kind == LOAD_RESUME;
}

static void mark_begun(struct load *load, const struct load_op *op)
{
    struct board_key *key = &load->board->keys[op->key];
    if (is_of_owner(op->kind)) {
        load->owners[op->owner].busy = true;
        each_of_owner(load, op->owner, unsettle_one);
        return;
    }
    load->owners[op->owner].busy_keys++;
    if (op->kind == LOAD_CREATE) {
        load->labels++;
        return;
    }
    key->busy = true;
    if (op->kind == LOAD_UPDATE) /* its answer stays the same */
        atomic_store_explicit(&key->revision_sent, op->revision, memory_order_release);
    else if (op->kind != LOAD_ROTATE)
        unsettle(key);
}

static void append(redisContext *context, const struct load *load, const struct load_op *op)
{
    const struct board_key *key = &load->board->keys[op->key];
    char name[32], owner[32], scope[32], revision[32];
    int r = REDIS_ERR;

    snprintf(owner, sizeof owner, "o%u", op->owner);
    snprintf(scope, sizeof scope, "k%u", op->kind == LOAD_CREATE ? op->key : key->label);
    snprintf(revision, sizeof revision, "r%u", op->revision);
    snprintf(name, sizeof name, "%.12s %.12s", scope, revision);
    switch (op->kind) {
    case LOAD_CREATE:
        r = redisAppendCommand(context, "KEY.CREATE NAME %s OWNER %s SCOPE %s SCOPE %s", name,
                               owner, scope, revision);
        break;
    case LOAD_UPDATE:
        r = redisAppendCommand(context, "KEY.UPDATE %s SET name %s SET scopes %s", key->key.id,
                               name, name);
        break;
    case LOAD_DISABLE:
        r = redisAppendCommand(context, "KEY.DISABLE %s", key->key.id);
        break;
    case LOAD_ENABLE:
        r = redisAppendCommand(context, "KEY.ENABLE %s", key->key.id);
        break;
    case LOAD_REVOKE:
        r = redisAppendCommand(context, "KEY.REVOKE %s REASON leaked", key->key.id);
        break;
    case LOAD_ROTATE:
        r = redisAppendCommand(context, "KEY.ROTATE %s GRACE 1h", key->key.id);
        break;
    case LOAD_SUSPEND:
        r = redisAppendCommand(context, "OWNER.SUSPEND %s", owner);
        break;
    case LOAD_RESUME:
        r = redisAppendCommand(context, "OWNER.RESUME %s", owner);
        break;
    case LOAD_KINDS:
        break;
    }
    assert_int_equal(r, REDIS_OK);
}

/* Fills the connection's window as far as there is something to change. */
static void send_some(struct load *load, struct load_connection *connection)
{
    int done = 0;
    for (unsigned tries = 0; connection->count < LOAD_WINDOW && tries < 4 * LOAD_WINDOW; tries++) {
        struct load_op op;
        if (!choose(load, &op))
            continue;
        mark_begun(load, &op);
        append(connection->context, load, &op);
        connection->ops[(connection->first + connection->count++) % LOAD_WINDOW] = op;
    }
    /* A window is far smaller than a socket's buffer: this does not block. */
    while (!done)
        if (redisBufferWrite(connection->context, &done) != REDIS_OK)
            fail_msg("the daemon is gone: %s", connection->context->errstr);
}

/* The only key of a receipt. */
static const redisReply *receipt_key(const redisReply *receipt)
{
    const redisReply *keys = trial_member(receipt, "keys");
    assert_non_null(keys);
    assert_int_equal(keys->type, REDIS_REPLY_ARRAY);
    assert_int_equal(keys->elements, 1);
    return keys->element[0];
}

static void take_created(struct load *load, const struct load_op *op, const redisReply *reply)
{
    struct board_key *key = load_add_key(load, op->key, 0, op->owner, trial_text(reply, "id"),
                                         trial_text(reply, "key"));
    load_settle_key(load, key);
}

/* The new key has every setting of the old. */
static void take_rotated(struct load *load, const struct load_op *op, const redisReply *reply)
{
    const redisReply *told = receipt_key(reply);
    struct board_key *old = &load->board->keys[op->key];
    struct board_key *key = load_add_key(load, old->label, op->revision - 1, op->owner,
                                         trial_text(told, "id"), trial_text(told, "key"));
    assert_string_equal(trial_text(told, "old_id"), old->key.id);
    key->disabled = old->disabled;
    old->rotated = true;
    load_settle_key(load, key);
}

static void settle_one(const struct load *load, struct board_key *key)
{
    load_settle_key(load, key);
}

static void take_result(struct load *load, const struct load_op *op, const redisReply *reply)
{
    struct board_key *key = &load->board->keys[op->key];
    switch (op->kind) {
    case LOAD_CREATE:
        take_created(load, op, reply);
        return;
    case LOAD_UPDATE:
        atomic_store_explicit(&key->revision_acknowledged, op->revision, memory_order_release);
        return;
    case LOAD_DISABLE:
    case LOAD_ENABLE:
        key->disabled = op->kind == LOAD_DISABLE;
        load_settle_key(load, key);
        return;
    case LOAD_REVOKE:
        key->revoked = true;
        load_settle_key(load, key);
        return;
    case LOAD_ROTATE:
        take_rotated(load, op, reply);
        return;
    case LOAD_SUSPEND:
    case LOAD_RESUME:
        load->owners[op->owner].suspended = op->kind == LOAD_SUSPEND;
        each_of_owner(load, op->owner, settle_one);
        return;
    case LOAD_KINDS:
        return;
    }
}

static void mark_ended(struct load *load, const struct load_op *op)
{
    if (is_of_owner(op->kind)) {
        load->owners[op->owner].busy = false;
        return;
    }
    load->owners[op->owner].busy_keys--;
    if (op->kind != LOAD_CREATE)
        load->board->keys[op->key].busy = false;
}

static void take_reply(struct load *load, struct load_connection *connection,
                       const redisReply *reply)
{
    assert_true(connection->count > 0);
    const struct load_op op = connection->ops[connection->first];
    connection->first = (connection->first + 1) % LOAD_WINDOW;
    connection->count--;
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("a change of kind %d was refused: %s", (int)op.kind, reply->str);
    take_result(load, &op, reply);
    mark_ended(load, &op);
    load->acknowledged[op.kind]++;
}

/* Whole replies out of what was read. */
static void take_replies(struct load *load, struct load_connection *connection)
{
    void *reply = NULL;
    for (;;) {
        assert_int_equal(redisGetReplyFromReader(connection->context, &reply), REDIS_OK);
        if (reply == NULL)
            return;
        take_reply(load, connection, reply);
        freeReplyObject(reply);
    }
}

static void receive_some(struct load *load, int timeout_ms)
{
    struct pollfd fds[LOAD_CONNECTIONS];
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
        fds[i] = (struct pollfd){.fd = load->connections[i].context->fd, .events = POLLIN};
    if (poll(fds, LOAD_CONNECTIONS, timeout_ms) <= 0)
        return;
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++) {
        if (fds[i].revents == 0)
            continue;
        if (redisBufferRead(load->connections[i].context) != REDIS_OK)
            fail_msg("the daemon is gone: %s", load->connections[i].context->errstr);
        take_replies(load, &load->connections[i]);
    }
}

static uint64_t acknowledged(const struct load *load)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        sum += load->acknowledged[kind];
    return sum;
}

void load_run(struct load *load, uint64_t end_ns, uint64_t count)
{
    uint64_t now_ns;
    count += acknowledged(load);
    while (acknowledged(load) < count && (now_ns = trial_clock_ns()) < end_ns) {
        for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
            send_some(load, &load->connections[i]);
        receive_some(load, (int)((end_ns - now_ns) / 1000000) + 1);
    }
}

static unsigned under_way(const struct load *load)
{
    unsigned count = 0;
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++)
        count += load->connections[i].count;
    return count;
}

void load_drain(struct load *load)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    while (under_way(load) > 0) {
        receive_some(load, 1000);
        if (trial_clock_ns() > end_ns)
            fail_msg("%u changes are never answered", under_way(load));
    }
}

void load_disconnect(struct load *load)
{
    for (unsigned i = 0; i < LOAD_CONNECTIONS; i++) {
        struct load_connection *connection = &load->connections[i];
        while (redisBufferRead(connection->context) == REDIS_OK)
            take_replies(load, connection);
        take_replies(load, connection);
        redisFree(connection->context);
        connection->context = NULL;
        for (; connection->count > 0; connection->count--) {
            load->open[load->open_count++] = connection->ops[connection->first];
            connection->first = (connection->first + 1) % LOAD_WINDOW;
        }
    }
}
