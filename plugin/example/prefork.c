/*
 * prefork CONFIG SOCKET [WORKERS]: a server of several processes. The handle is opened once, before
 * they are forked, so that a mistake in the configuration is told before anybody is served; each
 * process goes on with its copy. Answers HTTP/1.0 on a unix socket; SIGTERM ends it.
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catlatch.h>

enum { HEAD_MAX = 8192, WORKERS_MAX = 64, CLIENT_WAIT_S = 5, REFRESH_S = 10 };

/* How often the field came, and where the value of the last one is. */
static unsigned find_authorization(const char *head, const char **ret, size_t *ret_len)
{
    static const char name[] = "Authorization:";
    unsigned count = 0;

    for (const char *line = head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, sizeof name - 1) != 0)
            continue;
        line += sizeof name - 1;
        *ret = line + strspn(line, " \t");
        *ret_len = (size_t)(strstr(*ret, "\r\n") - *ret);
        count++;
    }
    return count;
}

static enum catlatch_result verify(struct catlatch *latch, const char *head,
                                   struct catlatch_identity *ret_identity)
{
    struct catlatch_request request = {.size = sizeof request};
    struct catlatch_outcome outcome = {.size = sizeof outcome};

    if (find_authorization(head, &request.authorization, &request.authorization_len) > 1)
        return CATLATCH_INVALID_REQUEST;
    enum catlatch_result result = catlatch_verify(latch, &request, &outcome);
    if (outcome.matched)
        catlatch_identity(latch, &outcome, ret_identity);
    return result;
}

/* The client learns the status, and the log why. */
static void answer(int client, struct catlatch *latch, const char *head)
{
    struct catlatch_identity identity = {.size = sizeof identity};
    enum catlatch_result result = verify(latch, head, &identity);
    int status = catlatch_result_http_status(result);
    char text[1024];

    int len = snprintf(text, sizeof text,
                       "HTTP/1.0 %d \r\n%sContent-Type: text/plain\r\nX-Worker: %ld\r\n\r\n%s\n",
                       status, status == 401 ? "WWW-Authenticate: Bearer realm=\"api\"\r\n" : "",
                       (long)getpid(), result == CATLATCH_VALID ? identity.owner : "refused");
    send(client, text, (size_t)len, MSG_NOSIGNAL);
    fprintf(stderr, "%s %s\n", catlatch_result_name(result), identity.key_id);
}

static void wait_at_most(int link, time_t seconds)
{
    const struct timeval wait = {.tv_sec = seconds};

    setsockopt(link, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

static void talk(int client, struct catlatch *latch)
{
    char head[HEAD_MAX + 1] = "";
    ssize_t more = 1;

    wait_at_most(client, CLIENT_WAIT_S);
    for (size_t len = 0; more > 0 && strstr(head, "\r\n\r\n") == NULL; len += (size_t)more) {
        more = recv(client, head + len, HEAD_MAX - len, 0);
        head[len + (size_t)(more > 0 ? more : 0)] = '\0';
    }
    char *end = strstr(head, "\r\n\r\n");
    if (end == NULL)
        return;
    end[2] = '\0'; /* a body is no header, whatever it says */
    answer(client, latch, head);
}

static _Noreturn void serve(int listener, struct catlatch *latch)
{
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) { /* nobody came for a while: let go of a table that was followed */
            catlatch_refresh(latch);
            continue;
        }
        talk(client, latch);
        close(client);
    }
}

static pid_t fork_worker(int listener, struct catlatch *latch, const sigset_t *mask)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        err(71, "fork");
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* it does not stay behind, however the parent ends */
    if (getppid() != parent)
        _exit(1);
    sigprocmask(SIG_SETMASK, mask, NULL);
    serve(listener, latch);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, SOMAXCONN) != 0)
        err(71, "%s", path);
    wait_at_most(listener, REFRESH_S);
    return listener;
}

/* Until SIGTERM: a worker that dies is replaced. Then none is left. */
static void supervise(int listener, struct catlatch *latch, size_t count)
{
    pid_t workers[WORKERS_MAX], gone;
    sigset_t watched, mask;

    sigemptyset(&watched);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &mask);
    for (size_t i = 0; i < count; i++)
        workers[i] = fork_worker(listener, latch, &mask);
    while (sigwaitinfo(&watched, NULL) == SIGCHLD)
        while ((gone = waitpid(-1, NULL, WNOHANG)) > 0)
            for (size_t i = 0; i < count; i++)
                if (workers[i] == gone)
                    workers[i] = fork_worker(listener, latch, &mask);
    for (size_t i = 0; i < count; i++)
        kill(workers[i], SIGTERM);
    while (waitpid(-1, NULL, 0) > 0)
        ;
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[3], NULL, 10) : 4;
    char message[256] = "";
    struct catlatch *latch;

    if (argc < 3 || argc > 4 || count < 1 || count > WORKERS_MAX)
        errx(64, "usage: prefork CONFIG SOCKET [WORKERS]");
    struct catlatch_options options = {
        .size = sizeof options, .config_path = argv[1], .flags = CATLATCH_OPEN_NEVER_BLOCK};
    if (catlatch_open(&options, &latch, message, sizeof message) != 0)
        errx(78, "%s", message);
    supervise(listen_at(argv[2]), latch, count);
    unlink(argv[2]);
    catlatch_close(latch);
    return 0;
}
