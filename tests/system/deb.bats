#!/usr/bin/env bats
# The Debian packages: built, looked at, installed, used as a new user would, removed and purged, in
# a copy of this system that goes away with the test.

load ../cli/lib
load process
load copy

# Why there are no packages to look at; nothing where there are.
missing() {
    local tool
    for tool in dpkg-buildpackage lintian scdoc dh dh_python3; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    is_plain_build || echo "built once, by the plain build"
}

setup() {
    [ -z "$(missing)" ] || skip "$(missing | head -n 1)"
}

setup_file() {
    [ -z "$(missing)" ] || return 0
    export packages=$CATLATCH_BUILD/deb
    export given=$packages
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

@test "there are seven packages of this version, and the library's symbols are listed" {
    for name in catlatch libcatlatch0 libcatlatch-dev libpam-catlatch libnginx-mod-http-catlatch \
        libapache2-mod-catlatch; do
        [ -f "$packages/${name}_$(version)_$(dpkg --print-architecture).deb" ]
    done
    [ -f "$packages/python3-catlatch_$(version)_all.deb" ]
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
. /src/tests/system/inside.bash
unset CATLATCH_CONFIG CATLATCH_BUILD
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d

dpkg -i /given/catlatch_*.deb /given/libcatlatch0_*.deb /given/libcatlatch-dev_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
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

# A program and a module of a developer's, built with what libcatlatch-dev brought.
cp -R /usr/share/doc/libcatlatch-dev/examples /tmp/hours
make -s -C /tmp/hours all install
printf '[service always]\nrequired = table\nrequired = hours 00:00-24:00\n' >/etc/catlatch/conf.d/hours.ini
catlatch configtest >/dev/null && say "module: $(stat -c '%n %U %a' /usr/lib/*/catlatch/hours.so)"
say "stock: $(dpkg -L libcatlatch0 | grep -c '/catlatch/[a-z]*\.so$') $(find /usr/lib/*/catlatch ! -user root -o -perm /022 | wc -l)"
make -s -C /tmp/hours uninstall
rm /etc/catlatch/conf.d/hours.ini
cc -Wall -Werror $(pkg-config --cflags catlatch) /src/tests/system/verify_once.c -o /usr/local/bin/worker $(pkg-config --libs catlatch)
key=$(catlatch create --name ci --quiet)
id=$(catlatch list --json | sed -n 's/.*"id": *"\([^"]*\)".*/\1/p')
www() { su -s /bin/sh www-data -c "$*"; }
say "www-data before: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"
adduser --quiet www-data catlatch
say "www-data after: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key")"
dpkg -i /given/python3-catlatch_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "python: $(www /usr/bin/python3 -c "'import catlatch; print(catlatch.Latch().verify(key=input()).result)'" <<<"$key")"
say "socket: $(www "printf 'KEY.VERIFY $key\r\n' | redis-cli -s /run/catlatch/catlatch.sock" | tr '\n' ' ')"

# The people of the groups.
useradd -G catlatch-support sue; useradd -G catlatch-admin ann; useradd joe
as() { user=$1; shift; su -s /bin/sh "$user" -c "$*" 2>&1 | tail -n 1; }
say "joe: $(as joe catlatch list)"
say "ann: $(as ann catlatch create --name anns --quiet | cut -c1-8)"
say "sue: $(as sue catlatch create --name sues --quiet)"
say "revoked: $(as sue catlatch revoke "$id" --reason leaked --yes)"
say "www-data revoked: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"
kill "$daemon_pid"
wait
say "down: $(www /usr/local/bin/worker /etc/catlatch/catlatch.ini <<<"$key" || true)"

cp -a /etc/catlatch/catlatch.ini /tmp/before.ini
echo '# mine' >>/etc/catlatch/catlatch.ini
dpkg -i /given/catlatch_*.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "upgrade: $(tail -n 1 /etc/catlatch/catlatch.ini)"
kill "$(cat /run/catlatch/usage.lock)" # the keeper, which systemd would stop
until_true umount /run/catlatch
dpkg -r catlatch python3-catlatch libcatlatch-dev libcatlatch0 >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "removed: $(ls -d /etc/catlatch/catlatch.ini /var/lib/catlatch /run/catlatch /run/catlatch-admin /usr/sbin/catlatchd /usr/include/catlatch.h 2>/dev/null | tr '\n' ' ')"
dpkg -P catlatch python3-catlatch libcatlatch0 libcatlatch-dev >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; exit 1; }
say "purged: $(ls -d /etc/catlatch /var/lib/catlatch /run/catlatch 2>/dev/null | tr '\n' ' ') $(grep -o 'the keys stay in [^;]*' /tmp/dpkg.log)"
say "left: $(dpkg -l '*catlatch*' 2>/dev/null | grep -c '^[^un]i' || true)"
rm -rf /var/lib/catlatch
find /etc /run /var/lib /usr/bin /usr/sbin /usr/include /usr/lib/*.d /usr/lib/systemd /usr/lib/*-linux-gnu /usr/lib/python3 /usr/share/man \
    /usr/share/doc /usr/share/zsh /usr/share/fish /usr/share/bash-completion -maxdepth 3 -newer /tmp/started \
    -name '*catlatch*' -not -path '/var/lib/dpkg/*' -print
INSIDE
}

@test "installed, used by its users and groups, upgraded, removed and purged" {
    reason=$(overlay_reason)
    [ -z "$reason" ] || skip "$reason"
    before=$(host)
    inside >"$BATS_TEST_TMPDIR/script"
    run in_copy "$BATS_TEST_TMPDIR/script"
    echo "$output"
    expect_status 0
    said 'users: catlatch catlatch catlatch-support catlatch-admin'
    said 'folders: /run/catlatch catlatch:catlatch 755 /run/catlatch-admin catlatch:catlatch 755'
    said 'units: good'
    said 'tmpfs: tmpfs catlatch:catlatch 755'
    said "module: /usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/catlatch/hours.so root 644"
    said "stock: $(ls "$BATS_TEST_DIRNAME"/../../plugin/*.c | wc -l) 0"
    said 'table: catlatch:catlatch 640, state: catlatch:catlatch 700'
    said 'www-data before: unavailable'
    said 'www-data after: valid'
    said 'python: valid'
    said 'socket: result valid'
    said 'joe: catlatch: your user has no right'
    said 'ann: cc_live_'
    said 'sue: catlatch: KEY.CREATE needs the right write'
    said "revoked: last accepted at 20"
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

inside_systemd() {
    cat <<'INSIDE'
. /src/tests/system/inside.bash
states() { systemctl is-active catlatchd.service catlatchd.socket run-catlatch.mount | tr '\n' ' ' || true; }
count() { catlatch list --json | grep -o '"id"' | wc -l; }

dpkg -i /given/catlatch_*.deb /given/libcatlatch0_*.deb /given/libcatlatch-dev_*.deb
say "installed: $(states)"
say "tmpfs: $(stat -fc %T /run/catlatch) $(stat -c '%U:%G %a' /run/catlatch /run/catlatch/table /run/catlatch/catlatch.sock | tr '\n' ' ')"
cc $(pkg-config --cflags catlatch) /src/tests/system/verify_once.c -o /usr/local/bin/worker $(pkg-config --libs catlatch)
adduser --quiet www-data catlatch
key=$(catlatch create --name ci --quiet)
worker() { su -s /bin/sh www-data -c '/usr/local/bin/worker /etc/catlatch/catlatch.ini' <<<"$key"; }
say "worker: $(worker)"
systemctl reload catlatchd && say 'reload: done'
echo 'expiry = 1' >/etc/catlatch/conf.d/bad.ini
systemctl reload catlatchd 2>/dev/null && say 'reload: bad one taken' || say "reload: refused, $(states)"
rm /etc/catlatch/conf.d/bad.ini

# Nobody is refused meanwhile.
systemctl restart --no-block catlatchd
for _ in $(seq 50); do catlatch status >/dev/null || say 'restart: refused'; done
say "restart: $(states)"
systemctl stop catlatchd.service 2>/dev/null
say "stopped: $(systemctl is-active catlatchd.service) $(worker)"
say "activated: $(count) $(systemctl is-active catlatchd.service)"
before=$(stat -c %i /run/catlatch-admin/catlatch.sock)
dpkg -i /given/catlatch_*.deb
say "upgraded: $(states)$([ "$before" = "$(stat -c %i /run/catlatch-admin/catlatch.sock)" ] && echo same sockets)"
systemctl kill -s KILL catlatchd.service
say "killed: $(count) $(worker)"
systemctl stop catlatchd.socket
until_true catlatch status
say "without the socket unit: $(count)"
systemctl restart catlatchd.service
say "again: $(states)$(count)"
say "log: $(journalctl -u catlatchd --no-pager | grep -ciE 'denied|not permitted|fail' || true)"
dpkg -P catlatch
say "purged: $(ls -d /run/catlatch /run/catlatch-admin 2>/dev/null | wc -l) $(systemctl list-units --no-legend --all '*catlatch*' | wc -l)"
INSIDE
}

@test "under systemd: sockets, tmpfs, reload, restart, activation, upgrade, kill and purge" {
    reason=$(overlay_reason)
    [ -z "$reason" ] || skip "$reason"
    inside_systemd >"$BATS_TEST_TMPDIR/script"
    before=$(host)
    in_systemd "$BATS_TEST_TMPDIR/script"
    all='active active active '
    said "installed: $all"
    said 'tmpfs: tmpfs catlatch:catlatch 755 catlatch:catlatch 640 catlatch:catlatch 666'
    said 'worker: valid'
    said 'reload: done'
    said "reload: refused, $all"
    said "restart: $all"
    said 'stopped: inactive valid'
    said 'activated: 1 active'
    said "upgraded: ${all}same sockets"
    said 'killed: 1 valid'
    said 'without the socket unit: 1'
    said "again: ${all}1"
    said 'log: 0'
    said 'purged: 0 0'
    said 'end 0'
    [ "$(host)" = "$before" ]
    run ! grep 'restart: refused' <<<"$output"
}

# The README's words, with what they presume: packages that were built, and an application.
inside_web() {
    cat <<'INSIDE'
. /src/tests/system/inside.bash
make() { [ "$*" = deb ]; }
mkdir -p /tmp/new/build && ln -s /given /tmp/new/build/deb && cd /tmp/new
ip link set lo up
cat >application.py <<'PYTHON'
import http.server
class Application(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"owner={self.headers['X-Owner']} key={self.headers['Authorization']}\n".encode())
http.server.HTTPServer(("127.0.0.1", 8000), Application).serve_forever()
PYTHON
python3 application.py &

. /mnt/nginx.install
sed -i '/^\tserver_name _;/r /mnt/nginx.conf' /etc/nginx/sites-available/default
. /mnt/nginx.try
systemctl stop nginx
say 'nginx: done'

. /mnt/apache.install
sed -i '/^<\/VirtualHost>/{
    e cat /mnt/apache.conf
}' /etc/apache2/sites-available/000-default.conf
. /mnt/apache.try
say 'apache: done'
INSIDE
}

@test "the README's set-up of nginx and Apache, word for word" {
    reason=$(overlay_reason)
    [ -z "$reason" ] || skip "$reason"
    command -v nginx >/dev/null && command -v apache2 >/dev/null || skip "nginx and Apache are not here (make deps)"
    mkdir -p "$BATS_TEST_TMPDIR/out"
    cd "$BATS_TEST_TMPDIR/out"
    readme_code 'nginx: keys at the door' sh 1 >nginx.install
    readme_code 'nginx: keys at the door' nginx >nginx.conf
    readme_code 'nginx: keys at the door' sh 2 >nginx.try
    readme_code 'Apache: keys at the door' sh 1 >apache.install
    readme_code 'Apache: keys at the door' apache >apache.conf
    readme_code 'Apache: keys at the door' sh 2 >apache.try
    inside_web >"$BATS_TEST_TMPDIR/script"
    in_systemd "$BATS_TEST_TMPDIR/script"
    said 'end 0'
    [ "$(grep -c '^owner=acme key=None$' <<<"$output")" -eq 2 ]
    [ "$(grep -o '^HTTP/1.1 [0-9]*' <<<"$output" | tr '\n' ' ')" = \
        'HTTP/1.1 200 HTTP/1.1 401 HTTP/1.1 200 HTTP/1.1 401 ' ]
}
