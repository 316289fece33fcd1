/* A raw key is shown once. Afterwards it is nowhere: not in a file that the daemon wrote, not in
 * what it said, not in its memory; and its memory goes into no core dump. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_daemon.h"

#define KEYS 40u

/* A name in plain sight: what finds this would find a key. */
#define MARKER "marker-in-plain-sight-0451"

/* What is shown for ever, and how much of the rest makes a find. */
#define SHOWN 15u
#define SECRET 16u

struct scene {
    struct trial trial;
    struct trial_key keys[2 * KEYS + 1]; /* those made by rotation too, and the marker's */
    unsigned count;
    redisContext *admin;
    redisContext *verify;
};

static int close_scene(void **state)
{
    struct scene *scene = *state;
    if (scene->admin != NULL)
        redisFree(scene->admin);
    if (scene->verify != NULL)
        redisFree(scene->verify);
    trial_close(&scene->trial);
    return 0;
}

/* --- what the daemon sees of keys --------------------------------------------------------- */

/* Right and wrong uses of a raw key. What is answered must not repeat it. */
static void use_key(struct scene *scene, const struct trial_key *key)
{
    static const char *const uses[] = {"KEY.VERIFY %s",
                                       "KEY.VERIFY %sx",
                                       "KEY.VERIFY %s SCOPE none",
                                       "KEY.VERIFY a %s",
                                       "AUTH %s",
                                       "AUTH user %s",
                                       "KEY.GET %s",
                                       "KEY.REVOKE %s",
                                       "KEY.CREATE %s",
                                       "KEY.LIST KEY %s",
                                       "KEY.LIST KEY %sx",
                                       "KEY.LIST CURSOR %s",
                                       "KEY.VERYFI %s",
                                       "%s",
                                       "KEY.VERIFY %s SERVICE %s",
                                       "KEY.LIST OWNER o %s",
                                       "HELLO 2 AUTH u %s"};
    for (size_t i = 0; i < 2 * sizeof uses / sizeof uses[0]; i++) {
        redisContext *connection = i % 2 == 0 ? scene->verify : scene->admin;
        redisReply *reply = trial_ask(connection, uses[i / 2], key->raw, key->raw);
        if (reply->str != NULL)
            assert_null(strstr(reply->str, key->raw + SHOWN));
        freeReplyObject(reply);
    }
    /* AUTH took the operator's rights away. */
    redisFree(scene->admin);
    scene->admin = trial_connect(&scene->trial);
}

static void rotate(struct scene *scene, const struct trial_key *key)
{
    struct trial_key *fresh = &scene->keys[scene->count++];
    redisReply *reply = trial_ask(scene->admin, "KEY.ROTATE %s GRACE 1h", key->id);
    const redisReply *told = trial_member(reply, "keys");
    assert_non_null(told);
    snprintf(fresh->id, sizeof fresh->id, "%s", trial_text(told->element[0], "id"));
    snprintf(fresh->raw, sizeof fresh->raw, "%s", trial_text(told->element[0], "key"));
    assert_int_equal(strlen(fresh->raw), 50);
    freeReplyObject(reply);
}

/* A request that comes in pieces, the key cut in two: what is kept until the rest is there. */
static void verify_in_pieces(struct scene *scene, const struct trial_key *key)
{
    char request[256];
    int len =
        snprintf(request, sizeof request, "*2\r\n$10\r\nKEY.VERIFY\r\n$50\r\n%s\r\n", key->raw);
    for (int at = 0; at < len;) {
        int piece = at < 30 ? 30 : 7;
        piece = piece < len - at ? piece : len - at;
        assert_int_equal(write(scene->verify->fd, request + at, (size_t)piece), piece);
        at += piece;
        /* It has been read when a question on another connection is answered. */
        trial_do(scene->admin, "PING");
    }
    void *reply = NULL;
    assert_int_equal(redisGetReply(scene->verify, &reply), REDIS_OK);
    assert_string_equal(trial_text(reply, "result"), "valid");
    freeReplyObject(reply);
}

