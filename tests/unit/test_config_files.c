/* test_config_files.c - core/config.h: files, drop-ins, services, reload, and the file we ship. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config_keys.h"
#include "lib_config.h"
#include "stack/lines.h"

#define SHIPPED "etc/catlatch.ini"

static void what_the_text_may_not_be_refuses_the_file(void **state)
{
    config_folder_refuses(*state, "[service a]\nrequired = table\n[valid=ok] = scope\n",
                          "@/catlatch.ini:3: text after the section's ']'");
    config_folder_refuses(*state, "[service a]\nrequired = table\n scope\n",
                          "@/catlatch.ini:3: the line is indented");
    config_folder_refuses(*state, "[daemon]\nmax_clients: 9\n",
                          "@/catlatch.ini:2: ':' does not separate");
    config_folder_refuses(*state, "max_clients = 9\n",
                          "@/catlatch.ini:1: a setting before the first");
    config_folder_refuses(*state, "[daemon]\nmax_clients\n", "@/catlatch.ini:2: text without '='");
}

static void a_key_twice_in_a_file_names_both_lines(void **state)
{
    config_folder_refuses(
        *state, "[daemon]\nmax_clients = 9\nmax_clients = 9\n",
        "@/catlatch.ini:3: \"max_clients\" stands twice in [daemon] of this file, "
        "first in line 2; keep one");
    config_folder_refuses(
        *state, "[daemon]\nmax_clients = 9\n[policy]\n[daemon]\nmax_clients = 8\n",
        "@/catlatch.ini:5: \"max_clients\" stands twice in [daemon] of this file, "
        "first in line 2; keep one");
    config_folder_refuses(*state, "[environments]\nlive = cc_live_\nlive = cc_test_\n",
                          "@/catlatch.ini:3: \"live\" stands twice in [environments] of this file, "
                          "first in line 2; keep one");
}

static void drop_ins_replace_in_the_order_of_their_names(void **state)
{
    struct config *config;

    config_folder_write(*state, "catlatch.ini", "[daemon]\nmax_clients = 10\nexpected_keys = 20\n");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/a.ini", "[daemon]\nmax_clients = 12\nidle_timeout = 1m\n");
    config_folder_write(*state, "conf.d/B.ini", "[daemon]\nmax_clients = 11\nidle_timeout = 2m\n");
    config = config_folder_read(*state);
    assert_int_equal(config->max_clients, 12);
    assert_int_equal(config->idle_timeout_ms, 60000);
    assert_int_equal(config->expected_keys, 20);
    assert_int_equal(config->file_count, 3);
    assert_non_null(strstr(config->files[1], "/conf.d/B.ini"));
    assert_non_null(strstr(config->files[2], "/conf.d/a.ini"));
    config_free(config);
}

static void other_files_beside_the_drop_ins_are_left_alone(void **state)
{
    struct config *config;

    config_folder_write(*state, "catlatch.ini", "");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/.hidden.ini", "nonsense");
    config_folder_write(*state, "conf.d/.ini", "nonsense");
    config_folder_write(*state, "conf.d/a.ini~", "nonsense");
    config_folder_write(*state, "conf.d/a.ini.dpkg-old", "nonsense");
    config_folder_write(*state, "conf.d/README", "nonsense");
    config = config_folder_read(*state);
    assert_int_equal(config->file_count, 1);
    config_free(config);
}

static void an_error_in_a_drop_in_refuses_all_and_names_it(void **state)
{
    config_folder_write(*state, "catlatch.ini", "[daemon]\nmax_clients = 10\n");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/a.ini", "[daemon]\n\nmax_clients = 1\n");
    config_folder_fails(*state, CATLATCH_E_CONFIG, "@/conf.d/a.ini:3: max_clients = 1: expected");
    config_folder_write(*state, "conf.d/a.ini", "max_clients = 10\n");
    config_folder_fails(*state, CATLATCH_E_CONFIG, "@/conf.d/a.ini:1: a setting before the first");
    config_folder_write(*state, "conf.d/a.ini", "");
    config_folder_add(*state, "conf.d/b.ini");
    config_folder_fails(*state, CATLATCH_E_IO, "@/conf.d/b.ini");
}

static void expect_unsafe(const struct config_folder *folder, const char *name, mode_t bad,
                          mode_t good)
{
    char path[256];
    struct config *config = CONFIG_UNTOUCHED;
    struct error error = {.text = ""};

    config_folder_path(folder, name, path);
    assert_int_equal(chmod(path, bad), 0);
    assert_int_equal(config_read(folder->file, &config, &error), CATLATCH_E_PERMISSION);
    assert_ptr_equal(config, CONFIG_UNTOUCHED);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(chmod(path, good), 0);
    config_free(config_folder_read(folder));
}

static void files_that_others_can_write_are_refused(void **state)
{
    config_folder_write(*state, "catlatch.ini", "");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/a.ini", "");
    expect_unsafe(*state, "catlatch.ini", 0646, 0644);
    expect_unsafe(*state, "catlatch.ini", 0664, 0644);
    expect_unsafe(*state, "conf.d/a.ini", 0646, 0644);
    expect_unsafe(*state, "conf.d", 0777, 0755);
    expect_unsafe(*state, "conf.d", 0775, 0755);
    expect_unsafe(*state, "", 0777, 0755);
}

static void a_folder_of_drop_ins_that_others_can_write_is_refused_though_empty(void **state)
{
    config_folder_write(*state, "catlatch.ini", "");
    config_folder_add(*state, "conf.d");
    expect_unsafe(*state, "conf.d", 0777, 0755);
}

static void files_that_cannot_be_had_are_errors(void **state)
{
    struct config_folder *folder = *state;
    char path[256];

    config_folder_fails(folder, CATLATCH_E_NOT_FOUND, "@/catlatch.ini");
    config_folder_add(folder, "catlatch.ini");
    config_folder_fails(folder, CATLATCH_E_IO, "@/catlatch.ini");
    config_folder_path(folder, "catlatch.ini", path);
    assert_int_equal(rmdir(path), 0);
    config_folder_write(folder, "catlatch.ini", "");
    config_folder_write(folder, "conf.d", "no folder");
    config_folder_fails(folder, CATLATCH_E_IO, "@/conf.d: cannot list the drop-ins");
    config_folder_path(folder, "conf.d", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    config_folder_fails(folder, CATLATCH_E_NOT_FOUND, "@/");
}

static void a_relative_path_is_made_absolute(void **state)
{
    const struct config_folder *folder = *state;
    char *before = getcwd(NULL, 0);
    struct config *config = CONFIG_UNTOUCHED;
    int r;

    assert_non_null(before);
    config_folder_write(folder, "catlatch.ini", "[daemon]\nmax_clients = 33\n");
    assert_int_equal(chdir(folder->path), 0);
    r = config_read("catlatch.ini", &config, NULL);
    assert_int_equal(chdir(before), 0);
    free(before);
    assert_int_equal(r, 0);
    assert_string_equal(config->path, folder->file);
    assert_int_equal(config->max_clients, 33);
    config_free(config);
}

static void services_keep_their_lines_in_order_with_repetitions(void **state)
{
    struct config *config = config_folder_read_text(
        *state, "[service a.b-c_D]\nrequired = table\nrequired = table\nxyz=environment live\n"
                "[service empty]\n");
    const struct config_service *service = config_service(config, "a.b-c_D");

    assert_non_null(service);
    assert_int_equal(service->line, 1);
    assert_int_equal(service->rule_count, 3);
    assert_string_equal(service->rules[1].control, "required");
    assert_string_equal(service->rules[1].text, "table");
    assert_string_equal(service->rules[2].control, "xyz");
    assert_string_equal(service->rules[2].text, "environment live");
    assert_int_equal(service->rules[2].line, 4);
    assert_string_equal(service->rules[2].file, config->path);
    assert_int_equal(config_service(config, "empty")->rule_count, 0);
    assert_null(config_service(config, "other"));
    config_free(config);
}

static void a_service_ends_where_the_next_section_begins(void **state)
{
    struct config *config = config_folder_read_text(
        *state, "[service a]\nrequired = table\n[daemon]\nmax_clients = 9\n[service b]\n"
                "required = format\n[environments]\nx = xx_\n");

    assert_int_equal(config->service_count, 2);
    assert_int_equal(config_service(config, "a")->rule_count, 1);
    assert_int_equal(config_service(config, "b")->rule_count, 1);
    assert_int_equal(config->max_clients, 9);
    assert_string_equal(config->environments.list[0].prefix, "xx_");
    config_free(config);
}

static void a_service_stands_once_altogether(void **state)
{
    config_folder_refuses(*state, "[service a]\n[daemon]\n[service a]\n",
                          "@/catlatch.ini:3: [service a] stands in ");
    config_folder_write(*state, "catlatch.ini", "\n[service a]\nrequired = table\n");
    config_folder_add(*state, "conf.d");
    config_folder_write(*state, "conf.d/x.ini", "[service  a]\n");
    config_folder_fails(*state, CATLATCH_E_CONFIG,
                        "@/conf.d/x.ini:1: [service a] stands in @/catlatch.ini:2 already");
}

static void services_without_a_proper_name_are_refused(void **state)
{
    static const char *const BAD[] = {"", " ", " a b", " a/b", " \xC3\xA4"};

    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "[service%s]\n", BAD[i]);
        config_folder_refuses(*state, text, "@/catlatch.ini:1: \"");
    }
}

static void a_reload_may_change_all_but_what_needs_a_restart(void **state)
{
    static const char *const FIXED[] = {"state_dir = /a",   "run_dir = /b", "admin_dir = /c",
                                        "user = root",      "group = root", "cache_size = 9M",
                                        "ballast_size = 9M"};
    struct config *running = config_folder_read_text(*state, "");
    struct config *fresh = config_folder_read_text(
        *state, "[daemon]\nexpected_keys = 2k\nheartbeat_interval = 2s\nmax_stale = 1h\n"
                "checkpoint_interval = 2m\nmax_clients = 8\nidle_timeout = 1m\n[access]\n"
                "admin = 1\n[environments]\na = aa_\n[policy]\nmax_keys_per_owner = 3\n"
                "[service a]\nrequired = table\n");
    struct error error = {.text = ""};

    assert_int_equal(config_reload_check(running, fresh, &error), 0);
    config_free(fresh);
    for (size_t i = 0; i < sizeof FIXED / sizeof FIXED[0]; i++) {
        char text[64];
        char name[32] = "";
        snprintf(text, sizeof text, "[daemon]\n%s\n", FIXED[i]);
        memcpy(name, FIXED[i], strcspn(FIXED[i], " "));
        fresh = config_folder_read_text(*state, text);
        assert_int_equal(config_reload_check(running, fresh, &error), CATLATCH_E_CONFIG);
        assert_non_null(strstr(error.text, name));
        assert_non_null(strstr(error.text, "restart"));
        config_free(fresh);
    }
    config_free(running);
}

/* The shipped file; with the ';' taken from its settings if told. Freed by the caller. */
static char *shipped_text(bool uncommented)
{
    FILE *in = fopen(SHIPPED, "r");
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    char line[512];

    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in) != NULL)
        assert_true(fputs(line + (uncommented && line[0] == ';'), out) >= 0);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct config *config_without_accounts(const struct config_folder *folder, const char *text)
{
    struct config *config = CONFIG_UNTOUCHED;
    struct error error = {.text = ""};

    config_folder_write(folder, "catlatch.ini", text);
    if (config_read_without_accounts(folder->file, &config, &error) != 0)
        fail_msg("refused: %s", error.text);
    return config;
}

