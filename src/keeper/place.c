#include "keeper/place.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/lock.h"
#include "usage/fetch.h"

/* Connections that wait for the loop: as many as the daemon's sockets let wait. */
#define BACKLOG 511

/* Who may map the table may have the area: the group of run_dir, or our own, as for the table. */
#define SOCKET_MODE 0660

/* How long one that has the lock may take to answer: it may just have started. */
#define OTHER_MS 5000u
#define OTHER_ASK_MS 1000u
#define OTHER_PAUSE_MS 50

/* Whether a keeper that is to be believed answers there. */
static bool is_served(const char *run_dir)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;

    if (usage_fetch(run_dir, &trust, OTHER_ASK_MS, &fetched, NULL) != 0)
        return false;
    usage_fetched_close(&fetched);
    return true;
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until we have the lock, or somebody answers. */
static int take_lock(const char *run_dir, int *ret_lock, bool *ret_taken, struct error *error)
{
    const struct lock_name name = {"run_dir", "usage.lock", "catlatch-keeper"};
    int64_t end_ms = clock_ms() + OTHER_MS;
    int r;

    while ((r = lock_take_file(&name, run_dir, ret_lock, error)) == CATLATCH_E_UNAVAILABLE) {
        if (is_served(run_dir)) {
            *ret_taken = false;
            return 0;
        }
        if (clock_ms() >= end_ms)
            return error_prefix(error, "a keeper that does not answer");
        poll(NULL, 0, OTHER_PAUSE_MS); /* a lock cannot be waited for together with an answer */
    }
    *ret_taken = r == 0;
    return r;
}

/* Whether somebody takes connections of any kind there. Never blocks. */
static bool somebody_listens(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return true;
    int r = connect(fd, (const struct sockaddr *)address, sizeof *address);
    bool nobody = r != 0 && (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return !nobody;
}

/* What is there although nobody has the lock. *ret_free false: a keeper whose lock was removed. */
static int weigh_path(const struct sockaddr_un *address, const char *run_dir, bool *ret_free,
                      struct error *error)
{
    struct stat status;

    *ret_free = true;
    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT ? 0
                               : error_errno(error, errno, "cannot look at %s", address->sun_path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s is in the way and no socket; move it elsewhere", address->sun_path);
    if (!somebody_listens(address))
        return 0;
    *ret_free = !is_served(run_dir);
    if (!*ret_free)
        return 0;
    return error_set(error, CATLATCH_E_UNAVAILABLE,
                     "another process listens on %s and is no keeper; stop it", address->sun_path);
}

/* Under a name that nobody looks for, until it has its mode and listens. */
static int listen_aside(const struct sockaddr_un *address, int *ret_listener, struct error *error)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_errno(error, errno, "cannot make a socket");
    (void)unlink(address->sun_path); /* of a keeper that was killed here; bind tells of others */
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        chmod(address->sun_path, SOCKET_MODE) != 0 || listen(fd, BACKLOG) != 0) {
        int r = error_errno(error, errno, "cannot listen on %s", address->sun_path);
        close(fd);
        return r;
    }
    *ret_listener = fd;
    return 0;
}

static int open_socket(struct place *place, const struct sockaddr_un *aside, struct error *error)
{
    struct stat status;
    int r = listen_aside(aside, &place->listener, error);

    if (r != 0)
        return r;
    if (lstat(aside->sun_path, &status) != 0 || rename(aside->sun_path, place->path) != 0) {
        r = error_errno(error, errno, "cannot put %s in place", place->path);
        (void)unlink(aside->sun_path);
        close(place->listener);
        return r;
    }
    place->device = status.st_dev;
    place->inode = status.st_ino;
    return 0;
}

static int name_socket(struct sockaddr_un *address, const char *run_dir, const char *name,
                       struct error *error)
{
    size_t room = sizeof address->sun_path;

    address->sun_family = AF_UNIX;
    int len = snprintf(address->sun_path, room, "%s/%s", run_dir, name);
    if (len > 0 && (size_t)len < room)
        return 0;
    return error_set(error, CATLATCH_E_CONFIG,
                     "%s/%s: a socket's path has at most %zu bytes; choose a shorter run_dir",
                     run_dir, name, room - 1);
}

int place_take(struct place *ret_place, const char *run_dir, bool *ret_taken, struct error *error)
{
    struct place place = {.lock = -1, .listener = -1};
    struct sockaddr_un address = {0}, aside = {0};
    int r = name_socket(&address, run_dir, KEEPER_SOCKET_NAME, error);

    if (r == 0)
        r = name_socket(&aside, run_dir, "." KEEPER_SOCKET_NAME, error);
    if (r == 0)
        r = take_lock(run_dir, &place.lock, ret_taken, error);
    if (r != 0 || !*ret_taken)
        return r;
    memcpy(place.path, address.sun_path, sizeof place.path);
    r = weigh_path(&address, run_dir, ret_taken, error);
    if (r == 0 && *ret_taken)
        r = open_socket(&place, &aside, error);
    if (r == 0 && *ret_taken)
        *ret_place = place;
    else
        lock_drop(place.lock);
    return r;
}

bool place_is_ours(const struct place *place)
{
    struct stat status;

    if (lstat(place->path, &status) != 0)
        return errno != ENOENT && errno != ENOTDIR; /* what cannot be told is no reason to end */
    return status.st_dev == place->device && status.st_ino == place->inode;
}

void place_leave(struct place *place)
{
    if (place_is_ours(place))
        (void)unlink(place->path);
    close(place->listener);
    lock_drop(place->lock);
}