/* As far as we may: whatever keeps the daemon from leaving one shall be its own doing. */
static void allow_cores(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_CORE, &limit) == 0)
        return;
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_CORE, &limit), 0);
}

static int open_scene(void **state)
{
    static struct scene scene;
    scene = (struct scene){.count = KEYS + 1};
    allow_cores();
    trial_open(&scene.trial, NULL);
    *state = &scene;
    trial_start(&scene.trial);
    scene.admin = trial_connect(&scene.trial);
    scene.verify = trial_connect_verify(&scene.trial);
    trial_create(scene.admin, MARKER, "alice", &scene.keys[KEYS]);
    for (unsigned i = 0; i < KEYS; i++)
        trial_create(scene.admin, "a key", "alice", &scene.keys[i]);
    for (unsigned i = 0; i < KEYS; i++) {
        verify_in_pieces(&scene, &scene.keys[i]);
        use_key(&scene, &scene.keys[i]);
        if (i % 4 == 0)
            rotate(&scene, &scene.keys[i]);
        if (i % 4 == 1)
            trial_do(scene.admin, "KEY.REVOKE %s REASON leaked", scene.keys[i].id);
    }
    return 0;
}

/* --- looking for them --------------------------------------------------------------------- */

static bool holds(const char *bytes, size_t len, const char *text, size_t text_len)
{
    return memmem(bytes, len, text, text_len) != NULL;
}

struct find {
    unsigned keys;
    unsigned markers;
    unsigned places; /* that were looked at */
    char where[256]; /* of the last key */
};

static void look_in(const struct scene *scene, const char *bytes, size_t len, const char *where,
                    struct find *find)
{
    find->places++;
    find->markers += holds(bytes, len, MARKER, strlen(MARKER));
    for (unsigned i = 0; i < scene->count; i++)
        if (holds(bytes, len, scene->keys[i].raw + SHOWN, SECRET)) {
            find->keys++;
            snprintf(find->where, sizeof find->where, "%s", where);
        }
}

/* nftw has no context. */
static const struct scene *looking;
static struct find *finding;

static int look_at_file(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)at;
    if (type != FTW_F || !S_ISREG(status->st_mode))
        return 0;
    size_t size = (size_t)status->st_size;
    char *bytes = malloc(size + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_non_null(bytes);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, size), status->st_size);
    close(fd);
    look_in(looking, bytes, size, path, finding);
    free(bytes);
    return 0;
}

static void look_in_tree(const struct scene *scene, const char *path, struct find *find)
{
    looking = scene;
    finding = find;
    assert_int_equal(nftw(path, look_at_file, 16, FTW_PHYS), 0);
}

/* One mapping, in pieces that overlap. */
static void look_in_mapping(const struct scene *scene, int fd, unsigned long from, unsigned long to,
                            const char *line, struct find *find)
{
    static char bytes[1u << 20];
    const size_t overlap = 64;
    for (unsigned long at = from; at < to;) {
        size_t size = to - at < sizeof bytes ? to - at : sizeof bytes;
        ssize_t got = pread(fd, bytes, size, (off_t)at);
        if (got > 0)
            look_in(scene, bytes, (size_t)got, line, find);
        at += size < sizeof bytes ? size : size - overlap;
    }
}

static void look_in_memory(const struct scene *scene, int fd, struct find *find)
{
    char path[64], line[512], rights[8];
    unsigned long from, to;
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)scene->trial.pid);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[0] == 'r' &&
            rights[1] == 'w')
            look_in_mapping(scene, fd, from, to, line, find);
    fclose(maps);
}

static void assert_none(const struct find *find)
{
    assert_true(find->places > 3);
    assert_true(find->markers > 0); /* or it would not have found a key either */
    if (find->keys > 0)
        fail_msg("%u finds of a raw key, the last in %s", find->keys, find->where);
}

