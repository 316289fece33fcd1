#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "guard.h"

/* getopt's return value for a long option, clear of every letter and of '?' and ':'. */
#define LONG_BASE 256

static const struct option_spec specs[OPTION_COUNT] = {
    [OPTION_CONFIG] = {"config", "FILE", "the configuration (or CATLATCH_CONFIG)", 'c', false},
    [OPTION_JSON] = {"json", NULL, "answer in JSON", 0, false},
    [OPTION_HELP] = {"help", NULL, "show help", 'h', false},
    [OPTION_VERSION] = {"version", NULL, "show the version", 'V', false},
    [OPTION_NAME] = {"name", "NAME", "what the key is called", 0, false},
    [OPTION_OWNER] = {"owner", "OWNER", "whose key it is (default: \"default\")", 0, false},
    [OPTION_ENV] = {"env", "ENV",
                    "an environment of the configuration (default: live, or its first)", 0, false},
    [OPTION_EXPIRES] = {"expires", "WHEN", "a duration from now (90d) or a time (RFC 3339)", 0,
                        false},
    [OPTION_NOT_BEFORE] = {"not-before", "WHEN", "refused until then", 0, false},
    [OPTION_SCOPE] = {"scope", "SCOPE", "grant a scope (repeatable)", 0, true},
    [OPTION_ALLOW] = {"allow", "CIDR", "a network that the key may be used from (repeatable)", 0,
                      true},
    [OPTION_RATE] = {"rate", "RATE", "how often it may be used: 100/1m, 10/1s:20 (repeatable)", 0,
                     true},
    [OPTION_USES] = {"uses", "USES", "how often in all: 1000, 1000/monthly, 50/7d", 0, false},
    [OPTION_COMMENT] = {"comment", "TEXT", "a remark for those who come after you", 0, false},
    [OPTION_META] = {"meta", "K=V", "metadata (repeatable)", 0, true},
    [OPTION_QUIET] = {"quiet", NULL, "print the key and nothing else", 'q', false},
    [OPTION_WITH_PREFIX] = {"prefix", "PREFIX", "the start of the key, as lists show it", 0, false},
    [OPTION_WITH_OWNER] = {"owner", "OWNER", "the keys of one owner", 0, false},
    [OPTION_WITH_ENV] = {"env", "ENV", "the keys of one environment", 0, false},
    [OPTION_WITH_STATE] = {"state", "STATE", "active, disabled, expired, not_yet_valid or revoked",
                           0, false},
    [OPTION_WITH_NAME] = {"name", "GLOB", "names that match a pattern with * ? [ ]", 0, false},
    [OPTION_WITH_META] = {"meta", "K=V", "metadata that the keys have (repeatable)", 0, true},
    [OPTION_CREATED_BEFORE] = {"created-before", "TIME",
                               "keys older than a date or time (RFC 3339)", 0, false},
    [OPTION_EXPIRING_WITHIN] = {"expiring-within", "DURATION",
                                "live keys that expire in that time (7d)", 0, false},
    [OPTION_UNUSED_FOR] = {"unused-for", "DURATION",
                           "keys that were not used for that long, nor made (90d)", 0, false},
    [OPTION_REVOKED_BEFORE] = {"revoked-before", "TIME", "keys revoked before that", 0, false},
    [OPTION_IDS_FROM] = {"ids-from", "FILE", "ids, one a line; \"-\" is standard input", 0, false},
    [OPTION_KEY_STDIN] = {"key-stdin", NULL, "raw keys on standard input, one a line", 0, false},
    [OPTION_LIMIT] = {"limit", "N", "at most so many keys", 0, false},
    [OPTION_DRY_RUN] = {"dry-run", NULL, "show what would be hit; change nothing", 'n', false},
    [OPTION_YES] = {"yes", NULL, "don't ask", 'y', false},
    [OPTION_SET] = {"set", "FIELD=VALUE", "what to change, and to what (see above)", 0, true},
    [OPTION_REASON] = {"reason", "REASON",
                       "leaked, compromised, superseded, owner-left, unused or other", 0, false},
    [OPTION_BECAUSE] = {"comment", "TEXT", "why, for the record", 0, false},
    [OPTION_GRACE] = {"grace", "DURATION",
                      "how long the old key stays valid (default 24h); 0: not at all", 0, false},
    [OPTION_UNTIL_UNSEEN] = {"until-unseen", "DURATION",
                             "end the old key once it was not used for so long", 0, false},
    [OPTION_ON_USE] = {"activate-on-use", NULL, "begin all that with the new key's first use", 0,
                       false},
    [OPTION_OUTPUT] = {"output", "FILE", "write the new keys to a new file, 0600, NDJSON", 'o',
                       false},
    [OPTION_SERVICE] = {"service", "NAME", "a service of the configuration", 0, false},
    [OPTION_NEED_SCOPE] = {"scope", "SCOPE", "a scope that the key must have (repeatable)", 0,
                           true},
    [OPTION_ADDRESS] = {"address", "ADDRESS", "where the request came from", 0, false},
    [OPTION_EXPLAIN] = {"explain", NULL, "show the service's lines as they ran, in this process", 0,
                        false},
    [OPTION_SINCE] = {"since", "WHEN",
                      "from a time, a duration ago (2h) or behind a sequence (1:42)", 0, false},
    [OPTION_UNTIL] = {"until", "WHEN", "before a time, or a duration ago", 0, false},
    [OPTION_STEP] = {"step", "minute|hour|day", "what each bar is (default: by --since)", 0, false},
    [OPTION_ONCE] = {"once", NULL, "one picture on standard output; needs no terminal", 0, false},
    [OPTION_ROUNDS] = {"count", "N", "end after so many pictures", 'n', false},
    [OPTION_LOG_ID] = {"id", "ID", "changes of one key", 0, false},
    [OPTION_ACTOR] = {"actor", "WHO", "changes made by a user, a uid or an acting key's id", 0,
                      false},
    [OPTION_KIND] = {"kind", "KIND", "created, updated, disabled, enabled, revoked, rotated, ...",
                     0, false},
    [OPTION_FOLLOW] = {"follow", NULL, "go on with what changes from now on", 'f', false},
    [OPTION_LOG_USES] = {"uses", NULL, "with --follow: who uses keys, and who is refused, as well",
                         0, false},
    [OPTION_VERIFY] = {"verify", NULL, "check that no record was altered or removed", 0, false},
    [OPTION_HEAD] = {"head", "SEQUENCE/HASH", "with --verify: what an earlier --verify printed", 0,
                     false},
    [OPTION_ON_CONFLICT] = {"on-conflict", "fail|skip",
                            "what to do about keys that are there already (default: fail)", 0,
                            false},
    [OPTION_ASSUME_BITS] = {"assume-bits", "N",
                            "the entropy of keys issued elsewhere, which no digest tells", 0,
                            false},
    [OPTION_FORCE] = {"force", NULL, "take keys of under 112 bits, which can be found by trying", 0,
                      false},
    [OPTION_SKIP_BAD] = {"skip-bad", "FILE",
                         "write bad lines to a new file, 0600, and take the others", 0, false},
    [OPTION_TRY] = {"dry-run", NULL, "check and compare; change nothing", 'n', false},
    [OPTION_AS_USER] = {"user", "NAME", "look as this user too, whose processes verify keys", 0,
                        false},
    [OPTION_OVERWRITE] = {"force", NULL, "overwrite the file", 0, false},
    [OPTION_ACCEPT_RESURRECTION] = {"accept-resurrection", NULL,
                                    "though revoked keys may come back to life", 0, false},
};

