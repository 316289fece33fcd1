#!/usr/bin/env bats
# The configuration, read again while the daemon runs: all of it takes effect, or none.

load ../cli/lib
load process

setup() {
    open_folder <<'INI'

[policy]
max_keys_per_owner = none

[environments]
live = cc_live_
test = cc_test_
INI
    launch catlatchd
    make_key before --owner acme
}

teardown() {
    remove_folder
}

# Puts lines at the end of the file.
add() {
    printf '%s\n' "$@" >>"$CATLATCH_CONFIG"
}

# From now on the service `default` demands no environment.
any_environment() {
    sed -i '/^\[policy\]/i [service default]\nrequired = format\nrequired = table\n' "$CATLATCH_CONFIG"
    catlatch reload
}

set_policy() { # NAME VALUE
    sed -i "/^$1 = /d; /^\[policy\]/a $1 = $2" "$CATLATCH_CONFIG"
}

# SIGHUP, and waits until the daemon has told how it went.
hang_up() { # TEXT-OF-THE-LOG
    : >"$dir/log"
    kill -HUP "$daemon_pid"
    until_true log_has "$1"
}

# Makes a key without the tool, which reads the file as well; $made is the reply, as JSON.
create() { # NAME [WORD...]
    made=$(redis-cli -e -s "$admin" --json KEY.CREATE NAME "$@")
}

redis_verdict() { # KEY [WORD...]
    local key=$1
    shift
    printf '%s\n' "KEY.VERIFY $key $*" | redis-cli -e -s "$verify" | sed -n 2p
}

# A reload that is refused says so in all three ways, and the file's line.
expect_refused() { # TEXT
    local raw
    raw=$(redis-cli -s "$admin" RELOAD)
    expect_text "$raw" "CONFIG $1"
    run --separate-stderr catlatch reload
    expect_status 78
    expect_text "$stderr" "$1"
    hang_up 'nothing was changed'
    log_has "$1"
}

@test "a service takes effect by the tool's reload, and the daemon and new workers demand it" {
    add '[service default]' 'required = format' 'required = table' 'required = environment test'
    [ "$(verdict "$key")" = valid ]
    catlatch reload
    [ "$(verdict "$key")" = wrong_environment ]
    [ "$(redis_verdict "$key")" = wrong_environment ]
    [ "$(worker_verdict "$key")" = wrong_environment ]
    make_key tested --env test
    [ "$(verdict "$key")" = valid ]
    [ "$(worker_verdict "$key")" = valid ]
}

@test "the same by RELOAD and by SIGHUP; a service that goes away is known no more" {
    add '[service orders]' 'required = table' 'required = environment test'
    run redis-cli -s "$admin" RELOAD
    [ "$output" = OK ]
    [ "$(redis_verdict "$key" SERVICE orders)" = wrong_environment ]
    sed -i 's/^required = environment test/required = environment live/' "$CATLATCH_CONFIG"
    hang_up 'configuration read again'
    [ "$(redis_verdict "$key" SERVICE orders)" = valid ]
    sed -i '/^\[service orders\]/,$d' "$CATLATCH_CONFIG"
    hang_up 'configuration read again'
    run redis_verdict "$key" SERVICE orders
    [ "$(redis-cli -s "$verify" <<<"KEY.VERIFY $key SERVICE orders" | cut -d' ' -f1)" = INVALID ]
    [ "$(redis_verdict "$key")" = valid ]
}

@test "a connection that was there before is served by the new configuration" {
    coproc talk { ask "$verify"; }
    talk_pid=$talk_PID
    echo "KEY.VERIFY $key" >&"${talk[1]}"
    read -rt 30 line <&"${talk[0]}"
    expect_text "$line" '"valid"'
    add '[service default]' 'required = table' 'required = environment test'
    catlatch reload
    echo "KEY.VERIFY $key" >&"${talk[1]}"
    read -rt 30 line <&"${talk[0]}"
    expect_text "$line" '"wrong_environment"'
    exec {talk[1]}>&-
    wait "$talk_pid"
}

