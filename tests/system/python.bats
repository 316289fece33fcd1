#!/usr/bin/env bats
# The Python package: what it says of keys, and what its middlewares answer.

load ../cli/lib
load process
load python

# One daemon for all: each case makes keys of its own.
setup_file() {
    [ -z "$(python_missing)" ] || return 0
    open_python_folder
    launch catlatchd
    export dir PATH
}

teardown_file() {
    [ -z "${dir:-}" ] || remove_folder
}

setup() {
    need_python
}

latch() { # CASE
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

web() { # CASE
    python_does python_web.py "$1"
}

@test "WSGI, ASGI: each result has its answer, and who is let through is known behind" {
    web each_result_has_its_answer
}

@test "WSGI, ASGI: a credential that comes twice is none" {
    web a_credential_that_comes_twice_is_none
}

@test "WSGI, ASGI: keys are found where they are said to be, and hidden from what is behind" {
    web keys_are_found_where_they_are_said_to_be
}

@test "WSGI, ASGI: a dry run lets everybody through as nobody, and logs" {
    web a_dry_run_lets_everybody_through_and_logs
}

@test "WSGI, ASGI: a preflight is passed where that is said" {
    web a_preflight_is_passed_where_that_is_said
}

@test "WSGI, ASGI: a key is good from where it may be used" {
    web addresses_are_the_peers
}

@test "WSGI, ASGI: a middleware within another asks again, and charges once" {
    web a_middleware_within_another_asks_again_and_charges_once
}

@test "options that make no sense are refused when the application begins" {
    web options_that_make_no_sense_are_refused
}

@test "ASGI: websockets are let in or closed" {
    web websockets_are_let_in_or_closed
}

@test "ASGI: what is no request is passed or refused" {
    web what_is_no_request_is_passed_or_refused
}
