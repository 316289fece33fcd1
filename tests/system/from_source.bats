#!/usr/bin/env bats
# The README's set-ups for the whole system from the source, word for word: daemon and units, PHP's
# extension, Node's package, Python's. As root, under systemd, in a copy of this system that goes away
# with the test.

load ../cli/lib
load copy
load nginx
load php

# What has to be here already, for nothing comes from elsewhere.
missing() {
    local tool
    is_plain_build || echo "installed once, from the plain build"
    nginx_missing
    php_missing
    for tool in npm gunicorn; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    [ -e "$CATLATCH_BUILD/node/catlatch.node" ] ||
        echo "the addon was not built: Node's headers are not here (make deps)"
    [ "$(php_version)" = 8.2 ] || echo "the README's paths are those of PHP 8.2, this is $(php_version)"
}

# What was built, in the place of what the README's `make` builds.
inside_source() {
    cat <<'INSIDE'
. /src/tests/system/inside.bash
PATH=/usr/local/sbin:/usr/local/bin:$PATH
cp -a /given /tmp/build
make() { [ $# -eq 0 ] || command make -s -C /src BUILD=/tmp/build "$@"; }
user() { local name=$1; shift; su -s /bin/bash "$name" -c "$*"; }
set -o pipefail
ip link set lo up
mkdir /tmp/new && cd /tmp/new

. /mnt/install
say "units: $(systemctl is-active catlatchd.socket catlatchd.service run-catlatch.mount | tr '\n' ' ')"
key=$(catlatch create --name ci --owner acme --scope orders:read --quiet)
id=$(catlatch list --json | jq -r '.[0].id')
ask() { curl -s -w ' %{http_code}' -H @- "$@" <<<"Authorization: Bearer $key" | tr -d '\n'; }

. /mnt/php
cp /mnt/orders.php /var/www/html/
cat >/etc/nginx/conf.d/php.conf <<'NGINX'
server {
    listen 127.0.0.1:8081;
    root /var/www/html;
    location ~ [.]php$ {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:/run/php/php-fpm.sock;
    }
}
NGINX
systemctl restart nginx
ask_php() { ask http://127.0.0.1:8081/orders.php; }
say "php: $(ask_php)"

useradd -m api
. /mnt/node
cp /mnt/server.js . && chmod 755 . && chmod 644 server.js
user api 'cd /tmp/new && PORT=8082 exec node server.js' &
ask_node() { ask http://127.0.0.1:8082/; }
until_true ask_node
say "node: $(ask_node)"

USER=web
useradd -m web
cp /mnt/app.py /home/web/
sed '/^gunicorn /d' /mnt/python >python && . ./python
user web "cd /home/web && exec $(grep '^gunicorn ' /mnt/python)" &
ask_python() { ask --unix-socket /home/web/app.sock http://x/; }
until_true ask_python
say "python: $(ask_python)"

catlatch revoke "$id" --yes
say "php revoked: $(ask_php)"
say "node revoked: $(ask_node)"
say "python revoked: $(ask_python)"
INSIDE
}

@test "the README's set-ups of the whole system, PHP, Node and Python, word for word" {
    reason=$(missing | head -n 1)
    [ -z "$reason" ] || skip "$reason"
    given=$BATS_TEST_TMPDIR/build
    reason=$(mkdir "$given" && overlay_reason)
    [ -z "$reason" ] || skip "$reason"
    before=$(host)
    copy_build "$given"
    cd "$BATS_TEST_TMPDIR/out"
    readme_code Install sh 2 >install
    readme_code 'PHP: keys in php-fpm' sh >php
    readme_code 'PHP: keys in php-fpm' php >orders.php
    readme_code 'Node: keys in its own process' sh >node
    readme_code 'Node: keys in its own process' js >server.js
    readme_code 'Python: WSGI and ASGI' sh >python
    readme_code 'Python: WSGI and ASGI' python 1 >app.py
    inside_source >"$BATS_TEST_TMPDIR/script"
    in_systemd "$BATS_TEST_TMPDIR/script"
    said 'end 0'
    said 'units: active active active'
    said 'php: hello, acme 200'
    said 'node: hello, acme 200'
    said 'python: hello acme 200'
    for server in php node python; do
        grep -q "^inside: $server revoked: .*\"code\":\"invalid_api_key\".* 401$" <<<"$output"
    done
    [ "$(host)" = "$before" ]
}
