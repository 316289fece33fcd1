/*
 * test_loading.c - what opens, and what is refused: modules and their files, the lines that name
 * them, and services in services. Every refusal says where and why.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/error.h"
#include "lib_script.h"
#include "stack/check.h"
#include "stack/registry.h"
#include "tests/unit/lib_config.h"
#include "tests/unit/lib_latch.h"

#define FOREIGN_UID 65534

static struct script_world world;

/* What happens between the opening of a file and the look at its name: NULL, or done once. */
static void (*meanwhile)(void);

/* In place of libc's, which only the registry calls. */
int lstat(const char *restrict path, struct stat *restrict ret_status)
{
    void (*act)(void) = meanwhile;

    meanwhile = NULL;
    if (act != NULL)
        act();
    return fstatat(AT_FDCWD, path, ret_status, AT_SYMLINK_NOFOLLOW);
}

/* Refused with a message in which '@' is the modules' folder. */
static void refused(const char *text, int code, const char *message)
{
    char expected[1024] = "";
    size_t len = 0;

    for (; *message != '\0'; message++)
        len +=
            (size_t)snprintf(expected + len, sizeof expected - len, "%.*s",
                             *message == '@' ? 80 : 1, *message == '@' ? world.modules : message);
    script_refused(&world, text, code, expected);
}

/* The service of one line, NAME and its arguments, after one that is fine. */
static void refused_line(const char *line, int code, const char *message)
{
    char text[4096], placed[1024];

    snprintf(text, sizeof text, "[default]\nrequired = script n=1\n%s\n", line);
    snprintf(placed, sizeof placed, "/t.ini:3: %s", message);
    refused(text, code, placed);
}

/* The same for a module of this name whose message only begins so. */
static void refused_module(const char *name, int code, const char *message)
{
    char text[256], expected[1024];
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    snprintf(text, sizeof text, "[default]\nrequired = %s\n", name);
    snprintf(expected, sizeof expected, "/t.ini:2: %s", message);
    struct config *config = script_config(&world, text);
    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, &error), code);
    assert_null(service);
    if (strncmp(error.text, expected, strlen(expected)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", error.text, expected);
    script_config_free(config);
}

static void opens(const char *text)
{
    stack_close(script_open(&world, text));
}

static void an_unknown_module_is_named_with_what_was_meant(void **state)
{
    (void)state;
    refused_line("required = tabel", CATLATCH_E_CONFIG,
                 "unknown module \"tabel\" (there is no @/tabel.so); did you mean \"table\"?");
    refused_line("required = holiday", CATLATCH_E_CONFIG,
                 "unknown module \"holiday\": there is no @/holiday.so");
    refused_line("required = format", CATLATCH_E_CONFIG,
                 "unknown module \"format\": there is no @/format.so");
}

static void a_module_that_is_missing_is_an_error_whatever_its_control(void **state)
{
    static const char *const CONTROLS[] = {
        "requisite = ", "sufficient = ", "optional = ", "rule = [default=ignore] "};
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof CONTROLS / sizeof *CONTROLS; i++) {
        snprintf(line, sizeof line, "%sholiday", CONTROLS[i]);
        refused_line(line, CATLATCH_E_CONFIG,
                     "unknown module \"holiday\": there is no @/holiday.so");
    }
}

static void a_name_that_could_lead_elsewhere_is_no_name(void **state)
{
    static const char *const NAMES[] = {
        "../modules/script",
        "a/b",
        "/etc/passwd",
        "script.so",
        ".",
        "..",
        "Script",
        "scr\xc3\xadpt",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg"};
    char line[128], message[256];

    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        snprintf(line, sizeof line, "required = %s", NAMES[i]);
        snprintf(message, sizeof message, "\"%s\" is no name of a module: 1 to 64 of a-z 0-9 _ -",
                 NAMES[i]);
        refused_line(line, CATLATCH_E_CONFIG, message);
    }
}

static void no_name_is_none(void **state)
{
    const struct catlatch_module *module = NULL;
    struct error error = {.text = ""};

    (void)state;
    assert_int_equal(registry_load(world.modules, "", &module, &error), CATLATCH_E_CONFIG);
    assert_string_equal(error.text, "\"\" is no name of a module: 1 to 64 of a-z 0-9 _ -");
    assert_int_equal(registry_check(world.modules, "../script", NULL), CATLATCH_E_CONFIG);
    assert_int_equal(registry_check(world.modules, "nowhere", NULL), CATLATCH_E_NOT_FOUND);
    assert_int_equal(registry_check(world.modules, "script", NULL), 0);
    assert_null(module);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    const struct catlatch_module *module = NULL;
    char folder[PATH_MAX];

    (void)state;
    memset(folder, 'a', sizeof folder - 5);
    folder[0] = '/';
    folder[sizeof folder - 5] = '\0';
    assert_int_equal(registry_load(folder, "script", &module, NULL), CATLATCH_E_CONFIG);
    assert_null(module);
}

