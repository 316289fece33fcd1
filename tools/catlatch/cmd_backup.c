/* backup: a consistent copy of everything, verified by reading it back. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "core/backup.h"
#include "output.h"
#include "progress.h"
#include "restore_file.h"
#include "value.h"

#define PARTIAL ".partial"

struct backup {
    struct call *call;
    const char *path;
    char partial[PATH_MAX];
    int fd;
    bool force;
    struct backup_tally tally;
    struct progress progress;
};

/* For whoever interrupts it: nothing half done stays. */
static const int interrupts[] = {SIGINT, SIGTERM, SIGHUP};
#define INTERRUPTS (sizeof interrupts / sizeof *interrupts)
static char unfinished[PATH_MAX];

static void on_interrupt(int number)
{
    if (unfinished[0] != '\0')
        (void)unlink(unfinished);
    _exit(128 + number);
}

static int fail(struct error *error, int errnum, const char *what, const char *path)
{
    int code = error_errno(error, errnum, "%s %s", what, path);

    /* No such key is another matter than no such folder. */
    return code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : code;
}

static int path_check(const struct backup *backup, struct error *error)
{
    struct stat status;

    if (lstat(backup->path, &status) != 0)
        return errno == ENOENT ? 0 : fail(error, errno, "looking at", backup->path);
    if (S_ISREG(status.st_mode) && backup->force)
        return 0;
    if (S_ISREG(status.st_mode))
        return error_set(error, CATLATCH_E_IO,
                         "%s is there already; choose another name, or --force", backup->path);
    return error_set(error, CATLATCH_E_IO, "%s is no file", backup->path);
}

