#include "lib_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_modules.h"

/* Of the command that starts a daemon. */
#define WORDS_MAX 32

/* Of one test program: two for each daemon, and test_daemon_kill has the most. */
#define FOLDERS_MAX 256

__attribute__((format(printf, 2, 3))) static void path_print(char ret_path[TRIAL_PATH_SIZE],
                                                             const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(ret_path, TRIAL_PATH_SIZE, format, arguments);
    va_end(arguments);
    assert_in_range(len, 1, TRIAL_PATH_SIZE - 1);
}

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] == '/' ? folder : "/tmp";
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status, (void)type, (void)at;
    return remove(path);
}

void trial_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void trial_configure(const struct trial *trial, const char *settings)
{
    FILE *file = fopen(trial->config, "we");
    assert_non_null(file);
    fprintf(file, "[daemon]\nmodule_dir = %s\nstate_dir = %s\nrun_dir = %s\nadmin_dir = %s\n%s\n",
            test_modules(), trial->state_dir, trial->run_dir, trial->admin_dir,
            settings != NULL ? settings : "");
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(trial->config, 0644), 0);
}

static int notify_bind(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    /* For a daemon that becomes another user. */
    assert_int_equal(chmod(address.sun_path, 0666), 0);
    return fd;
}

/* Folders that a setup left behind when it failed: then there is no teardown. */
static char folders[FOLDERS_MAX][TRIAL_PATH_SIZE];
static unsigned folder_count;
static pid_t folders_owner;

static void remove_folders(void)
{
    for (unsigned i = 0; i < folder_count && getpid() == folders_owner; i++)
        trial_remove_tree(folders[i]);
}

static void make_folder(char ret_path[TRIAL_PATH_SIZE], const char *parent)
{
    if (folder_count == 0 && atexit(remove_folders) == 0)
        folders_owner = getpid();
    path_print(ret_path, "%s/catlatch-XXXXXX", parent);
    assert_non_null(mkdtemp(ret_path));
    if (folder_count < FOLDERS_MAX)
        memcpy(folders[folder_count++], ret_path, TRIAL_PATH_SIZE);
}

void trial_open(struct trial *trial, const char *settings)
{
    const char *shm = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : temporary_folder();

    *trial = (struct trial){.pidfd = -1, .notify = -1};
    make_folder(trial->folder, temporary_folder());
    make_folder(trial->shared, shm);
    path_print(trial->config, "%s/catlatch.ini", trial->folder);
    path_print(trial->state_dir, "%s/state", trial->folder);
    path_print(trial->admin_dir, "%s/admin", trial->folder);
    path_print(trial->log, "%s/log", trial->folder);
    path_print(trial->run_dir, "%s/run", trial->shared);
    trial->notify = notify_bind(trial->folder);
    trial_configure(trial, settings);
}