static size_t value_size(enum config_type type)
{
    switch (type) {
    case CONFIG_PATH:
    case CONFIG_SOCKET_DIR:
        return PATH_MAX;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_MS:
    case CONFIG_S:
        return sizeof(int64_t);
    case CONFIG_USER:
    case CONFIG_GROUP:
        return sizeof((struct config *)NULL)->user;
    case CONFIG_PRINCIPALS:
        return sizeof(struct config_principals);
    case CONFIG_ADDRESS:
        return sizeof(enum config_address);
    }
    return 0;
}

static void expect_same_lines(const struct config *a, const struct config *b)
{
    struct lines left, right;

    assert_int_equal(lines_read(a, "default", &left, NULL), 0);
    assert_int_equal(lines_read(b, "default", &right, NULL), 0);
    assert_int_equal(left.count, right.count);
    for (unsigned i = 0; i < left.count; i++) {
        assert_string_equal(left.list[i]->rule->control, right.list[i]->rule->control);
        assert_string_equal(left.list[i]->rule->text, right.list[i]->rule->text);
    }
    lines_free(&left);
    lines_free(&right);
}

static void expect_equal(const struct config *a, const struct config *b)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        if (memcmp((const char *)a + keys[i].offset, (const char *)b + keys[i].offset,
                   value_size(keys[i].type)) != 0)
            fail_msg("[%s] %s differs", keys[i].section, keys[i].name);
    }
    assert_memory_equal(&a->environments, &b->environments, sizeof a->environments);
    expect_same_lines(a, b);
}

