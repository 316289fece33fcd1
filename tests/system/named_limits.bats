#!/usr/bin/env bats
# Limits that services name: whose count they are, and what becomes of it when the configuration
# changes or the daemon is started anew.

load ../cli/lib
load process

setup() {
    open_folder </dev/null
}

teardown() {
    remove_folder
}

# Services, one for each argument: its name, and its lines behind the first.
services() { # NAME=LINE;LINE...
    local each
    for each in "$@"; do
        printf '[service %s]\nrequired = table\n' "${each%%:*}"
        tr ';' '\n' <<<"${each#*:}"
    done >>"$CATLATCH_CONFIG"
}

# What the service says of the key, which it charges.
ask_service() { # SERVICE [KEY]
    redis-cli -s "$verify" --json KEY.VERIFY "${2:-$key}" SERVICE "$1" | jq -r .result
}

expect_results() { # SERVICE RESULT...
    local service=$1 wanted
    shift
    for wanted in "$@"; do
        run ask_service "$service"
        [ "$output" = "$wanted" ] || {
            echo "$service: $output, expected $wanted"
            return 1
        }
    done
}

@test "services that name the same limit share its count, for each key" {
    services 'a:required = limit name=uploads rate=3/366d' \
        'b:required = limit name=uploads rate=3/366d' 'c:required = limit name=other rate=1/366d'
    launch catlatchd
    make_key first
    expect_results a valid valid
    expect_results b valid rate_limited
    expect_results a rate_limited
    expect_results c valid rate_limited
    make_key second
    expect_results b valid
    expect_results c valid
}

@test "it is beside the key's own, and of two that are charged both give back what one refuses" {
    services 'a:required = limit name=uploads rate=3/366d;required = limit' \
        'b:required = limit;required = limit name=uploads rate=3/366d'
    launch catlatchd
    make_key first --rate 2/366d
    expect_results a valid valid rate_limited rate_limited
    catlatch update "$id" --set rate= --yes
    expect_results a valid rate_limited
    make_key second --rate 5/366d
    expect_results b valid valid valid rate_limited rate_limited
    catlatch show --json "$id" | jq -e '.use_count == 3'
    services 'own:required = limit'
    catlatch reload
    expect_results own valid valid rate_limited
}

@test "several rates, a cost, and a dry run" {
    services 'a:required = limit name=mixed rate=2/1h,3/366d cost=0.5' \
        'dry:required = limit name=mixed rate=2/1h,3/366d dry-run'
    launch catlatchd
    make_key first
    expect_results a valid valid valid valid rate_limited
    expect_results dry valid valid
}

@test "a key and its successor share it" {
    services 'a:required = limit name=uploads rate=2/366d'
    launch catlatchd
    make_key first
    expect_results a valid
    key=$(catlatch rotate "$id")
    expect_results a valid rate_limited
}

@test "with a reload keys that were there are held to it, and a restart forgets nothing" {
    services 'default:required = limit'
    launch catlatchd
    make_key first
    services 'a:required = limit name=uploads rate=4/366d'
    catlatch reload
    expect_results a valid
    services 'b:required = limit name=another rate=1/366d'
    catlatch reload
    expect_results b valid rate_limited
    expect_results a valid
    end_daemon
    # In another order, in which their places must not follow.
    sed -i '/^\[service a\]/,$d' "$CATLATCH_CONFIG"
    services 'b:required = limit name=another rate=1/366d' 'a:required = limit name=uploads rate=4/366d'
    launch catlatchd
    expect_results b rate_limited
    expect_results a valid
    end_daemon KILL || [ $? -eq 137 ]
    launch catlatchd
    expect_results b rate_limited
    expect_results a valid rate_limited
}

@test "a limit that no service names any more is kept while there is room, and then makes some" {
    services 'a:required = limit name=uploads rate=1/366d'
    cp "$CATLATCH_CONFIG" "$dir/with"
    launch catlatchd
    make_key first
    expect_results a valid rate_limited
    sed -i '/^\[service a\]/,$d' "$CATLATCH_CONFIG"
    cp "$CATLATCH_CONFIG" "$dir/without"
    services "b:required = limit name=another rate=1/366d"
    catlatch reload
    expect_results b valid rate_limited
    cp "$dir/with" "$CATLATCH_CONFIG"
    catlatch reload
    expect_results a rate_limited
    cp "$dir/without" "$CATLATCH_CONFIG"
    services "full:$(seq -f 'required = limit name=n%g rate=5/366d;' 8 | tr -d '\n')"
    catlatch reload
    expect_results full valid valid valid valid valid rate_limited
}

@test "keys that were made while no service named a limit are held to the next one" {
    services 'a:required = limit name=uploads rate=1/366d'
    cp "$CATLATCH_CONFIG" "$dir/with"
    launch catlatchd
    make_key first
    expect_results a valid rate_limited
    sed -i '/^\[service a\]/,$d' "$CATLATCH_CONFIG"
    catlatch reload
    make_key second
    cp "$dir/with" "$CATLATCH_CONFIG"
    catlatch reload
    expect_results a valid rate_limited
}

@test "one name with two rates, and more than there is room for, are refused with the line" {
    launch catlatchd
    cp "$CATLATCH_CONFIG" "$dir/good"
    services 'a:required = limit name=uploads rate=3/366d' 'b:required = limit name=uploads rate=4/1h'
    run catlatch reload
    expect_status 78
    expect_text "$output" "catlatch.ini:$(grep -n 4/1h "$CATLATCH_CONFIG" | cut -d: -f1): the limit uploads has rate=4/1h here and rate=3/366d elsewhere; one name is one limit"
    cp "$dir/good" "$CATLATCH_CONFIG"
    services "a:$(seq -f 'required = limit name=n%g rate=5/366d;' 9 | tr -d '\n')"
    run catlatch reload
    expect_status 78
    expect_text "$output" "the limit n9 is one too many"
    make_key after
    [ "$(verdict "$key")" = valid ]
}

@test "a worker that names a limit that the daemon does not know is told unavailable, or passes" {
    launch catlatchd
    make_key first
    services 'default:required = limit name=uploads rate=1/366d'
    [ "$(worker_verdict "$key")" = unavailable ]
    sed -i 's|rate=1/366d|& on_missing=pass|' "$CATLATCH_CONFIG"
    [ "$(worker_verdict "$key")" = valid ]
    sed -i 's| on_missing=pass||' "$CATLATCH_CONFIG"
    catlatch reload
    [ "$(worker_verdict "$key")" = valid ]
    [ "$(worker_verdict "$key")" = rate_limited ]
}
