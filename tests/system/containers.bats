#!/usr/bin/env bats
# How a container verifies: workers in mount, pid and user namespaces of their own, with a root of
# their own, of which the host has the daemon and its keys. As root the daemon is another user's and
# the worker one of its group, as with Docker; as an ordinary user all is that user's, as with
# Podman without root.

load ../cli/lib
load process

setup() {
    outer=() as=() worker=
    space=(unshare --mount --pid --fork --kill-child --propagation private)
    if [ "$(id -u)" -eq 0 ]; then
        open_folder <<<$'user = daemon\ngroup = mail'
        as=(setpriv --reuid lp --regid lp --groups "$(id -g mail)")
        owner="user = $(id -u daemon)" # a container need not know the name
    else
        open_folder </dev/null
        space+=(--user --map-root-user)
        owner=
    fi
    "${space[@]}" --mount-proc true 2>/dev/null || skip 'the kernel allows no namespaces here'
    make_image
    volumes=("$dir/run:/run/catlatch:ro")
}

teardown() {
    [ -z "${dir:-}" ] || {
        end_worker KILL
        remove_folder
    }
}

# What a container of ours has: the library with its modules, a configuration, a worker, the tool.
make_image() {
    local image=$dir/image
    mkdir -p -m 755 "$image"/{root,etc/catlatch,opt/catlatch/{bin,lib}}
    cp "$CATLATCH_BUILD"/{catlatch,tests/system/verify_{once,lines}} "$image/opt/catlatch/bin/"
    cp "$CATLATCH_BUILD/libcatlatch.so.0" "$image/opt/catlatch/lib/"
    cp -R "${CATLATCH_MODULES:-$CATLATCH_BUILD/modules}" "$image/opt/catlatch/modules"
    chmod -R go=rX "$image"
    write_inside </dev/null
}

# The configuration in the container; services come on standard input.
write_inside() {
    cat - >"$dir/services"
    cat >"$dir/image/etc/catlatch/catlatch.ini" - "$dir/services" <<INI
[daemon]
run_dir = /run/catlatch
module_dir = /opt/catlatch/modules
$owner
INI
    chmod 644 "$dir/image/etc/catlatch/catlatch.ini"
}

# The rest of the command runs in a container: [OUTER...] unshare ... in_container ... -- [AS...]
compose() {
    boxed=("${outer[@]}" "${space[@]}" in_container "$dir/image" "${volumes[@]}" -- "${as[@]}")
}

box() { # COMMAND...
    compose
    "${boxed[@]}" "$@" 3>&- 7>&- 8<&-
}

# What a worker in a container of its own says of a key.
boxed_verdict() { # KEY
    box verify_once /etc/catlatch/catlatch.ini <<<"$1"
}

# Begins a container with a worker that lives on; `says KEY` asks it.
start_worker() {
    rm -f "$dir/in" "$dir/out"
    mkfifo "$dir/in" "$dir/out"
    compose
    "${boxed[@]}" verify_lines /etc/catlatch/catlatch.ini \
        <"$dir/in" >"$dir/out" 2>>"$dir/said" 3>&- &
    worker=$!
    exec 7>"$dir/in" 8<"$dir/out"
    says '' >/dev/null
}

says() { # KEY
    local answer
    (echo "$1" >&7) && read -r -t 60 answer <&8 && echo "$answer" || {
        echo "no answer: $(cat "$dir/said")"
        return 1
    }
}