/* One that is not locked was left behind by a tool that was killed. */
static int partial_open(struct backup *backup, struct error *error)
{
    struct stat status;

    if (snprintf(backup->partial, sizeof backup->partial, "%s" PARTIAL, backup->path) >=
        (int)sizeof backup->partial)
        return error_set(error, CATLATCH_E_IO, "the path is too long");
    backup->fd = open(backup->partial, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (backup->fd < 0)
        return fail(error, errno, "making", backup->partial);
    if (flock(backup->fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "another backup is being written to %s; wait for it", backup->partial);
    if (fstat(backup->fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
        fchmod(backup->fd, 0600) != 0 || ftruncate(backup->fd, 0) != 0)
        return error_set(error, CATLATCH_E_IO, "%s is in the way; remove it", backup->partial);
    memcpy(unfinished, backup->partial, sizeof unfinished);
    return 0;
}

/* No interrupt comes between the file and the note that it is to be removed. */
static int partial_make(struct backup *backup, struct error *error)
{
    sigset_t held, before;

    sigemptyset(&held);
    for (size_t i = 0; i < INTERRUPTS; i++)
        sigaddset(&held, interrupts[i]);
    (void)sigprocmask(SIG_BLOCK, &held, &before);
    int code = partial_open(backup, error);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return code;
}

static int bytes_write(struct backup *backup, const void *bytes, size_t len, struct error *error)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(backup->fd, at, len);
        if (n < 0 && errno != EINTR)
            return fail(error, errno, "writing", backup->partial);
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int chunk_take(struct backup *backup, const void *bytes, size_t len, struct error *error)
{
    int code = len > 0 ? backup_tally_add(&backup->tally, bytes, len, error) : 0;

    if (code != 0) {
        error_prefix(error, "what the daemon sent is not understood");
        return error->code = CATLATCH_E_UNAVAILABLE;
    }
    code = bytes_write(backup, bytes, len, error);
    progress_show(&backup->progress, backup->tally.bytes >> 20);
    return code;
}

static int chunk_ask(struct backup *backup, char *cursor, size_t cursor_size, bool *ret_end,
                     struct error *error)
{
    struct session_words request = {0};
    json_t *map = NULL;
    void *bytes = NULL;
    size_t len = 0;
    int code = session_word(&request, "BACKUP", error);

    if (code == 0)
        code = session_pair(&request, "CURSOR", *cursor != '\0' ? cursor : NULL, error);
    if (code == 0)
        code =
            session_ask_bytes(backup->call->session, &request, "data", &bytes, &len, &map, error);
    session_words_free(&request);
    if (code == 0) {
        snprintf(cursor, cursor_size, "%s", value_text(map, "cursor"));
        *ret_end = value_true(map, "end");
        code = chunk_take(backup, bytes, len, error);
    }
    if (code == 0 && !*ret_end && *cursor == '\0')
        code = error_set(error, CATLATCH_E_UNAVAILABLE,
                         "what the daemon sent is not understood: it has no end");
    free(bytes);
    json_decref(map);
    return code;
}

static int stream_take(struct backup *backup, struct error *error)
{
    unsigned char trailer[BACKUP_TRAILER_BYTES];
    char cursor[1100] = "";
    bool end = false;
    int code = 0;

    backup_tally_start(&backup->tally);
    while (code == 0 && !end)
        code = chunk_ask(backup, cursor, sizeof cursor, &end, error);
    if (code == 0)
        code = backup_trailer(&backup->tally, trailer, error);
    if (code == 0)
        code = bytes_write(backup, trailer, sizeof trailer, error);
    if (code == 0 && fsync(backup->fd) != 0)
        code = fail(error, errno, "writing", backup->partial);
    return code;
}

/* From the disk, as far as the kernel does as it is asked. */
static int read_back(struct backup *backup, struct error *error)
{
    (void)posix_fadvise(backup->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (lseek(backup->fd, 0, SEEK_SET) != 0)
        return fail(error, errno, "reading", backup->partial);
    int code = restore_file_verify(backup->fd, NULL, error);
    return code != 0 ? error_prefix(error, "reading %s back", backup->partial) : 0;
}

static int put_in_place(struct backup *backup, struct error *error)
{
    char *copy = strdup(backup->path);
    int folder = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int failed = folder < 0 ? errno : 0;

    free(copy);
    if (failed == 0 && backup->force) {
        failed = rename(backup->partial, backup->path) != 0 ? errno : 0;
    } else if (failed == 0) {
        failed = renameat2(AT_FDCWD, backup->partial, AT_FDCWD, backup->path, RENAME_NOREPLACE) != 0
                     ? errno
                     : 0;
        /* File systems that cannot: looked at once more, at least. */
        if (failed == EINVAL && (failed = path_check(backup, error)) == 0)
            failed = rename(backup->partial, backup->path) != 0 ? errno : 0;
    }
    if (failed == 0) {
        unfinished[0] = '\0';
        failed = fsync(folder) != 0 ? errno : 0;
    }
    if (folder >= 0)
        close(folder);
    return failed > 0 ? fail(error, failed, "writing", backup->path) : failed;
}

/* The daemon remembers when it was last backed up. The backup is good without. */
static void done_tell(const struct backup *backup)
{
    struct session_words request = {0};
    struct error error = {0};
    json_t *answer = NULL;
    char position[48];
    int code = session_word(&request, "BACKUP.DONE", &error);

    snprintf(position, sizeof position, "%" PRIu64 ":%" PRIu64, backup->tally.position.epoch,
             backup->tally.position.sequence);
    if (code == 0)
        code = session_word(&request, position, &error);
    if (code == 0)
        code = session_ask(backup->call->session, &request, &answer, &error);
    session_words_free(&request);
    json_decref(answer);
    if (code != 0)
        output_note("the backup is good, but the daemon could not note it: %s", error.text);
}

static void moment_format(int64_t unix_ms, char ret_text[32])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int receipt_print(const struct backup *backup)
{
    const struct backup_tally *tally = &backup->tally;
    char position[48], moment[32];

    moment_format(tally->position.time_unix_ms, moment);
    snprintf(position, sizeof position, "%" PRIu64 ":%" PRIu64, tally->position.epoch,
             tally->position.sequence);
    if (option_given(&backup->call->options, OPTION_JSON)) {
        json_t *receipt =
            json_pack("{ss ss ss ss sI sI sI sI sb}", "file", backup->path, "host",
                      tally->begin.host, "time", moment, "sequence", position, "keys",
                      (json_int_t)tally->keys, "owners", (json_int_t)tally->owners, "changes",
                      (json_int_t)tally->changes, "bytes", (json_int_t)tally->bytes, "verified", 1);
        output_json(receipt);
        json_decref(receipt);
    } else {
        printf("%s: %s with %" PRIu64 " records of keys and %" PRIu64
               " changes, as it was at %s (sequence %s), %.1f MiB, read back and verified\n",
               backup->path, tally->begin.host, tally->keys, tally->changes, moment, position,
               (double)tally->bytes / 1048576.0);
    }
    if (!output_was_lost())
        return EX_OK;
    fprintf(stderr, "%s is written\n", backup->path);
    return EX_IOERR;
}

static void interrupts_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    for (size_t i = 0; i < INTERRUPTS; i++)
        (void)sigaction(interrupts[i], &action, NULL);
}

int cmd_backup(struct call *call)
{
    struct backup backup = {.call = call,
                            .path = call->options.operands[0],
                            .fd = -1,
                            .force = option_given(&call->options, OPTION_OVERWRITE)};
    struct error error = {0};
    int code = call_configure(call, &error);

    progress_begin("backing up", "MiB", 0, &backup.progress);
    if (code == 0)
        code = path_check(&backup, &error);
    if (code == 0)
        code = session_open(call->config->admin_dir, &call->session, &error);
    interrupts_catch();
    if (code == 0)
        code = partial_make(&backup, &error);
    if (code == 0)
        code = stream_take(&backup, &error);
    if (code == 0)
        code = read_back(&backup, &error);
    if (code == 0)
        code = put_in_place(&backup, &error);
    progress_end(&backup.progress);
    if (unfinished[0] != '\0')
        (void)unlink(unfinished);
    if (backup.fd >= 0)
        close(backup.fd);
    if (code != 0)
        return output_error(&error);
    done_tell(&backup);
    return receipt_print(&backup);
}
