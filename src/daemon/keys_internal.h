/* keys_internal.h - shared by the files that make up keys.h's implementation. */
#ifndef DAEMON_KEYS_INTERNAL_H
#define DAEMON_KEYS_INTERNAL_H

#include "daemon/keys.h"

/* One change operation while it runs. */
struct run {
    struct keys *keys;
    struct op *op;
    struct store_txn *txn;
    int64_t now_unix_s;
    struct text owner;         /* the one that is being changed; empty: none, */
    struct owner_state before; /* and what he is if that comes to nothing */
    const uint64_t *uses_left; /* of a key that comes in with less than its whole allowance */
};

/* Reads the key that is to be changed. A key of another owner than the one that the operation is
 * confined to does not exist. */
int keys_fetch(struct run *run, uint64_t id, struct record *ret_record);

/* Claims room for `record`, writes it, logs the change. */
int keys_write(struct run *run, const struct record *old, struct record *record,
               enum change_kind kind);

/* Claims room in the table and remembers the claim for keys_publish. record NULL: flags alone
 * change. Returns 0, table_claim's codes
 * (and sets keys->table_full for its E_FULL) or E_MEMORY. */
int keys_claim(struct keys *keys, const struct table_entry *entry, const struct record *record,
               enum table_purpose purpose, struct error *error);

/* keys_usage.c: what the entry's key has in the usage area, as a table_entry says it, and what of
 * it was taken just now. record NULL: it needs no more than it has. Returns 0, or E_FULL where
 * there is no room for its limits before the next table. */
int keys_take_usage(struct keys *keys, const struct table_entry *entry, const struct record *record,
                    struct keys_usage *ret);
void keys_give_usage_back(struct keys *keys, const struct keys_usage *taken);

/* Sees to it that an owner with limits has a block for them, if there is an area at all. False:
 * there is no room for it before the next table. */
bool keys_take_owner_block(struct keys *keys, struct owner_state *state);

/* What the key has in the usage area, published or claimed. Returns false where it is in no slot.
 */
bool keys_find_usage(const struct keys *keys, const struct digest *digest,
                     struct table_usage *ret_usage);

/* Its record there; 0: none that readers see. */
uint32_t keys_usage_ref(const struct keys *keys, const struct digest *digest);

/* The key's successor will share its limits: which block that is. Before the successor is written.
 */
void keys_know_group(struct keys *keys, const struct record *record);

/* What was counted of a key's use until this moment; and that with what an import told of it. */
int keys_counted(const struct keys *keys, const struct record *record, struct total *ret_total,
                 struct error *error);
int keys_total(const struct keys *keys, const struct record *record, struct total *ret_total,
               struct error *error);

/* Puts what is known of its use into a result. */
int keys_show_usage(const struct keys *keys, struct op_key *key, struct error *error);

/* keys_uses.c: puts what is left of its uses into a result. */
int keys_show_uses(const struct keys *keys, struct op_key *key, struct error *error);

/* If the key's allowance is new or another: stores what it begins with, and leaves to the claim
 * that was made last what its block gets. Before it is published, keys_give_uses gives that. */
int keys_begin_uses(struct run *run, const struct record *old, const struct record *record);
void keys_give_uses(struct keys *keys, struct keys_claim *claim);

/* Gives up the claim that was made last. */
void keys_abandon_newest(struct keys *keys);

/* keys_unused.c: whether the key was not used after that moment, and not created either: nobody can
 * say of a new key that it is not used. Exact, as keys_total; cheap for keys that are in use. */
int keys_is_unused(const struct keys *keys, const struct record *record, int64_t since_unix_s,
                   bool *ret_unused, struct error *error);

/* Whether nobody needs the key, as far as that can be told by use: it could have been used all the
 * time since then, as it was active, and was not. */
int keys_is_idle(struct keys *keys, const struct record *record, int64_t since_unix_s,
                 bool *ret_idle, struct error *error);

/* Puts the record among the operation's results. Returns 0 or E_MEMORY. */
int keys_result(struct run *run, const struct record *record, bool changed,
                struct op_key **ret_key);

/* keys_fields.c: what may be said about a key. All return 0 or a negative code with op->error. */
int fields_check(struct run *run, const struct op_fields *fields);
int fields_check_text(struct run *run, const char *what, struct text text, size_t max);
/* The comment of a change that is no property: of a revoke, a disable, a suspension. */
int fields_check_comment(struct run *run);
int fields_check_scopes(struct run *run, const struct op_fields *fields);
/* A key that has rights on the daemon's sockets is changed by those alone who may give them. */
int fields_check_admin(struct run *run, const struct record *record);
int fields_check_expiry(struct run *run, int64_t expires_unix_s, int64_t not_before_unix_s);

/* keys_log.c: read the change log. */
int keys_log(struct keys *keys, struct op *op);
int keys_log_verify(struct keys *keys, struct op *op);

/* keys_history.c: what was counted when. */
int keys_history(struct keys *keys, struct op *op);

/* keys_busiest.c: which keys were used most. */
int keys_busiest(struct keys *keys, struct op *op);

/* keys_check.c: a part of the comparison of store and table. */
int keys_check(struct keys *keys, struct op *op);
/* keys_backup.c: a chunk of a backup; and that one was completed, which is no change of a key. */
int keys_backup(struct keys *keys, struct op *op);
void keys_backup_done(struct keys *keys, struct op *op);

/* keys_issue.c */
int keys_create(struct run *run);
int keys_rotate(struct run *run, uint64_t id);

/* keys_import.c: the second makes the record of a key that breaks no rule by itself; it looks at no
 * store, and an id of 0 is still to be replaced. The record is all zeros before. */
int keys_import(struct run *run);
int keys_import_record(struct run *run, const struct op_import *given, struct record *record);

/* keys_state.c */
int keys_update(struct run *run, uint64_t id);
int keys_disable(struct run *run, uint64_t id);
int keys_enable(struct run *run, uint64_t id);
int keys_revoke(struct run *run, uint64_t id);
int keys_purge(struct run *run, uint64_t id);
int keys_retire(struct run *run, uint64_t id);

/* keys_owner.c: the last is called once it is known whether the transaction was committed. */
int keys_owner_change(struct run *run);
/* An owner that may have no keys yet. */
int keys_owner_import(struct run *run);
void keys_owner_changed(struct run *run, bool committed);

#endif
