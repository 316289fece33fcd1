/*
 * catlatch_module.h - write one more verifier module.
 *
 * A service is a stack of modules (see catlatch.ini(5)); each decides one thing about a key. A
 * module is a shared object in [daemon] module_dir, named as its line in the service says, that
 * exports one object:
 *
 *     #include <catlatch_module.h>
 *
 *     static int verify(void *instance, struct catlatch_call *call)
 *     {
 *         return is_holiday() ? CATLATCH_DENIED : CATLATCH_IGNORE;
 *     }
 *
 *     CATLATCH_MODULE(holiday, .flags = CATLATCH_VOUCHES_NOT, .verify = verify);
 *
 * built with `cc -shared -fPIC -o holiday.so holiday.c`, put into what `pkg-config
 * --variable=moduledir catlatch` says, and used as `required = holiday`. plugin/example is a whole
 * one, with a guide.
 *
 * A module is loaded once in a process, after owner and mode of its file and of every folder above
 * it were checked, and is never unloaded. It runs inside of the host (nginx, Apache, a worker), so
 * it must not exit, change signals or the working directory, or keep a descriptor that it does not
 * own. What it links is its own affair; it needs nothing of libcatlatch but this header.
 *
 * Order of the calls for one verification:
 *     verify   of each module that the controls let run, in the order of the service; writes
 *              nothing that outlives the call
 *     settle   if the outcome is granted: of each whose verify returned VALID, in the same order;
 *              here uses are counted and the like. What is not VALID or IGNORE refuses after all
 *     undo     of each that had settled before, in reverse, when a later one refuses
 *     finish   of each module of the service, whether it ran or not, with the result; of one that
 *              wants to hear of refusals only, unless the result is VALID
 * A recheck (catlatch_recheck) and a dry run (`catlatch verify`) call verify and finish only.
 *
 * Threads. init and fini may run in any thread, two at a time for two instances. The other calls of
 * one instance come from one thread at a time. Fork. An instance may be used on both sides.
 * Blocks. Only with CATLATCH_MAY_BLOCK; hosts that must not wait refuse such modules.
 */
#ifndef CATLATCH_MODULE_H
#define CATLATCH_MODULE_H

#include "catlatch.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CATLATCH_MODULE_ABI 1u

/* What verify may return beside an enum catlatch_result: nothing to say. Anything else that is no
 * result counts as DENIED. */
enum { CATLATCH_IGNORE = 31 };

/* What a module is, for flags. */
enum {
    CATLATCH_MAY_BLOCK = 1 << 0,     /* waits for a disk, a socket or a lock */
    CATLATCH_NEEDS_TABLE = 1 << 1,   /* decides by the record: the digest is to be looked up */
    CATLATCH_TAKES_SCOPES = 1 << 2,  /* sees to the scopes that a request names */
    CATLATCH_NEEDS_TRACE = 1 << 3,   /* asks host->step in finish */
    CATLATCH_VOUCHES_NOT = 1 << 4,   /* knows no issued key from a made-up one: a service of nothing
                                        else would grant both, and is refused */
    CATLATCH_REFUSALS_ONLY = 1 << 5, /* finish is for what was not granted */
    CATLATCH_PASSES_SILENTLY = 1 << 6, /* where `passes` hold, verify would say IGNORE, not VALID */
    CATLATCH_CHARGES = 1 << 7,         /* asks host->charge */
};

/* One word behind the module's name: "live" is {"live", NULL}, "trust=10.0.0.0/8" is
 * {"trust", "10.0.0.0/8"}. */
struct catlatch_argument {
    const char *name;
    const char *value; /* NULL: there is no '=' */
};

struct catlatch_setup_environment {
    const char *name;   /* "live" */
    const char *prefix; /* "cc_live_" */
};

/* A limit of its own that a line names: a word for each key, and the same one for every line of
 * every service of the configuration that names it. Both are read when init has returned. For
 * modules of catlatch alone: the daemon gives names their places, and loads no others. */
