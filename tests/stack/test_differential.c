/*
 * test_differential.c - generated stacks through our dispatch and through Linux-PAM itself: the
 * same modules run in the same order, and the outcome is the same but where we are stricter, which
 * is written down here case by case and counted.
 *
 * Deterministic: stack `i` is made of the number i alone. CATLATCH_LONG=1 makes many more.
 */
#include <security/pam_appl.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/result.h"
#include "lib_script.h"
#include "tests/unit/lib_table.h"

#define STACKS 5000u
#define STACKS_LONG 100000u

#define SERVICES_MAX 18u /* one more than can be within each other */
#define LINES_MAX 8u     /* of one service as it is written */
#define UNITS_ANY 1000u

/* One to one with ours. What PAM gives a meaning of its own (PAM_NEW_AUTHTOK_REQD, PAM_ABORT,
 * PAM_INCOMPLETE) is left out. */
static const struct {
    int code;
    const char *name;
} PAM_OF[] = {
    [CATLATCH_DENIED] = {PAM_PERM_DENIED, "perm_denied"},
    [CATLATCH_VALID] = {PAM_SUCCESS, "success"},
    [CATLATCH_INVALID_REQUEST] = {PAM_OPEN_ERR, "open_err"},
    [CATLATCH_MISSING] = {PAM_SYMBOL_ERR, "symbol_err"},
    [CATLATCH_MALFORMED] = {PAM_SERVICE_ERR, "service_err"},
    [CATLATCH_NOT_FOUND] = {PAM_USER_UNKNOWN, "user_unknown"},
    [CATLATCH_REVOKED] = {PAM_AUTH_ERR, "auth_err"},
    [CATLATCH_DISABLED] = {PAM_ACCT_EXPIRED, "acct_expired"},
    [CATLATCH_EXPIRED] = {PAM_CRED_EXPIRED, "cred_expired"},
    [CATLATCH_NOT_YET_VALID] = {PAM_CRED_ERR, "cred_err"},
    [CATLATCH_WRONG_ENVIRONMENT] = {PAM_SESSION_ERR, "session_err"},
    [CATLATCH_INSUFFICIENT_SCOPE] = {PAM_CRED_INSUFFICIENT, "cred_insufficient"},
    [CATLATCH_IP_NOT_ALLOWED] = {PAM_NO_MODULE_DATA, "no_module_data"},
    [CATLATCH_USAGE_EXCEEDED] = {PAM_MAXTRIES, "maxtries"},
    [CATLATCH_RATE_LIMITED] = {PAM_TRY_AGAIN, "try_again"},
    [CATLATCH_UNAVAILABLE] = {PAM_AUTHINFO_UNAVAIL, "authinfo_unavail"},
    [CATLATCH_UNAVAILABLE + 1] = {PAM_IGNORE, "ignore"},
};
#define RESULTS (CATLATCH_UNAVAILABLE + 2) /* the last is CATLATCH_IGNORE */

static const char *const WORDS[] = {"required", "requisite", "sufficient", "optional"};

/* In the order of their numbers in a line's actions; a jump is JUMP and the lines behind it. */
static const char *const ACTIONS[] = {"ok", "done", "bad", "die", "ignore", "reset"};
enum { ACTION_COUNT = 6, JUMP = ACTION_COUNT, UNNAMED = -1 };

/* A line as it is written. */
struct made_line {
    enum { WORD, RULE, INCLUDE, SUBSTACK } kind;
    int number;           /* of the module's calls in the record */
    unsigned word;        /* WORD: which */
    int actions[RESULTS]; /* RULE: an action, JUMP and more, or UNNAMED */
    int otherwise;        /* the rule's default */
    int says;             /* a result, RESULTS - 1 for ignore, or more: nonsense */
    unsigned target;      /* INCLUDE, SUBSTACK: the service */
    unsigned units;       /* how many can be jumped over wherever the line is */
    bool is_bounded;      /* its jumps were looked at */
};

struct made {
    uint64_t random;
    unsigned service_count;
    struct {
        unsigned count;
        struct made_line lines[LINES_MAX];
    } services[SERVICES_MAX];
    int numbers;
    bool jumps_too_far;
};

