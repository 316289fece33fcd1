/* Who is at the other end, and what they may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/peer.h"

#define DAEMON_UID ((uid_t)900)

static struct config *new_config(void)
{
    struct config *config = calloc(1, sizeof *config);
    assert_non_null(config);
    return config;
}

static void allow_uid(struct config *config, enum config_right right, uid_t uid)
{
    struct config_principals *who = &config->access[right];
    who->uids[who->uid_count++] = uid;
}

static void allow_gid(struct config *config, enum config_right right, gid_t gid)
{
    struct config_principals *who = &config->access[right];
    who->gids[who->gid_count++] = gid;
}

static void the_kernel_tells_uid_pid_and_every_group(void **state)
{
    struct peer peer;
    struct error error;
    gid_t groups[1024];
    int ends[2], count = getgroups(1024, groups);

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(peer_of(ends[0], &peer, &error), 0);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.gid, getegid());
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.group_count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(peer.groups[i], groups[i]);
    peer_free(&peer);
    close(ends[0]);
    close(ends[1]);
}

static void what_is_no_socket_has_no_peer(void **state)
{
    struct peer peer = {.uid = 4711};
    struct error error;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_not_equal(peer_of(ends[0], &peer, &error), 0);
    assert_int_equal(peer.uid, 4711);
    close(ends[0]);
    close(ends[1]);
}

static void nobody_has_a_right_that_was_not_given(void **state)
{
    struct config *config = new_config();
    struct peer root = {.uid = 0}, user = {.uid = 1000, .gid = 1000};

    (void)state;
    assert_int_equal(peer_right(&root, config, DAEMON_UID), CONFIG_RIGHT_NONE);
    assert_int_equal(peer_right(&user, config, DAEMON_UID), CONFIG_RIGHT_NONE);
    allow_uid(config, CONFIG_RIGHT_ADMIN, 1001);
    allow_gid(config, CONFIG_RIGHT_ADMIN, 1001);
    assert_int_equal(peer_right(&user, config, DAEMON_UID), CONFIG_RIGHT_NONE);
    free(config);
}

static void the_highest_right_of_user_and_groups_counts(void **state)
{
    struct config *config = new_config();
    gid_t groups[] = {7, 8, 9};
    struct peer peer = {.uid = 1000, .gid = 1000, .groups = groups, .group_count = 3};

    (void)state;
    allow_uid(config, CONFIG_RIGHT_GATEWAY, 1000);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_GATEWAY);
    allow_gid(config, CONFIG_RIGHT_VERIFY, 1000);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_VERIFY);
    allow_gid(config, CONFIG_RIGHT_REVOKE, 9);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_REVOKE);
    allow_uid(config, CONFIG_RIGHT_READ, 1000);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_REVOKE);
    free(config);
}

static void a_group_number_is_no_user_number(void **state)
{
    struct config *config = new_config();
    struct peer peer = {.uid = 1000, .gid = 2000};

    (void)state;
    allow_uid(config, CONFIG_RIGHT_ADMIN, 2000);
    allow_gid(config, CONFIG_RIGHT_ADMIN, 1000);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_NONE);
    free(config);
}

static void the_daemons_own_user_is_admin(void **state)
{
    struct config *config = new_config();
    struct peer peer = {.uid = DAEMON_UID};

    (void)state;
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_ADMIN);
    free(config);
}

static void the_overflow_uid_never_has_a_right(void **state)
{
    struct config *config = new_config();
    gid_t groups[] = {8};
    struct peer peer = {.uid = PEER_OVERFLOW_UID, .groups = groups, .group_count = 1};

    (void)state;
    allow_uid(config, CONFIG_RIGHT_ADMIN, PEER_OVERFLOW_UID);
    allow_gid(config, CONFIG_RIGHT_VERIFY, 8);
    assert_int_equal(peer_right(&peer, config, DAEMON_UID), CONFIG_RIGHT_NONE);
    assert_int_equal(peer_right(&peer, config, PEER_OVERFLOW_UID), CONFIG_RIGHT_NONE);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_tells_uid_pid_and_every_group),
        cmocka_unit_test(what_is_no_socket_has_no_peer),
        cmocka_unit_test(nobody_has_a_right_that_was_not_given),
        cmocka_unit_test(the_highest_right_of_user_and_groups_counts),
        cmocka_unit_test(a_group_number_is_no_user_number),
        cmocka_unit_test(the_daemons_own_user_is_admin),
        cmocka_unit_test(the_overflow_uid_never_has_a_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
