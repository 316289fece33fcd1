#include "daemon/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than most users have; the kernel says how many there are when it is too few. */
#define GROUPS_FIRST_GUESS 32u

static int peer_groups(int fd, struct peer *peer, struct error *error)
{
    socklen_t size = GROUPS_FIRST_GUESS * sizeof(gid_t);

    /* Twice: the second time with the size that the kernel named. They cannot change between. */
    for (int attempt = 0; attempt < 2; attempt++) {
        gid_t *groups = malloc(size ? size : sizeof *groups);
        if (!groups)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory for the peer's groups");
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
            peer->groups = groups;
            peer->group_count = size / sizeof *groups;
            return 0;
        }
        free(groups);
        if (errno != ERANGE)
            break;
    }
    return error_set(error, CATLATCH_E_IO, "cannot learn the peer's groups");
}

static uint32_t login_uid(pid_t pid)
{
    char path[64], text[16];
    uint32_t uid = UINT32_MAX;

    snprintf(path, sizeof path, "/proc/%d/loginuid", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return uid;
    ssize_t len = read(fd, text, sizeof text - 1);
    if (len > 0) {
        text[len] = '\0';
        uid = (uint32_t)strtoul(text, NULL, 10);
    }
    close(fd);
    return uid;
}

int peer_of(int fd, struct peer *ret_peer, struct error *error)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    struct peer peer = {0};

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return error_errno(error, errno, "cannot learn the peer's uid");
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
    peer.pid = credentials.pid;
    int r = peer_groups(fd, &peer, error);
    if (r != 0)
        return r;
    peer.login_uid = login_uid(peer.pid);
    *ret_peer = peer;
    return 0;
}

struct actor peer_self(void)
{
    return (struct actor){.uid = geteuid(), .login_uid = login_uid(getpid()), .pid = getpid()};
}

void peer_free(struct peer *peer)
{
    free(peer->groups);
    peer->groups = NULL;
    peer->group_count = 0;
}

static bool holds_group(const struct config_principals *principals, gid_t gid)
{
    for (unsigned i = 0; i < principals->gid_count; i++) {
        if (principals->gids[i] == gid)
            return true;
    }
    return false;
}

static bool holds(const struct config_principals *principals, const struct peer *peer)
{
    for (unsigned i = 0; i < principals->uid_count; i++) {
        if (principals->uids[i] == peer->uid)
            return true;
    }
    if (holds_group(principals, peer->gid))
        return true;
    for (size_t i = 0; i < peer->group_count; i++) {
        if (holds_group(principals, peer->groups[i]))
            return true;
    }
    return false;
}

enum config_right peer_right(const struct peer *peer, const struct config *config, uid_t daemon_uid)
{
    if (peer->uid == PEER_OVERFLOW_UID)
        return CONFIG_RIGHT_NONE;
    if (peer->uid == daemon_uid)
        return CONFIG_RIGHT_ADMIN;
    for (int right = CONFIG_RIGHT_ADMIN; right > CONFIG_RIGHT_NONE; right--) {
        if (holds(&config->access[right], peer))
            return (enum config_right)right;
    }
    return CONFIG_RIGHT_NONE;
}

const char *peer_right_name(enum config_right right)
{
    switch (right) {
    case CONFIG_RIGHT_NONE:
    case CONFIG_RIGHT_COUNT:
        break;
    case CONFIG_RIGHT_GATEWAY:
        return "gateway";
    case CONFIG_RIGHT_VERIFY:
        return "verify";
    case CONFIG_RIGHT_READ:
        return "read";
    case CONFIG_RIGHT_REVOKE:
        return "revoke";
    case CONFIG_RIGHT_WRITE:
        return "write";
    case CONFIG_RIGHT_ADMIN:
        return "admin";
    }
    return "nothing";
}
