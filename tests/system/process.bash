# process.bash - the daemon as a process of somebody: who starts it, who talks to it, how it ends.
# Loaded after ../cli/lib.

# How often something is done: in a long run, or in every check.
in_full() { # LONG SHORT
    [ -n "${CATLATCH_LONG:-}" ] && echo "$1" || echo "$2"
}

# As make_folder, but others can get in, and the daemon's files are small. Further configuration
# comes on standard input, sections and all; keys of [daemon] may stand at its head.
open_folder() {
    make_folder
    chmod 755 "$dir"
    printf 'ballast_size = 4M\ncache_size = 8M\n' >>"$CATLATCH_CONFIG"
    cat >>"$CATLATCH_CONFIG"
    PATH=$(realpath "$CATLATCH_BUILD/tests/system"):$BATS_TEST_DIRNAME:$PATH
    verify=$dir/run/catlatch.sock admin=$dir/admin/catlatch.sock
}

# Sets one key of [daemon], or adds it.
set_daemon_key() { # NAME VALUE
    if grep -q "^$1 = " "$CATLATCH_CONFIG"; then
        sed -i "s|^$1 = .*|$1 = $2|" "$CATLATCH_CONFIG"
    else
        sed -i "/^\[daemon\]/a $1 = $2" "$CATLATCH_CONFIG"
    fi
}

need_root() {
    [ "$(id -u)" -eq 0 ] || skip "only root can be other users"
}

# Programs that other users run have to be where they can reach them.
copy_programs() {
    mkdir -m 755 "$dir/bin"
    cp "$CATLATCH_BUILD/catlatchd" "$CATLATCH_BUILD/tests/system/verify_once" \
        "$BATS_TEST_DIRNAME"/{as_user,peer.py} "$dir/bin/"
    chmod 755 "$dir"/bin/*
    PATH=$dir/bin:$PATH
}

# Starts a daemon by this command and waits until it is ready or gone.
launch() { # COMMAND...
    : >"$dir/log"
    "$@" 2>>"$dir/log" >&2 3>&- &
    daemon_pid=$!
    until_true launch_settled && grep -q 'ready: ' "$dir/log" || {
        cat "$dir/log" >&2
        return 1
    }
}

launch_settled() {
    grep -q 'ready: ' "$dir/log" || ! kill -0 "$daemon_pid"
}

# A daemon started by this command ends at once with that status, and its last line has the text; a
# keeper that it had started says behind it that it ends too.
expect_refusal() { # STATUS TEXT COMMAND...
    local wanted=$1 text=$2
    shift 2
    run timeout 20 "$@" 3>&-
    expect_status "$wanted"
    expect_text "$(grep -v '^catlatch-keeper: ' <<<"$output" | tail -n 1)" "$text"
}

# Ends the daemon and gives its exit status.
end_daemon() { # [SIGNAL]
    local status=0
    kill "-${1:-TERM}" "$daemon_pid"
    wait "$daemon_pid" || status=$?
    daemon_pid=
    return "$status"
}

log_has() {
    grep -qF -- "$1" "$dir/log"
}

ask() { # SOCKET < requests, one a line; see peer.py
    /usr/bin/python3 "$BATS_TEST_DIRNAME/peer.py" "$1"
}

# What the library says of a raw key in a worker process of its own. The command before it may make
# that somebody else's process.
worker_verdict() { # KEY [COMMAND...]
    local key=$1
    shift
    "$@" verify_once "$CATLATCH_CONFIG" <<<"$key"
}
