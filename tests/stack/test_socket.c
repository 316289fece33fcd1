/* The module socket: asking a real daemon, and one that does everything wrong. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../system/lib_daemon.h"
#include "lib_module.h"

#define KEY "cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample"

/* A wait that ends only by the deadline is short, any other as long as can be. */
#define BRIEF "required = socket path=@/run/catlatch.sock timeout=60ms\n"
#define PATIENT "required = socket path=@/run/catlatch.sock timeout=5s\n"

/* Hanging is what must not happen: then this ends the test. */
#define PATIENCE_S 60

#define VALID "*2\r\n$6\r\nresult\r\n$5\r\nvalid\r\n"
#define REVOKED "*2\r\n$6\r\nresult\r\n$7\r\nrevoked\r\n"

/* What a played daemon says to a question. */
struct answer {
    const char *text;
    /* BLURT: says REVOKED, unasked. LATE: it was said when there was something else to hear, and
     * nothing comes after it */
    enum after { GO_ON, CLOSE, DEAFEN, BLURT, LATE } then;
    int pause_ms; /* before each byte */
};

/* Shared with the process that plays it. */
struct played {
    _Atomic unsigned connections;
    _Atomic unsigned questions;
    _Atomic bool blurted;
    char last[8192]; /* question, as it came */
};

struct fixture {
    struct module_bench *bench;
    struct played *played;
    pid_t pid; /* who plays; 0: nobody */
    int listener;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    char path[96];

    alarm(PATIENCE_S);
    if (fixture == NULL || module_bench_make((void **)&fixture->bench) != 0)
        return -1;
    fixture->listener = -1;
    fixture->played = mmap(NULL, sizeof *fixture->played, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *state = fixture;
    return fixture->played != MAP_FAILED ? mkdir(module_path(fixture->bench, "run", path), 0755)
                                         : -1;
}

static void end_play(struct fixture *fixture)
{
    if (fixture->pid != 0) {
        kill(fixture->pid, SIGKILL);
        waitpid(fixture->pid, NULL, 0);
    }
    if (fixture->listener >= 0)
        close(fixture->listener);
    fixture->pid = 0;
    fixture->listener = -1;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *bench = fixture->bench;

    end_play(fixture);
    munmap(fixture->played, sizeof *fixture->played);
    free(fixture);
    return module_bench_remove(&bench);
}

static int listen_at(const struct fixture *fixture, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[96];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, module_path(fixture->bench, "run/catlatch.sock", path));
    unlink(path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* The question is short: it comes in one piece, or the test fails for the lack of an answer. */
static bool hear_question(struct played *played, int fd)
{
    ssize_t len = recv(fd, played->last, sizeof played->last - 1, 0);

    if (len <= 0)
        return false;
    played->last[len] = '\0';
    atomic_fetch_add(&played->questions, 1);
    return true;
}

static void say(int fd, const struct answer *answer)
{
    struct pollfd next = {.fd = fd, .events = POLLIN};

    if (answer->then == LATE)
        poll(&next, 1, -1);
    if (answer->then == DEAFEN)
        shutdown(fd, SHUT_RD);
    if (answer->pause_ms == 0)
        send(fd, answer->text, strlen(answer->text), MSG_NOSIGNAL);
    for (const char *at = answer->text; answer->pause_ms > 0 && *at != '\0'; at++) {
        poll(NULL, 0, answer->pause_ms);
        send(fd, at, 1, MSG_NOSIGNAL);
    }
}

/* Once what was said has been read. */
static void blurt(struct played *played, int fd)
{
    int left = 1;

    while (ioctl(fd, TIOCOUTQ, &left) == 0 && left > 0)
        poll(NULL, 0, 1);
    send(fd, REVOKED, strlen(REVOKED), MSG_NOSIGNAL);
    atomic_store(&played->blurted, true);
}

/* Answers in their order, on however many connections; the last one again and again. */
static void play(struct fixture *fixture, const struct answer *answers)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        enum after then = GO_ON;
        int fd = accept(fixture->listener, NULL, NULL);
        atomic_fetch_add(&fixture->played->connections, 1);
        while (then != CLOSE && then != DEAFEN && hear_question(fixture->played, fd)) {
            const struct answer *answer = answers;
            answers += answers[1].text != NULL;
            say(fd, answer);
            then = answer->then;
            if (then == BLURT)
                blurt(fixture->played, fd);
            while (then == LATE && hear_question(fixture->played, fd))
                continue;
        }
        if (then != DEAFEN) /* which is still there, and hears no more */
            close(fd);
    }
}