static void a_descriptor_that_is_not_as_the_header_says_is_refused(void **state)
{
    static const struct {
        const char *name, *message;
    } MODULES[] = {
        {"wrong_abi", "@/wrong_abi.so: built for ABI 2 of modules, and this is 1; build it anew"},
        {"wrong_size", "@/wrong_size.so: not a module as catlatch_module.h says (its size, flags "
                       "or name)"},
        {"wrong_flags", "@/wrong_flags.so: not a module as catlatch_module.h says (its size, flags "
                        "or name)"},
        {"wrong_state", "@/wrong_state.so: not a module as catlatch_module.h says (its size, flags "
                        "or name)"},
        {"no_name", "@/no_name.so: not a module as catlatch_module.h says (its size, flags or "
                    "name)"},
        {"wrong_name", "@/wrong_name.so: calls itself \"another_name\""},
        {"no_descriptor", "@/no_descriptor.so: not a module: no \"catlatch_module\" in it"},
    };
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof MODULES / sizeof *MODULES; i++) {
        script_install(&world, MODULES[i].name);
        snprintf(line, sizeof line, "optional = %s", MODULES[i].name);
        for (int times = 0; times < 3; times++)
            refused_line(line, CATLATCH_E_CONFIG, MODULES[i].message);
    }
    script_install(&world, "most_state");
    opens("[default]\nrequired = most_state\n");
}

static void write_module(const char *name, const char *bytes, size_t len)
{
    char path[160];

    script_path(&world, name, path);
    unlink(path);
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, len, stream), len);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static void what_cannot_be_loaded_is_refused_with_the_reason(void **state)
{
    char message[256], path[160];

    (void)state;
    write_module("text", "#!/bin/sh\nexit 0\n", 17);
    snprintf(message, sizeof message, "%s/text.so: cannot be loaded: ", world.modules);
    refused_module("text", CATLATCH_E_CONFIG, message);
    write_module("empty", "", 0);
    snprintf(message, sizeof message, "%s/empty.so: cannot be loaded: ", world.modules);
    refused_module("empty", CATLATCH_E_CONFIG, message);
    write_module("cut", "\177ELF\2\1\1", 7);
    snprintf(message, sizeof message, "%s/cut.so: cannot be loaded: ", world.modules);
    refused_module("cut", CATLATCH_E_CONFIG, message);
    script_install(&world, "unresolved");
    snprintf(message, sizeof message, "%s/unresolved.so: cannot be loaded: ", world.modules);
    refused_module("unresolved", CATLATCH_E_CONFIG, message);
    script_path(&world, "folder", path);
    assert_int_equal(mkdir(path, 0755), 0);
    refused_module("folder", CATLATCH_E_IO, path);
    script_path(&world, "fifo", path);
    assert_int_equal(mkfifo(path, 0644), 0);
    assert_int_equal(chmod(path, 0644), 0);
    refused_module("fifo", CATLATCH_E_IO, path);
}

static void a_symbolic_link_is_no_module(void **state)
{
    char path[160];

    (void)state;
    script_path(&world, "linked", path);
    assert_int_equal(symlink("script.so", path), 0);
    refused_line("required = linked", CATLATCH_E_PERMISSION,
                 "@/linked.so: a symbolic link; put the module itself there");
}

static void the_folder_of_modules_may_be_reached_by_a_link(void **state)
{
    const struct catlatch_module *module = NULL;
    char path[160];

    (void)state;
    snprintf(path, sizeof path, "%s/link", world.folder);
    assert_int_equal(symlink("modules", path), 0);
    assert_int_equal(registry_load(path, "script", &module, NULL), 0);
    assert_string_equal(module->name, "script");
}

static void replace_script(void)
{
    script_install(&world, "script");
}

static void a_file_that_changes_while_it_is_being_opened_is_not_loaded(void **state)
{
    (void)state;
    meanwhile = replace_script;
    refused("[default]\nrequired = script\n", CATLATCH_E_PERMISSION,
            "/t.ini:2: @/script.so: was replaced while it was being opened; try again");
    opens("[default]\nrequired = script\n");
}

