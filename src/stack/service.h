/*
 * src/stack: what a service demands of a key, and the decision. Used by the library and by the
 * daemon for KEY.VERIFY. Knows core and table. Deciding makes no system call but vDSO clocks,
 * unless a module does.
 *
 * service.h - a [service NAME] compiled: its lines with their modules' instances, in the order in
 * which they are written, those of included services among them.
 *
 * A compiled service is used by one thread at a time; it owns the memory that its modules use
 * during a call.
 */
#ifndef STACK_SERVICE_H
#define STACK_SERVICE_H

#include <stdbool.h>

#include "core/config.h"
#include "core/error.h"
#include "core/key.h"
#include "stack/control.h"
#include "stack/trace.h"
#include "table/layout.h"

#define STACK_LEVELS_MAX 16u /* substacks in substacks, and includes in includes */

/* The limit that a line names, and where its rates stand in the table of that generation. */
struct stack_named {
    struct named_limit limit;
    struct table_side_limit rules[RATES_MAX];
    uint64_t generation, epoch;
    signed char places[RATES_MAX]; /* -1: nowhere */
};

/* One line. What a decision reads comes first. */
struct stack_step {
    int (*verify)(void *instance, struct catlatch_call *call); /* NULL: a substack begins */
    void *instance;
    void *state;  /* what call.state is during its calls */
    uint64_t bit; /* of the line, in sets of lines */
    int16_t actions[CONTROL_RESULTS];
    uint8_t level;
    uint8_t end; /* the line behind the substack that this one is in */
    bool is_optional;
    struct catlatch_passes passes;
    uint32_t flags;            /* of the instance */
    uint32_t cost_milli;       /* likewise: that is all that it charges; 0: ask it */
    struct stack_named *named; /* NULL: it names no limit */

    const struct catlatch_module *module; /* NULL: a substack begins */
    char *control;                        /* as it is written */
    char *file;
    unsigned line;
};

/* Where the environments of a generation stand in the configuration: -1: nowhere. */
#define STACK_PLACE_UNKNOWN (-3)
struct stack_places {
    uint64_t generation;
    uint64_t epoch;
    signed char known[KEY_ENVIRONMENTS_MAX];
};

/* Lines that are sure of what they say, of calls that `passes` holds of. */
struct stack_certain {
    struct catlatch_passes passes;
    struct stack_step *end; /* before it, every line would say `valid`, */
    uint64_t silent_lines;  /* but these, which would say nothing */
};

struct stack_service {
    char name[CONFIG_NAME_MAX + 1];
    unsigned count;
    struct stack_step *steps;
    struct stack_step *plain_end; /* before it, what is `valid` is ok, and `ignore` ignored */

    struct stack_certain certain;
    struct stack_certain certain_before; /* the first line that may be silent: fewer lines, of more
                                            calls */
    bool is_quick; /* `certain` is about all lines, and none has more to do than to say so */

    /* About all lines but one, which only charges this; 0: they are not. */
    struct catlatch_passes certain_but_charge;
    uint32_t cost_milli;

    /* Lines, by bit. */
    uint64_t all_lines;
    uint64_t table_lines;  /* decide by the record */
    uint64_t settle_lines; /* have something to settle */
    uint64_t finish_lines;
    uint64_t finish_granted_lines; /* of these, what wants to hear of grants too */

    struct stack_places places;
    struct stack_charges *charges; /* of the last decision; NULL: no line charges */
    unsigned charge_lines;
    bool needs_trace;
    bool takes_scopes; /* a line sees to the scopes that a request names */
    bool elsewhere;    /* has lines that this host must not run: it answers UNAVAILABLE */
    void *state;
    size_t state_size;
    struct stack_trace *trace;            /* where a line needs one; else NULL */
    struct key_environments environments; /* what a well-formed key can be of */
};

/* Who opens a service. */
enum stack_host {
    STACK_HOST_ANY,    /* every module, in any process */
    STACK_HOST_LOOP,   /* must not wait: a module that may block is refused */
    STACK_HOST_DAEMON, /* runs stock modules that do not block; a service with others is not loaded
                          and answers UNAVAILABLE, after their files were checked */
};

/*
 * Compiles the service of that name and makes an instance of the module of each line. `default`,
 * when the configuration has none, is what etc/catlatch.ini has. Anything wrong is refused as
 * "file:line: ...". Returns 0, E_CONFIG, E_NOT_FOUND (no such service: those there are, are named),
 * E_MEMORY, or what a module's init returned. Blocks: on loading modules.
 */
int stack_open(const struct config *config, const char *name, enum stack_host host,
               struct stack_service **ret_service, struct error *error);

/* Adds the limits that the service names to those of others: one name is one limit. Returns 0, or
 * E_CONFIG as stack_open does. */
int stack_gather_limits(const struct stack_service *service, struct named_limits *io_limits,
                        struct error *error);

void stack_close(struct stack_service *service); /* NULL is allowed */

/* Whether a line of the service, or of one that it includes, is this module without the argument
 * (NULL: with any); by the text alone, nothing is loaded. Unknown services have none. */
bool stack_mentions(const struct config *config, const char *name, const char *module,
                    const char *without_argument);

#endif
