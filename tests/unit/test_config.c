/* test_config.c - core/config.h: the values of keys, their bounds and their errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_keys.h"
#include "lib_config.h"

static void an_empty_file_gives_the_defaults(void **state)
{
    struct config *config = config_folder_read_text(*state, "");

    assert_string_equal(config->path, ((struct config_folder *)*state)->file);
    assert_string_equal(config->state_dir, CATLATCH_LOCALSTATEDIR "/lib/catlatch");
    assert_string_equal(config->run_dir, CATLATCH_RUNSTATEDIR "/catlatch");
    assert_string_equal(config->admin_dir, CATLATCH_RUNSTATEDIR "/catlatch-admin");
    assert_string_equal(config->user, "");
    assert_string_equal(config->group, "");
    assert_int_equal(config->expected_keys, 1000);
    assert_int_equal(config->heartbeat_interval_ms, 1000);
    assert_int_equal(config->max_stale_ms, 0);
    assert_int_equal(config->cache_size_bytes, 64u << 20);
    assert_int_equal(config->ballast_size_bytes, 64u << 20);
    assert_int_equal(config->checkpoint_interval_ms, 60000);
    assert_int_equal(config->max_clients, 1024);
    assert_int_equal(config->idle_timeout_ms, 0);
    assert_int_equal(config->default_expiry_s, 0);
    assert_int_equal(config->max_expiry_s, 0);
    assert_int_equal(config->max_keys_per_owner, 0);
    assert_int_equal(config->environments.count, 2);
    assert_string_equal(config->environments.list[0].name, "live");
    assert_string_equal(config->environments.list[0].prefix, "cc_live_");
    assert_string_equal(config->environments.list[1].name, "test");
    assert_string_equal(config->environments.list[1].prefix, "cc_test_");
    assert_int_equal(config->service_count, 0);
    assert_int_equal(config->file_count, 1);
    assert_null(config_service(config, "default"));
    config_free(config);
}

/* The value of each number that is written, and those that are refused; NULL ends a list. */
static const struct number_case {
    const char *section;
    const char *name;
    struct {
        const char *text;
        int64_t number;
    } good[6];
    const char *bad[9];
} NUMBERS[] = {
    {"daemon",
     "expected_keys",
     {{"16", 16}, {"5k", 5000}, {"2M", 2000000}, {"100M", 100000000}},
     {"15", "0", "100000001", "101M", "-1", "1.5k", "5K", "never"}},
    {"daemon",
     "heartbeat_interval",
     {{"100ms", 100}, {"1s500ms", 1500}, {"2s", 2000}},
     {"99ms", "2001ms", "0", "1", "never", "soon"}},
    {"daemon",
     "max_stale",
     {{"never", 0}, {"0", 0}, {"5s", 5000}, {"1h30m", 5400000}, {"1y", INT64_C(31536000000)}},
     {"4999ms", "366d", "none", "5", ""}},
    {"daemon",
     "cache_size",
     {{"8M", 8 << 20}, {"8388608", 8388608}, {"64MiB", 64 << 20}, {"64G", INT64_C(64) << 30}},
     {"8388607", "65G", "64MB", "64m", "0", "-8M", "99999999999999999999G"}},
    {"daemon",
     "ballast_size",
     {{"4M", 4 << 20}, {"4096K", 4 << 20}, {"4096KiB", 4 << 20}, {"1GiB", 1 << 30}},
     {"4095K", "1025M", "0", "big"}},
    {"daemon",
     "checkpoint_interval",
     {{"1s", 1000}, {"1d", 86400000}},
     {"999ms", "86401s", "0", "never"}},
    {"daemon", "max_clients", {{"8", 8}, {"65536", 65536}}, {"7", "65537", "1M", "0", "x"}},
    {"daemon",
     "idle_timeout",
     {{"never", 0}, {"1s", 1000}, {"4w", INT64_C(2419200000)}},
     {"999ms", "29d", "1", "no"}},
    {"daemon",
     "usage_flush_interval",
     {{"1s", 1000}, {"1m", 60000}, {"1h", 3600000}},
     {"999ms", "61m", "0", "never"}},
    {"policy",
     "default_expiry",
     {{"never", 0}, {"0", 0}, {"1s", 1}, {"90d", 7776000}, {"100y", INT64_C(3153600000)}},
     {"1500ms", "101y", "90", "none", "2030-01-01", "-1d"}},
    {"policy",
     "max_expiry",
     {{"never", 0}, {"1s", 1}, {"100y", INT64_C(3153600000)}},
     {"500ms", "36501d", "forever"}},
    {"policy",
     "max_keys_per_owner",
     {{"none", 0}, {"0", 0}, {"1", 1}, {"10k", 10000}, {"100M", 100000000}},
     {"100000001", "never", "-1", "1 0"}},
    {"policy",
     "retain_revoked",
     {{"forever", 0}, {"0", 0}, {"1d", 86400}, {"100y", INT64_C(100) * 365 * 86400}},
     {"23h", "never", "101y", "90"}},
    {"policy",
     "disable_unused_after",
     {{"never", 0}, {"0", 0}, {"1d", 86400}, {"100y", INT64_C(100) * 365 * 86400}},
     {"23h", "forever", "101y", "90"}},
    {"audit",
     "retain",
     {{"forever", 0}, {"0", 0}, {"1d", 86400}, {"400d", 400 * 86400}},
     {"23h", "never", "101y", "90"}},
    {"history",
     "minutes",
     {{"never", 0}, {"0", 0}, {"1h", 3600}, {"2d", 2 * 86400}, {"30d", 30 * 86400}},
     {"59m", "31d", "forever", "60"}},
    {"history",
     "hours",
     {{"never", 0}, {"1d", 86400}, {"60d", 60 * 86400}, {"2y", 730 * 86400}},
     {"23h", "731d", "none"}},
    {"history",
     "days",
     {{"never", 0}, {"1d", 86400}, {"2y", 730 * 86400}, {"100y", INT64_C(100) * 365 * 86400}},
     {"23h", "101y", "all"}},
};