/* What occurred, for a comparison of nothing would find nothing. */
static struct {
    unsigned stacks, refused, equal, empty, all_ignored;
    unsigned outage_won, ignore_denied; /* where we are stricter */
    unsigned calls, words[4], actions[ACTION_COUNT], jumps_run, unnamed, nonsense;
    unsigned includes, substacks, nested, results[RESULTS], levels[SERVICES_MAX + 1];
    unsigned outcomes[RESULTS];
} seen;

static struct script_world world;
static char pam_folder[96], pam_module[160];

static unsigned dice(struct made *made, unsigned sides)
{
    return (unsigned)(sample_random(&made->random) % sides);
}

/* Values that are no result, ours and theirs. */
static const struct {
    int ours, pam;
} NONSENSE[] = {{16, 32},
                {30, 33},
                {32, 40},
                {-1, -1},
                {1000, 1000},
                {INT32_MIN, INT32_MIN},
                {INT32_MAX, INT32_MAX}};
#define NONSENSE_COUNT (sizeof NONSENSE / sizeof *NONSENSE)

/* Mostly few values, so that rules and what comes to pass meet. */
static int make_says(struct made *made)
{
    static const int USUAL[] = {CATLATCH_VALID,     CATLATCH_VALID, CATLATCH_VALID,
                                CATLATCH_NOT_FOUND, RESULTS - 1,    CATLATCH_DENIED};

    switch (dice(made, 16)) {
    case 0:
        return RESULTS + (int)dice(made, NONSENSE_COUNT);
    case 1:
    case 2:
    case 3:
        return (int)dice(made, RESULTS);
    default:
        return USUAL[dice(made, sizeof USUAL / sizeof *USUAL)];
    }
}

static int make_action(struct made *made)
{
    return dice(made, 5) == 0 ? JUMP + 1 + (int)dice(made, 4) : (int)dice(made, ACTION_COUNT);
}

static void make_rule(struct made *made, struct made_line *line)
{
    for (int i = 0; i < RESULTS; i++)
        line->actions[i] = dice(made, 4) == 0 ? make_action(made) : UNNAMED;
    if (line->says < RESULTS && dice(made, 3) != 0)
        line->actions[line->says] = make_action(made);
    line->otherwise = dice(made, 8) != 0 ? make_action(made) : UNNAMED;
}

static void make_line(struct made *made, unsigned service, struct made_line *line)
{
    unsigned behind = made->service_count - service - 1;

    *line = (struct made_line){.number = ++made->numbers, .units = UNITS_ANY};
    line->says = make_says(made);
    line->kind = dice(made, 5) < 2 ? RULE : WORD;
    line->word = dice(made, 4);
    if (line->kind == RULE)
        make_rule(made, line);
    if (behind > 0 && dice(made, 4) == 0) {
        line->kind = dice(made, 3) == 0 ? INCLUDE : SUBSTACK;
        line->target = service + 1 + (dice(made, 3) == 0 ? dice(made, behind) : 0);
    }
}

/* A service names only those behind it, so there are no loops. */
static void make(struct made *made, uint64_t seed)
{
    memset(made, 0, sizeof *made);
    made->random = seed;
    made->service_count = 1 + dice(made, 5);
    if (dice(made, 60) == 0)
        made->service_count = 16; /* as deep as it goes: STACK_LEVELS_MAX */
    for (unsigned i = 0; i < made->service_count; i++) {
        unsigned most = made->service_count > 5 ? 3 : i == 0 ? LINES_MAX : 5;
        made->services[i].count = dice(made, 40) == 0 ? 0 : 1 + dice(made, most);
        for (unsigned j = 0; j < made->services[i].count; j++)
            make_line(made, i, &made->services[i].lines[j]);
        if (made->service_count > 5 && i + 1 < made->service_count)
            made->services[i].lines[0] = (struct made_line){
                .kind = SUBSTACK, .number = ++made->numbers, .target = i + 1, .units = UNITS_ANY};
    }
}

/* The lines in the order in which they run, includes in their places. */
struct flat {
    unsigned count;
    struct flat_line {
        struct made_line *line;
        unsigned level;
    } lines[4096];
};

