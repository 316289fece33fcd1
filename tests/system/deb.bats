#!/usr/bin/env bats
# The Debian packages: built, looked at, installed, used as a new user would, removed and purged, in
# a copy of this system that goes away with the test.

load ../cli/lib
load process

setup_file() {
    command -v dpkg-buildpackage lintian scdoc dh >/dev/null || skip "no Debian packaging tools here"
    export packages=$CATLATCH_BUILD/deb
    # A build folder of its own kind, as the sanitizers', makes the same packages.
    [ "$(basename "$CATLATCH_BUILD")" = build ] || skip "built once, by the plain build"
    make -s -C "$BATS_TEST_DIRNAME/../.." deb BUILD="$CATLATCH_BUILD" >&2 3>&-
}

version() {
    sed -n 's/^VERSION := //p' "$BATS_TEST_DIRNAME/../../Makefile"
}

@test "lintian finds nothing" {
    levels=error,warning
    # Other releases ask for other things; of this one's no hint is left either.
    ! grep -qx VERSION_CODENAME=bookworm /etc/os-release || levels+=,info,pedantic,experimental
    run lintian --allow-root --fail-on "$levels" -EvIL +pedantic "$packages"/*.changes
    echo "$output" | grep -E '^[EWIPXO]:' || true
    expect_status 0
}

@test "there are three packages of this version, and the library's symbols are listed" {
    for name in catlatch libcatlatch0 libcatlatch-dev; do
        [ -f "$packages/${name}_$(version)_$(dpkg --print-architecture).deb" ]
    done
    dpkg-deb --ctrl-tarfile "$packages"/libcatlatch0_*.deb | tar -xO ./symbols >"$BATS_TEST_TMPDIR/symbols"
    for name in $(sed -n 's/^    \(catlatch_[a-z_]*\);$/\1/p' "$BATS_TEST_DIRNAME/../../src/lib/libcatlatch.map"); do
        grep -q "^ $name@CATLATCH_0 " "$BATS_TEST_TMPDIR/symbols"
    done
    run ! grep -iE 'dpkg-gensymbols: warning|warning: (symbols|diff)' "$packages/build.log"
}

@test "no path of the build is left in them" {
    for package in "$packages"/*catlatch*_*.deb; do
        dpkg-deb -x "$package" "$BATS_TEST_TMPDIR/all"
    done
    run ! grep -rlF "$(realpath "$packages")" "$BATS_TEST_TMPDIR/all"
    run ! grep -rlE '/build/deb/' "$BATS_TEST_TMPDIR/all"
}

# What happens in the copy, as root. Everything that is started there ends with it.
inside() {
    cat <<'INSIDE'
set -eu
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
unset CATLATCH_CONFIG CATLATCH_BUILD
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
rm -f /var/lib/man-db/auto-update # an index of all pages takes its time
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/copy
say() { echo "inside: $*"; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; say "never: $*"; exit 1; }

dpkg -i /deb/catlatch_*.deb /deb/libcatlatch0_*.deb /deb/libcatlatch-dev_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "users: $(id -un catlatch) $(getent group catlatch catlatch-support catlatch-admin | cut -d: -f1 | tr '\n' ' ')"
say "folders: $(stat -c '%n %U:%G %a' /run/catlatch /run/catlatch-admin | tr '\n' ' ')"
systemd-analyze verify catlatchd.service catlatchd.socket run-catlatch.mount && say 'units: good'

# systemd would make the folders and the sockets so, mount the tmpfs, and start the daemon as this.
mount -t tmpfs -o "$(sed -n 's/^Options=//p' /lib/systemd/system/run-catlatch.mount)" tmpfs /run/catlatch
say "tmpfs: $(stat -fc %T /run/catlatch) $(stat -c '%U:%G %a' /run/catlatch)"
install -d -o catlatch -g catlatch -m 700 /var/lib/catlatch
daemon() { setpriv --reuid=catlatch --regid=catlatch --clear-groups --inh-caps=-all --no-new-privs catlatchd 2>>/tmp/log & daemon_pid=$!; }
daemon
until_true catlatch status
say "table: $(stat -c '%U:%G %a' /run/catlatch/table), state: $(stat -c '%U:%G %a' /var/lib/catlatch)"

# A program of a developer's, built with what libcatlatch-dev brought.
cc -Wall -Werror $(pkg-config --cflags catlatch) /src/tests/system/verify_once.c -o /usr/local/bin/worker $(pkg-config --libs catlatch)
key=$(catlatch create --name ci --quiet)
id=$(catlatch list --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p')
www() { su -s /bin/sh www-data -c "$*"; }
say "www-data before: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"
adduser --quiet www-data catlatch
say "www-data after: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key")"
say "socket: $(www "printf 'KEY.VERIFY $key\r\n' | redis-cli -s /run/catlatch/catlatch.sock" | tr '\n' ' ')"

# The people of the groups.
useradd -G catlatch-support sue; useradd -G catlatch-admin ann; useradd joe
as() { user=$1; shift; su -s /bin/sh "$user" -c "$*" 2>&1 | tail -n 1; }
say "joe: $(as joe catlatch list)"
say "ann: $(as ann catlatch create --name anns --quiet | cut -c1-8)"
say "sue: $(as sue catlatch create --name sues --quiet)"
say "revoked: $(as sue catlatch revoke "$id" --reason leaked --yes | sed 's/ everywhere.*//')"
say "www-data revoked: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"
kill "$daemon_pid"
wait
say "down: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"

cp -a /etc/catlatch/catlatch.ini /tmp/before.ini
echo '# mine' >>/etc/catlatch/catlatch.ini
dpkg -i /deb/catlatch_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "upgrade: $(tail -n 1 /etc/catlatch/catlatch.ini)"
umount /run/catlatch
dpkg -r catlatch libcatlatch-dev libcatlatch0 >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "removed: $(ls -d /etc/catlatch/catlatch.ini /var/lib/catlatch /run/catlatch /run/catlatch-admin /usr/sbin/catlatchd /usr/include/catlatch.h 2>/dev/null | tr '\n' ' ')"
dpkg -P catlatch libcatlatch0 libcatlatch-dev >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "purged: $(ls -d /etc/catlatch /var/lib/catlatch /run/catlatch 2>/dev/null | tr '\n' ' ') $(grep -o 'the keys stay in [^;]*' /tmp/dpkg.log)"
say "left: $(dpkg -l '*catlatch*' 2>/dev/null | grep -c '^[^un]i' || true)"
rm -rf /var/lib/catlatch
find /etc /run /var/lib /usr/bin /usr/sbin /usr/include /usr/lib/*.d /usr/lib/systemd /usr/lib/*-linux-gnu /usr/share/man \
    /usr/share/doc /usr/share/zsh /usr/share/fish /usr/share/bash-completion -maxdepth 3 -newer /tmp/started \
    -name '*catlatch*' -not -path '/var/lib/dpkg/*' -print
INSIDE
}

# Runs a script as root in a copy of / whose writes go to memory, with mounts and processes of its
# own. The host sees nothing of it.
in_copy() { # SCRIPT
    unshare --mount --pid --fork --kill-child --ipc --uts --propagation private bash -eu -c '
        base=$1
        mount -t tmpfs -o size=2G tmpfs "$base"
        mkdir "$base"/{upper,work,root}
        mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
        mount -t proc proc "$base/root/proc"
        mount --rbind /dev "$base/root/dev"
        mount -t tmpfs -o mode=755 tmpfs "$base/root/run"
        mount -t tmpfs tmpfs "$base/root/tmp"
        mkdir "$base/root/deb" "$base/root/src"
        mount --bind "$2" "$base/root/deb"
        mount --bind "$3" "$base/root/src"
        cp "$4" "$base/root/tmp/script"
        touch "$base/root/tmp/started"
        chmod 1777 "$base/root/tmp"
        exec chroot "$base/root" bash /tmp/script' copy "$1" "$2" "$3" "$4"
}

overlay_reason() {
    [ "$(id -u)" -eq 0 ] || { echo "only root can install packages"; return; }
    mkdir -p "$BATS_TEST_TMPDIR/try"
    echo 'echo works' >"$BATS_TEST_TMPDIR/probe"
    local said
    said=$(in_copy "$BATS_TEST_TMPDIR/try" "$packages" "$packages" "$BATS_TEST_TMPDIR/probe" 2>&1 3>&-)
    [ "$said" = works ] || echo "no copy of this system can be made: $said"
}

said() { # TEXT
    expect_text "$output" "inside: $1"
}

@test "installed, used by its users and groups, upgraded, removed and purged" {
    reason=$(overlay_reason)
    [ -z "$reason" ] || skip "$reason"
    host() {
        dpkg-query -W 2>/dev/null | cksum
        getent passwd group | cksum
        ls -d /run/catlatch* /etc/catlatch /var/lib/catlatch 2>/dev/null || true
    }
    before=$(host)
    inside >"$BATS_TEST_TMPDIR/script"
    mkdir "$BATS_TEST_TMPDIR/base"
    run in_copy "$BATS_TEST_TMPDIR/base" "$packages" "$(realpath "$BATS_TEST_DIRNAME/../..")" "$BATS_TEST_TMPDIR/script" 3>&-
    echo "$output"
    expect_status 0
    said 'users: catlatch catlatch catlatch-support catlatch-admin'
    said 'folders: /run/catlatch catlatch:catlatch 755 /run/catlatch-admin catlatch:catlatch 755'
    said 'units: good'
    said 'tmpfs: tmpfs catlatch:catlatch 755'
    said 'table: catlatch:catlatch 640, state: catlatch:catlatch 700'
    said 'www-data before: unavailable'
    said 'www-data after: valid'
    said 'socket: result valid'
    said 'joe: catlatch: your user has no right'
    said 'ann: cc_live_'
    said 'sue: catlatch: KEY.CREATE needs the right write'
    said 'revoked: 1 key refused'
    said 'www-data revoked: revoked'
    said 'down: revoked'
    said 'upgrade: # mine'
    said 'removed: /etc/catlatch/catlatch.ini /var/lib/catlatch '
    said 'purged: /var/lib/catlatch  the keys stay in /var/lib/catlatch'
    said 'left: 0'
    # Nothing by its name is left behind the last line.
    [[ ${lines[-1]} = 'inside: left: 0' ]]
    [ "$(host)" = "$before" ]
}