@test "max_keys_per_owner" {
    make_key second --owner acme
    set_policy max_keys_per_owner 2
    catlatch create --name third --owner acme --quiet
    catlatch reload
    run --separate-stderr catlatch create --name fourth --owner acme
    expect_status 65
    expect_text "$stderr" 'max_keys_per_owner is 2'
    catlatch create --name other --owner bob --quiet
    [ "$(catlatch list --owner acme --json | jq length)" -eq 3 ]
    set_policy max_keys_per_owner none
    hang_up 'configuration read again'
    catlatch create --name fourth --owner acme --quiet
}

@test "default_expiry and max_expiry" {
    set_policy default_expiry 10d
    catlatch reload
    make_key ten
    catlatch show --json "$id" | jq -e '(.expires_at | fromdate) - (.created_at | fromdate) == 864000'
    set_policy max_expiry 20d
    run redis-cli -s "$admin" RELOAD
    [ "$output" = OK ]
    run --separate-stderr catlatch create --name long --expires 21d
    expect_status 65
    expect_text "$stderr" max_expiry
    catlatch create --name short --expires 19d --quiet
    # Keys that are there already stay as they are.
    [ "$(verdict "$key")" = valid ]
    [ "$(catlatch list --name before --json | jq '.[0].expires_at')" = null ]
    set_policy default_expiry 21d
    expect_refused "$CATLATCH_CONFIG:"
    create ten
    jq -e '(.expires_at | fromdate) - (.created_at | fromdate) == 864000' <<<"$made"
}

@test "a drop-in counts, and its name and line are told" {
    mkdir -m 755 "$dir/etc/conf.d"
    printf '[policy]\nmax_keys_per_owner = 1\n' >"$dir/etc/conf.d/10-few.ini"
    catlatch reload
    run catlatch create --name second --owner acme
    expect_status 65
    printf '# a comment\n[policy]\nmax_keys_per_owner = few\n' >"$dir/etc/conf.d/20-bad.ini"
    expect_refused "$dir/etc/conf.d/20-bad.ini:3: "
}

@test "a bad file changes nothing of what runs, however good the rest of it is" {
    set_policy max_keys_per_owner 1
    add '[service default]' 'required = table' 'required = environment test' 'requierd = scope'
    line=$(wc -l <"$CATLATCH_CONFIG")
    expect_refused "$CATLATCH_CONFIG:$line: "
    run --separate-stderr catlatch configtest
    expect_status 78
    [ "$(redis_verdict "$key")" = valid ]
    create second OWNER acme

    sed -i '/^\[service default\]/,$d' "$CATLATCH_CONFIG"
    add '[polcy]'
    line=$(wc -l <"$CATLATCH_CONFIG")
    expect_refused "$CATLATCH_CONFIG:$line: unknown section [polcy]; did you mean [policy]?"
    create third OWNER acme
    [ "$(redis_verdict "$key")" = valid ]
}

@test "a file that is gone, or that somebody else could write, changes nothing" {
    set_policy max_keys_per_owner 1
    chmod 666 "$CATLATCH_CONFIG"
    hang_up 'nothing was changed'
    log_has "chmod go-w $CATLATCH_CONFIG"
    expect_text "$(redis-cli -s "$admin" RELOAD)" "CONFIG $CATLATCH_CONFIG"
    create second OWNER acme
    mv "$CATLATCH_CONFIG" "$CATLATCH_CONFIG.away"
    hang_up 'nothing was changed'
    expect_text "$(redis-cli -s "$admin" RELOAD)" "CONFIG $CATLATCH_CONFIG"
    create third OWNER acme
    mv "$CATLATCH_CONFIG.away" "$CATLATCH_CONFIG"
    chmod 644 "$CATLATCH_CONFIG"
    catlatch reload
    run catlatch create --name fourth --owner acme
    expect_status 65
}