static void flatten(struct made *made, unsigned service, unsigned level, struct flat *flat)
{
    for (unsigned i = 0; i < made->services[service].count; i++) {
        struct made_line *line = &made->services[service].lines[i];
        if (line->kind != INCLUDE && flat->count < 4096)
            flat->lines[flat->count++] = (struct flat_line){line, level};
        if (line->kind == INCLUDE || line->kind == SUBSTACK)
            flatten(made, line->target, level + (line->kind == SUBSTACK), flat);
    }
}

/* How many units each line has behind it, at the fewest of the places where it stands. */
static void count_units(struct flat *flat)
{
    for (unsigned i = 0; i < flat->count; i++) {
        unsigned units = 0;
        for (unsigned j = i + 1; j < flat->count && flat->lines[j].level >= flat->lines[i].level;
             j++)
            units += flat->lines[j].level == flat->lines[i].level;
        if (units < flat->lines[i].line->units)
            flat->lines[i].line->units = units;
    }
}

/* Jumps lead no further than they can, but one in a hundred. */
static void bound_jump(struct made *made, const struct made_line *line, int *action)
{
    if (*action <= JUMP || (unsigned)(*action - JUMP) <= line->units)
        return;
    if (dice(made, 100) == 0)
        made->jumps_too_far = true;
    else
        *action = line->units == 0 ? (int)dice(made, ACTION_COUNT)
                                   : JUMP + 1 + (int)dice(made, line->units);
}

static void bound_jumps(struct made *made, struct flat *flat)
{
    for (unsigned i = 0; i < flat->count; i++) {
        struct made_line *line = flat->lines[i].line;
        if (line->kind != RULE || line->is_bounded)
            continue;
        for (int j = 0; j < RESULTS; j++)
            bound_jump(made, line, &line->actions[j]);
        bound_jump(made, line, &line->otherwise);
        line->is_bounded = true;
    }
}

/* Text of a bounded size. */
struct writing {
    char *text;
    size_t len, size;
};

static void CATLATCH_PRINTF(2, 3) put(struct writing *writing, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len =
        vsnprintf(writing->text + writing->len, writing->size - writing->len, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && (size_t)len < writing->size - writing->len);
    writing->len += (size_t)len;
}

static const char *our_name(int result)
{
    return result == RESULTS - 1 ? "ignore" : result_name((enum catlatch_result)result);
}

static void put_pair(struct writing *writing, const char *name, int action)
{
    if (action > JUMP)
        put(writing, " %s=%d", name, action - JUMP);
    else if (action != UNNAMED)
        put(writing, " %s=%s", name, ACTIONS[action]);
}

static void put_rule(struct writing *writing, const struct made_line *line, bool is_ours)
{
    put(writing, "[");
    for (int i = 0; i < RESULTS; i++)
        put_pair(writing, is_ours ? our_name(i) : PAM_OF[i].name, line->actions[i]);
    put_pair(writing, "default", line->otherwise);
    put(writing, "]");
}

static void put_our_line(struct writing *writing, const struct made_line *line)
{
    int says = line->says >= RESULTS       ? NONSENSE[line->says - RESULTS].ours
               : line->says == RESULTS - 1 ? CATLATCH_IGNORE
                                           : line->says;

    if (line->kind == INCLUDE || line->kind == SUBSTACK) {
        put(writing, "%s = s%u\n", line->kind == INCLUDE ? "include" : "substack", line->target);
        return;
    }
    put(writing, "%s = ", line->kind == RULE ? "rule" : WORDS[line->word]);
    if (line->kind == RULE)
        put_rule(writing, line, true);
    put(writing, " script n=%d r=%d\n", line->number, says);
}

static void put_pam_line(struct writing *writing, const struct made_line *line)
{
    int says = line->says >= RESULTS ? NONSENSE[line->says - RESULTS].pam : PAM_OF[line->says].code;

    put(writing, "auth ");
    if (line->kind == INCLUDE || line->kind == SUBSTACK) {
        put(writing, "%s %s/s%u\n", line->kind == INCLUDE ? "include" : "substack", pam_folder,
            line->target);
        return;
    }
    if (line->kind == RULE)
        put_rule(writing, line, false);
    else
        put(writing, "%s", WORDS[line->word]);
    put(writing, " %s n=%d r=%d\n", pam_module, line->number, says);
}