static void the_shipped_file_says_what_an_empty_one_does(void **state)
{
    char *text = shipped_text(false);
    struct config *shipped = config_folder_read_text(*state, text);
    struct config *empty = config_folder_read_text(*state, "");

    expect_equal(shipped, empty);
    assert_int_equal(shipped->service_count, 0);
    config_free(shipped);
    config_free(empty);
    free(text);
}

static void the_shipped_file_uncommented_says_the_same(void **state)
{
    /* The folders as they are in the file: a build for another PREFIX has other defaults. */
    static const char FOLDERS[] =
        "[daemon]\nstate_dir = /var/lib/catlatch\nrun_dir = /run/catlatch\n";
    char *text = shipped_text(true);
    struct config *uncommented = config_without_accounts(*state, text);
    struct config *empty = config_without_accounts(*state, FOLDERS);

    expect_equal(uncommented, empty);
    assert_int_equal(uncommented->service_count, 1);
    assert_int_equal(uncommented->environments.count, 2);
    config_free(uncommented);
    config_free(empty);
    free(text);
}

/* Accounts cannot be compared as values where they do not exist, so the text is. */
static void the_shipped_file_shows_each_key_with_its_default(void **state)
{
    char *text = shipped_text(false);
    size_t count;
    const struct config_key *keys = config_keys(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        bool is_path = keys[i].type == CONFIG_PATH || keys[i].type == CONFIG_SOCKET_DIR;
        const char *initial = is_path ? "/" : keys[i].initial;
        char header[64];
        char line[128];
        const char *section;
        const char *found;
        snprintf(header, sizeof header, "\n[%s]\n", keys[i].section);
        snprintf(line, sizeof line, "\n;%s =%s%s%s", keys[i].name, *initial != '\0' ? " " : "",
                 initial, is_path ? "" : "\n");
        section = strstr(text, header);
        assert_non_null(section);
        found = strstr(section, line);
        if (found == NULL ||
            (strstr(section + 1, "\n[") != NULL && strstr(section + 1, "\n[") < found))
            fail_msg(SHIPPED " does not show%s in [%s]", line, keys[i].section);
    }
    free(text);
}

