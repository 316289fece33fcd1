/* What a daemon that was killed leaves behind, against what it had acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_load.h"

#define PAGE_KEYS 1000u
#define PAGES_MAX (BOARD_KEYS_MAX / PAGE_KEYS + 2)

/* Every key that the daemon lists. */
struct listing {
    redisReply *pages[PAGES_MAX];
    unsigned page_count;
    uint32_t key_count;
    uint32_t owned[LOAD_OWNERS]; /* keys that are not revoked */
    bool suspended[LOAD_OWNERS];
};

/* A key's map and its number on the board. */
typedef void each_listed(struct load *load, struct listing *listing, const redisReply *told);

static void for_each(struct load *load, struct listing *listing, each_listed *visit)
{
    for (unsigned page = 0; page < listing->page_count; page++) {
        const redisReply *keys = trial_member(listing->pages[page], "keys");
        for (size_t i = 0; i < keys->elements; i++)
            visit(load, listing, keys->element[i]);
    }
}

static void list_all(redisContext *admin, struct listing *listing)
{
    char cursor[64] = "";
    do {
        assert_true(listing->page_count < PAGES_MAX);
        redisReply *page = cursor[0] != '\0'
                               ? trial_ask(admin, "KEY.LIST LIMIT %u CURSOR %s", PAGE_KEYS, cursor)
                               : trial_ask(admin, "KEY.LIST LIMIT %u", PAGE_KEYS);
        if (page->type == REDIS_REPLY_ERROR)
            fail_msg("KEY.LIST: %s", page->str);
        listing->pages[listing->page_count++] = page;
        listing->key_count += (uint32_t)trial_member(page, "keys")->elements;
        snprintf(cursor, sizeof cursor, "%s", trial_text(page, "cursor"));
    } while (cursor[0] != '\0');
}

static const struct load_op *find_open(const struct load *load, enum load_kind kind, uint32_t key)
{
    for (unsigned i = 0; i < load->open_count; i++)
        if (load->open[i].kind == kind && load->open[i].key == key)
            return &load->open[i];
    return NULL;
}

/* Whether a change of this kind of this key has no reply, so that either way is right. */
static bool is_open(const struct load *load, enum load_kind kind, uint32_t number)
{
    return find_open(load, kind, number) != NULL;
}

/* Name and scopes are of one update. */
static void read_label(const redisReply *told, uint32_t *ret_label, uint32_t *ret_revision)
{
    char scopes_told[64];
    const redisReply *scopes = trial_member(told, "scopes");
    if (sscanf(trial_text(told, "name"), "k%u r%u", ret_label, ret_revision) != 2)
        fail_msg("%s has a name that it was never given", trial_text(told, "id"));
    assert_non_null(scopes);
    assert_int_equal(scopes->elements, 2);
    snprintf(scopes_told, sizeof scopes_told, "%s %s", scopes->element[0]->str,
             scopes->element[1]->str);
    assert_string_equal(scopes_told, trial_text(told, "name"));
}

static uint32_t read_owner(const redisReply *told)
{
    uint32_t owner = LOAD_OWNERS;
    assert_int_equal(sscanf(trial_text(told, "owner"), "o%u", &owner), 1);
    assert_true(owner < LOAD_OWNERS);
    return owner;
}

/* A key of which no reply told: a creation or rotation without a reply has made it. */
static void adopt(struct load *load, struct listing *listing, const redisReply *told)
{
    uint32_t label, revision;
    const char *id = trial_text(told, "id"), *from = trial_text(told, "rotated_from");

    (void)listing;
    if (load_find_key(load, id) < load_key_count(load))
        return;
    read_label(told, &label, &revision);
    const struct load_op *op = from[0] != '\0'
                                   ? find_open(load, LOAD_ROTATE, load_find_key(load, from))
                                   : find_open(load, LOAD_CREATE, label);
    if (op == NULL)
        fail_msg("%s was made by nobody", id);
    assert_int_equal(read_owner(told), op->owner);
    struct board_key *key = load_add_key(load, label, revision, op->owner, id, NULL);
    key->disabled = op->kind == LOAD_ROTATE && load->board->keys[op->key].disabled;
}

static void compare_revision(struct load *load, uint32_t number, const redisReply *told)
{
    struct board_key *key = &load->board->keys[number];
    uint32_t label, revision, least = atomic_load(&key->revision_acknowledged);
    read_label(told, &label, &revision);
    assert_int_equal(label, key->label);
    if (revision != least && !(is_open(load, LOAD_UPDATE, number) && revision == least + 1))
        fail_msg("%s: update %u is there, and %u was acknowledged", key->key.id, revision, least);
    load_set_revision(key, revision);
}

static void compare_state(struct load *load, uint32_t number, const redisReply *told)
{
    struct board_key *key = &load->board->keys[number];
    bool revoked = strcmp(trial_text(told, "state"), "revoked") == 0;
    bool disabled = trial_number(told, "disabled") == 1;
    if (revoked != key->revoked && !(revoked && is_open(load, LOAD_REVOKE, number)))
        fail_msg("%s: revoked is %d and was acknowledged as %d", key->key.id, revoked,
                 key->revoked);
    if (disabled != key->disabled && !is_open(load, disabled ? LOAD_DISABLE : LOAD_ENABLE, number))
        fail_msg("%s: disabled is %d and was acknowledged as %d", key->key.id, disabled,
                 key->disabled);
    key->revoked = revoked;
    key->disabled = disabled;
    assert_string_equal(trial_text(told, "revoke_reason"), revoked ? "leaked" : "");
    assert_int_equal(trial_text(told, "revoked_at")[0] != '\0', revoked);
}

