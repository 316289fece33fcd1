#include "keeper/processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notify.h"
#include "keeper/pidfd.h"
#include "usage/segment.h"

/* Names in the manager's store. */
#define SEGMENT_NAME "process.segment"
#define ROLL_NAME "process.roll"

/* Ends in one call of epoll_wait. */
#define ENDS_MAX 64

/* Descriptors that processes do not get: CLIENTS_MAX connections, an area's segments, and what is
 * open anyhow. Without them nobody could be answered any more. */
#define FILES_LEFT 128u

/* Who comes without end must not fill the log. */
#define COMPLAINT_MS 60000

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void remove_passed(struct passed *passed, unsigned i)
{
    passed->count--;
    memmove(&passed->list[i], &passed->list[i + 1], (passed->count - i) * sizeof passed->list[0]);
}

/* Takes what has this name out of `passed`; -1: nothing has, or it was dropped, which is *unfit. */
static int take_named(struct passed *passed, const char *name, size_t size, bool *unfit)
{
    struct error error;
    int fd = -1;

    for (unsigned i = passed->count; i-- > 0;) {
        if (strcmp(passed->list[i].name, name) != 0)
            continue;
        if (fd < 0 && usage_memory_check(passed->list[i].fd, size, name, &error) == 0) {
            fd = passed->list[i].fd;
        } else {
            *unfit = true;
            passed_drop(passed, i);
        }
        remove_passed(passed, i);
    }
    return fd;
}

static void drop_memory(struct processes *processes)
{
    if (processes->segment_fd >= 0)
        close(processes->segment_fd);
    if (processes->roll_fd >= 0)
        close(processes->roll_fd);
    processes->segment_fd = processes->roll_fd = -1;
    (void)notify_forget(SEGMENT_NAME);
    (void)notify_forget(ROLL_NAME);
}

void processes_inherit(struct processes *ret_processes, struct passed *passed)
{
    bool unfit = false;
    int segment_fd = take_named(passed, SEGMENT_NAME, sizeof(struct process_segment), &unfit);
    int roll_fd = take_named(passed, ROLL_NAME, sizeof(struct roll), &unfit);

    *ret_processes = (struct processes){.segment_fd = segment_fd, .roll_fd = roll_fd};
    if (!unfit && (segment_fd >= 0) == (roll_fd >= 0))
        return;
    log_line(LOG_WARNING, "what the service manager kept of processes is dropped: it is %s",
             unfit ? "unfit" : "incomplete");
    drop_memory(ret_processes);
}

/* Allocated now: who writes to it later is killed where there is no memory. */
static int make_memory(const char *name, size_t size, int *ret_fd, struct error *error)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return error_errno(error, errno, "cannot make the memory of processes");
    int failed = posix_fallocate(fd, 0, (off_t)size);
    if (failed == 0 && (fchmod(fd, 0600) != 0 ||
                        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0))
        failed = errno;
    if (failed == 0) {
        *ret_fd = fd;
        return 0;
    }
    close(fd);
    return error_set(error, CATLATCH_E_MEMORY, "cannot make %zu bytes of memory for processes: %s",
                     size, strerror(failed));
}

/* NULL: it cannot be mapped. */
static void *map_memory(int fd, size_t size, struct error *error)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (base != MAP_FAILED)
        return base;
    error_errno(error, errno, "cannot map the memory of processes");
    return NULL;
}

static int map_both(struct processes *processes, struct error *error)
{
    struct process_segment *segment = map_memory(processes->segment_fd, sizeof *segment, error);
    struct roll *roll = segment ? map_memory(processes->roll_fd, sizeof *roll, error) : NULL;

    if (segment != NULL && roll == NULL)
        munmap(segment, sizeof *segment);
    if (roll == NULL)
        return error->code;
    processes->segment = segment;
    processes->roll = roll;
    return 0;
}

static int make_both(struct processes *processes, struct error *error)
{
    int r = make_memory("processes", sizeof *processes->segment, &processes->segment_fd, error);

    if (r == 0)
        r = make_memory("roll", sizeof *processes->roll, &processes->roll_fd, error);
    if (r == 0)
        r = map_both(processes, error);
    if (r != 0)
        return r;
    roll_init(processes->roll);
    int failed = notify_store(SEGMENT_NAME, processes->segment_fd);
    if (failed == 0)
        failed = notify_store(ROLL_NAME, processes->roll_fd);
    if (failed != 0)
        log_line(LOG_WARNING,
                 "the service manager does not keep who is attached (%s): should this end, what "
                 "processes counted is lost",
                 strerror(failed));
    return 0;
}

/* Of a version with another layout: its workers attach again when they take over another area. */
static void drop_unsound(struct processes *processes)
{
    log_line(LOG_WARNING, "what the service manager kept of processes is dropped: it is another "
                          "version's");
    munmap(processes->segment, sizeof *processes->segment);
    munmap(processes->roll, sizeof *processes->roll);
    drop_memory(processes);
}

/* False: its end cannot be watched. A descriptor's number is the lowest that is free: as many are
 * open, at least. */
static bool watch(struct processes *processes, uint32_t line, int pidfd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = line}};

    if (pidfd > processes->highest ||
        epoll_ctl(processes->ended, EPOLL_CTL_ADD, pidfd, &event) != 0)
        return false;
    processes->pidfds[line] = pidfd;
    return true;
}

static void release(struct processes *processes, uint32_t line)
{
    roll_fold(processes->roll, processes->segment, line);
    if (processes->pidfds[line] >= 0)
        close(processes->pidfds[line]); /* and it is watched no more */
    processes->pidfds[line] = -1;
}

