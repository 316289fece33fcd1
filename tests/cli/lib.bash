# lib.bash - a private daemon for each test, in a folder of its own, and what tests say often.
# CATLATCH_BUILD names the build folder, CATLATCH_MODULES one with the modules that nobody else can
# write; tests/run sets both.

bats_require_minimum_version 1.5.0

CATLATCH_BUILD=${CATLATCH_BUILD:-build}
PATH=$(realpath "$CATLATCH_BUILD"):$PATH

# A configuration in a new folder $dir; further lines of it come on standard input, if any.
make_folder() {
    dir=$(mktemp -d "${TMPDIR:-/tmp}/catlatch-cli.XXXXXX")
    mkdir -m 755 "$dir/etc" "$dir/admin" "$dir/run"
    mkdir -m 700 "$dir/state"
    cat >"$dir/etc/catlatch.ini" <<INI
[daemon]
state_dir = $dir/state
run_dir = $dir/run
admin_dir = $dir/admin
module_dir = ${CATLATCH_MODULES:-$(realpath "$CATLATCH_BUILD")/modules}
INI
    export CATLATCH_CONFIG=$dir/etc/catlatch.ini
    daemon_pid=
}

# The blocks of code of this kind under a heading of the README, one behind the other; or the first,
# the second of them.
readme_code() { # HEADING KIND [NUMBER]
    local folder tests files
    tests=$(dirname "${BASH_SOURCE[0]}")/..
    folder=$(mktemp -d "$BATS_TEST_TMPDIR/readme.XXXXXX")
    "$tests/blocks" -v folder="$folder" -v heading="$1" "$tests/../README.md"
    files=("$folder"/*."$2")
    [ -z "${3:-}" ] || files=("${files[$3 - 1]}")
    cat "${files[@]}"
}

# Waits until the command succeeds, for half a minute at most.
until_true() {
    local until_true_tries # no name that a command of the caller's may use
    for ((until_true_tries = 0; until_true_tries < 320; until_true_tries++)); do
        "$@" >/dev/null 2>&1 && return 0
        if [ "$until_true_tries" -lt 20 ]; then sleep 0.02; else sleep 0.1; fi
    done
    echo "never came true: $*" >&2
    return 1
}

# Descriptor 3 is bats' own: whoever keeps it open keeps bats waiting.
start_daemon() { # [OPTION...]
    catlatchd "$@" >>"$dir/log" 2>&1 3>&- &
    daemon_pid=$!
    until_true daemon_settled && catlatch status >/dev/null || {
        cat "$dir/log" >&2
        return 1
    }
}

daemon_settled() { # it answers, or it is gone
    catlatch status || ! kill -0 "$daemon_pid"
}

stop_daemon() { # [SIGNAL]
    [ -n "$daemon_pid" ] || return 0
    kill "-${1:-TERM}" "$daemon_pid" 2>/dev/null
    wait "$daemon_pid" 2>/dev/null || true
    daemon_pid=
}

# Plays a daemon that answers by rules (see fake_daemon.py) from standard input.
start_fake_daemon() {
    cat >"$dir/rules"
    python3 "$BATS_TEST_DIRNAME/fake_daemon.py" "$dir/admin/catlatch.sock" "$dir/rules" \
        >>"$dir/log" 2>&1 3>&- &
    daemon_pid=$!
    until_true test -S "$dir/admin/catlatch.sock"
}

# Whether a process that is nobody's child here has ended. Its remains do not count: whoever inherits
# orphans may take seconds to bury them.
has_ended() { # PID
    ! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null
}

# The keeper that a daemon of this test started outlives it. A test whose run_dir is seen in a mount
# namespace alone has `in_space` lead there.
in_space=()
end_keeper() {
    local pid
    pid=$("${in_space[@]}" cat "$dir/run/usage.lock" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    until_true has_ended "$pid"
}

remove_folder() {
    stop_daemon KILL
    end_keeper
    rm -rf "$dir"
}

# Makes a key named $1 (further options follow) and sets $id and $key.
make_key() {
    local answer
    answer=$(catlatch create --json --name "$@")
    id=$(jq -r .id <<<"$answer")
    key=$(jq -r .key <<<"$answer")
}

state_of() {
    catlatch show --json "$1" | jq -r .state
}

# Prints what `verify` says of a raw key: valid, revoked, ...
verdict() {
    catlatch verify --json <<<"$1" | jq -r .result
}

# Has the daemon verify a raw key by the service `default`, as from this address if one is given.
use_key() { # KEY [ADDRESS]
    redis-cli -s "$dir/run/catlatch.sock" KEY.VERIFY "$1" ${2:+ADDRESS "$2"}
}

# The last `run` ended with this status; shows what it said if not.
expect_status() {
    [ "$status" -eq "$1" ] || {
        echo "exit status $status, expected $1"
        echo "stdout: $output"
        echo "stderr: ${stderr:-}"
        return 1
    }
}

# What was said holds this text, or the test fails and shows it.
expect_text() { # WHERE TEXT
    [[ $1 == *"$2"* ]] || {
        echo "expected: $2"
        echo "in: $1"
        return 1
    }
}