#define IN_FOLDER(test) \
    cmocka_unit_test_setup_teardown(test, config_folder_make, config_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_the_text_may_not_be_refuses_the_file),
        IN_FOLDER(a_key_twice_in_a_file_names_both_lines),
        IN_FOLDER(drop_ins_replace_in_the_order_of_their_names),
        IN_FOLDER(other_files_beside_the_drop_ins_are_left_alone),
        IN_FOLDER(an_error_in_a_drop_in_refuses_all_and_names_it),
        IN_FOLDER(files_that_others_can_write_are_refused),
        IN_FOLDER(a_folder_of_drop_ins_that_others_can_write_is_refused_though_empty),
        IN_FOLDER(files_that_cannot_be_had_are_errors),
        IN_FOLDER(a_relative_path_is_made_absolute),
        IN_FOLDER(services_keep_their_lines_in_order_with_repetitions),
        IN_FOLDER(a_service_ends_where_the_next_section_begins),
        IN_FOLDER(a_service_stands_once_altogether),
        IN_FOLDER(services_without_a_proper_name_are_refused),
        IN_FOLDER(a_reload_may_change_all_but_what_needs_a_restart),
        IN_FOLDER(the_shipped_file_says_what_an_empty_one_does),
        IN_FOLDER(the_shipped_file_uncommented_says_the_same),
        cmocka_unit_test(the_shipped_file_shows_each_key_with_its_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