static void expect_unsafe(const char *path, mode_t mode, const char *why)
{
    char message[512];
    struct stat before;

    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(chmod(path, mode), 0);
    snprintf(message, sizeof message, "%s is writable by %s", path, why);
    struct config *config = script_config(&world, "[default]\noptional = script\n");
    for (int host = STACK_HOST_ANY; host <= STACK_HOST_DAEMON; host++) {
        struct stack_service *service = NULL;
        struct error error = {.text = ""};
        assert_int_equal(stack_open(config, "default", (enum stack_host)host, &service, &error),
                         CATLATCH_E_PERMISSION);
        assert_memory_equal(error.text, "/t.ini:2: ", 10);
        assert_non_null(strstr(error.text, message));
        assert_null(service);
    }
    script_config_free(config);
    assert_int_equal(chmod(path, before.st_mode & 07777), 0);
    opens("[default]\noptional = script\n");
}

static void what_others_can_write_is_not_loaded(void **state)
{
    char path[160];

    (void)state;
    script_path(&world, "script", path);
    expect_unsafe(path, 0664, "its group");
    expect_unsafe(path, 0646, "everybody");
    expect_unsafe(world.modules, 0775, "its group");
    expect_unsafe(world.modules, 0757, "everybody");
    expect_unsafe(world.folder, 0777, "its group and everybody");
}

static void expect_foreign(const char *path)
{
    char message[512];
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    assert_int_equal(chown(path, FOREIGN_UID, 0), 0);
    snprintf(message, sizeof message, "%s belongs to user %d", path, FOREIGN_UID);
    struct config *config = script_config(&world, "[default]\noptional = script\n");
    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, message));
    assert_null(service);
    script_config_free(config);
    assert_int_equal(chown(path, 0, 0), 0);
    opens("[default]\noptional = script\n");
}

static void what_belongs_to_somebody_else_is_not_loaded(void **state)
{
    char path[160];

    (void)state;
    if (geteuid() != 0) {
        print_message("# skipped: only root can give a file away\n");
        skip();
    }
    script_path(&world, "script", path);
    expect_foreign(path);
    expect_foreign(world.modules);
    expect_foreign(world.folder);
}