static int64_t number_of(const struct config *config, const struct number_case *c)
{
    int64_t number;

    memcpy(&number, (const char *)config + config_key_find(c->section, c->name)->offset,
           sizeof number);
    return number;
}

static void numbers_are_taken_within_their_bounds_and_refused_outside(void **state)
{
    char text[256];
    char message[256];

    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        const struct number_case *c = &NUMBERS[i];
        for (size_t j = 0; c->good[j].text != NULL; j++) {
            struct config *config;
            snprintf(text, sizeof text, "[%s]\n%s = %s\n", c->section, c->name, c->good[j].text);
            config = config_folder_read_text(*state, text);
            assert_int_equal(number_of(config, c), c->good[j].number);
            config_free(config);
        }
        for (size_t j = 0; c->bad[j] != NULL; j++) {
            snprintf(text, sizeof text, "[%s]\n%s = %s\n", c->section, c->name, c->bad[j]);
            snprintf(message, sizeof message, "@/catlatch.ini:2: %s = %s: expected ", c->name,
                     c->bad[j]);
            config_folder_refuses(*state, text, message);
        }
    }
}

static void every_number_of_the_table_has_its_cases_above(void **state)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    size_t numbers = 0;

    (void)state;
    for (size_t i = 0; i < count; i++)
        numbers += keys[i].min != NULL;
    assert_int_equal(numbers, sizeof NUMBERS / sizeof NUMBERS[0]);
}

static void a_number_out_of_bounds_says_the_bounds(void **state)
{
    config_folder_refuses(*state, "[daemon]\nheartbeat_interval = 5s\n",
                          "@/catlatch.ini:2: heartbeat_interval = 5s: expected 100ms to 2s");
    config_folder_refuses(*state, "[daemon]\nmax_stale = 1s\n",
                          "@/catlatch.ini:2: max_stale = 1s: expected 5s to 1y or never");
    config_folder_refuses(
        *state, "[daemon]\ncache_size = lots\n",
        "@/catlatch.ini:2: cache_size = lots: expected a number of bytes such as");
}