static void write_file(const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s", pam_folder, name);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_int_not_equal(fputs(text, stream), EOF);
    assert_int_equal(fclose(stream), 0);
}

/* PAM's answer to the service s0 of the files. */
static int pam_answer(void)
{
    const struct pam_conv nobody = {0};
    pam_handle_t *pam = NULL;

    record_clear();
    assert_int_equal(pam_start_confdir("s0", "nobody", &nobody, pam_folder, &pam), PAM_SUCCESS);
    int code = pam_authenticate(pam, PAM_SILENT);
    pam_end(pam, code);
    assert_int_equal(record.lost, 0);
    return code;
}

static int ask_pam(const struct made *made)
{
    static char text[16384];
    char name[16];

    for (unsigned i = 0; i < made->service_count; i++) {
        struct writing writing = {.text = text, .size = sizeof text};
        put(&writing, "# s%u\n", i);
        for (unsigned j = 0; j < made->services[i].count; j++)
            put_pam_line(&writing, &made->services[i].lines[j]);
        snprintf(name, sizeof name, "s%u", i);
        write_file(name, text);
    }
    return pam_answer();
}

static const char *our_text(const struct made *made)
{
    static char text[131072];
    struct writing writing = {.text = text, .size = sizeof text};

    for (unsigned i = 0; i < made->service_count; i++) {
        put(&writing, i == 0 ? "[default]\n" : "[s%u]\n", i);
        for (unsigned j = 0; j < made->services[i].count; j++)
            put_our_line(&writing, &made->services[i].lines[j]);
    }
    return text;
}

static bool an_outage_ran(void)
{
    for (unsigned i = 0; i < record.count; i++) {
        if (record.calls[i].value == PAM_AUTHINFO_UNAVAIL)
            return true;
    }
    return false;
}

/* Of PAM's answer, ours; RESULTS if it is none that was to be expected. */
static int expected_of(int code)
{
    int result = 0;

    while (result < RESULTS && PAM_OF[result].code != code)
        result++;
    return result;
}

/* Where we are stricter; the record is PAM's still. */
static enum catlatch_result made_stricter(int result)
{
    if (result == RESULTS - 1) {
        seen.ignore_denied++; /* PAM_IGNORE grants nobody, and is no reason */
        result = CATLATCH_DENIED;
    }
    if (result != CATLATCH_VALID && result != CATLATCH_UNAVAILABLE && an_outage_ran()) {
        seen.outage_won++;
        result = CATLATCH_UNAVAILABLE;
    }
    return (enum catlatch_result)result;
}

/* What of the stack was run, by the record. */
static void count_calls(const struct flat *flat, bool *ret_all_ignored)
{
    bool ran[SERVICES_MAX * (LINES_MAX + 1) + 1] = {false};

    *ret_all_ignored = record.count > 0;
    for (unsigned i = 0; i < record.count; i++)
        ran[record.calls[i].line] = true;
    for (unsigned i = 0; i < flat->count; i++) {
        const struct made_line *line = flat->lines[i].line;
        seen.levels[flat->lines[i].level]++;
        seen.substacks += line->kind == SUBSTACK;
        seen.nested += line->kind == SUBSTACK && flat->lines[i].level > 0;
        if (!ran[line->number])
            continue;
        int action = line->kind != RULE || line->says >= RESULTS ? UNNAMED
                     : line->actions[line->says] != UNNAMED      ? line->actions[line->says]
                                                                 : line->otherwise;
        seen.calls++;
        seen.words[line->word] += line->kind == WORD;
        seen.nonsense += line->says >= RESULTS;
        if (line->says < RESULTS)
            seen.results[line->says]++;
        seen.unnamed += line->kind == RULE && line->says < RESULTS && action == UNNAMED;
        seen.jumps_run += action > JUMP;
        if (action >= 0 && action < ACTION_COUNT)
            seen.actions[action]++;
        *ret_all_ignored &= line->says == RESULTS - 1 && line->kind == WORD;
    }
}