# Without a signal it ends by itself, as its input ends.
end_worker() { # [SIGNAL]
    [ -n "$worker" ] || return 0
    exec 7>&- 8<&-
    [ $# -eq 0 ] || kill "-$1" "$(worker_pid)" 2>/dev/null || true
    wait "$worker" 2>/dev/null || true
    worker=
}

# The worker's process as catlatch-keeper knows it: the one that is neither the daemon nor ended.
attached() { # prints its pid and its user
    catlatch stats --json | jq -r --argjson daemon "$daemon_pid" \
        '.processes[] | select(.pid != $daemon) | "\(.pid) \(.uid)"'
}

uses() { # ID
    catlatch show --json "$1" | jq .use_count
}

# Keys until the table is followed by a larger one.
grow() {
    local before
    before=$(catlatch status --json | jq .generation)
    seq -f 'KEY.CREATE NAME n%g' 300 | redis-cli -s "$admin" >/dev/null
    until_true eval "[ \"\$(catlatch status --json | jq .generation)\" -gt $before ]"
}

# Looks into the container that runs, from within.
inside() { # COMMAND...
    local user=()
    [ "$(id -u)" -eq 0 ] || user=(--user --preserve-credentials)
    nsenter -t "$(worker_pid)" "${user[@]}" --mount --pid -- env -i PATH=/opt/catlatch/bin:/usr/bin \
        LC_ALL=C.UTF-8 CATLATCH_CONFIG=/etc/catlatch/catlatch.ini "$@"
}

worker_pid() { # as the host has it: the last of the chain that began it
    local pid=$worker next
    while next=$(pgrep -P "$pid"); do pid=$next; done
    echo "$pid"
}

# It found this, and says how to mend it.
expect_finding() { # RESULT CHECK TEXT MEND
    jq -e --arg r "$1" --arg c "$2" --arg t "$3" --arg m "$4" '.findings | any(.result == $r
        and .check == $c and (.text | contains($t)) and ((.mend // "") | contains($m)))' \
        <<<"$output" >/dev/null || {
        echo "expected: $*, in: $output"
        return 1
    }
}

# A user namespace that has a worker of its own, whom the host has as 100007, and its group. Of the
# daemon's user it knows what $1 is: `mapped` or `unmapped`.
use_user_namespace() {
    need_root
    local uids=$'0 100000 1\n2 100002 65533' gids
    gids="0 100000 8
9 100009 1000"
    as=(setpriv --reuid lp --regid lp --keep-groups)
    [ "$1" = unmapped ] || uids+=$'\n1 1 1' gids+=$'\n8 8 1'
    outer=(setpriv --groups "$(id -g mail)" in_user_namespace "$uids" "$gids")
}

@test "the folder read-only: verifies, a key is refused once revoke has returned, doctor finds no fault" {
    launch catlatchd
    start_worker
    for i in 1 2 3 4 5 6 7 8; do
        make_key "key-$i"
        [ "$(says "$key")" = valid ]
        catlatch revoke "$id" --yes >/dev/null
        [ "$(says "$key")" = revoked ]
    done
    run box touch /run/catlatch/mine
    expect_text "$output" 'Read-only file system'
    run box ls "$dir" /run/catlatch-admin
    [ "$status" -ne 0 ]
    run inside catlatch doctor --json
    expect_finding ok mounts "nobody has the table's file mounted" ''
    run catlatch doctor --json
    expect_finding ok mounts "nobody has the table's file mounted" ''
}

@test "a table that grows is followed inside" {
    set_daemon_key expected_keys 16
    launch catlatchd
    make_key old
    local old=$key old_id=$id
    start_worker
    [ "$(says "$old")" = valid ]
    grow
    make_key new
    [ "$(says "$key")" = valid ]
    [ "$(says "$old")" = valid ]
    catlatch revoke "$old_id" --yes >/dev/null
    [ "$(says "$old")" = revoked ]
}

@test "uses inside are counted and limits hold across the border, in a network of its own too" {
    space+=(--net --ipc --uts)
    launch catlatchd
    make_key limited --rate 3/1h
    start_worker
    [ "$(says "$key")" = valid ]
    [ "$(worker_verdict "$key")" = valid ]
    [ "$(boxed_verdict "$key")" = valid ]
    [ "$(says "$key")" = rate_limited ]
    [ "$(worker_verdict "$key")" = rate_limited ]
    [ "$(uses "$id")" -eq 3 ]
}

@test "the host knows its process by pid and user, and forgets it when it ends or is killed" {
    launch catlatchd
    make_key one
    start_worker
    [ "$(says "$key")" = valid ]
    [ "$(attached)" = "$(worker_pid) $([ "$(id -u)" -eq 0 ] && id -u lp || id -u)" ]
    [ "$(inside sh -c 'echo $$')" -lt "$(worker_pid)" ]
    end_worker
    [ -z "$(attached)" ]
    start_worker
    [ "$(says "$key")" = valid ]
    kill -9 "$(worker_pid)"
    until_true eval '[ -z "$(attached)" ]'
    [ "$(catlatch stats --json | jq .stats.results.valid)" -eq 2 ]
    [ "$(uses "$id")" -eq 2 ]
}

@test "without the keeper's socket: verifies, counts nothing, and limits are as on_missing says" {
    write_inside <<<$'[service default]\nrequired = table\nrequired = limit
[service easy]\nrequired = table\nrequired = limit on_missing=pass'
    volumes+=(/dev/null:/run/catlatch/usage.sock)
    launch catlatchd
    make_key free
    [ "$(boxed_verdict "$key")" = valid ]
    [ "$(uses "$id")" -eq 0 ]
    catlatch revoke "$id" --yes >/dev/null
    [ "$(boxed_verdict "$key")" = revoked ]
    make_key limited --rate 3/1h
    [ "$(boxed_verdict "$key")" = unavailable ]
    [ "$(box verify_once /etc/catlatch/catlatch.ini easy <<<"$key")" = valid ]
}

@test "begun before the daemon: unavailable, and good as soon as it is there" {
    start_worker
    [ "$(says cc_live_0000000000000000000000000000000000000i6yS3)" = unavailable ]
    launch catlatchd
    make_key one
    [ "$(says '')" = 0 ]
    [ "$(says "$key")" = valid ]
}

@test "the daemon is killed and comes again: the worker goes on, and takes the new table" {
    launch catlatchd
    make_key one
    start_worker
    [ "$(says "$key")" = valid ]
    end_daemon KILL || true
    [ "$(says "$key")" = valid ]
    launch catlatchd
    local before=$key
    make_key two
    [ "$(says "$key")" = valid ]
    catlatch revoke --prefix "${before:0:15}" --yes >/dev/null
    [ "$(says "$before")" = revoked ]
}

@test "a folder that was removed and made anew is not seen: nothing is granted there" {
    start_worker
    mv "$dir/run" "$dir/gone"
    mkdir -m 755 "$dir/run"
    launch catlatchd
    make_key one
    [ "$(says '')" != 0 ]
    [ "$(says "$key")" = unavailable ]
    [ "$(boxed_verdict "$key")" = valid ]
}

@test "the file by itself: once it was replaced nothing is granted, and doctor says so on both sides" {
    set_daemon_key expected_keys 16
    launch catlatchd
    make_key one
    volumes=("$dir/run/table:/run/catlatch/table:ro")
    start_worker
    [ "$(says "$key")" = valid ]
    run inside catlatch doctor --json
    expect_finding warning mounts '/run/catlatch/table is mounted by itself here' \
        'mount the folder /run/catlatch, not the file'
    run catlatch doctor --json
    expect_finding warning mounts "has the table's file mounted by itself at /run/catlatch/table" \
        "mount the folder $dir/run instead"
    grow
    catlatch revoke "$id" --yes >/dev/null
    [ "$(says "$key")" = unavailable ]
    make_key two
    [ "$(says "$key")" = unavailable ]
    run inside catlatch doctor --json
    expect_finding problem mounts '/run/catlatch/table is a dead table' \
        'mount the folder /run/catlatch, not the file'
    run catlatch doctor --json
    expect_finding problem mounts 'sees a dead table at /run/catlatch/table' \
        "mount the folder $dir/run instead"
}

@test "the file by itself, and the daemon could not mark it: a revoked key is refused all the same" {
    launch catlatchd
    make_key one
    volumes=("$dir/run/table:/run/catlatch/table:ro")
    start_worker
    [ "$(says "$key")" = valid ]
    end_daemon KILL || true
    rm "$dir"/run/table*
    launch catlatchd
    catlatch revoke "$id" --yes >/dev/null
    [ "$(says "$key")" = unavailable ]
}

@test "without the group: unavailable, and doctor names the group and the option" {
    need_root
    launch catlatchd
    make_key one
    as=(setpriv --reuid lp --regid lp --clear-groups)
    [ "$(boxed_verdict "$key")" = unavailable ]
    run box catlatch doctor --json --user lp
    expect_finding problem worker 'lp is not in the group mail, which may map /run/catlatch/table' \
        "begun with --group-add $(id -g mail)"
}

@test "the host's own configuration, and one whose user the container does not know" {
    need_root
    set_daemon_key user "$(id -u daemon)"
    launch catlatchd
    make_key one
    volumes=("$dir/run:$dir/run:ro" "$dir/etc:/etc/catlatch:ro" "$dir/image/opt/catlatch/modules:$(
        sed -n 's/^module_dir = //p' "$CATLATCH_CONFIG"):ro")
    [ "$(boxed_verdict "$key")" = valid ]
    volumes=("$dir/run:/run/catlatch:ro")
    owner='user = not-known-here'
    write_inside </dev/null
    run boxed_verdict "$key"
    expect_status 69
    expect_text "$output" '[daemon] user "not-known-here" does not exist'
    owner='user = nobody'
    write_inside </dev/null
    run boxed_verdict "$key"
    expect_status 69
    expect_text "$output" '"nobody" is number 65534, which everybody unknown in a container has'
}

@test "a user namespace that maps the daemon's user: verifies and counts, known by the host's number" {
    use_user_namespace mapped
    launch catlatchd
    make_key one --rate 5/1h
    start_worker
    [ "$(says "$key")" = valid ]
    [ "$(attached)" = "$(worker_pid) 100007" ]
    [ "$(uses "$id")" -eq 1 ]
    catlatch revoke "$id" --yes >/dev/null
    [ "$(says "$key")" = revoked ]
}

@test "a user namespace that does not: no table is believed, in one line with the way out" {
    use_user_namespace unmapped
    launch catlatchd
    make_key one
    local me
    for me in 7 65534 64999; do
        as=(setpriv --reuid "$me" --regid 7 --keep-groups)
        run boxed_verdict "$key"
        expect_status 69
        [ "${#lines[@]}" -eq 1 ]
        expect_text "$output" 'run_dir /run/catlatch belongs to user 65534: this user namespace does not map its owner'
        expect_text "$output" 'verify by the module `socket`'
    done
    as=(setpriv --reuid lp --regid lp --keep-groups)
    volumes+=("$dir/image/etc/catlatch:/etc/catlatch:ro")
    run boxed_verdict "$key"
    expect_status 69
    expect_text "$output" '/etc/catlatch belongs to user 65534, which in a container is anybody whom'
    unset 'volumes[1]'
    run box catlatch doctor --json --user lp
    expect_finding problem worker 'does not map its owner' 'verify by the module `socket`'
}

@test "there the module socket verifies, by the group that was kept, and counts" {
    use_user_namespace unmapped
    printf '[access]\nverify = @mail\n[service containers]\nrequired = table\nrequired = limit\n' \
        >>"$CATLATCH_CONFIG"
    owner=
    write_inside <<<$'[service default]\nrequired = socket service=containers timeout=5s'
    launch catlatchd
    make_key one --rate 2/1h
    start_worker
    [ "$(says "$key")" = valid ]
    [ "$(says "$key")" = valid ]
    [ "$(says "$key")" = rate_limited ]
    [ "$(uses "$id")" -eq 2 ]
    catlatch revoke "$id" --yes >/dev/null
    [ "$(says "$key")" = revoked ]
    end_worker
    outer=(setpriv --clear-groups "${outer[@]:3}")
    make_key two
    [ "$(boxed_verdict "$key")" = unavailable ]
    sed -i 's/^verify = @mail$/verify = 100007/' "$CATLATCH_CONFIG"
    catlatch reload
    [ "$(boxed_verdict "$key")" = valid ]
}

# Nothing of what follows is root's any more, but who looks on.
become_ordinary() {
    sed -i '/^user = /d; /^group = /d' "$CATLATCH_CONFIG"
    owner= as=()
    write_inside </dev/null
    copy_programs
    cp "$CATLATCH_BUILD/catlatch-keeper" "$BATS_TEST_DIRNAME/in_container" "$dir/bin/"
    chown lp "$dir"/{state,run,admin}
    ordinary=(as_user lp)
    space=(as_user lp "${space[@]}" --user --map-root-user)
    "${space[@]}" --mount-proc true 2>/dev/null || skip 'the kernel allows ordinary users no namespaces'
}

@test "an ordinary user's daemon and container, without root" {
    [ "$(id -u)" -ne 0 ] || become_ordinary
    volumes+=("$dir/own.ini:/etc/catlatch/catlatch.ini:ro")
    cp "$dir/image/etc/catlatch/catlatch.ini" "$dir/own.ini"
    [ "$(id -u)" -ne 0 ] || chown lp "$dir/own.ini"
    launch "${ordinary[@]}" catlatchd
    make_key one --rate 5/1h
    start_worker
    [ "$(says "$key")" = valid ]
    [ "$(uses "$id")" -eq 1 ]
    catlatch revoke "$id" --yes >/dev/null
    [ "$(says "$key")" = revoked ]
}