static void folders_are_absolute_and_plain(void **state)
{
    struct config *config =
        config_folder_read_text(*state, "[daemon]\nstate_dir = /srv//keys of us/\n"
                                        "run_dir = /run/other/\n");

    assert_string_equal(config->state_dir, "/srv/keys of us");
    assert_string_equal(config->run_dir, "/run/other");
    assert_string_equal(config->admin_dir, "/run/other-admin");
    config_free(config);
    config_folder_refuses(*state, "[daemon]\nstate_dir = keys\n",
                          "@/catlatch.ini:2: state_dir = keys: not the absolute path");
    config_folder_refuses(*state, "[daemon]\nstate_dir =\n",
                          "@/catlatch.ini:2: state_dir = : not the absolute path");
    config_folder_refuses(*state, "[daemon]\nrun_dir = //\n",
                          "@/catlatch.ini:2: run_dir = //: not the absolute path");
    config_folder_refuses(*state, "[daemon]\nrun_dir = /run/../etc\n",
                          "@/catlatch.ini:2: run_dir = /run/../etc: \".\" or \"..\"");
    config_folder_refuses(*state, "[daemon]\nadmin_dir = /run/.\n",
                          "@/catlatch.ini:2: admin_dir = /run/.: \".\" or \"..\"");
}

static void a_folder_for_sockets_is_short_enough_for_their_address(void **state)
{
    char text[512];
    struct config *config;

    snprintf(text, sizeof text, "[daemon]\nadmin_dir = /%092d\nstate_dir = /%0150d\n", 0, 0);
    config = config_folder_read_text(*state, text);
    assert_int_equal(strlen(config->admin_dir), 93);
    config_free(config);
    snprintf(text, sizeof text, "[daemon]\nadmin_dir = /%093d\n", 0);
    config_folder_refuses(*state, text, "@/catlatch.ini:2: admin_dir = /0000");
    snprintf(text, sizeof text, "[daemon]\n\nrun_dir = /%092d\n", 0);
    config_folder_refuses(*state, text, "@/catlatch.ini: default: admin_dir = /0000");
}

static void nothing_secret_lies_in_run_dir(void **state)
{
    struct config *config;

    config_folder_refuses(*state, "[daemon]\nrun_dir = /run/x\nstate_dir = /run/x/state\n",
                          "@/catlatch.ini:3: state_dir lies in run_dir (/run/x)");
    config_folder_refuses(*state, "[daemon]\nadmin_dir = /run/x/\nrun_dir = /run/x\n",
                          "@/catlatch.ini:2: admin_dir lies in run_dir (/run/x)");
    config = config_folder_read_text(*state, "[daemon]\nrun_dir = /run/x\nadmin_dir = /run/xy\n");
    config_free(config);
}

static void unknown_keys_are_refused_with_the_nearest(void **state)
{
    config_folder_refuses(*state, "[policy]\n\nmax_expire = 1d\n",
                          "@/catlatch.ini:3: unknown key \"max_expire\" in [policy]; did you mean "
                          "\"max_expiry\"?");
    config_folder_refuses(*state, "[daemon]\nstatedir = /x\n",
                          "@/catlatch.ini:2: unknown key \"statedir\" in [daemon]; did you mean "
                          "\"state_dir\"?");
    config_folder_refuses(*state, "[daemon]\nmax_expiry = 1d\n",
                          "@/catlatch.ini:2: unknown key \"max_expiry\" in [daemon]; its place is "
                          "[policy]");
    config_folder_refuses(*state, "[access]\nsomething_else = root\n",
                          "@/catlatch.ini:2: unknown key \"something_else\" in [access]; ");
    config_folder_refuses(
        *state, "[policy]\nMax_Expiry = 1d\n",
        "@/catlatch.ini:2: unknown key \"Max_Expiry\" in [policy]; did you mean ");
}

static void unknown_sections_are_refused_with_the_nearest(void **state)
{
    config_folder_refuses(*state, "[deamon]\n",
                          "@/catlatch.ini:1: unknown section [deamon]; did you mean [daemon]?");
    config_folder_refuses(
        *state, "[servce api]\n",
        "@/catlatch.ini:1: unknown section [servce api]; did you mean [service NAME]?");
    config_folder_refuses(
        *state, "\n[http]\n",
        "@/catlatch.ini:2: unknown section [http]; there are [daemon], [access], ");
    config_folder_refuses(*state, "[services]\n", "@/catlatch.ini:1: unknown section [services]; ");
    config_folder_refuses(*state, "[daemon api]\n",
                          "@/catlatch.ini:1: unknown section [daemon api]; ");
}

