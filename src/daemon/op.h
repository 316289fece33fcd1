/*
 * op.h - an operation on keys or owners: what a command asks, and what came of it.
 *
 * The event loop fills an operation in, hands it to changer_submit, and goes on; the store thread
 * runs it; `done` is called in the event loop with the results. An operation owns all memory that
 * it refers to through its arena, and whoever gets it in `done` frees it with op_free, which
 * cleanses raw keys.
 */
#ifndef DAEMON_OP_H
#define DAEMON_OP_H

#include "daemon/store.h"
#include "usage/process.h"

enum op_kind {
    OP_CREATE,
    OP_UPDATE,
    OP_DISABLE,
    OP_ENABLE,
    OP_REVOKE,
    OP_ROTATE,
    OP_RETIRE, /* what was rotated on evidence, as far as there is any */
    OP_OWNER_SUSPEND,
    OP_OWNER_RESUME,
    OP_OWNER_UPDATE,
    OP_PURGE,
    OP_IMPORT,
    OP_BACKUP_DONE,
    OP_LIST, /* from here on: reads only */
    OP_GET,
    OP_OWNER_LIST,
    OP_OWNER_GET,
    OP_LOG,
    OP_LOG_VERIFY,
    OP_TABLE_CHECK,
    OP_BACKUP,
    OP_RESTORE_COMPARE,
    OP_HISTORY,
    OP_BUSIEST,
    OP_PROCESSES, /* the census', not the store thread's */
};

#define OP_IDS_MAX 10000u /* keys that one operation changes: STORE_TXN_KEYS_MAX */
#define OP_PAGE_MAX 1000u /* keys or owners that one LIST returns */
/* The old key's expiry stays as it is: the caller revokes it in a commit of its own. */
#define OP_GRACE_KEEP INT64_C(-1)

/* Keys that one KEY.IMPORT may bring: what the store thread does in some 50 ms, for a revoke that
 * comes meanwhile waits for it. */
#define OP_IMPORT_MAX 2000u

#define OP_SPANS_MAX 500u /* minutes, hours or days that one HISTORY looks at */

#define OP_SCAN_MAX 20000u /* keys that one LIST looks at before it returns what it has */

/* Which properties the caller gave; the others stay, or take their default. */
enum {
    OP_HAS_NAME = 1 << 0,
    OP_HAS_OWNER = 1 << 1,
    OP_HAS_ENVIRONMENT = 1 << 2,
    OP_HAS_EXPIRES = 1 << 3,
    OP_HAS_NOT_BEFORE = 1 << 4,
    OP_HAS_COMMENT = 1 << 5,
    OP_HAS_SCOPES = 1 << 6,
    OP_HAS_METADATA = 1 << 7, /* OP_UPDATE: the pairs named; an empty value removes one */
    OP_HAS_NETWORKS = 1 << 8,
    OP_HAS_RATES = 1 << 9,
    OP_HAS_ALLOWANCE = 1 << 10,
};

struct op_fields {
    unsigned has;
    struct text name;
    struct text owner;
    struct text environment;
    struct text comment;
    int64_t expires_unix_s; /* 0: never */
    int64_t not_before_unix_s;
    size_t scope_count;
    struct text scopes[RECORD_SCOPES_MAX];
    size_t metadata_count;
    struct record_pair metadata[RECORD_METADATA_MAX];
    size_t network_count;
    struct network networks[NETWORKS_MAX]; /* none twice */
    struct rates rates;
    struct allowance allowance;
};

/* Conditions of OP_LIST, combined by AND; unset ones do not restrict. */
struct op_selection {
    struct text owner;       /* empty: any */
    struct text prefix;      /* exactly the 15 shown characters */
    struct text environment; /* by name */
    struct text name_glob;   /* fnmatch(3) with * ? [ ]; without any of them, exactly */
    bool has_state;
    enum record_state state;
    int64_t created_before_unix_s;  /* 0: any */
    int64_t revoked_before_unix_s;  /* 0: any */
    int64_t expiring_before_unix_s; /* 0: any; keys that have not expired and will by then */
    int64_t unused_since_unix_s;    /* 0: any; keys with no use behind it */
    bool has_digest;                /* the key with this digest (from a raw key) */
    struct digest digest;
    size_t metadata_count;
    struct record_pair metadata[RECORD_METADATA_MAX];
};

/* Conditions of OP_LOG, combined by AND; unset ones do not restrict. */
struct op_log_selection {
    int64_t since_unix_ms; /* 0: any */
    int64_t until_unix_ms; /* 0: any; changes before it */
    uint64_t key_id;       /* 0: any; of the key that was changed */
    struct text owner;
    bool has_uid; /* by a peer with this uid or login uid */
    uint32_t uid;
    uint64_t actor_key_id; /* 0: any; by a session that had authenticated with this key */
    bool has_kind;
    enum change_kind kind;
};