static void no_file_holds_a_raw_key(void **state)
{
    const struct scene *scene = *state;
    struct find find = {0};
    look_in_tree(scene, scene->trial.folder, &find); /* the log too */
    look_in_tree(scene, scene->trial.shared, &find);
    assert_none(&find);
}

static void the_daemons_memory_holds_no_raw_key(void **state)
{
    const struct scene *scene = *state;
    struct find find = {0};
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)scene->trial.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        print_message("# skipped: %s: %s (it is closed to all but root)\n", path, strerror(errno));
        skip();
    }
    look_in_memory(scene, fd, &find);
    close(fd);
    assert_none(&find);
}

/* Whether a process like this one would leave a core, so that its absence says something. */
static bool cores_are_written(const struct scene *scene)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* cmocka would take it for its own. */
        if (chdir(scene->trial.folder) == 0 && signal(SIGABRT, SIG_DFL) != SIG_ERR)
            abort();
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WCOREDUMP(status);
}

static void a_daemon_that_aborts_leaves_no_core(void **state)
{
    struct scene *scene = *state;
    struct rlimit limit;
    int status = 0;
    assert_int_equal(prlimit(scene->trial.pid, RLIMIT_CORE, NULL, &limit), 0);
    assert_true(limit.rlim_cur == 0);
    /* Even when somebody gives it leave, where that is possible. */
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    prlimit(scene->trial.pid, RLIMIT_CORE, &all, NULL);
    if (!cores_are_written(scene)) {
        print_message("# skipped: no process leaves a core here\n");
        skip();
    }
    assert_int_equal(kill(scene->trial.pid, SIGABRT), 0);
    assert_int_equal(waitpid(scene->trial.pid, &status, 0), scene->trial.pid);
    scene->trial.pid = 0;
    close(scene->trial.pidfd);
    assert_true(WIFSIGNALED(status));
    assert_false(WCOREDUMP(status));
}

/* Whom a process's memory belongs to, as far as debuggers go. */
static uid_t owner_of_memory(pid_t pid)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)pid);
    assert_int_equal(stat(path, &status), 0);
    return status.st_uid;
}

/* A process of this user that did nothing to protect itself. */
static uid_t owner_of_plain_memory(uid_t uid)
{
    int ready[2], end[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(end), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(end[1]);
        bool good = setresuid(uid, uid, uid) == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
        _exit(good && write(ready[1], &byte, 1) == 1 && read(end[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    uid_t owner = owner_of_memory(pid);
    close(end[1]);
    close(end[0]);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return owner;
}

/* As root, the daemon becomes somebody else first. */
static void the_daemons_own_user_cannot_read_its_memory(void **state)
{
    struct trial *trial = *state;
    uid_t uid = geteuid();
    if (uid == 0) {
        const struct passwd *user = getpwnam("daemon");
        assert_non_null(user);
        uid = user->pw_uid;
    }
    trial_configure(trial, geteuid() == 0 ? "user = daemon" : NULL);
    assert_int_equal(chmod(trial->folder, 0711), 0);
    assert_int_equal(chmod(trial->shared, 0711), 0);
    trial_start(trial);
    assert_int_equal(owner_of_plain_memory(uid), uid);
    assert_int_equal(owner_of_memory(trial->pid), 0);
}

static int open_trial(void **state)
{
    static struct trial trial;
    trial_open(&trial, NULL);
    *state = &trial;
    return 0;
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(no_file_holds_a_raw_key),
        SCENE_TEST(the_daemons_memory_holds_no_raw_key),
        SCENE_TEST(a_daemon_that_aborts_leaves_no_core),
        cmocka_unit_test_setup_teardown(the_daemons_own_user_cannot_read_its_memory, open_trial,
                                        close_trial),
    };
    return cmocka_run_group_tests_name("core_dump", tests, NULL, NULL);
}