static void count_outcome(const struct made *made, enum catlatch_result result, bool all_ignored)
{
    seen.stacks++;
    seen.outcomes[result]++;
    seen.empty += record.count == 0;
    seen.all_ignored += all_ignored;
    for (unsigned i = 0; i < made->service_count; i++) {
        for (unsigned j = 0; j < made->services[i].count; j++)
            seen.includes += made->services[i].lines[j].kind == INCLUDE;
    }
}

/* The lines' numbers. */
static void copy_order(char *ret_words, size_t size)
{
    snprintf(ret_words, size, "%s", record_words("v"));
}

static void expect_outcome(const char *text, enum catlatch_result expected, const char *order)
{
    struct stack_service *service = script_open(&world, text);
    struct stack_request request = {.key = "text", .key_len = 4};
    struct stack_trace trace;

    for (int traced = 0; traced < 2; traced++) {
        enum catlatch_result result = script_ask_with(service, &request, traced ? &trace : NULL);
        if (result != expected)
            fail_msg("%s, and PAM says %s%s of\n%s", result_name(result), result_name(expected),
                     traced ? " (traced)" : "", text);
        if (strcmp(record_words("v"), order) != 0)
            fail_msg("ran %s, and PAM ran %s%s of\n%s", record_words("v"), order,
                     traced ? " (traced)" : "", text);
    }
    stack_close(service);
}

/* A jump too far: PAM fails when it comes to it, we when the service is opened. */
static void expect_refused(const char *text)
{
    struct config *config = script_config(&world, text);
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_non_null(strstr(error.text, "jumps over "));
    script_config_free(config);
    seen.refused++;
}

static void compare(uint64_t seed)
{
    static struct made made;
    static struct flat flat;
    static char order[8192];
    bool all_ignored;

    make(&made, seed);
    flat.count = 0;
    flatten(&made, 0, 0, &flat);
    if (flat.count > STACK_LINES_MAX)
        return; /* more than we take; test_loading.c */
    count_units(&flat);
    bound_jumps(&made, &flat);
    if (made.jumps_too_far) {
        expect_refused(our_text(&made));
        return;
    }
    int code = ask_pam(&made);
    int result = expected_of(code);
    if (result == RESULTS)
        fail_msg("PAM answers %d to\n%s", code, our_text(&made));
    enum catlatch_result expected = made_stricter(result);
    count_calls(&flat, &all_ignored);
    count_outcome(&made, expected, all_ignored);
    seen.equal += result == (int)expected;
    copy_order(order, sizeof order);
    expect_outcome(our_text(&made), expected, order);
}

static void print_counts(void)
{
    fprintf(stderr,
            "# %u stacks compared, %u lines run: %u outcomes equal, %u where an outage won, %u "
            "PAM_IGNORE\n# %u refused for a jump, %u ran nothing, %u all ignored, deepest level:",
            seen.stacks, seen.calls, seen.equal, seen.outage_won, seen.ignore_denied, seen.refused,
            seen.empty, seen.all_ignored);
    unsigned deepest = 0;
    for (unsigned i = 0; i <= SERVICES_MAX; i++)
        deepest = seen.levels[i] > 0 ? i : deepest;
    fprintf(stderr, " %u\n# includes %u, substacks %u (in substacks %u), outcomes:", deepest,
            seen.includes, seen.substacks, seen.nested);
    for (int i = 0; i <= CATLATCH_UNAVAILABLE; i++)
        fprintf(stderr, " %s %u", our_name(i), seen.outcomes[i]);
    fprintf(stderr, "\n# run: jumps %u, nonsense %u, not named %u", seen.jumps_run, seen.nonsense,
            seen.unnamed);
    for (int i = 0; i < ACTION_COUNT; i++)
        fprintf(stderr, ", %s %u", ACTIONS[i], seen.actions[i]);
    for (int i = 0; i < 4; i++)
        fprintf(stderr, ", %s %u", WORDS[i], seen.words[i]);
    fprintf(stderr, "\n");
}

/* Each at least this often in the shorter run, too. */
#define ENOUGH 20u