/* A key that an import brings: what a record has and a file can tell. Smaller than a record, for a
 * thousand of them are in flight. */
struct op_import {
    struct digest digest;
    uint64_t id; /* 0: a new one */
    bool disabled;
    bool revoked;
    enum record_reason revoke_reason;
    uint32_t assumed_bits;            /* 0: one of ours */
    int64_t created_unix_s;           /* 0: now */
    struct total_event used, refused; /* so far; `seen` stays 0 */
    int64_t expires_unix_s;
    int64_t not_before_unix_s;
    int64_t revoked_unix_s; /* 0: now, if it is revoked */
    uint64_t rotated_from;
    uint64_t rotated_to;
    struct text name;
    struct text owner; /* empty: "default" */
    struct text prefix;
    struct text environment;
    struct text comment;
    struct text revoke_comment;
    const struct text *scopes;
    size_t scope_count;
    const struct record_pair *metadata;
    size_t metadata_count;
    const struct network *networks; /* none twice */
    size_t network_count;
    struct rates rates;
    struct allowance allowance;
    bool has_uses_left;
    uint64_t uses_left;           /* of the allowance; otherwise all of it */
    struct retirement retirement; /* counted from now on */
};

/* One key that an operation touched or read. */
struct op_key {
    struct record record;
    struct total total; /* what is known of its use */
    uint64_t uses_left; /* of an allowance */
    bool changed;       /* OP_REVOKE of a revoked key and the like: false, and no error */
    const char *raw;    /* OP_CREATE, OP_ROTATE: the key itself, once; NULL otherwise */
    size_t raw_len;
    int64_t old_expires_unix_s; /* OP_ROTATE: of the key rotated_from, afterwards; 0: never */
};

/* How far TABLE.CHECK is: first through the store's keys, then through the table's slots. */
struct op_check_place {
    uint64_t after_id;   /* keys: behind this one */
    uint64_t generation; /* slots: of this generation; 0: it is at the keys still */
    uint64_t slot;       /* slots: from this one on */
};

#define OP_WRONG_MAX 100u /* findings that one TABLE.CHECK returns before it stops */

struct op_wrong {
    uint64_t id;
    const char *what; /* static: see PROTOCOL.md */
};

/* What was counted in a minute, an hour or a day. */
struct op_span {
    int64_t begin_unix_s;
    struct history_entry entry;        /* of a key, */
    uint64_t results[PROCESS_RESULTS]; /* or of all verifications */
};

/* How much a key, or all of an owner's, was used in a while. */
struct op_busy {
    uint64_t id; /* 0: an owner */
    struct text name, owner;
    struct history_entry more;
    struct total_event used, refused; /* of a key, the last of them */
};

/* One handle of a process that verifies keys. */
struct op_process {
    uint32_t pid; /* 0: not seen from here */
    uint32_t uid;
    int64_t attached_unix_s;
    uint64_t generation; /* of the table that it used last; 0: none yet */
    struct process_counts counts;
};

struct op;
struct restore;
typedef void op_done(struct op *op); /* in the event loop */

struct op {
    /* in */
    enum op_kind kind;
    struct actor actor;
    struct text confined_owner;    /* acts within this owner alone (AUTH); empty: everywhere */
    bool may_grant_admin;          /* may give catlatch:... scopes */
    struct op_fields fields;       /* CREATE, UPDATE; of OWNER_UPDATE the rates alone */
    struct op_selection selection; /* OP_LIST */
    uint64_t *ids;                 /* UPDATE, DISABLE, ENABLE, REVOKE, ROTATE, PURGE, GET */
    size_t id_count;
    enum record_reason reason;    /* REVOKE */
    struct text comment;          /* REVOKE, DISABLE, OWNER_SUSPEND, OWNER_UPDATE */
    int64_t unused_since_unix_s;  /* DISABLE: of those keys only that were not used since; 0: all */
    int64_t grace_s;              /* ROTATE: how long the old key stays valid; OP_GRACE_KEEP */
    struct retirement retirement; /* ROTATE: what ends it beside that */
    uint64_t after_id;            /* LIST: the cursor */
    int64_t after_expires_unix_s; /* LIST by expiry: the cursor's other half; 0: none was given */
    struct text after_owner;      /* OWNER_LIST: the cursor */
    size_t limit;                 /* LIST, OWNER_LIST: at most OP_PAGE_MAX */
    struct text owner;            /* OWNER_* */
    struct op_log_selection log_selection; /* LOG */
    struct store_position after;           /* LOG, LOG_VERIFY: the cursor */
    struct digest chain;                   /* LOG_VERIFY: the value there */
    struct op_import *imports;             /* IMPORT; owner: of that one instead `fields`
                                              has the limits, or he is suspended */
    size_t import_count;
    int64_t owner_since_unix_s;     /* IMPORT of a suspended owner: since then; 0: now */
    uint64_t expected;              /* IMPORT: keys that are still to come, these included */
    bool skips;                     /* IMPORT: passes over keys that are there already */
    bool forced;                    /* IMPORT: takes keys that could be guessed */
    bool tries;                     /* IMPORT: changes nothing */
    struct op_check_place check_at; /* TABLE_CHECK: the cursor */
    struct text cursor;             /* BACKUP; empty: the beginning */
    enum history_level level;       /* HISTORY: of ids[0], or of all results without one; */
    int64_t since_unix_s;           /* from the span that this is in, */
    int64_t until_unix_s;           /* to the last one that begins before this; 0: to that of now */
    struct restore *restore;        /* RESTORE_COMPARE */
    op_done *done;
    void *context;