@test "what needs a restart is refused by its name, and nothing else of that file is taken" {
    set_policy max_keys_per_owner 1
    good=$(cat "$CATLATCH_CONFIG")
    mkdir -m 700 "$dir/state2"
    for change in "state_dir $dir/state2" "run_dir $dir/run2" "admin_dir $dir/admin2" \
        "cache_size 16M" "ballast_size 8M" "user $(id -un)" "group $(id -gn)"; do
        set_daemon_key ${change% *} "${change#* }"
        hang_up 'nothing was changed'
        log_has "${change% *} differs from what the daemon started with; restart it"
        cat <<<"$good" >"$CATLATCH_CONFIG"
    done
    set_daemon_key cache_size 16M
    expect_text "$(redis-cli -s "$admin" RELOAD)" "CONFIG $CATLATCH_CONFIG: cache_size differs"
    run --separate-stderr catlatch reload
    expect_status 78
    expect_text "$stderr" 'cache_size differs'
    make_key second --owner acme
    cat <<<"$good" >"$CATLATCH_CONFIG"
    catlatch reload
    run catlatch create --name third --owner acme
    expect_status 65
}

@test "an environment in use can be neither removed nor given another prefix; what it made stays good" {
    any_environment
    make_key testing --env test
    sed -i '/^test = /d' "$CATLATCH_CONFIG"
    expect_refused "$CATLATCH_CONFIG: environment test = cc_test_ is in use"
    add 'test = cc_tst_'
    expect_refused "$CATLATCH_CONFIG: environment test = cc_test_ is in use"
    [ "$(verdict "$key")" = valid ]
    make_key another --env test
    [[ $key == cc_test_* ]]
}

@test "a daemon does not start without an environment that its keys are of" {
    any_environment
    make_key testing --env test
    end_daemon
    sed -i '/^test = /d' "$CATLATCH_CONFIG"
    expect_refusal 78 cc_test_ catlatchd
    add 'test = cc_test_'
    launch catlatchd
    [ "$(verdict "$key")" = valid ]
}

@test "a new environment issues keys at once, and workers that open anew take them" {
    any_environment
    run catlatch create --name early --env stage
    expect_status 65
    add 'stage = cc_stage_'
    expect_refused "$CATLATCH_CONFIG:"
    sed -i 's/^stage = .*/stage = cc_stg_/' "$CATLATCH_CONFIG"
    catlatch reload
    make_key staged --env stage
    [[ $key =~ ^cc_stg_[0-9A-Za-z]{42}$ ]]
    [ "$(verdict "$key")" = valid ]
    [ "$(worker_verdict "$key")" = valid ]
    catlatch show --json "$id" | jq -e '.environment == "stage" and .prefix[0:7] == "cc_stg_"'
    end_daemon
    launch catlatchd
    [ "$(worker_verdict "$key")" = valid ]
}

@test "reloads that come all at once: each RELOAD is answered, and the last file is what counts" {
    set_policy max_keys_per_owner 7
    for n in 1 2 3 4 5 6 7 8; do
        kill -HUP "$daemon_pid"
        redis-cli -s "$admin" RELOAD >>"$dir/answers" &
        reloads+=($!)
    done
    wait "${reloads[@]}"
    [ "$(grep -cE '^(OK|UNAVAILABLE another reload is under way)' "$dir/answers")" -eq 8 ]
    set_policy max_keys_per_owner 1
    kill -HUP "$daemon_pid"
    kill -HUP "$daemon_pid"
    refused() { ! catlatch create --name more --owner acme; }
    until_true refused
    [ "$(catlatch list --owner acme --json | jq length)" -lt 7 ]
}

@test "reloads in the midst of changes lose none of them" {
    local reloads=0
    seq -f 'KEY.CREATE NAME n%g' 600 >"$dir/requests"
    redis-cli -s "$admin" <"$dir/requests" >"$dir/answers" 3>&- &
    local creator=$!
    until_true test -s "$dir/answers"
    while redis-cli -e -s "$admin" RELOAD >/dev/null && kill -0 $creator 2>/dev/null; do
        reloads=$((reloads + 1))
    done
    wait $creator
    echo "$reloads reloads were answered while keys were created"
    [ "$reloads" -gt 0 ]
    ! grep -E '^(ERR|[A-Z]+ )' "$dir/answers"
    [ "$(catlatch list --json | jq length)" -eq 601 ]
}