const struct option_spec *option_spec(enum option_id option)
{
    return &specs[option];
}

bool option_given(const struct options *options, enum option_id option)
{
    return options->values[option].count > 0;
}

const char *option_text(const struct options *options, enum option_id option)
{
    const struct option_values *values = &options->values[option];

    return values->count > 0 ? values->list[0] : NULL;
}

/* The tables that getopt_long wants, for one set of options. */
struct getopt_tables {
    struct option long_options[OPTION_COUNT + 1];
    char letters[2 * OPTION_COUNT + 3];
};

static void tables_fill(uint64_t allowed, bool stop_at_operand, struct getopt_tables *tables)
{
    char *letter = tables->letters;
    size_t count = 0;

    if (stop_at_operand)
        *letter++ = '+';
    *letter++ = ':';
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_spec *spec = &specs[i];
        if ((allowed & OPTION_BIT(i)) == 0)
            continue;
        tables->long_options[count++] =
            (struct option){spec->name, spec->argument != NULL ? required_argument : no_argument,
                            NULL, LONG_BASE + i};
        if (spec->letter != '\0') {
            *letter++ = spec->letter;
            if (spec->argument != NULL)
                *letter++ = ':';
        }
    }
    tables->long_options[count] = (struct option){NULL, 0, NULL, 0};
    *letter = '\0';
}