struct catlatch_setup_limit {
    const char *name;  /* 1 to 23 of a-z, 0-9, '_' and '-'; NULL: the line names none */
    const char *rates; /* as keys have them: "10/1m", "10/1s,1000/1h:2000" */
};

/* What init is told. Valid during the call. */
struct catlatch_setup {
    size_t size;
    const char *service;
    const struct catlatch_argument *arguments;
    size_t argument_count;
    const struct catlatch_setup_environment *environments; /* of the configuration */
    size_t environment_count;
    const char *run_dir; /* [daemon] run_dir */
    char *message;       /* for why init refuses: one line, terminated, at most */
    size_t message_size; /* bytes with the NUL */

    /* The module's own; init may add MAY_BLOCK and take REFUSALS_ONLY away, for this instance. */
    uint32_t *flags;

    /* The module's own; init may write others for this instance. */
    struct catlatch_passes *passes;

    /* 0. A module with CATLATCH_CHARGES may write what this instance charges, if of a valid record
     * with limits verify would say VALID and settle return what host->charge does with this cost:
     * so the host need not call either. */
    uint32_t *cost_milli;

    uint32_t line; /* which of the service's this is, from 1 on */

    /* Names none; see there. It is charged by the line. */
    struct catlatch_setup_limit *limit;
};

/* What the table says of the digest. */
enum catlatch_lookup {
    CATLATCH_LOOKUP_MISS = 0,    /* no such key, or nobody asked: see CATLATCH_NEEDS_TABLE */
    CATLATCH_LOOKUP_HIT,         /* the record functions of the host answer */
    CATLATCH_LOOKUP_UNAVAILABLE, /* there is no table to be had */
};

enum {
    CATLATCH_CALL_RECHECK = 1 << 0, /* there is no key, only its digest */
    CATLATCH_CALL_DRY = 1 << 1,     /* nothing will be settled */

    /* What is known before any line runs. A flag that is not set says nothing. */
    CATLATCH_CALL_WELL_FORMED = 1 << 2,  /* host->key_is_well_formed is 1 */
    CATLATCH_CALL_RECORD_VALID = 1 << 3, /* record_state is VALID */
    CATLATCH_CALL_NO_NETWORKS = 1 << 4,  /* and the record may be used from everywhere */
    CATLATCH_CALL_NO_SCOPES = 1 << 5,    /* the request names none */
    CATLATCH_CALL_NO_LIMITS = 1 << 6,    /* and neither record nor owner has limits */
};

/* Of which calls the answer is certain: where all these flags are set (and, unless `environments`
 * is 0, the call's environment is one of these, by bit), verify would say VALID, so the host may
 * take it as said without asking. Most verifications are such. 0 and 0: ask always. */
struct catlatch_passes {
    uint32_t flags;
    uint32_t environments;
};

/* What a module has the host charge to limits of the key that was found. */
struct catlatch_charge {
    size_t size;
    uint32_t cost_milli; /* thousandths of a unit; 1000 is one request */
    uint32_t flags;      /* CATLATCH_CHARGE_... */
    uint32_t line;       /* the one that named the limit; 0: the key's own, and its owner's */
};

enum { CATLATCH_CHARGE_LOOK = 1 << 0 }; /* nothing is charged: whether it would be granted */

struct catlatch_host;

/* One verification. Members are read; a later ABI may append some, which `size` tells. */
struct catlatch_call {
    size_t size;
    const struct catlatch_host *host;
    const char *key;           /* not terminated; NULL in a recheck. Never keep or tell it */
    size_t key_len;            /* bytes */
    const uint64_t *digest;    /* SHA-256 of the key as 32 bytes; NULL: it was too long to hash */
    const char *const *scopes; /* that the request names, NUL-terminated */
    size_t scope_count;
    const char *address; /* of the caller as text, NULL: not given; see catlatch_request */
    uint32_t flags;      /* CATLATCH_CALL_... */
    enum catlatch_lookup lookup;

