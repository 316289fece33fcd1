/* catlatchd: issues, changes and revokes keys, and publishes the table that workers verify from. */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "core/config.h"
#include "daemon/daemon.h"

static const char usage[] =
    "Usage: catlatchd [-c FILE] [-t] [--accept-older]\n"
    "       catlatchd [-c FILE] --restore BACKUP [--dry-run] [--accept-resurrection]\n"
    "\n"
    "The daemon that owns the API keys. It stays in the foreground and logs to stderr.\n"
    "\n"
    "  -c, --config FILE   the configuration; otherwise $CATLATCH_CONFIG, or\n"
    "                      " CATLATCH_SYSCONFDIR "/catlatch/catlatch.ini\n"
    "  -t, --test          read the configuration, say whether it is good, and end\n"
    "      --accept-older  start with a store that is older than the table published last:\n"
    "                      an older state_dir was put back, and later changes are lost\n"
    "      --restore FILE  put a backup in the place of the store while no daemon runs\n"
    "                      (- is standard input), print what became of it, and end\n"
    "      --dry-run       with --restore: say what would become of it; change nothing\n"
    "      --accept-resurrection\n"
    "                      with --restore: though nobody can tell which keys were revoked\n"
    "                      since the backup\n"
    "      --version       say which version this is\n"
    "  -h, --help          say this\n"
    "\n"
    "SIGHUP reads the configuration again; SIGTERM and SIGINT finish what was asked, and end.\n"
    "Exit status: 0 after SIGTERM; 64 usage, 65 store and table contradict each other, 69 another\n"
    "daemon runs, 74 input or output, 77 permission, 78 configuration.\n";

enum {
    OPTION_ACCEPT_OLDER = 256,
    OPTION_VERSION,
    OPTION_RESTORE,
    OPTION_DRY_RUN,
    OPTION_ACCEPT_RESURRECTION
};

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"accept-older", no_argument, NULL, OPTION_ACCEPT_OLDER},
    {"restore", required_argument, NULL, OPTION_RESTORE},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"accept-resurrection", no_argument, NULL, OPTION_ACCEPT_RESURRECTION},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char *config_path(const char *given)
{
    const char *environment = getenv("CATLATCH_CONFIG");

    if (given)
        return given;
    return environment && environment[0] ? environment : config_default_path();
}

int main(int argc, char **argv)
{
    struct daemon_options options = {0};
    bool test = false;
    int option;

    while ((option = getopt_long(argc, argv, "c:th", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            options.config_path = optarg;
            break;
        case 't':
            test = true;
            break;
        case OPTION_ACCEPT_OLDER:
            options.accept_older = true;
            break;
        case OPTION_RESTORE:
            options.restore_path = optarg;
            break;
        case OPTION_DRY_RUN:
            options.restore_dry_run = true;
            break;
        case OPTION_ACCEPT_RESURRECTION:
            options.accept_resurrection = true;
            break;
        case OPTION_VERSION:
            puts("catlatchd " CATLATCH_VERSION);
            return EX_OK;
        case 'h':
            fputs(usage, stdout);
            return EX_OK;
        default:
            fputs("catlatchd: see catlatchd --help\n", stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "catlatchd: unexpected argument %s; see catlatchd --help\n", argv[optind]);
        return EX_USAGE;
    }
    /* Patterns of names match characters. Without that locale they match bytes. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    options.config_path = config_path(options.config_path);
    options.argv = argv;
    if (options.restore_path != NULL)
        return daemon_restore(&options);
    return test ? daemon_test(options.config_path) : daemon_run(&options);
}
