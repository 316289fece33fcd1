# copy.bash - what tests that install something share: what was built, and a copy of this system that
# goes away with the test.
# Loaded after ../cli/lib.

# A build folder of its own kind, as the sanitizers', is not what is installed.
is_plain_build() {
    [ "$(basename "$CATLATCH_BUILD")" != asan ]
}

# What was built, without what tests and packages made of it.
copy_build() { # FOLDER [tar's options]
    tar -C "$CATLATCH_BUILD" -cf - --exclude=./{asan,tsan,deb,fuzz,lint-\*,log,tests} . |
        tar -C "$1" -xf - "${@:2}"
}

# Runs a script as root in a copy of / whose writes go to memory, with mounts and processes of its
# own; `init` as second word: under a systemd of its own. The host sees nothing of it. $given is there as
# /given, the source as /src, and /mnt is $BATS_TEST_TMPDIR/out.
in_copy() { # SCRIPT [init]
    local base=$BATS_TEST_TMPDIR/base group=
    mkdir -p "$base" "$BATS_TEST_TMPDIR/out"
    if [ -n "${2:-}" ]; then
        group=$(findmnt -nt cgroup2 -o TARGET | head -n 1)/catlatch-test-$$
        [ "$group" != "/catlatch-test-$$" ] || { echo "cgroup2 is not mounted"; return 1; }
        mkdir "$group" || return 1
    fi
    (
        [ -z "$group" ] || echo "$BASHPID" >"$group/cgroup.procs"
        exec timeout -k 5 120 unshare --mount --pid --fork --kill-child --ipc --uts --net --cgroup --propagation private \
            bash -eu "$BATS_TEST_DIRNAME/in_copy" "$base" "$given" "$BATS_TEST_DIRNAME/../.." "$1" \
            "$BATS_TEST_TMPDIR/out" "${2:-}"
    ) 3>&- || { local status=$?; [ -n "$group" ] || return "$status"; }
    [ -z "$group" ] || find "$group" -depth -type d -exec rmdir {} + || true
}

# The same under a systemd of the copy's, which ends with the script. What it said is $output; its last
# line is `inside: end` and the script's status, whatever systemd's is. Where no systemd can be started
# the test is skipped.
in_systemd() { # SCRIPT
    [ -x /lib/systemd/systemd ] || skip "systemd is not here"
    {
        echo 'exec >/mnt/out 2>&1'
        echo $'trap \'echo "inside: end $?"; systemctl --no-block exit\' EXIT'
        cat "$1"
    } >"$1.systemd"
    in_copy "$1.systemd" init >"$BATS_TEST_TMPDIR/systemd" 2>&1 || true
    [ -s "$BATS_TEST_TMPDIR/out/out" ] ||
        skip "no systemd can be started here: $(tail -n 1 "$BATS_TEST_TMPDIR/systemd")"
    output=$(cat "$BATS_TEST_TMPDIR/out/out")
    echo "$output"
}

# Why no copy can be made here; nothing where one can.
overlay_reason() {
    [ "$(id -u)" -eq 0 ] || { echo "only root can install packages"; return; }
    echo 'echo works' >"$BATS_TEST_TMPDIR/probe"
    local said
    said=$(in_copy "$BATS_TEST_TMPDIR/probe" 2>&1)
    [ "$said" = works ] || echo "no copy of this system can be made: $said"
}

# What must be as it was.
host() {
    dpkg-query -W 2>/dev/null | cksum
    getent passwd group | cksum
    ls -d /run/catlatch* /etc/catlatch /var/lib/catlatch 2>/dev/null || true
}

said() { # TEXT
    expect_text "$output" "inside: $1"
}