static void expect_that_everything_occurred(void)
{
    assert_true(seen.outage_won >= ENOUGH && seen.ignore_denied >= ENOUGH);
    assert_true(seen.refused >= ENOUGH && seen.empty >= ENOUGH && seen.all_ignored >= ENOUGH);
    assert_true(seen.jumps_run >= ENOUGH && seen.nonsense >= ENOUGH && seen.unnamed >= ENOUGH);
    assert_true(seen.includes >= ENOUGH && seen.substacks >= ENOUGH && seen.nested >= ENOUGH);
    assert_true(seen.levels[15] >= ENOUGH);
    for (int i = 0; i < ACTION_COUNT; i++)
        assert_true(seen.actions[i] >= ENOUGH);
    for (int i = 0; i < 4; i++)
        assert_true(seen.words[i] >= ENOUGH);
    for (int i = 0; i < RESULTS; i++)
        assert_true(seen.results[i] >= ENOUGH);
    for (int i = 0; i <= CATLATCH_UNAVAILABLE; i++)
        assert_true(seen.outcomes[i] >= ENOUGH);
}

static void generated_stacks_have_the_outcome_and_the_order_that_pam_gives_them(void **state)
{
    uint64_t count = getenv("CATLATCH_LONG") != NULL ? STACKS_LONG : STACKS;

    (void)state;
    for (uint64_t i = 0; i < count; i++)
        compare(i * UINT64_C(0x9e3779b97f4a7c15));
    print_counts();
    assert_true(seen.stacks > count / 2);
    expect_that_everything_occurred();
}

/* What PAM says of lines with "$" for its module, and how ours, which are written beside them, are
 * refused. */
static void expect_stricter(const char *pam_lines, int pam_code, const char *pam_ran,
                            const char *our_lines, const char *message)
{
    char text[2048];
    struct writing writing = {.text = text, .size = sizeof text};

    for (const char *at = pam_lines; *at != '\0'; at++) {
        if (*at == '$' || *at == '@')
            put(&writing, "%s", *at == '$' ? pam_module : pam_folder);
        else
            put(&writing, "%c", *at);
    }
    write_file("s0", text);
    assert_int_equal(pam_answer(), pam_code);
    assert_string_equal(record_words("v"), pam_ran);
    snprintf(text, sizeof text, "[default]\n%s", our_lines);
    script_refused(&world, text, CATLATCH_E_CONFIG, message);
}

static void jumps_that_lead_nowhere_fail_in_pam_and_are_refused_here(void **state)
{
    (void)state;
    expect_stricter("auth [success=2 default=die] $ n=1 r=0\nauth required $ n=2 r=0\n",
                    PAM_PERM_DENIED, "v1",
                    "rule = [valid=2 default=die] script\nrequired = script\n",
                    "/t.ini:2: jumps over 2 lines, and 1 stand behind it in its stack");
    /* not even taken: PAM grants */
    expect_stricter("auth required $ n=1 r=0\nauth [success=ok ignore=9 default=die] $ n=2 r=0\n",
                    PAM_SUCCESS, "v1 v2",
                    "required = script\nrule = [valid=ok ignore=9 default=die] script\n",
                    "/t.ini:3: jumps over 9 lines, and 0 stand behind it in its stack");
    expect_stricter("auth [success=0 default=die] $ n=1 r=0\nauth required $ n=2 r=0\n",
                    PAM_PERM_DENIED, "v1 v2",
                    "rule = [valid=0 default=die] script\nrequired = script\n",
                    "/t.ini:2: a jump of \"0\" lines is not from 1 to 63");
}

static void a_jump_does_not_leave_its_substack(void **state)
{
    (void)state;
    write_file("s1", "# s1\n");
    write_file("sub", "");
    char text[512];
    snprintf(text, sizeof text, "auth [success=1 default=die] %s n=1 r=0\n", pam_module);
    write_file("sub", text);
    expect_stricter("auth substack @/sub\nauth optional $ n=2 r=0\nauth required $ n=3 r=0\n",
                    PAM_PERM_DENIED, "v1 v2 v3",
                    "substack = sub\noptional = script\nrequired = script\n"
                    "[sub]\nrule = [valid=1 default=die] script\n",
                    "/t.ini:6: jumps over 1 lines, and 0 stand behind it in its stack");
}