static void start_play(struct fixture *fixture, const struct answer *answers)
{
    end_play(fixture);
    memset(fixture->played, 0, sizeof *fixture->played);
    fixture->listener = listen_at(fixture, 8);
    fixture->pid = fork();
    assert_true(fixture->pid >= 0);
    if (fixture->pid == 0)
        play(fixture, answers);
}

#define ANSWERS(...) ((const struct answer[]){__VA_ARGS__, {NULL, GO_ON, 0}})

static enum catlatch_result ask(struct fixture *fixture)
{
    return module_ask(fixture->bench, NULL, KEY);
}

static void the_question_has_all_that_the_request_says(void **state)
{
    struct fixture *fixture = *state;

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, "required = socket timeout=5s service=edge\n");
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_string_equal(fixture->played->last, "*4\r\n$10\r\nKEY.VERIFY\r\n$50\r\n" KEY
                                               "\r\n$7\r\nSERVICE\r\n$4\r\nedge\r\n");
    module_open_service(fixture->bench, PATIENT);
    fixture->bench->address = "203.0.113.9";
    assert_int_equal(module_ask_scope(fixture->bench, NULL, KEY, "read"), CATLATCH_VALID);
    assert_string_equal(fixture->played->last,
                        "*8\r\n$10\r\nKEY.VERIFY\r\n$50\r\n" KEY
                        "\r\n$7\r\nSERVICE\r\n$7\r\ndefault\r\n$5\r\nSCOPE\r\n$4\r\nread\r\n"
                        "$7\r\nADDRESS\r\n$11\r\n203.0.113.9\r\n");
}

static void every_result_is_the_daemons_word_for_word(void **state)
{
    struct fixture *fixture = *state;
    char text[64];

    module_open_service(fixture->bench, PATIENT);
    for (int result = CATLATCH_DENIED; result <= CATLATCH_UNAVAILABLE; result++) {
        const char *name = catlatch_result_name((enum catlatch_result)result);
        snprintf(text, sizeof text, "*2\r\n$6\r\nresult\r\n$%zu\r\n%s\r\n", strlen(name), name);
        start_play(fixture, ANSWERS({text, GO_ON, 0}));
        assert_int_equal(ask(fixture), result);
    }
}

