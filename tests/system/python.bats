#!/usr/bin/env bats
# The Python package: what it says of keys, and what its middlewares answer.

load ../cli/lib
load process
load python

setup() {
    need_python
    open_python_folder
}

teardown() {
    [ -z "${dir:-}" ] || remove_folder
}

latch() { # CASE
    launch catlatchd
    python_does python_latch.py "$1"
}

@test "structs, enums, constants and functions are those of the header" {
    python_does python_header.py "$(realpath "$BATS_TEST_DIRNAME/../../src/include/catlatch.h")"
}

@test "answers are those of nginx's module, for every result and limit" {
    python_does python_answers.py "$CATLATCH_BUILD/tests/system/answer_says"
}

@test "every result is told, and whose key it is" {
    latch every_result_is_told
}

@test "limits are told, and when to come again" {
    latch limits_are_told
}

@test "known keys are asked about again, uncharged" {
    latch known_keys_are_asked_about_again
}

@test "what makes no sense is an error that says why" {
    latch what_makes_no_sense_is_an_error
}

@test "a service that may wait is refused but where that is meant; the daemon tells the owner then" {
    latch the_daemon_is_asked_where_that_is_meant
}

@test "forked processes go on with the handle, and refuse what was revoked" {
    latch forked_processes_refuse_what_was_revoked
}

@test "threads share a latch, and a fork in between leaves a good one to the child" {
    latch threads_and_forks_do_not_disturb_each_other
}

@test "a hundred thousand verifications take no memory" {
    latch a_hundred_thousand_take_no_memory
}

@test "without a daemon keys are unavailable, and good as long as the table is fresh" {
    mkfifo "$dir/in" "$dir/out"
    python_does python_latch.py an_outage_is_no_denial <"$dir/in" >"$dir/out" &
    python_pid=$!
    exec 8>"$dir/in" 9<"$dir/out"
    read -r -t 30 said <&9 && [ "$said" = ready ]
    launch catlatchd
    echo there >&8
    read -r -t 30 said <&9 && [ "$said" = served ]
    end_daemon KILL || [ $? -eq 137 ]
    echo gone >&8
    wait "$python_pid"
}