/* One that a keeper before us gave a line. Whom we cannot watch keeps his line: somebody may write
 * there. */
static void watch_again(struct processes *processes, uint32_t line, const struct roll_entry *entry)
{
    int pidfd = entry->pid != 0 ? pidfd_open_pid((pid_t)entry->pid) : -1;

    if (pidfd < 0) {
        if (entry->pid != 0 && errno == ESRCH)
            release(processes, line);
        return;
    }
    if (pidfd_identity(pidfd) != entry->identity) {
        release(processes, line);
        close(pidfd);
    } else if (!watch(processes, line, pidfd)) {
        close(pidfd);
    }
}

static void resume(struct processes *processes)
{
    unsigned count = 0;

    roll_recover(processes->roll, processes->segment);
    for (uint32_t line = 1; line < PROCESS_LINES; line++) {
        const struct roll_entry *entry = roll_find(processes->roll, line);
        if (entry == NULL)
            continue;
        watch_again(processes, line, entry);
        count += roll_find(processes->roll, line) != NULL;
    }
    log_line(LOG_NOTICE, "took back the lines of processes, %u of which are in use", count);
}

int processes_start(struct processes *processes, uint64_t files, struct error *error)
{
    int r = 0;
    bool inherited = processes->segment_fd >= 0;

    processes->highest = files > FILES_LEFT ? (int)(files - FILES_LEFT) - 1 : -1;
    for (uint32_t line = 0; line < PROCESS_LINES; line++)
        processes->pidfds[line] = -1;
    processes->ended = epoll_create1(EPOLL_CLOEXEC);
    if (processes->ended < 0)
        return error_errno(error, errno, "cannot watch processes");
    if (inherited)
        r = map_both(processes, error);
    if (r == 0 && inherited && !roll_is_sound(processes->roll)) {
        drop_unsound(processes);
        inherited = false;
    }
    if (r == 0 && !inherited)
        r = make_both(processes, error);
    if (r == 0 && inherited)
        resume(processes);
    return r;
}

void processes_reap(struct processes *processes)
{
    struct epoll_event ends[ENDS_MAX];
    int count;

    do {
        count = epoll_wait(processes->ended, ends, ENDS_MAX, 0);
        for (int i = 0; i < count; i++)
            release(processes, ends[i].data.u32);
    } while (count == ENDS_MAX);
}

static void complain(struct processes *processes, const struct ucred *peer, uint64_t now_ms,
                     const char *why)
{
    if (now_ms < processes->silent_ms)
        return;
    processes->silent_ms = now_ms + COMPLAINT_MS;
    log_line(LOG_WARNING, "no line for uid %u, pid %ld: %s; what it counts is not in the totals",
             (unsigned)peer->uid, (long)peer->pid, why);
}

static uint32_t attach(struct processes *processes, const struct ucred *peer, int pidfd,
                       uint64_t now_ms)
{
    const struct roll_entry who = {.pid = (uint32_t)peer->pid,
                                   .uid = peer->uid,
                                   .identity = pidfd_identity(pidfd),
                                   .attached_ms = now_ms};
    uint32_t line = roll_attach(processes->roll, processes->segment, &who);

    if (line != 0 && !watch(processes, line, pidfd)) {
        release(processes, line);
        line = 0;
    }
    return line;
}

void processes_attach(struct processes *processes, int socket, const struct ucred *peer,
                      struct keeper_process *ret_entry)
{
    uint64_t now_ms = clock_ms();
    uint32_t line = 0;

    processes_reap(processes);
    int pidfd = pidfd_of_peer(socket, peer->pid);
    if (pidfd >= 0) {
        line = attach(processes, peer, pidfd, now_ms);
        if (line == 0)
            close(pidfd);
    }
    if (line == 0)
        complain(processes, peer, now_ms,
                 pidfd >= 0 ? "too many are taken" : "it has ended, or cannot be watched");
    *ret_entry = (struct keeper_process){
        .pid = (uint32_t)peer->pid, .uid = peer->uid, .line = line, .attached_ms = now_ms};
}

static bool is_peer(const struct roll_entry *entry, const struct ucred *peer, uint64_t identity)
{
    if (identity != 0)
        return entry->identity == identity;
    return entry->identity == 0 && entry->pid == (uint32_t)peer->pid && entry->uid == peer->uid;
}

bool processes_detach(struct processes *processes, int socket, const struct ucred *peer,
                      uint32_t line)
{
    processes_reap(processes);
    const struct roll_entry *entry = roll_find(processes->roll, line);
    int pidfd = pidfd_of_peer(socket, peer->pid);

    if (pidfd < 0)
        return false;
    bool is_own = entry != NULL && is_peer(entry, peer, pidfd_identity(pidfd));
    close(pidfd);
    if (is_own)
        release(processes, line);
    return is_own;
}

void processes_release(struct processes *processes, uint32_t line)
{
    if (line != 0)
        release(processes, line);
}

unsigned processes_list(struct processes *processes, uint32_t from,
                        struct keeper_process ret_list[KEEPER_PAGE])
{
    unsigned count = 0;

    processes_reap(processes);
    /* Whoever asks reads the totals next. */
    roll_show_past(processes->roll, processes->segment);
    for (uint32_t line = from; line < PROCESS_LINES && count < KEEPER_PAGE; line++) {
        const struct roll_entry *entry = roll_find(processes->roll, line);
        if (entry != NULL)
            ret_list[count++] = (struct keeper_process){.pid = entry->pid,
                                                        .uid = entry->uid,
                                                        .line = line,
                                                        .attached_ms = entry->attached_ms};
    }
    return count;
}