    /* out */
    struct error error; /* code 0: done, all of it. Otherwise nothing was changed */
    struct op_key *keys;
    size_t key_count;
    size_t imported_count;  /* IMPORT */
    size_t skipped_count;   /* IMPORT: were there already */
    size_t suspended_count; /* IMPORT: of the imported, refused because their owner is suspended */
    struct record_owner *owners;
    size_t owner_count;
    uint64_t next_id;            /* LIST: go on after it; 0: that was all */
    int64_t next_expires_unix_s; /* LIST by expiry: likewise; 0 in other lists */
    struct text next_owner;      /* OWNER_LIST: likewise; empty: that was all */
    struct change *changes;      /* LOG */
    size_t change_count;
    struct store_position at; /* LOG, LOG_VERIFY: how far it looked */
    bool at_end;              /* LOG, LOG_VERIFY: that is where the log ends at present */
    uint64_t verified;        /* LOG_VERIFY: changes whose place in the chain is right; `chain` is
                                 the last one's value */
    struct error problem;     /* LOG_VERIFY: what is wrong behind `at`; code 0: nothing */
    struct op_wrong *wrong;   /* TABLE_CHECK: what store and table disagree on */
    size_t wrong_count;
    uint64_t checked;  /* TABLE_CHECK: keys of the store that were compared, */
    uint64_t confined; /* and of them, not revoked, those that are confined to networks */
    struct op_check_place check_next;
    bool check_ended;        /* TABLE_CHECK: that was all */
    struct text data;        /* BACKUP: whole entries */
    struct text next_cursor; /* BACKUP: go on from there; at_end: that was all */
    struct op_span *spans;   /* HISTORY: those in which anything was counted, rising */
    size_t span_count;
    int64_t next_unix_s;                /* HISTORY: go on from here; 0: that was all */
    struct op_busy *busy, *busy_owners; /* BUSIEST: the most first */
    size_t busy_count, busy_owner_count;
    uint64_t busy_round, busy_total; /* BUSIEST: which sweep, and how many keys it found */
    uint64_t busy_span_ms;           /* BUSIEST: within this time; 0: nothing is known yet */
    struct op_process *processes;    /* PROCESSES */
    size_t process_count;
    uint64_t current_generation; /* PROCESSES */
    bool owner_changed;          /* OWNER_SUSPEND, _RESUME, _UPDATE: it was not so before */
    int64_t time_unix_ms;        /* when it took effect: after the table was published */
    uint64_t epoch;
    uint64_t sequence;   /* of the last change that it made, or of the store when it made none */
    uint64_t generation; /* of the table that shows it */

    /* the store thread's own */
    struct op *next;
    bool spreads;           /* it was committed, and slots show it afterwards: keys_spread */
    uint64_t spread_slot;   /* from this one on, */
    uint64_t spread_number; /* of this generation, in which */
    uint64_t spread_word;   /* this is for its owner's limits */
    unsigned refusals;      /* how many tables had no room for it when it was the first to ask */
    struct arena *arena;
};

/* A new operation with everything zero, or NULL. */
struct op *op_new(enum op_kind kind);

/* Memory that lives as long as the operation; NULL when there is none. Zeroed. */
void *op_alloc(struct op *op, size_t size);

/* A copy of the bytes in the operation's memory. Returns 0 or E_MEMORY. */
int op_text(struct op *op, const char *bytes, size_t len, struct text *ret_text);

/* Cleanses and frees everything; NULL is allowed. */
void op_free(struct op *op);

#endif