    /* VALID, or the first that applies of REVOKED, DISABLED, NOT_YET_VALID and EXPIRED; without a
     * record NOT_FOUND, MALFORMED (too long to be hashed) or UNAVAILABLE. A module that decides by
     * the record answers this where it is not VALID. */
    int record_state;

    /* Of the record's environment, its place in the setup's environments; -1: in none of them, or
     * there is no record. */
    int environment;

    void *state; /* state_size bytes of this module's line, zero when verify begins */
};

/* What a module can ask while a call runs. Every function answers at once. */
struct catlatch_host {
    size_t size;

    /* 1: the text is a well-formed key of one of the configured environments, 0: it is not. 1 in a
     * recheck: what has a record was one. */
    int (*key_is_well_formed)(const struct catlatch_call *call);

    /* The record found: 1: yes, 0: no, -1: it cannot be told, an outage. */
    int (*record_has_scope)(const struct catlatch_call *call, const char *scope, size_t len);
    int (*record_allows)(const struct catlatch_call *call, const uint8_t address[16]);

    /* Copies of the record's texts. 0, or -1: there is none, or it cannot be told. */
    int (*record_identity)(const struct catlatch_call *call, struct catlatch_identity *ret);

    /* Tells the host something about the verification, which it hands out by catlatch_fact: for
     * headers and the like. Copied; a later fact of the same name replaces it. 0, or -1: no room
     * (16 facts, 2048 bytes with their names). */
    int (*tell)(const struct catlatch_call *call, const char *name, const char *value);

    /* Line `index` of the service. 0, or -1: there is none. */
    int (*step)(const struct catlatch_call *call, unsigned index, struct catlatch_step *ret);

    /* The name of the service. */
    const char *(*service)(const struct catlatch_call *call);

    /* All of these limits, or none: VALID; RATE_LIMITED (nothing was charged); UNAVAILABLE (it
     * cannot be told); IGNORE (nothing limits this key). In settle; with CATLATCH_CHARGE_LOOK in
     * verify too. Needs CATLATCH_CHARGES. */
    int (*charge)(const struct catlatch_call *call, const struct catlatch_charge *charge);

    /* In undo: gives back what the line charged last, or forgoes it where others have charged
     * since.
     */
    void (*take_back)(const struct catlatch_call *call);
};

/* The one object that a module exports. */
struct catlatch_module {
    uint32_t abi;     /* CATLATCH_MODULE_ABI */
    uint32_t size;    /* of this struct */
    const char *name; /* of the file without ".so" */
    uint32_t flags;
    uint32_t state_size; /* bytes for each call, at most CATLATCH_STATE_MAX */
    struct catlatch_passes passes;

    /* Makes an instance for one line of a service. 0, or a negative enum catlatch_error with
     * setup->message written: the configuration is refused. NULL: the module takes no arguments. */
    int (*init)(const struct catlatch_setup *setup, void **ret_instance);

    int (*verify)(void *instance, struct catlatch_call *call); /* NULL: IGNORE */
    int (*settle)(void *instance, struct catlatch_call *call); /* NULL: nothing to settle */
    void (*undo)(void *instance, struct catlatch_call *call);
    void (*finish)(void *instance, struct catlatch_call *call, enum catlatch_result result);
    void (*fini)(void *instance);
};

enum { CATLATCH_STATE_MAX = 256 };

#define CATLATCH_MODULE_SYMBOL "catlatch_module"

/* The object for a file NAME.so. The attribute keeps it visible with -fvisibility=hidden. */
#define CATLATCH_MODULE(NAME, ...)                                                              \
    __attribute__((visibility("default"))) extern const struct catlatch_module catlatch_module; \
    const struct catlatch_module catlatch_module = {.abi = CATLATCH_MODULE_ABI,                 \
                                                    .size = sizeof(struct catlatch_module),     \
                                                    .name = #NAME,                              \
                                                    __VA_ARGS__}

#ifdef __cplusplus
}
#endif
#endif