static int value_add(enum option_id option, const char *text, struct options *options,
                     struct error *error)
{
    struct option_values *values = &options->values[option];
    const char **grown;

    /* Twice the same switch is harmless; twice a value is one too many. */
    if (values->count > 0 && !specs[option].repeats && specs[option].argument != NULL)
        return error_set(error, CATLATCH_E_ARGUMENT, "--%s is given twice; it takes one value",
                         specs[option].name);
    grown = reallocarray(values->list, values->count + 1, sizeof *grown);
    if (grown == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    grown[values->count] = text;
    values->list = grown;
    values->count++;
    return 0;
}

static int unknown_option(const char *word, uint64_t allowed, struct error *error)
{
    const char *names[OPTION_COUNT];
    char typed[GUARD_ECHO_SIZE], name[GUARD_ECHO_SIZE];
    size_t count = 0;
    const char *nearest;

    /* What stands behind '=' is a value: of no help here, and perhaps not for everybody's eyes. */
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((allowed & OPTION_BIT(i)) != 0)
            names[count++] = specs[i].name;
    guard_echo(name, typed);
    /* One letter is like no word. */
    nearest = name[strspn(name, "-")] == '\0' || name[strspn(name, "-") + 1] == '\0'
                  ? NULL
                  : text_nearest(name + strspn(name, "-"), names, count);
    if (nearest == NULL)
        return error_set(error, CATLATCH_E_ARGUMENT, "unknown option \"%s\"; --help lists them",
                         typed);
    return error_set(error, CATLATCH_E_ARGUMENT, "unknown option \"%s\"; did you mean --%s?", typed,
                     nearest);
}

/* What getopt's '?' and ':' mean: `chosen` is the option's value, letter or 0. */
static int option_refuse(int kind, int chosen, const char *word, uint64_t allowed,
                         struct error *error)
{
    if (kind == ':') {
        for (int i = 0; i < OPTION_COUNT; i++)
            if (chosen == LONG_BASE + i || (specs[i].letter != '\0' && chosen == specs[i].letter))
                return error_set(error, CATLATCH_E_ARGUMENT, "--%s needs its %s", specs[i].name,
                                 specs[i].argument);
    }
    if (chosen >= LONG_BASE)
        return error_set(error, CATLATCH_E_ARGUMENT, "--%s takes no value",
                         specs[chosen - LONG_BASE].name);
    if (chosen != 0) {
        char letter[3] = {'-', (char)chosen, '\0'};
        return unknown_option(letter, allowed, error);
    }
    return unknown_option(word, allowed, error);
}

static int option_of(int chosen, uint64_t allowed)
{
    if (chosen >= LONG_BASE)
        return chosen - LONG_BASE;
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((allowed & OPTION_BIT(i)) != 0 && specs[i].letter == chosen)
            return i;
    return OPTION_COUNT;
}

int options_read(int argc, char **argv, uint64_t allowed, bool stop_at_operand,
                 struct options *options, struct error *error)
{
    struct getopt_tables tables = {0};
    int chosen, code;

    tables_fill(allowed, stop_at_operand, &tables);
    opterr = 0;
    optind = 0; /* glibc: begin anew, with the '+' of the letters looked at again */
    while ((chosen = getopt_long(argc, argv, tables.letters, tables.long_options, NULL)) != -1) {
        int option = chosen == '?' || chosen == ':' ? OPTION_COUNT : option_of(chosen, allowed);
        if (option == OPTION_COUNT)
            return option_refuse(chosen, optopt, argv[optind - 1], allowed, error);
        code = value_add((enum option_id)option, optarg != NULL ? optarg : "", options, error);
        if (code != 0)
            return code;
    }
    options->operands = (const char *const *)argv + optind;
    options->operand_count = (size_t)(argc - optind);
    return 0;
}

void options_free(struct options *options)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        free(options->values[i].list);
    *options = (struct options){0};
}