/* Into the trial's own folder, in case it leaves something where it is. */
static void run_daemon(const struct trial *trial, const char *argument)
{
    const char *build = getenv("CATLATCH_BUILD");
    char name[PATH_MAX], program[PATH_MAX], notify[TRIAL_PATH_SIZE + 8];

    snprintf(name, sizeof name, "%s/catlatchd", build != NULL ? build : "build");
    snprintf(notify, sizeof notify, "%s/notify", trial->folder);
    int log = open(trial->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    if (realpath(name, program) == NULL || chdir(trial->folder) != 0 ||
        setenv("NOTIFY_SOCKET", notify, 1) != 0) {
        dprintf(STDERR_FILENO, "%s: %s\n", name, strerror(errno));
        _exit(126);
    }
    unsetenv("JOURNAL_STREAM");
    unsetenv("WATCHDOG_USEC");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *words[WORDS_MAX];
    size_t count = 0;
    for (; trial->wrapper != NULL && trial->wrapper[count] != NULL && count < WORDS_MAX - 5;
         count++)
        words[count] = trial->wrapper[count];
    words[count++] = program;
    words[count++] = "-c";
    words[count++] = trial->config;
    words[count++] = argument;
    words[count] = NULL;
    execvp(words[0], (char *const *)(uintptr_t)words);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

/* What an earlier daemon said to the socket is not the next one's. */
static void forget_notices(const struct trial *trial)
{
    char text[1024];
    while (recv(trial->notify, text, sizeof text, MSG_DONTWAIT) >= 0)
        continue;
}

void trial_launch(struct trial *trial, const char *argument)
{
    assert_int_equal(trial->pid, 0);
    forget_notices(trial);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_daemon(trial, argument);
    trial->pid = pid;
    trial->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(trial->pidfd >= 0);
}

static void show_log(const struct trial *trial)
{
    char line[2048];
    FILE *file = fopen(trial->log, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL)
        fputs(line, stderr);
    fclose(file);
}

static int64_t clock_ms(void)
{
    return (int64_t)(trial_clock_ns() / 1000000);
}

static bool is_ready_notice(const struct trial *trial)
{
    char text[1024];
    ssize_t len = recv(trial->notify, text, sizeof text - 1, MSG_DONTWAIT);
    if (len < 0)
        return false;
    text[len] = '\0';
    return strstr(text, "READY=1") != NULL;
}

bool trial_is_ready_within(struct trial *trial, int timeout_ms)
{
    struct pollfd fds[2] = {{.fd = trial->notify, .events = POLLIN},
                            {.fd = trial->pidfd, .events = POLLIN}};
    int64_t end_ms = clock_ms() + timeout_ms, left_ms;

    while ((left_ms = end_ms - clock_ms()) >= 0) {
        if (poll(fds, 2, (int)left_ms) < 0 && errno != EINTR)
            return false;
        if ((fds[0].revents & POLLIN) != 0 && is_ready_notice(trial))
            return true;
        if ((fds[1].revents & POLLIN) != 0)
            return false;
    }
    return false;
}

void trial_await_ready(struct trial *trial)
{
    if (trial_is_ready_within(trial, TRIAL_PATIENCE_MS))
        return;
    show_log(trial);
    fail_msg("catlatchd did not become ready; what it said is above");
}

void trial_start(struct trial *trial)
{
    trial_launch(trial, NULL);
    trial_await_ready(trial);
}

/* Waits, bounded, for the end; returns what waitpid says. */
static int await_end(struct trial *trial)
{
    struct pollfd fd = {.fd = trial->pidfd, .events = POLLIN};
    int status = 0, r;

    do
        r = poll(&fd, 1, TRIAL_PATIENCE_MS);
    while (r < 0 && errno == EINTR);
    if (r != 1) {
        show_log(trial);
        fail_msg("catlatchd did not end");
    }
    assert_int_equal(waitpid(trial->pid, &status, 0), trial->pid);
    close(trial->pidfd);
    trial->pid = 0;
    trial->pidfd = -1;
    return status;
}

int trial_await_refusal(struct trial *trial)
{
    int status = await_end(trial);
    assert_true(WIFEXITED(status));
    assert_false(is_ready_notice(trial));
    return WEXITSTATUS(status);
}

void trial_stop(struct trial *trial)
{
    assert_int_equal(kill(trial->pid, SIGTERM), 0);
    int status = await_end(trial);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        show_log(trial);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void trial_kill(struct trial *trial)
{
    assert_int_equal(kill(trial->pid, SIGKILL), 0);
    int status = await_end(trial);
    if (!WIFSIGNALED(status))
        show_log(trial);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

bool trial_lives(const struct trial *trial)
{
    struct pollfd fd = {.fd = trial->pidfd, .events = POLLIN};
    return trial->pid != 0 && poll(&fd, 1, 0) == 0;
}

bool trial_said(const struct trial *trial, const char *text)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen(trial->log, "re");
    assert_non_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

void trial_close(struct trial *trial)
{
    if (trial->pid != 0) {
        kill(trial->pid, SIGKILL);
        waitpid(trial->pid, NULL, 0);
        close(trial->pidfd);
    }
    close(trial->notify);
    trial_remove_tree(trial->folder);
    trial_remove_tree(trial->shared);
    *trial = (struct trial){.pidfd = -1, .notify = -1};
}

static redisContext *connect_to(const char *directory)
{
    char path[TRIAL_PATH_SIZE];
    const struct timeval patience = {.tv_sec = TRIAL_PATIENCE_MS / 1000};

    path_print(path, "%s/catlatch.sock", directory);
    redisContext *connection = redisConnectUnixWithTimeout(path, patience);
    assert_non_null(connection);
    assert_int_equal(connection->err, 0);
    assert_int_equal(redisSetTimeout(connection, patience), REDIS_OK);
    return connection;
}

redisContext *trial_connect(const struct trial *trial)
{
    return connect_to(trial->admin_dir);
}

redisContext *trial_connect_verify(const struct trial *trial)
{
    return connect_to(trial->run_dir);
}

static redisReply *ask_list(redisContext *connection, const char *format, va_list arguments)
{
    redisReply *reply = redisvCommand(connection, format, arguments);
    if (reply == NULL)
        fail_msg("%s: no reply: %s", format, connection->errstr);
    return reply;
}

redisReply *trial_ask(redisContext *connection, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = ask_list(connection, format, arguments);
    va_end(arguments);
    return reply;
}

void trial_do(redisContext *connection, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = ask_list(connection, format, arguments);
    va_end(arguments);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    freeReplyObject(reply);
}

void trial_refused(redisContext *connection, const char *word, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = ask_list(connection, format, arguments);
    va_end(arguments);
    if (!trial_is_error(reply, word))
        fail_msg("%s: not refused with %s: %s", format, word,
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "no error");
    freeReplyObject(reply);
}

const redisReply *trial_member(const redisReply *map, const char *name)
{
    if (map->type != REDIS_REPLY_ARRAY)
        return NULL;
    for (size_t i = 0; i + 1 < map->elements; i += 2)
        if (map->element[i]->str != NULL && strcmp(map->element[i]->str, name) == 0)
            return map->element[i + 1];
    return NULL;
}

const char *trial_text(const redisReply *map, const char *name)
{
    const redisReply *member = trial_member(map, name);
    return member != NULL && member->str != NULL ? member->str : "";
}

long long trial_number(const redisReply *map, const char *name)
{
    const redisReply *member = trial_member(map, name);
    return member != NULL && member->type == REDIS_REPLY_INTEGER ? member->integer : -1;
}

bool trial_is_error(const redisReply *reply, const char *word)
{
    size_t len = strlen(word);
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, len) == 0 &&
           reply->str[len] == ' ';
}

uint64_t trial_stat(redisContext *connection, const char *member)
{
    redisReply *reply = trial_ask(connection, "STATS");
    long long value = trial_number(reply, member);
    freeReplyObject(reply);
    assert_true(value >= 0);
    return (uint64_t)value;
}

void trial_create(redisContext *connection, const char *name, const char *owner,
                  struct trial_key *ret_key)
{
    redisReply *reply = trial_ask(connection, "KEY.CREATE NAME %s OWNER %s", name, owner);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("KEY.CREATE: %s", reply->str);
    snprintf(ret_key->id, sizeof ret_key->id, "%s", trial_text(reply, "id"));
    snprintf(ret_key->raw, sizeof ret_key->raw, "%s", trial_text(reply, "key"));
    freeReplyObject(reply);
    assert_int_equal(strlen(ret_key->id), CATLATCH_ID_SIZE - 1);
    assert_int_equal(strlen(ret_key->raw), 50);
}

void trial_assert_state(redisContext *connection, const struct trial_key *key, const char *state)
{
    redisReply *reply = trial_ask(connection, "KEY.GET %s", key->id);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("KEY.GET: %s", reply->str);
    assert_string_equal(trial_text(reply, "state"), state);
    freeReplyObject(reply);
}

struct catlatch *trial_attach_quietly(const struct trial *trial)
{
    const struct catlatch_options options = {.size = sizeof options, .config_path = trial->config};
    struct catlatch *latch = NULL;
    return catlatch_open(&options, &latch, NULL, 0) == 0 ? latch : NULL;
}

struct catlatch *trial_attach(const struct trial *trial)
{
    const struct catlatch_options options = {.size = sizeof options, .config_path = trial->config};
    struct catlatch *latch = NULL;
    char message[256] = "";
    if (catlatch_open(&options, &latch, message, sizeof message) != 0)
        fail_msg("catlatch_open: %s", message);
    return latch;
}

enum catlatch_result trial_verify(struct catlatch *latch, const char *raw)
{
    const struct catlatch_request request = {
        .size = sizeof request, .key = raw, .key_len = strlen(raw)};
    return catlatch_verify(latch, &request, NULL);
}

void trial_await_result(struct catlatch *latch, const char *raw, enum catlatch_result result)
{
    int64_t end_ms = clock_ms() + TRIAL_PATIENCE_MS;
    enum catlatch_result seen;
    do {
        seen = trial_verify(latch, raw);
        if (seen == result)
            return;
        poll(NULL, 0, 1); /* nothing tells when; the loop only leaves the processor to others */
    } while (clock_ms() < end_ms);
    fail_msg("the answer stays %s and does not become %s", catlatch_result_name(seen),
             catlatch_result_name(result));
}

uint64_t trial_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned trial_scale(unsigned count, unsigned long_count)
{
    const char *is_long = getenv("CATLATCH_LONG");
    return is_long != NULL && is_long[0] != '\0' ? long_count : count;
}
