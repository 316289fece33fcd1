/*
 * tools/catlatch: the admin tool. Knows src/core and src/stack, and the daemon by PROTOCOL.md
 * alone. One thread; what an error leaves behind ends with the process.
 *
 * options.h - every option that the tool knows, in one table, and the parse of a command's line.
 * Help texts are made from the same table.
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* One option can stand twice under one spelling where its meaning differs by command: --name sets
 * a name in `create` and selects by a pattern in `list`. No command takes both. */
enum option_id {
    OPTION_CONFIG,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_NAME,
    OPTION_OWNER,
    OPTION_ENV,
    OPTION_EXPIRES,
    OPTION_NOT_BEFORE,
    OPTION_SCOPE,
    OPTION_ALLOW,
    OPTION_RATE,
    OPTION_USES,
    OPTION_COMMENT,
    OPTION_META,
    OPTION_QUIET,
    OPTION_WITH_PREFIX,
    OPTION_WITH_OWNER,
    OPTION_WITH_ENV,
    OPTION_WITH_STATE,
    OPTION_WITH_NAME,
    OPTION_WITH_META,
    OPTION_CREATED_BEFORE,
    OPTION_EXPIRING_WITHIN,
    OPTION_UNUSED_FOR,
    OPTION_REVOKED_BEFORE,
    OPTION_IDS_FROM,
    OPTION_KEY_STDIN,
    OPTION_LIMIT,
    OPTION_DRY_RUN,
    OPTION_YES,
    OPTION_SET,
    OPTION_REASON,
    OPTION_BECAUSE,
    OPTION_GRACE,
    OPTION_UNTIL_UNSEEN,
    OPTION_ON_USE,
    OPTION_OUTPUT,
    OPTION_SERVICE,
    OPTION_NEED_SCOPE,
    OPTION_ADDRESS,
    OPTION_EXPLAIN,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_STEP,
    OPTION_ONCE,
    OPTION_ROUNDS,
    OPTION_LOG_ID,
    OPTION_ACTOR,
    OPTION_KIND,
    OPTION_FOLLOW,
    OPTION_LOG_USES,
    OPTION_VERIFY,
    OPTION_HEAD,
    OPTION_ON_CONFLICT,
    OPTION_ASSUME_BITS,
    OPTION_FORCE,
    OPTION_SKIP_BAD,
    OPTION_TRY,
    OPTION_AS_USER,
    OPTION_OVERWRITE,
    OPTION_ACCEPT_RESURRECTION,
    OPTION_COUNT,
};

#define OPTION_BIT(option) (UINT64_C(1) << (option))
static_assert(OPTION_COUNT <= 64, "a bit for each");

/* What all commands take. */
#define OPTIONS_GLOBAL                                                               \
    (OPTION_BIT(OPTION_CONFIG) | OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_HELP) | \
     OPTION_BIT(OPTION_VERSION))

/* The selector: which keys. One set for every command that acts on keys. */
#define OPTIONS_SELECT                                                                            \
    (OPTION_BIT(OPTION_WITH_PREFIX) | OPTION_BIT(OPTION_WITH_OWNER) |                             \
     OPTION_BIT(OPTION_WITH_ENV) | OPTION_BIT(OPTION_WITH_STATE) | OPTION_BIT(OPTION_WITH_NAME) | \
     OPTION_BIT(OPTION_WITH_META) | OPTION_BIT(OPTION_CREATED_BEFORE) |                           \
     OPTION_BIT(OPTION_EXPIRING_WITHIN) | OPTION_BIT(OPTION_UNUSED_FOR) |                         \
     OPTION_BIT(OPTION_REVOKED_BEFORE) | OPTION_BIT(OPTION_IDS_FROM) |                            \
     OPTION_BIT(OPTION_KEY_STDIN))

struct option_spec {
    const char *name;     /* without the dashes */
    const char *argument; /* what help calls its argument; NULL: it takes none */
    const char *summary;
    char letter; /* short form; '\0': none */
    bool repeats;
};

const struct option_spec *option_spec(enum option_id option);

struct option_values {
    const char **list;
    size_t count;
};

/* What stood on a command line. Texts point into argv. */
struct options {
    struct option_values values[OPTION_COUNT]; /* an option without argument has "" as its value */
    const char *const *operands;
    size_t operand_count;
};

bool option_given(const struct options *options, enum option_id option);
const char *option_text(const struct options *options, enum option_id option); /* NULL: not given */

/* Reads options of the set `allowed` out of argv (argv[0] is skipped), adding to *options. Operands
 * may stand anywhere between options unless stop_at_operand, with which reading ends at the first.
 * argv is permuted as getopt_long does. Returns 0, E_ARGUMENT (a line that names the option and,
 * where one is near, the known one) or E_MEMORY. options_free in any case. */
int options_read(int argc, char **argv, uint64_t allowed, bool stop_at_operand,
                 struct options *options, struct error *error);

void options_free(struct options *options);

#endif