/* All of a rotation or nothing of it. */
static void compare_rotation(struct load *load, uint32_t number, const redisReply *told)
{
    struct board_key *key = &load->board->keys[number];
    const char *to = trial_text(told, "rotated_to");
    bool rotated = to[0] != '\0';
    if (rotated != key->rotated && !(rotated && is_open(load, LOAD_ROTATE, number)))
        fail_msg("%s: rotated is %d and was acknowledged as %d", key->key.id, rotated,
                 key->rotated);
    key->rotated = rotated;
    assert_int_equal(trial_text(told, "expires_at")[0] != '\0', rotated);
    if (rotated && load_find_key(load, to) == load_key_count(load))
        fail_msg("%s was rotated to %s, which is not there", key->key.id, to);
    const char *from = trial_text(told, "rotated_from");
    if (from[0] != '\0' && load_find_key(load, from) == load_key_count(load))
        fail_msg("%s was rotated from %s, which is not there", key->key.id, from);
}

static void compare(struct load *load, struct listing *listing, const redisReply *told)
{
    uint32_t number = load_find_key(load, trial_text(told, "id"));
    struct board_key *key = &load->board->keys[number];
    assert_int_equal(read_owner(told), key->owner);
    compare_revision(load, number, told);
    compare_state(load, number, told);
    compare_rotation(load, number, told);
    listing->owned[key->owner] += !key->revoked;
    bool suspended = trial_number(told, "owner_suspended") == 1;
    if (suspended != listing->suspended[key->owner])
        fail_msg("%s says that its owner is%s suspended", key->key.id, suspended ? "" : " not");
}

static bool owner_is_open(const struct load *load, enum load_kind kind, uint32_t owner)
{
    for (unsigned i = 0; i < load->open_count; i++)
        if (load->open[i].kind == kind && load->open[i].owner == owner)
            return true;
    return false;
}

static void read_suspended(struct load *load, redisContext *admin, struct listing *listing,
                           uint32_t number)
{
    struct load_owner *owner = &load->owners[number];
    redisReply *told = trial_ask(admin, "OWNER.GET o%u", number);
    if (trial_is_error(told, "NOTFOUND") && !owner->exists) {
        freeReplyObject(told);
        return;
    }
    bool suspended = trial_number(told, "suspended") == 1;
    if (suspended != owner->suspended &&
        !owner_is_open(load, suspended ? LOAD_SUSPEND : LOAD_RESUME, number))
        fail_msg("o%u: suspended is %d and was acknowledged as %d", number, suspended,
                 owner->suspended);
    owner->suspended = listing->suspended[number] = suspended;
    freeReplyObject(told);
}

static void compare_count(const struct load *load, redisContext *admin,
                          const struct listing *listing, uint32_t number)
{
    if (!load->owners[number].exists)
        return;
    redisReply *told = trial_ask(admin, "OWNER.GET o%u", number);
    assert_int_equal(trial_number(told, "keys"), listing->owned[number]);
    freeReplyObject(told);
}

static void compare_answers(struct load *load)
{
    struct catlatch *latch = trial_attach(load->trial);
    for (uint32_t i = 0; i < load_key_count(load); i++) {
        struct board_key *key = &load->board->keys[i];
        load_settle_key(load, key);
        if (board_phase(key) == BOARD_NOTHING)
            continue;
        enum catlatch_result result = trial_verify(latch, key->key.raw);
        if (result != board_answer(board_phase(key)))
            fail_msg("%s is answered %s, and the store says otherwise", key->key.id,
                     catlatch_result_name(result));
    }
    catlatch_close(latch);
}

static void forget_open(struct load *load)
{
    load->open_count = 0;
    for (uint32_t i = 0; i < load_key_count(load); i++)
        load->board->keys[i].busy = false;
    for (uint32_t i = 0; i < LOAD_OWNERS; i++) {
        load->owners[i].busy = false;
        load->owners[i].busy_keys = 0;
    }
}

void load_settle(struct load *load)
{
    redisContext *admin = trial_connect(load->trial);
    struct listing *listing = calloc(1, sizeof *listing);
    assert_non_null(listing);
    list_all(admin, listing);
    for_each(load, listing, adopt);
    assert_int_equal(listing->key_count, load_key_count(load)); /* so none is missing */
    for (uint32_t i = 0; i < LOAD_OWNERS; i++)
        read_suspended(load, admin, listing, i);
    for_each(load, listing, compare);
    for (uint32_t i = 0; i < LOAD_OWNERS; i++)
        compare_count(load, admin, listing, i);
    forget_open(load);
    compare_answers(load);
    for (unsigned page = 0; page < listing->page_count; page++)
        freeReplyObject(listing->pages[page]);
    free(listing);
    redisFree(admin);
}