static void what_pam_does_not_know_fails_in_its_way_and_is_refused_here(void **state)
{
    (void)state;
    expect_stricter("auth sometimes $ n=1 r=0\nauth required $ n=2 r=0\n", PAM_PERM_DENIED, "v1 v2",
                    "optionl = script\nrequired = script\n",
                    "/t.ini:2: unknown control \"optionl\"; did you mean \"optional\"?");
    expect_stricter("auth [valid=ok default=die] $ n=1 r=0\nauth required $ n=2 r=0\n",
                    PAM_PERM_DENIED, "v1 v2",
                    "rule = [success=ok default=die] script\nrequired = script\n",
                    "/t.ini:2: \"success\" is no result, nor ignore or default");
    expect_stricter("auth required $ n=1 r=0\nauth include @/nowhere\n", PAM_PERM_DENIED, "v1",
                    "required = script\ninclude = nowhere\n",
                    "/t.ini:3: no [service nowhere] in /t.ini; there is default");
    char message[256];
    snprintf(message, sizeof message,
             "/t.ini:3: unknown module \"nowhere\": there is no %s/nowhere.so", world.modules);
    /* PAM grants: a missing optional module is passed over */
    expect_stricter("auth required $ n=1 r=0\nauth optional @/nowhere.so\n", PAM_SUCCESS, "v1",
                    "required = script\noptional = nowhere\n", message);
    expect_stricter("auth sufficient @/nowhere.so\nauth required $ n=1 r=0\n", PAM_SUCCESS, "v1",
                    "required = script\nsufficient = nowhere\n", message);
}

static void an_outage_is_no_denial_where_pam_forgets_it(void **state)
{
    char text[1024];

    (void)state;
    snprintf(text, sizeof text, "auth optional %s n=1 r=%d\nauth required %s n=2 r=%d\n",
             pam_module, PAM_AUTHINFO_UNAVAIL, pam_module, PAM_USER_UNKNOWN);
    write_file("s0", text);
    assert_int_equal(pam_answer(), PAM_USER_UNKNOWN);
    expect_outcome("[default]\noptional = script n=1 r=unavailable\n"
                   "required = script n=2 r=not_found\n",
                   CATLATCH_UNAVAILABLE, "v1 v2");
}

static void pam_ignore_in_the_end_is_denied_here(void **state)
{
    char text[512];

    (void)state;
    snprintf(text, sizeof text, "auth [ignore=ok default=die] %s n=1 r=%d\n", pam_module,
             PAM_IGNORE);
    write_file("s0", text);
    assert_int_equal(pam_answer(), PAM_IGNORE);
    expect_outcome("[default]\nrule = [ignore=ok default=die] script n=1 r=ignore\n",
                   CATLATCH_DENIED, "v1");
}

static void a_stack_without_lines_denies_as_in_pam(void **state)
{
    (void)state;
    write_file("s0", "# nothing\n");
    assert_int_equal(pam_answer(), PAM_PERM_DENIED);
    expect_outcome("[default]\n", CATLATCH_DENIED, "");
}

static int open_world(void **state)
{
    const char *build = getenv("CATLATCH_BUILD");
    char from[4096];

    (void)state;
    script_world_open(&world);
    snprintf(pam_folder, sizeof pam_folder, "%s/pam", world.folder);
    snprintf(pam_module, sizeof pam_module, "%s/pam_script.so", world.folder);
    snprintf(from, sizeof from, "%s/tests/modules/pam_script.so", build != NULL ? build : "build");
    script_copy(from, pam_module, 0644);
    /* loaded already, it is quicker for PAM to load */
    assert_non_null(dlopen(pam_module, RTLD_NOW));
    assert_int_equal(mkdir(pam_folder, 0755), 0);
    write_file("other", "# what PAM takes where a service has no line; it must be there\n");
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    script_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generated_stacks_have_the_outcome_and_the_order_that_pam_gives_them),
        cmocka_unit_test(jumps_that_lead_nowhere_fail_in_pam_and_are_refused_here),
        cmocka_unit_test(a_jump_does_not_leave_its_substack),
        cmocka_unit_test(what_pam_does_not_know_fails_in_its_way_and_is_refused_here),
        cmocka_unit_test(an_outage_is_no_denial_where_pam_forgets_it),
        cmocka_unit_test(pam_ignore_in_the_end_is_denied_here),
        cmocka_unit_test(a_stack_without_lines_denies_as_in_pam),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
