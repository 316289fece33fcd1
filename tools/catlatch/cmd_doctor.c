/* doctor: the table of checks, and what is printed of their findings. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands.h"
#include "doctor.h"
#include "output.h"
#include "value.h"

/* What a check cannot do without. */
enum need {
    NEEDS_NOTHING,
    NEEDS_CONFIG,
    NEEDS_FILE,  /* run_dir/table is there */
    NEEDS_TABLE, /* and was mapped */
    NEEDS_STATS, /* the daemon answers this user */
};

struct check {
    const char *name;
    enum need need;
    void (*run)(struct doctor *doctor);
    const char *what; /* for the reader of this table */
};

/* In this order: each may use what those before it learnt. */
static const struct check checks[] = {
    {"configuration", NEEDS_NOTHING, doctor_configuration, "found, to be trusted, without error"},
    {"accounts", NEEDS_CONFIG, doctor_accounts, "users and groups that it names"},
    {"daemon", NEEDS_CONFIG, doctor_daemon, "answers; whose it is, which version"},
    {"verify_socket", NEEDS_CONFIG, doctor_verify_socket, "answers too"},
    {"run_dir", NEEDS_CONFIG, doctor_run_dir, "owner, group, mode, and those above it"},
    {"table", NEEDS_CONFIG, doctor_table, "owner, group, mode, layout, of this boot"},
    {"worker", NEEDS_CONFIG, doctor_worker, "all of that as the user of --user"},
    {"admin_dir", NEEDS_CONFIG, doctor_admin_dir, "owner, mode"},
    {"state_dir", NEEDS_CONFIG, doctor_state_dir, "owner, mode, its files, a disk"},
    {"room", NEEDS_CONFIG, doctor_room, "run_dir is a tmpfs of its own for two tables"},
    {"generations", NEEDS_CONFIG, doctor_generations, "nothing left over in run_dir"},
    {"processes", NEEDS_FILE, doctor_processes, "nobody maps an old table"},
    {"mounts", NEEDS_FILE, doctor_mounts, "nobody has the table's file mounted"},
    {"keys", NEEDS_STATS, doctor_keys, "the table shows every key as it is stored"},
    {"services", NEEDS_STATS, doctor_services, "what keys are confined to is looked at"},
    {"disk", NEEDS_CONFIG, doctor_disk, "room, ballast, log files"},
    {"heartbeat", NEEDS_TABLE, doctor_heartbeat, "the daemon's sign of life in the table"},
    {"clock", NEEDS_CONFIG, doctor_clock, "not behind what was written"},
    {"backup", NEEDS_STATS, doctor_backup, "the last one's age"},
};

static const char *missing(const struct doctor *doctor, enum need need)
{
    if (need >= NEEDS_CONFIG && doctor->config == NULL)
        return "needs a good configuration";
    switch (need) {
    case NEEDS_NOTHING:
    case NEEDS_CONFIG:
        break;
    case NEEDS_FILE:
        return doctor->table.there ? NULL : "there is no table to look at";
    case NEEDS_TABLE:
        return doctor->table.mapped ? NULL : "the table could not be mapped (see `table`)";
    case NEEDS_STATS:
        return doctor->stats != NULL ? NULL : "the daemon did not answer (see `daemon`)";
    }
    return NULL;
}

static const char *colour(const char *result)
{
    if (strcmp(result, "ok") == 0)
        return "\033[32m";
    if (strcmp(result, "problem") == 0)
        return "\033[1;31m";
    return strcmp(result, "warning") == 0 ? "\033[33m" : "\033[2m";
}

static void finding_print(const json_t *finding, bool coloured)
{
    const char *result = value_text(finding, "result"), *mend = value_text(finding, "mend");

    printf("%s%-8s%s%-14s %s\n", coloured ? colour(result) : "", result, coloured ? "\033[0m" : "",
           value_text(finding, "check"), value_text(finding, "text"));
    if (*mend != '\0')
        printf("%-22s mend: %s\n", "", mend);
}

static void check_run(const struct check *check, struct doctor *doctor)
{
    const char *reason = missing(doctor, check->need);

    doctor->check = check->name;
    if (reason != NULL)
        doctor_say(doctor, DOCTOR_SKIPPED, "%s", reason);
    else
        check->run(doctor);
}

static size_t count_of(const struct doctor *doctor, const char *result)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(doctor->findings); i++)
        count += strcmp(value_text(json_array_get(doctor->findings, i), "result"), result) == 0;
    return count;
}

static void checks_run(struct doctor *doctor, bool print)
{
    bool coloured = output_has_colour(stdout);
    size_t printed = 0;

    for (size_t i = 0; i < sizeof checks / sizeof *checks && doctor->code == 0; i++) {
        check_run(&checks[i], doctor);
        for (; print && doctor->code == 0 && printed < json_array_size(doctor->findings); printed++)
            finding_print(json_array_get(doctor->findings, printed), coloured);
        if (print)
            (void)output_flush();
    }
}

static int summary_print(const struct doctor *doctor, bool json)
{
    size_t problems = count_of(doctor, "problem"), warnings = count_of(doctor, "warning");
    size_t skipped = count_of(doctor, "skipped");

    if (json) {
        json_t *answer =
            json_pack("{sb sI sI sI sO}", "healthy", problems + warnings == 0, "problems",
                      (json_int_t)problems, "warnings", (json_int_t)warnings, "skipped",
                      (json_int_t)skipped, "findings", doctor->findings);
        output_json(answer);
        json_decref(answer);
    } else {
        printf("%zu problem%s, %zu warning%s, %zu skipped\n", problems, problems == 1 ? "" : "s",
               warnings, warnings == 1 ? "" : "s", skipped);
    }
    return problems + warnings > 0;
}

static void doctor_end(struct doctor *doctor)
{
    if (doctor->table.mapped)
        munmap((void *)(uintptr_t)doctor->table.view.header, doctor->table.view.size);
    json_decref(doctor->stats);
    json_decref(doctor->findings);
}

int cmd_doctor(struct call *call)
{
    struct doctor doctor = {.call = call, .findings = json_array()};
    bool json = option_given(&call->options, OPTION_JSON);
    int status;

    if (doctor.findings != NULL)
        checks_run(&doctor, !json);
    if (doctor.findings == NULL || doctor.out_of_memory)
        doctor.code = error_set(&doctor.error, CATLATCH_E_MEMORY, "out of memory");
    status = doctor.code != 0 ? output_error(&doctor.error) : summary_print(&doctor, json);
    doctor_end(&doctor);
    return status;
}