static void environments_that_are_written_replace_the_default(void **state)
{
    struct config *config;

    config_folder_write(*state, "catlatch.ini",
                        "[environments]\nstaging = stg_\nlive-2 = abcdefg_\n");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/a.ini", "[environments]\nstaging = s__\nx = ab_\n");
    config = config_folder_read(*state);
    assert_int_equal(config->environments.count, 3);
    assert_string_equal(config->environments.list[0].name, "staging");
    assert_string_equal(config->environments.list[0].prefix, "s__");
    assert_string_equal(config->environments.list[1].prefix, "abcdefg_");
    assert_string_equal(config->environments.list[2].name, "x");
    config_free(config);
    config = config_folder_read_text(*state, "[environments]\n");
    assert_int_equal(config->environments.count, 2);
    config_free(config);
}

static void environments_that_would_confuse_are_refused(void **state)
{
    config_folder_refuses(*state, "[environments]\nLive = cc_live_\n",
                          "@/catlatch.ini:2: \"Live\" is no name of an environment");
    config_folder_refuses(
        *state, "[environments]\na23456789012345678901234 = cc_live_\n",
        "@/catlatch.ini:2: \"a23456789012345678901234\" is no name of an environment");
    config_folder_refuses(*state, "[environments]\nlive = cc_live\n",
                          "@/catlatch.ini:2: live = cc_live: no prefix of keys");
    config_folder_refuses(*state, "[environments]\nlive = a_\n",
                          "@/catlatch.ini:2: live = a_: no prefix of keys");
    config_folder_refuses(*state, "[environments]\nlive = abcdefgh_\n",
                          "@/catlatch.ini:2: live = abcdefgh_: no prefix of keys");
    config_folder_refuses(*state, "[environments]\nlive =\n",
                          "@/catlatch.ini:2: live = : no prefix of keys");
    config_folder_refuses(
        *state, "[environments]\na = cc_live_\nb = xx_\nc = cc_\n",
        "@/catlatch.ini:4: c = cc_: a key of it could be one of \"a\" (cc_live_)");
    config_folder_refuses(
        *state, "[environments]\na = cc_\nb = cc_live_\n",
        "@/catlatch.ini:3: b = cc_live_: a key of it could be one of \"a\" (cc_)");
    config_folder_refuses(*state, "[environments]\na = cc_\nb = cc_\n",
                          "@/catlatch.ini:3: b = cc_: a key of it could be one of \"a\" (cc_)");
}

static void a_longest_name_and_the_most_environments_fit(void **state)
{
    char text[2048] = "[environments]\na2345678901234567890123 = zz_\n";
    struct config *config;

    for (unsigned i = 1; i < KEY_ENVIRONMENTS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "e%u = e%02u_\n", i, i);
    config = config_folder_read_text(*state, text);
    assert_int_equal(config->environments.count, KEY_ENVIRONMENTS_MAX);
    config_free(config);
    strcat(text, "one_more = y1_\n");
    config_folder_refuses(*state, text, "@/catlatch.ini:34: more than 32 environments");
}

static void the_default_expiry_is_within_the_longest(void **state)
{
    struct config *config =
        config_folder_read_text(*state, "[policy]\nmax_expiry = 90d\ndefault_expiry = 90d\n");

    config_free(config);
    config_folder_refuses(*state, "[policy]\nmax_expiry = 90d\ndefault_expiry = 91d\n",
                          "@/catlatch.ini:3: default_expiry is longer than max_expiry");
    config_free(config_folder_read_text(*state, "[policy]\nmax_expiry = 90d\n"));
}

#define IN_FOLDER(test) \
    cmocka_unit_test_setup_teardown(test, config_folder_make, config_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(an_empty_file_gives_the_defaults),
        IN_FOLDER(numbers_are_taken_within_their_bounds_and_refused_outside),
        cmocka_unit_test(every_number_of_the_table_has_its_cases_above),
        IN_FOLDER(a_number_out_of_bounds_says_the_bounds),
        IN_FOLDER(folders_are_absolute_and_plain),
        IN_FOLDER(a_folder_for_sockets_is_short_enough_for_their_address),
        IN_FOLDER(nothing_secret_lies_in_run_dir),
        IN_FOLDER(unknown_keys_are_refused_with_the_nearest),
        IN_FOLDER(unknown_sections_are_refused_with_the_nearest),
        IN_FOLDER(environments_that_are_written_replace_the_default),
        IN_FOLDER(environments_that_would_confuse_are_refused),
        IN_FOLDER(a_longest_name_and_the_most_environments_fit),
        IN_FOLDER(the_default_expiry_is_within_the_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