/* twin.so, a new file by rename or written over in place, that says `letter`. */
static void install_twin(char letter, bool in_place)
{
    static const char MARK[] = "THE TWIN IS ";
    char path[160], fresh[160];
    static char bytes[1 << 20];

    if (!in_place)
        script_install(&world, "twin");
    script_path(&world, "twin", path);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    size_t len = fread(bytes, 1, sizeof bytes, stream);
    assert_true(len > 0 && len < sizeof bytes);
    assert_int_equal(fclose(stream), 0);
    char *found = memmem(bytes, len, MARK, strlen(MARK));
    assert_non_null(found);
    found[strlen(MARK)] = letter;
    script_path(&world, in_place ? "twin" : "fresh", fresh);
    stream = fopen(fresh, in_place ? "r+b" : "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, len, stream), len);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(chmod(fresh, 0644), 0);
    if (!in_place)
        assert_int_equal(rename(fresh, path), 0);
}

static char letter_of(struct stack_service *service)
{
    assert_int_equal(script_ask(service), CATLATCH_VALID);
    return record.message[0];
}

/* Descriptors are closed after each load, so all are loaded under one number. */
static void a_file_that_was_replaced_is_loaded_as_what_it_is_beside_the_old_one(void **state)
{
    struct stack_service *services[26];

    (void)state;
    for (int i = 0; i < 26; i++) {
        install_twin((char)('A' + i), false);
        services[i] = script_open(&world, "[default]\nrequired = twin\n");
        assert_int_equal(letter_of(services[i]), 'A' + i);
    }
    for (int i = 0; i < 26; i++) {
        assert_int_equal(letter_of(services[i]), 'A' + i);
        stack_close(services[i]);
    }
    struct stack_service *service = script_open(&world, "[default]\nrequired = twin\n");
    assert_int_equal(letter_of(service), 'Z');
    stack_close(service);
}

static void one_file_is_loaded_once_whatever_its_mode_and_name(void **state)
{
    const struct catlatch_module *first = NULL, *second = NULL;
    char path[160], other[160];

    (void)state;
    script_install(&world, "twin");
    script_path(&world, "twin", path);
    assert_int_equal(registry_load(world.modules, "twin", &first, NULL), 0);
    assert_int_equal(chmod(path, 0755), 0);
    script_path(&world, "twin2", other);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(registry_load(world.modules, "twin", &second, NULL), 0);
    assert_ptr_equal(first, second);
    assert_int_equal(unlink(path), 0);
    refused_line("required = twin2", CATLATCH_E_CONFIG, "@/twin2.so: calls itself \"twin\"");
    assert_int_equal(rename(other, path), 0);
    assert_int_equal(registry_load(world.modules, "twin", &second, NULL), 0);
    assert_ptr_equal(first, second);
}

static void set_written(const char *name, time_t when)
{
    char path[160];
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    script_path(&world, name, path);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_file_that_was_written_over_while_it_runs_is_refused(void **state)
{
    (void)state;
    script_install(&world, "twin");
    set_written("twin", 1000);
    struct stack_service *service = script_open(&world, "[default]\nrequired = twin\n");
    assert_int_equal(letter_of(service), 'A');
    install_twin('B', true);
    refused_line("required = twin", CATLATCH_E_CONFIG,
                 "@/twin.so: was written over while this process runs it; put a new file in its "
                 "place, as install and mv do, and start this program anew");
    install_twin('C', false);
    struct stack_service *fresh = script_open(&world, "[default]\nrequired = twin\n");
    assert_int_equal(letter_of(fresh), 'C');
    stack_close(fresh);
    stack_close(service);
}

/* It is not what runs, so it may be written over. */
static void a_module_that_was_refused_can_be_mended_in_its_place(void **state)
{
    char from[160], path[160];

    (void)state;
    script_install(&world, "twin");
    install_twin('D', false);
    script_path(&world, "twin", from);
    script_path(&world, "mended", path);
    script_copy(from, path, 0644);
    refused_line("required = mended", CATLATCH_E_CONFIG, "@/mended.so: calls itself \"twin\"");
    assert_int_equal(latch_mappings("mended.so"), 0);
    assert_int_equal(unlink(from), 0);
    assert_int_equal(rename(path, from), 0);
    install_twin('E', true);
    struct stack_service *service = script_open(&world, "[default]\nrequired = twin\n");
    assert_int_equal(letter_of(service), 'E');
    stack_close(service);
}

/* Unloaded and loaded again it would have forgotten which paths the C library knows. */
static void the_library_stays_where_it_was_loaded_once(void **state)
{
    const char *build = getenv("CATLATCH_BUILD");
    char path[PATH_MAX];

    (void)state;
    snprintf(path, sizeof path, "%s/libcatlatch.so", build != NULL ? build : "build");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    assert_int_equal(dlclose(handle), 0);
    assert_non_null(dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD));
}

static void an_init_that_refuses_is_quoted_with_its_line(void **state)
{
    (void)state;
    script_install(&world, "refuses");
    refused_line("optional = refuses code=-3 message=because", CATLATCH_E_CONFIG,
                 "refuses: because");
    refused_line("required = refuses code=-4", CATLATCH_E_PERMISSION, "refuses: refused to start");
    refused_line("required = refuses code=-1 message=memory", CATLATCH_E_MEMORY, "refuses: memory");
    refused_line("required = refuses code=1 message=odd", CATLATCH_E_CONFIG, "refuses: odd");
    refused_line("required = refuses code=-13 message=odd", CATLATCH_E_CONFIG, "refuses: odd");
    refused_line("required = refuses code=-3 lines", CATLATCH_E_CONFIG, "refuses: one?two");
    refused_module("refuses code=-3 long", CATLATCH_E_CONFIG, "refuses: aaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void a_module_without_init_takes_no_arguments(void **state)
{
    (void)state;
    script_install(&world, "most_state");
    refused_line("required = most_state live", CATLATCH_E_CONFIG,
                 "\"live\": most_state takes no arguments");
    refused_line("required = most_state live=1 x", CATLATCH_E_CONFIG,
                 "\"live\": most_state takes no arguments");
}

static void there_are_up_to_64_arguments(void **state)
{
    char line[512] = "required = script", text[600];

    (void)state;
    for (int i = 0; i < 64; i++)
        strcat(line, i % 2 == 0 ? " a" : "\t b=c");
    snprintf(text, sizeof text, "[default]\n%s\n", line);
    opens(text);
    strcat(line, " d");
    refused_line(line, CATLATCH_E_CONFIG, "script has more than 64 arguments");
}

static void a_host_that_must_not_wait_refuses_a_module_that_may(void **state)
{
    struct config *config =
        script_config(&world, "[default]\ninclude = sub\n[sub]\noptional = script_blocks\n");
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    (void)state;
    assert_int_equal(stack_open(config, "default", STACK_HOST_LOOP, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_string_equal(error.text,
                        "/t.ini:4: script_blocks may wait, and this program serves many from one "
                        "loop; leave it out of the services of such programs");
    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, &error), 0);
    stack_close(service);
    script_config_free(config);
}

static void the_daemon_runs_no_code_but_stock_and_says_that_it_cannot_tell(void **state)
{
    struct config *config =
        script_config(&world, "[default]\nsufficient = script\n[bad]\nrequired = nowhere\n");
    struct stack_service *service = NULL;

    (void)state;
    record_clear();
    assert_int_equal(stack_open(config, "default", STACK_HOST_DAEMON, &service, NULL), 0);
    assert_int_equal(script_ask(service), CATLATCH_UNAVAILABLE);
    assert_int_equal(record.count, 0);
    stack_close(service);
    assert_int_equal(stack_open(config, "bad", STACK_HOST_DAEMON, &service, NULL),
                     CATLATCH_E_CONFIG);
    script_config_free(config);
}

static void all_services_are_checked(void **state)
{
    struct error error = {.text = ""};
    struct config *config =
        script_config(&world, "[default]\nrequired = script\n[a]\n\n[b]\nrequired = nowhere\n");

    (void)state;
    assert_int_equal(stack_check(config, &error), CATLATCH_E_CONFIG);
    assert_memory_equal(error.text, "/t.ini:6: unknown module \"nowhere\"", 34);
    config->service_count = 2;
    assert_int_equal(stack_check(config, &error), 0);
    config->service_count = 3;
    script_config_free(config);
}

static void a_module_that_dies_when_it_is_tried_out_is_an_error(void **state)
{
    struct error error = {.text = ""};
    struct config *config =
        script_config(&world, "[default]\nrequired = script\n[a]\nrequired = dies\n");

    (void)state;
    script_install(&world, "dies");
    assert_int_equal(stack_check(config, &error), CATLATCH_E_CONFIG);
    assert_string_equal(error.text, "a module of [service a] ended the process that tried it out "
                                    "(Segmentation fault)");
    script_config_free(config);
}

static void a_service_that_includes_itself_is_refused(void **state)
{
    (void)state;
    refused("[default]\nrequired = script\ninclude = default\n", CATLATCH_E_CONFIG,
            "/t.ini:3: [service default] would include itself; take this line out");
    refused("[default]\nsubstack = default\n", CATLATCH_E_CONFIG,
            "/t.ini:2: [service default] would include itself; take this line out");
    refused("[default]\ninclude = a\n[a]\nsubstack = b\n[b]\nrequired = script\ninclude = a\n",
            CATLATCH_E_CONFIG, "/t.ini:7: [service a] would include itself; take this line out");
    refused("[default]\ninclude = a\n[a]\ninclude = b\n[b]\ninclude = default\n", CATLATCH_E_CONFIG,
            "/t.ini:6: [service default] would include itself; take this line out");
}

static void a_service_may_be_included_twice(void **state)
{
    (void)state;
    assert_int_equal(script_outcome(&world, "[default]\ninclude = a\nsubstack = a\ninclude = b\n"
                                            "[a]\nrequired = script n=1\n"
                                            "[b]\ninclude = a\n"),
                     CATLATCH_VALID);
    assert_string_equal(record_words("v"), "v1 v1 v1");
}

/* [default] names s1, and so on down to the last, which has a module. */
static const char *deep(unsigned services, const char *control)
{
    static char text[2048];
    int len = snprintf(text, sizeof text, "[default]\n");

    for (unsigned i = 1; i < services; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "%s = s%u\n[s%u]\n", control, i, i);
    snprintf(text + len, sizeof text - (size_t)len, "required = script n=1\n");
    return text;
}

static void services_lie_up_to_16_deep(void **state)
{
    (void)state;
    assert_int_equal(script_outcome(&world, deep(16, "substack")), CATLATCH_VALID);
    assert_int_equal(script_outcome(&world, deep(16, "include")), CATLATCH_VALID);
    refused(deep(17, "substack"), CATLATCH_E_CONFIG,
            "/t.ini:32: services are included more than 16 deep");
    refused(deep(17, "include"), CATLATCH_E_CONFIG,
            "/t.ini:32: services are included more than 16 deep");
}

static void an_include_names_one_service_that_there_is(void **state)
{
    (void)state;
    refused("[default]\ninclude = nowhere\n[a]\n", CATLATCH_E_CONFIG,
            "/t.ini:2: no [service nowhere] in /t.ini; there is default, a");
    refused("[default]\nsubstack = a b\n[a]\n", CATLATCH_E_CONFIG,
            "/t.ini:2: substack wants the name of one service: substack = NAME");
    refused("[default]\ninclude = \n", CATLATCH_E_CONFIG,
            "/t.ini:2: include wants the name of one service: include = NAME");
}

static void a_service_that_is_not_there_is_not_found(void **state)
{
    struct config *config = script_config(&world, "[a]\n[b]\n");
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    (void)state;
    assert_int_equal(stack_open(config, "c", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text, "no [service c] in /t.ini; there is default, a, b");
    assert_null(service);
    script_config_free(config);
}

/* `count` lines, of which some stand in a substack. */
static const char *long_text(unsigned count, bool in_substack)
{
    static char text[8192];
    int len = snprintf(text, sizeof text, "[default]\n");

    if (in_substack)
        len += snprintf(text + len, sizeof text - (size_t)len, "substack = sub\n[sub]\n");
    for (unsigned i = in_substack; i < count; i++)
        len += snprintf(text + len, sizeof text - (size_t)len, "required = script n=%u\n", i);
    return text;
}

static void a_service_has_up_to_64_lines(void **state)
{
    (void)state;
    assert_int_equal(script_outcome(&world, long_text(64, false)), CATLATCH_VALID);
    assert_int_equal(record.count, 64 * 4); /* verify, settle, finish, and fini */
    assert_int_equal(script_outcome(&world, long_text(64, true)), CATLATCH_VALID);
    assert_int_equal(record.count, 63 * 4);
    refused(long_text(65, false), CATLATCH_E_CONFIG,
            "/t.ini:66: the service has more than 64 lines with those that it includes");
    refused(long_text(65, true), CATLATCH_E_CONFIG,
            "/t.ini:67: the service has more than 64 lines with those that it includes");
}

static void a_jump_over_all_lines_there_can_be_leads_to_the_end(void **state)
{
    char text[8192 + 64];

    (void)state;
    snprintf(text, sizeof text, "[default]\nrule = [valid=63 default=die] script n=0\n%s",
             long_text(63, false) + strlen("[default]\n"));
    assert_int_equal(script_outcome(&world, text), CATLATCH_DENIED);
    assert_string_equal(record_words("v"), "v0");
}

static void a_jump_counts_the_lines_of_includes_and_a_substack_as_one(void **state)
{
    static const char TEXT[] = "[default]\ninclude = a\nsubstack = b\nrequired = script n=5\n"
                               "[a]\nrule = [valid=2 default=die] script n=1\nrequired = script "
                               "n=2\n"
                               "[b]\nrequired = script n=3\nrequired = script n=4\n";

    (void)state;
    assert_int_equal(script_outcome(&world, TEXT), CATLATCH_VALID);
    assert_string_equal(record_words("v"), "v1 v5");
}

static void an_empty_service_opens_and_denies(void **state)
{
    (void)state;
    assert_int_equal(script_outcome(&world, "[default]\n"), CATLATCH_DENIED);
    assert_int_equal(script_outcome(&world, "[default]\ninclude = a\n[a]\n"), CATLATCH_DENIED);
    assert_int_equal(script_outcome(&world, "[default]\nsubstack = a\nsubstack = a\n[a]\n"),
                     CATLATCH_DENIED);
    assert_int_equal(script_outcome(&world, "[default]\nrequired = script r=ignore\n"
                                            "sufficient = script r=ignore\n"),
                     CATLATCH_DENIED);
}

/* Its lines stand in no file, so the configuration's name stands for them. */
static void the_service_that_nobody_wrote_is_blamed_by_its_name(void **state)
{
    struct config *config = script_config(&world, "[a]\nrequired = script\ninclude = default\n");
    struct stack_service *service = NULL;
    struct error error = {.text = ""};
    char message[512];

    (void)state;
    snprintf(message, sizeof message,
             "/t.ini: the built-in [service default]: unknown module \"format\": there is no "
             "%s/format.so",
             world.modules);
    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_string_equal(error.text, message);
    assert_int_equal(stack_open(config, "a", STACK_HOST_ANY, &service, &error), CATLATCH_E_CONFIG);
    assert_string_equal(error.text, message);
    script_config_free(config);
}

static struct config_folder *folder;

static void what_the_reader_would_have_to_guess_at_is_refused(void **state)
{
    char text[1024], word[256];

    (void)state;
    config_folder_refuses(folder, "[service a]\nrequired = script\n[service a]\n",
                          "@/catlatch.ini:3: [service a] stands in @/catlatch.ini:1 already");
    config_folder_refuses(folder, "[service a]\nrequired = script\n  optional = script\n",
                          "@/catlatch.ini:3: ");
    config_folder_refuses(folder, "[service a] required = script\n", "@/catlatch.ini:1: ");
    config_folder_refuses(folder, "[service a]\nrequired\n", "@/catlatch.ini:2: ");
    config_folder_refuses(folder, "[service ../a]\n", "@/catlatch.ini:1: \"../a\" is no name");
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    snprintf(text, sizeof text, "[service a]\nrequired = script %s\n", word);
    config_folder_refuses(folder, text, "@/catlatch.ini:2: ");
    snprintf(text, sizeof text, "[service a]\n# %s required = script\n", word);
    config_folder_refuses(folder, text, "@/catlatch.ini:2: ");
}

static void a_file_s_services_open_with_their_lines_as_they_stand(void **state)
{
    char text[512];
    struct stack_service *service = NULL;
    struct stack_trace trace;
    struct catlatch_step step = {.size = sizeof step};
    struct stack_request request = {.key = "text", .key_len = 4};

    (void)state;
    snprintf(text, sizeof text,
             "[daemon]\nmodule_dir = %s\n[service default]\n\n"
             "rule = [valid=1 default=die] script n=1 ; a comment\n"
             "required = script r=denied\nsubstack = sub\n[service sub]\nrequired = script n=2\n",
             world.modules);
    struct config *config = config_folder_read_text(folder, text);
    assert_int_equal(stack_open(config, "default", STACK_HOST_ANY, &service, NULL), 0);
    config_free(config); /* a service needs nothing of it */
    assert_int_equal(script_ask_with(service, &request, &trace), CATLATCH_VALID);
    assert_string_equal(record_words("v"), "v1 v2");
    stack_tell_step(service, &trace, 3, &step);
    assert_string_equal(step.file, folder->file);
    assert_int_equal(step.line, 9);
    assert_int_equal(step.level, 1);
    stack_tell_step(service, &trace, 0, &step);
    assert_int_equal(step.line, 5);
    assert_string_equal(step.control, "[valid=1 default=die]");
    stack_close(service);
}

static const char EVERYTHING[] =
    "[default]\nrequired = script n=1 tell=a/b\ninclude = sub\nsubstack = sub\n"
    "rule = [valid=1 default=die] script_scopes\noptional = script_mute\n"
    "[sub]\nrequired = script_trace n=2\noptional = script_blocks r=revoked\n";

/* Opens, and fails to open in each way that comes after the first line was opened. */
static void open_and_close(unsigned count)
{
    static const char *const BAD[] = {
        "[default]\nrequired = script tell=a/b\nrequired = nowhere\n",
        "[default]\nrequired = script tell=a/b\nrequired = refuses code=-3 message=no\n",
        "[default]\nrequired = script tell=a/b\nrequired = wrong_abi\n",
        "[default]\nrequired = script tell=a/b\nrule = [default=9] script\n",
        "[default]\nrequired = script tell=a/b\ninclude = default\n",
    };
    struct config *good = script_config(&world, EVERYTHING), *bad[5];

    for (size_t i = 0; i < 5; i++)
        bad[i] = script_config(&world, BAD[i]);
    for (unsigned i = 0; i < count; i++) {
        struct stack_service *service = NULL;
        struct error error;
        assert_int_equal(stack_open(good, "default", STACK_HOST_ANY, &service, &error), 0);
        if (i % 16 == 0)
            assert_int_equal(script_ask(service), CATLATCH_VALID);
        stack_close(service);
        assert_int_not_equal(stack_open(bad[i % 5], "default", STACK_HOST_ANY, &service, &error),
                             0);
    }
    for (size_t i = 0; i < 5; i++)
        script_config_free(bad[i]);
    script_config_free(good);
}

static void thousands_of_handles_leave_no_descriptor_and_no_mapping(void **state)
{
    (void)state;
    script_install(&world, "refuses");
    script_install(&world, "wrong_abi");
    open_and_close(10);
    size_t descriptors = latch_descriptors(), mappings = latch_mappings(".so");
    open_and_close(3000);
    assert_int_equal(latch_descriptors(), descriptors);
    assert_int_equal(latch_mappings(".so"), mappings);
}

#define LEAK_RUN "CATLATCH_LEAK_RUN"

/* In glibc memmove's checked form is the very function that valgrind takes for memcpy's. */
static const char SUPPRESSED[] = "{\n   memmove\n   Memcheck:Overlap\n   fun:__memcpy_chk\n}\n";

static void leaks_for_valgrind(void **state)
{
    (void)state;
    script_install(&world, "refuses");
    script_install(&world, "wrong_abi");
    open_and_close(100);
}

static void handles_that_were_closed_leave_no_memory(void **state)
{
    char self[PATH_MAX], command[2 * PATH_MAX];

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("# skipped: valgrind does not run sanitized programs\n");
    skip();
#endif
    if (system("command -v valgrind >/dev/null") != 0) {
        print_message("# skipped: no valgrind\n");
        skip();
    }
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = '\0';
    char path[160];
    snprintf(path, sizeof path, "%s/suppressed", world.folder);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_int_not_equal(fputs(SUPPRESSED, stream), EOF);
    assert_int_equal(fclose(stream), 0);
    snprintf(command, sizeof command,
             LEAK_RUN "=1 valgrind -q --leak-check=full --errors-for-leak-kinds=definite,possible "
                      "--error-exitcode=9 --suppressions='%s' '%s' >'%s/valgrind' 2>&1",
             path, self, world.folder);
    if (system(command) != 0) {
        snprintf(command, sizeof command, "cat '%s/valgrind' >&2", world.folder);
        assert_int_not_equal(system(command), -1);
        fail_msg("valgrind has found something");
    }
}

static int open_world(void **state)
{
    (void)state;
    script_world_open(&world);
    void *made = NULL;
    int r = config_folder_make(&made);
    folder = made;
    return r;
}

static int close_world(void **state)
{
    void *made = folder;

    (void)state;
    script_world_close(&world);
    return config_folder_remove(&made);
}

int main(void)
{
    const struct CMUnitTest under_valgrind[] = {cmocka_unit_test(leaks_for_valgrind)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_module_is_named_with_what_was_meant),
        cmocka_unit_test(a_module_that_is_missing_is_an_error_whatever_its_control),
        cmocka_unit_test(a_name_that_could_lead_elsewhere_is_no_name),
        cmocka_unit_test(no_name_is_none),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(a_descriptor_that_is_not_as_the_header_says_is_refused),
        cmocka_unit_test(what_cannot_be_loaded_is_refused_with_the_reason),
        cmocka_unit_test(a_symbolic_link_is_no_module),
        cmocka_unit_test(the_folder_of_modules_may_be_reached_by_a_link),
        cmocka_unit_test(a_file_that_changes_while_it_is_being_opened_is_not_loaded),
        cmocka_unit_test(what_others_can_write_is_not_loaded),
        cmocka_unit_test(what_belongs_to_somebody_else_is_not_loaded),
        cmocka_unit_test(a_file_that_was_replaced_is_loaded_as_what_it_is_beside_the_old_one),
        cmocka_unit_test(one_file_is_loaded_once_whatever_its_mode_and_name),
        cmocka_unit_test(a_file_that_was_written_over_while_it_runs_is_refused),
        cmocka_unit_test(a_module_that_was_refused_can_be_mended_in_its_place),
        cmocka_unit_test(the_library_stays_where_it_was_loaded_once),
        cmocka_unit_test(an_init_that_refuses_is_quoted_with_its_line),
        cmocka_unit_test(a_module_without_init_takes_no_arguments),
        cmocka_unit_test(there_are_up_to_64_arguments),
        cmocka_unit_test(a_host_that_must_not_wait_refuses_a_module_that_may),
        cmocka_unit_test(the_daemon_runs_no_code_but_stock_and_says_that_it_cannot_tell),
        cmocka_unit_test(all_services_are_checked),
        cmocka_unit_test(a_module_that_dies_when_it_is_tried_out_is_an_error),
        cmocka_unit_test(a_service_that_includes_itself_is_refused),
        cmocka_unit_test(a_service_may_be_included_twice),
        cmocka_unit_test(services_lie_up_to_16_deep),
        cmocka_unit_test(an_include_names_one_service_that_there_is),
        cmocka_unit_test(a_service_that_is_not_there_is_not_found),
        cmocka_unit_test(a_service_has_up_to_64_lines),
        cmocka_unit_test(a_jump_over_all_lines_there_can_be_leads_to_the_end),
        cmocka_unit_test(a_jump_counts_the_lines_of_includes_and_a_substack_as_one),
        cmocka_unit_test(an_empty_service_opens_and_denies),
        cmocka_unit_test(the_service_that_nobody_wrote_is_blamed_by_its_name),
        cmocka_unit_test(what_the_reader_would_have_to_guess_at_is_refused),
        cmocka_unit_test(a_file_s_services_open_with_their_lines_as_they_stand),
        cmocka_unit_test(thousands_of_handles_leave_no_descriptor_and_no_mapping),
        cmocka_unit_test(handles_that_were_closed_leave_no_memory),
    };

    if (getenv(LEAK_RUN) != NULL)
        return cmocka_run_group_tests(under_valgrind, open_world, close_world);
    return cmocka_run_group_tests(tests, open_world, close_world);
}
