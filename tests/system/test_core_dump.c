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

/* Made one by one, and many at once. */
#define KEYS 40u
#define PIPELINED 400u
#define KEYS_MAX (2 * KEYS + 2 * PIPELINED)

/* A name in plain sight: what finds this would find a key. */
#define MARKER "marker-in-plain-sight-0451"

/* What is shown for ever, and how much of the rest makes a find: a piece from its beginning, or
 * from its end. */
#define SHOWN 15u
#define PIECE 16u
#define RAW_LEN 50u
#define HEADS (1u << 24)

struct scene {
    struct trial trial;
    struct trial_key keys[KEYS_MAX];
    unsigned count;
    char pieces[2 * KEYS_MAX + 1][PIECE]; /* what is looked for; the first is the marker's */
    unsigned piece_count;
    unsigned char heads[HEADS / 8]; /* whether a piece begins with these three bytes */
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

static void look_for(struct scene *scene, const char *piece)
{
    const unsigned char *head = (const unsigned char *)piece;
    uint32_t number = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16;
    memcpy(scene->pieces[scene->piece_count++], piece, PIECE);
    scene->heads[number / 8] |= (unsigned char)(1 << number % 8);
}

static void note_key(struct scene *scene, const char *id, const char *raw)
{
    assert_true(scene->count < KEYS_MAX);
    struct trial_key *key = &scene->keys[scene->count++];
    snprintf(key->id, sizeof key->id, "%s", id);
    snprintf(key->raw, sizeof key->raw, "%s", raw);
    assert_int_equal(strlen(key->raw), RAW_LEN);
    look_for(scene, key->raw + SHOWN);
    look_for(scene, key->raw + RAW_LEN - PIECE);
}

static void create(struct scene *scene)
{
    struct trial_key key;
    trial_create(scene->admin, "a key", "alice", &key);
    note_key(scene, key.id, key.raw);
}

static void rotate(struct scene *scene, unsigned number)
{
    redisReply *reply = trial_ask(scene->admin, "KEY.ROTATE %s GRACE 1h", scene->keys[number].id);
    const redisReply *told = trial_member(reply, "keys");
    assert_non_null(told);
    note_key(scene, trial_text(told->element[0], "id"), trial_text(told->element[0], "key"));
    freeReplyObject(reply);
}

/* More replies than any buffer begins with. */
static void create_many(struct scene *scene)
{
    for (unsigned i = 0; i < PIPELINED; i++)
        assert_int_equal(redisAppendCommand(scene->admin, "KEY.CREATE NAME n OWNER bob"), REDIS_OK);
    for (unsigned i = 0; i < PIPELINED; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(scene->admin, &reply), REDIS_OK);
        note_key(scene, trial_text(reply, "id"), trial_text(reply, "key"));
        freeReplyObject(reply);
    }
}

/* More requests than any buffer begins with. */
static void verify_many(struct scene *scene)
{
    for (unsigned i = 0; i < scene->count; i++)
        assert_int_equal(redisAppendCommand(scene->verify, "KEY.VERIFY %s", scene->keys[i].raw),
                         REDIS_OK);
    for (unsigned i = 0; i < scene->count; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(scene->verify, &reply), REDIS_OK);
        assert_true(trial_text(reply, "result")[0] != '\0');
        freeReplyObject(reply);
    }
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
    memset(&scene, 0, sizeof scene);
    allow_cores();
    trial_open(&scene.trial, NULL);
    *state = &scene;
    trial_start(&scene.trial);
    scene.admin = trial_connect(&scene.trial);
    scene.verify = trial_connect_verify(&scene.trial);
    look_for(&scene, MARKER);
    trial_do(scene.admin, "KEY.CREATE NAME %s", MARKER);
    for (unsigned i = 0; i < KEYS; i++)
        create(&scene);
    return 0;
}

/* One after another; what is done last is not covered by what comes after it. */
static void do_everything(struct scene *scene)
{
    for (unsigned i = 0; i < KEYS; i++) {
        verify_in_pieces(scene, &scene->keys[i]);
        use_key(scene, &scene->keys[i]);
        if (i % 4 == 0)
            rotate(scene, i);
        if (i % 4 == 1) {
            trial_do(scene->admin, "KEY.REVOKE %s REASON leaked", scene->keys[i].id);
            use_key(scene, &scene->keys[i]); /* refused, that is, and nowhere quoted */
        }
    }
    create_many(scene);
    verify_many(scene);
}

struct find {
    unsigned keys;
    unsigned markers;
    unsigned places; /* that were looked at */
    char where[256]; /* of the last key */
};

static void look_at_piece(const struct scene *scene, const char *bytes, const char *where,
                          struct find *find)
{
    for (unsigned i = 0; i < scene->piece_count; i++) {
        if (memcmp(bytes, scene->pieces[i], PIECE) != 0)
            continue;
        find->markers += i == 0;
        find->keys += i != 0;
        if (i != 0)
            snprintf(find->where, sizeof find->where, "key %u: %s", (i - 1) / 2, where);
    }
}

static void look_in(const struct scene *scene, const char *bytes, size_t len, const char *where,
                    struct find *find)
{
    const unsigned char *at = (const unsigned char *)bytes;
    find->places++;
    for (size_t i = 0; i + PIECE <= len; i++) {
        uint32_t head = at[i] | (uint32_t)at[i + 1] << 8 | (uint32_t)at[i + 2] << 16;
        if ((scene->heads[head / 8] >> head % 8 & 1) != 0)
            look_at_piece(scene, bytes + i, where, find);
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
    struct scene *scene = *state;
    struct find find = {0};
    do_everything(scene);
    look_in_tree(scene, scene->trial.folder, &find); /* the log too */
    look_in_tree(scene, scene->trial.shared, &find);
    assert_none(&find);
}

/* A sanitizer's shadow memory has no end, and its heap keeps what was freed. */
#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

static int open_memory(const struct scene *scene)
{
    char path[64];
    if (IS_SANITIZED) {
        print_message(
            "# skipped: a sanitized program's memory is too large to be looked through\n");
        skip();
    }
    snprintf(path, sizeof path, "/proc/%ld/mem", (long)scene->trial.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        print_message("# skipped: %s: %s (it is closed to all but root)\n", path, strerror(errno));
        skip();
    }
    return fd;
}

static void assert_none_in_memory(const struct scene *scene, int fd)
{
    struct find find = {0};
    trial_do(scene->verify, "PING"); /* the loop has come round: the last reply is behind it */
    look_in_memory(scene, fd, &find);
    assert_none(&find);
}

static void the_daemons_memory_holds_no_raw_key(void **state)
{
    struct scene *scene = *state;
    int fd = open_memory(scene);
    assert_none_in_memory(scene, fd); /* after creating */
    rotate(scene, KEYS - 1);
    assert_none_in_memory(scene, fd);
    verify_in_pieces(scene, &scene->keys[1]);
    assert_none_in_memory(scene, fd);
    use_key(scene, &scene->keys[2]);
    assert_none_in_memory(scene, fd);
    create_many(scene);
    assert_none_in_memory(scene, fd);
    verify_many(scene);
    assert_none_in_memory(scene, fd);
    do_everything(scene);
    assert_none_in_memory(scene, fd);
    close(fd);
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