static void what_the_daemon_tells_become_facts(void **state)
{
    struct fixture *fixture = *state;
    struct stack_facts *facts = &fixture->bench->facts;

    start_play(fixture,
               ANSWERS({"*14\r\n$6\r\nresult\r\n$7\r\nexpired\r\n$2\r\nid\r\n$3\r\nkey\r\n"
                        "$4\r\nname\r\n$-1\r\n$5\r\nowner\r\n$6\r\nAl Ice\r\n"
                        "$11\r\nenvironment\r\n$4\r\nlive\r\n$6\r\nscopes\r\n*2\r\n$4\r\nread\r\n"
                        "$5\r\nwrite\r\n$6\r\nfuture\r\n:42\r\n",
                        GO_ON, 0},
                       {VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_EXPIRED);
    assert_string_equal(facts_get(facts, "key_id"), "key");
    assert_string_equal(facts_get(facts, "owner"), "Al Ice");
    assert_string_equal(facts_get(facts, "environment"), "live");
    assert_string_equal(facts_get(facts, "scopes"), "read write");
    assert_null(facts_get(facts, "name"));
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(facts->count, 0);
}

/* Each of them: what is no answer is an outage, and the next question has a connection of its own.
 */
static void whatever_goes_wrong_is_unavailable_and_leaves_nothing_behind(void **state)
{
    static const struct answer wrong[] = {
        {"", GO_ON, 0},
        {"", CLOSE, 0},
        {"*2\r\n$6\r\nresult\r\n$5\r\nval", GO_ON, 0},
        {"*2\r\n$6\r\nresult\r\n$5\r\nval", CLOSE, 0},
        {"-ERR max number of clients reached\r\n", CLOSE, 0},
        {"-NOPERM uid 33 lacks the right verify\r\n", GO_ON, 0},
        {"-INVALID SERVICE is none of the 1\r\n", GO_ON, 0},
        {"*2\r\n$6\r\nresult\r\n$5\r\nmaybe\r\n", GO_ON, 0},
        {"*2\r\n$6\r\nresult\r\n$-1\r\n", GO_ON, 0},
        {"*2\r\n$2\r\nid\r\n$3\r\nkey\r\n", GO_ON, 0},
        {"*0\r\n", GO_ON, 0},
        {"+OK\r\n", GO_ON, 0},
        {"%1\r\n$6\r\nresult\r\n$5\r\nvalid\r\n", GO_ON, 0},
        {"HTTP/1.1 200 OK\r\n\r\n", GO_ON, 0},
        {"valid\r\n", GO_ON, 0},
        {VALID VALID, GO_ON, 0},
        {VALID REVOKED, GO_ON, 0},
        {VALID, GO_ON, 10},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        start_play(fixture, ANSWERS(wrong[i], {REVOKED, GO_ON, 0}));
        module_open_service(fixture->bench, BRIEF);
        if (ask(fixture) != CATLATCH_UNAVAILABLE)
            fail_msg("case %zu: %s", i, wrong[i].text);
        assert_in_range(atomic_load(&fixture->played->connections), 0, 1);
        module_open_service(fixture->bench, "required = permit\n");
    }
    start_play(fixture, ANSWERS({"*2\r\n$6\r\nresult\r\n", GO_ON, 0}, {REVOKED, GO_ON, 0}));
    module_open_service(fixture->bench, BRIEF);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    kill(fixture->pid, SIGKILL);
    waitpid(fixture->pid, NULL, 0);
    fixture->pid = 0;
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
}

/* An answer that comes after the deadline is not the next question's. */
static void a_late_answer_is_nobodys(void **state)
{
    struct fixture *fixture = *state;
    enum catlatch_result result;

    start_play(fixture, ANSWERS({VALID, LATE, 0}, {REVOKED, GO_ON, 0}));
    module_open_service(fixture->bench, BRIEF);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    do
        result = ask(fixture);
    while (result == CATLATCH_UNAVAILABLE); /* there is little time */
    assert_int_equal(result, CATLATCH_REVOKED);
}

static void a_connection_is_kept(void **state)
{
    struct fixture *fixture = *state;

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(atomic_load(&fixture->played->connections), 1);
}

/* Closed after each answer, or after the question and before an answer, or deaf: then asking goes
 * on over a new one, once. */
static void a_stale_connection_is_made_anew_within_the_call(void **state)
{
    struct fixture *fixture = *state;

    start_play(fixture, ANSWERS({VALID, CLOSE, 0}, {REVOKED, CLOSE, 0}, {VALID, DEAFEN, 0},
                                {REVOKED, GO_ON, 0}, {"", CLOSE, 0}, {VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(ask(fixture), CATLATCH_REVOKED);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(ask(fixture), CATLATCH_REVOKED);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(atomic_load(&fixture->played->connections), 5);
    start_play(fixture, ANSWERS({VALID, GO_ON, 0}, {"", CLOSE, 0}, {"", CLOSE, 0}));
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    assert_int_equal(atomic_load(&fixture->played->questions), 3);
}

static void what_was_said_unasked_is_no_answer(void **state)
{
    struct fixture *fixture = *state;

    start_play(fixture, ANSWERS({VALID, BLURT, 0}, {VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    while (!atomic_load(&fixture->played->blurted))
        poll(NULL, 0, 1);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(atomic_load(&fixture->played->connections), 2);
}

/* Nobody takes the connection, and the queue of those that wait is full. */
static void a_full_queue_is_waited_for_no_longer_than_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[96];
    int waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    fixture->listener = listen_at(fixture, 0);
    strcpy(address.sun_path, module_path(fixture->bench, "run/catlatch.sock", path));
    assert_int_equal(connect(waiting, (const struct sockaddr *)&address, sizeof address), 0);
    module_open_service(fixture->bench, BRIEF);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    close(waiting);
}

static void a_child_has_a_connection_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    int status = -1;

    /* Who serves one connection at a time never comes to the child's, which ends by a signal. */
    start_play(fixture, ANSWERS({VALID, GO_ON, 0}, {REVOKED, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    pid_t pid = fork();
    if (pid == 0) {
        ualarm(300000, 0);
        _exit((int)ask(fixture));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(atomic_load(&fixture->played->questions), 1);
    assert_int_equal(ask(fixture), CATLATCH_REVOKED);
    assert_int_equal(atomic_load(&fixture->played->connections), 1);
}

/* The lowest that is not open before is what is opened next. */
static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void a_descriptor_that_the_host_took_over_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    int pair[2];
    char byte;

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    int theirs = next_descriptor();
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(dup2(pair[0], theirs), theirs);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(atomic_load(&fixture->played->connections), 2);
    assert_int_equal(recv(pair[1], &byte, 1, MSG_DONTWAIT), -1);
    assert_true(fcntl(theirs, F_GETFD) >= 0);
    int again = next_descriptor() - 1; /* the module's second one, the last that was opened */
    assert_int_equal(dup2(pair[0], again), again);
    module_open_service(fixture->bench, "required = permit\n");
    assert_true(fcntl(again, F_GETFD) >= 0);
    close(again);
    close(theirs);
    close(pair[0]);
    close(pair[1]);
}

static void nothing_stays_open_behind_it(void **state)
{
    struct fixture *fixture = *state;
    int before = next_descriptor();

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    before = next_descriptor();
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_int_equal(fcntl(before, F_GETFD), FD_CLOEXEC);
    module_open_service(fixture->bench, "required = permit\n");
    assert_int_equal(next_descriptor(), before);
}

static void no_key_stays_in_its_memory(void **state)
{
    struct fixture *fixture = *state;
    void *instance;

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}, {"", GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    instance = fixture->bench->service->steps[0].instance;
    size_t size = malloc_usable_size(instance);
    assert_int_equal(ask(fixture), CATLATCH_VALID);
    assert_null(memmem(instance, size, &KEY[20], 20));
    end_play(fixture);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    assert_null(memmem(instance, size, &KEY[20], 20));
}

static void a_recheck_is_unavailable_for_want_of_a_key(void **state)
{
    struct fixture *fixture = *state;

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(module_recheck(fixture->bench, NULL, KEY), CATLATCH_UNAVAILABLE);
    assert_int_equal(atomic_load(&fixture->played->questions), 0);
}

/* What the daemon would answer with an error is the caller's mistake, and no outage. */
static void what_the_daemon_would_not_take_is_not_asked(void **state)
{
    struct fixture *fixture = *state;
    char text[KEY_FOREIGN_MAX + 2], address[1026];

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    memset(text, 'x', sizeof text);
    memset(address, '1', sizeof address);
    text[sizeof text - 1] = address[sizeof address - 1] = '\0';
    assert_int_equal(module_ask(fixture->bench, NULL, text), CATLATCH_MALFORMED);
    assert_int_equal(module_ask_scope(fixture->bench, NULL, KEY, "a b"), CATLATCH_INVALID_REQUEST);
    assert_int_equal(module_ask_scope(fixture->bench, NULL, KEY, ""), CATLATCH_INVALID_REQUEST);
    fixture->bench->address = address;
    assert_int_equal(ask(fixture), CATLATCH_INVALID_REQUEST);
    fixture->bench->address = "1.2.3.4\r\n";
    assert_int_equal(ask(fixture), CATLATCH_INVALID_REQUEST);
    assert_int_equal(atomic_load(&fixture->played->questions), 0);
}

/* As long as can be in every part. */
static void the_longest_question_is_asked_whole(void **state)
{
    struct fixture *fixture = *state;
    char text[KEY_FOREIGN_MAX + 1], address[1025], scope[65];
    const char *scopes[33];
    struct stack_request request = {
        .key = text, .key_len = KEY_FOREIGN_MAX, .scopes = scopes, .address = address};

    memset(text, 'k', sizeof text);
    memset(address, '1', sizeof address);
    memset(scope, 's', sizeof scope);
    text[sizeof text - 1] = address[sizeof address - 1] = scope[sizeof scope - 1] = '\0';
    for (size_t i = 0; i < 33; i++)
        scopes[i] = scope;
    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(
        fixture->bench,
        "required = socket path=@/run/catlatch.sock timeout=5s "
        "service=ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss\n");
    request.scope_count = 32;
    stack_prepare(fixture->bench->service, &request, &fixture->bench->run);
    assert_int_equal(stack_decide(&fixture->bench->run, NULL), CATLATCH_VALID);
    assert_int_equal(strlen(fixture->played->last),
                     5 + 17 + 8 + 512 + 13 + 5 + 66 + 32 * (11 + 5 + 66) + 13 + 7 + 1026);
    request.scope_count = 33;
    stack_prepare(fixture->bench->service, &request, &fixture->bench->run);
    assert_int_equal(stack_decide(&fixture->bench->run, NULL), CATLATCH_INVALID_REQUEST);
}

static void a_socket_that_others_could_replace_is_not_asked(void **state)
{
    struct fixture *fixture = *state;
    char path[96];

    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_service(fixture->bench, PATIENT);
    assert_int_equal(chmod(module_path(fixture->bench, "run", path), 0777), 0);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    module_refuses(fixture->bench, STACK_HOST_ANY, CATLATCH_E_PERMISSION, PATIENT, "writable by");
    assert_int_equal(chmod(path, 0755), 0);
    module_open_service(fixture->bench, PATIENT);
    if (geteuid() == 0)
        assert_int_equal(chown(path, 12345, 12345), 0); /* the daemon's own user */
    assert_int_equal(ask(fixture), CATLATCH_VALID);
}

static void errno_is_the_hosts(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, BRIEF);
    errno = 4711;
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    assert_int_equal(errno, 4711);
}

static void a_loop_refuses_it_and_the_daemon_does_not_run_it(void **state)
{
    struct fixture *fixture = *state;

    module_refuses(fixture->bench, STACK_HOST_LOOP, CATLATCH_E_CONFIG, PATIENT, "socket may wait");
    start_play(fixture, ANSWERS({VALID, GO_ON, 0}));
    module_open_as(fixture->bench, STACK_HOST_DAEMON, PATIENT);
    assert_int_equal(ask(fixture), CATLATCH_UNAVAILABLE);
    assert_int_equal(atomic_load(&fixture->played->connections), 0);
}

static void arguments_that_are_none_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"catlatch.sock", "\"catlatch.sock\": there are"},
        {"server=x", "\"server=\": there are"},
        {"service=", "\"service=\": a name"},
        {"service=sssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss",
         "a name of 1 to 64"},
        {"path=run/x", "\"path=run/x\": the path of a socket"},
        {"path=/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "longer than the 107 bytes"},
        {"timeout=0", "\"timeout=0\": 1ms to 5s"},
        {"timeout=5001ms", "\"timeout=5001ms\""},
        {"timeout=50", "\"timeout=50\""},
        {"timeout", "\"timeout\": there are"},
    };
    struct fixture *fixture = *state;
    char lines[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(lines, sizeof lines, "required = socket %s\n", bad[i][0]);
        module_refuses(fixture->bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, lines, bad[i][1]);
    }
}

/* The rest asks a catlatchd. */

static void real_open(struct fixture *fixture, struct trial *trial)
{
    char lines[256];

    trial_open(trial, "[service default]\nrequired = table\nrequired = scope\n"
                      "[service test]\nrequired = table\nrequired = environment test\n"
                      "[service mirror]\nrequired = socket\n");
    trial_start(trial);
    snprintf(lines, sizeof lines, "required = socket path=%s/catlatch.sock timeout=5s\n",
             trial->run_dir);
    module_open_service(fixture->bench, lines);
}

static void the_daemon_grants_refuses_and_tells_whose_key_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct module_bench *bench = fixture->bench;
    struct trial trial;
    struct trial_key key;

    real_open(fixture, &trial);
    redisContext *admin = trial_connect(&trial);
    trial_create(admin, "door", "alice", &key);
    assert_int_equal(module_ask(bench, NULL, key.raw), CATLATCH_VALID);
    assert_string_equal(facts_get(&bench->facts, "key_id"), key.id);
    assert_string_equal(facts_get(&bench->facts, "owner"), "alice");
    assert_string_equal(facts_get(&bench->facts, "name"), "door");
    assert_string_equal(facts_get(&bench->facts, "environment"), "live");
    assert_int_equal(module_ask(bench, NULL, KEY), CATLATCH_NOT_FOUND);
    assert_int_equal(module_ask_scope(bench, NULL, key.raw, "read"), CATLATCH_INSUFFICIENT_SCOPE);
    trial_do(admin, "KEY.UPDATE %s SET scopes %s", key.id, "read,write");
    assert_int_equal(module_ask_scope(bench, NULL, key.raw, "read"), CATLATCH_VALID);
    assert_string_equal(facts_get(&bench->facts, "scopes"), "read write");
    bench->address = "203.0.113.9";
    assert_int_equal(module_ask(bench, NULL, key.raw), CATLATCH_VALID);
    trial_do(admin, "KEY.DISABLE %s", key.id);
    assert_int_equal(module_ask(bench, NULL, key.raw), CATLATCH_DISABLED);
    trial_do(admin, "KEY.REVOKE %s", key.id);
    assert_int_equal(module_ask(bench, NULL, key.raw), CATLATCH_REVOKED);
    redisFree(admin);
    trial_close(&trial);
}

static void the_daemons_service_decides(void **state)
{
    struct fixture *fixture = *state;
    struct trial trial;
    struct trial_key key;
    char lines[256];

    real_open(fixture, &trial);
    redisContext *admin = trial_connect(&trial);
    trial_create(admin, "door", "alice", &key);
    redisFree(admin);
    const struct {
        const char *service;
        enum catlatch_result result;
    } cases[] = {{"default", CATLATCH_VALID},
                 {"test", CATLATCH_WRONG_ENVIRONMENT},
                 {"mirror", CATLATCH_UNAVAILABLE}, /* it does not ask itself */
                 {"none", CATLATCH_UNAVAILABLE}};
    for (size_t i = 0; i < 4; i++) {
        snprintf(lines, sizeof lines,
                 "required = socket path=%s/catlatch.sock timeout=5s service=%s\n", trial.run_dir,
                 cases[i].service);
        module_open_service(fixture->bench, lines);
        assert_int_equal(module_ask(fixture->bench, NULL, key.raw), cases[i].result);
        assert_int_equal(module_ask(fixture->bench, NULL, key.raw), cases[i].result);
    }
    trial_close(&trial);
}

static void a_daemon_that_comes_back_is_asked_again(void **state)
{
    struct fixture *fixture = *state;
    struct trial trial;
    struct trial_key key;

    real_open(fixture, &trial);
    redisContext *admin = trial_connect(&trial);
    trial_create(admin, "door", "alice", &key);
    redisFree(admin);
    assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_VALID);
    trial_kill(&trial);
    assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_UNAVAILABLE);
    trial_start(&trial);
    assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_VALID);
    trial_stop(&trial);
    trial_start(&trial);
    assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_VALID);
    trial_close(&trial);
}

static void a_daemon_that_hangs_is_unavailable_and_then_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct trial trial;
    struct trial_key key;
    char lines[256];

    real_open(fixture, &trial);
    redisContext *admin = trial_connect(&trial);
    trial_create(admin, "door", "alice", &key);
    redisFree(admin);
    snprintf(lines, sizeof lines, "required = socket path=%s/catlatch.sock timeout=100ms\n",
             trial.run_dir);
    module_open_service(fixture->bench, lines);
    kill(trial.pid, SIGSTOP);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_UNAVAILABLE);
    kill(trial.pid, SIGCONT);
    snprintf(lines, sizeof lines, "required = socket path=%s/catlatch.sock timeout=5s\n",
             trial.run_dir);
    module_open_service(fixture->bench, lines);
    assert_int_equal(module_ask(fixture->bench, NULL, key.raw), CATLATCH_VALID);
    trial_close(&trial);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_question_has_all_that_the_request_says),
        TEST(every_result_is_the_daemons_word_for_word),
        TEST(what_the_daemon_tells_become_facts),
        TEST(whatever_goes_wrong_is_unavailable_and_leaves_nothing_behind),
        TEST(a_late_answer_is_nobodys),
        TEST(a_connection_is_kept),
        TEST(a_stale_connection_is_made_anew_within_the_call),
        TEST(what_was_said_unasked_is_no_answer),
        TEST(a_full_queue_is_waited_for_no_longer_than_the_deadline),
        TEST(a_child_has_a_connection_of_its_own),
        TEST(a_descriptor_that_the_host_took_over_is_left_alone),
        TEST(nothing_stays_open_behind_it),
        TEST(no_key_stays_in_its_memory),
        TEST(a_recheck_is_unavailable_for_want_of_a_key),
        TEST(what_the_daemon_would_not_take_is_not_asked),
        TEST(the_longest_question_is_asked_whole),
        TEST(a_socket_that_others_could_replace_is_not_asked),
        TEST(errno_is_the_hosts),
        TEST(a_loop_refuses_it_and_the_daemon_does_not_run_it),
        TEST(arguments_that_are_none_are_refused),
        TEST(the_daemon_grants_refuses_and_tells_whose_key_it_is),
        TEST(the_daemons_service_decides),
        TEST(a_daemon_that_comes_back_is_asked_again),
        TEST(a_daemon_that_hangs_is_unavailable_and_then_is_not),
    };
    signal(SIGPIPE, SIG_DFL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
