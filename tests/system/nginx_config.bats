#!/usr/bin/env bats
# nginx's directives: where they may stand, what they inherit, and what `nginx -t` says of those
# that are wrong.

load ../cli/lib
load process
load web
load nginx

setup() {
    need_nginx
    open_web_folder <<'INI'

[service default]
requisite = format
required = table
required = scope
required = limit
INI
}

teardown() {
    stop_app
    [ -z "${dir:-}" ] || close_web_folder
}

# What the server behind was sent.
said() {
    head -n 1 "$dir/answer"
}

# The server's block is refused with this text and the line that it stands in.
refuses() { # TEXT MARK
    write_nginx
    local line
    line=$(grep -nF "$2" "$dir/nginx.conf" | head -n 1)
    run nginx_does -t
    expect_status 1
    expect_text "$output" "$1"
    expect_text "$output" "$dir/nginx.conf:${line%%:*}"
}

@test "what is wrong is refused by nginx -t with its file and line" {
    refuses '"catlatch" directive invalid value' 'catlatch maybe' <<<'catlatch maybe;' ||
        refuses 'invalid value "maybe" in "catlatch" directive' 'catlatch maybe' <<<'catlatch maybe;'
    refuses 'catlatch: ' 'catlatch_service nosuch' <<<'catlatch on; catlatch_service nosuch;'
    expect_text "$output" 'nosuch'
    refuses 'catlatch: ' 'catlatch_config /nonexistent' <<<'catlatch on; catlatch_config /nonexistent;'
    refuses '"catlatch_scope" directive takes scopes' 'catlatch_scope' <<<'catlatch_scope "a b";'
    refuses '"catlatch_scope" directive is duplicate' 'catlatch_scope b' \
        <<<$'catlatch_scope a;\ncatlatch_scope b;'
    refuses '"catlatch_realm" directive is 1 to 128' 'catlatch_realm' <<<'catlatch_realm "a\"b";'
    refuses '"catlatch_source" directive is bearer, basic or header NAME' 'catlatch_source' \
        <<<'catlatch_source query key;'
    refuses '"catlatch_source" directive is bearer, basic or header NAME' 'catlatch_source' \
        <<<'catlatch_source header;'
    refuses 'header authorization is called bearer or basic' 'catlatch_source' \
        <<<'catlatch_source header Authorization;'
    refuses '"catlatch_source" directive is duplicate' 'catlatch_source header x-key' \
        <<<$'catlatch_source header X-Key;\ncatlatch_source header x-key;'
    refuses '"catlatch_preflight" directive is check or pass' 'catlatch_preflight' \
        <<<'catlatch_preflight on;'
    echo '[service broken]
required = nosuch' >>"$CATLATCH_CONFIG"
    refuses "$CATLATCH_CONFIG:" 'catlatch_service broken' <<<'catlatch on; catlatch_service broken;'
}

@test "a service that may wait is refused, for a worker serves many at once" {
    echo '[service waits]
required = table
required = socket path=/run/nobody timeout=1s' >>"$CATLATCH_CONFIG"
    refuses 'catlatch: ' 'catlatch_service waits' <<<'catlatch on; catlatch_service waits;'
}

@test "what is said of a server holds for its locations until they say otherwise" {
    begin <<'CONF'
        catlatch on;
        catlatch_realm outer;
        catlatch_scope read;
        location / { }
        location /open { catlatch off; try_files /hello =404; }
        location /inner { catlatch_realm inner; catlatch_scope write; try_files /hello =404; }
CONF
    give_key reader --scope read
    expect_refused 401 missing_credentials "$(fetch /hello)"
    [ "$(field www-authenticate)" = 'Bearer realm="outer"' ]
    [ "$(fetch_with "$key" /hello)" = 200 ]
    [ "$(fetch /open)" = 200 ]
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /inner)"
    [ "$(field www-authenticate)" = \
        'Bearer realm="inner", error="insufficient_scope", scope="write"' ]
}

@test "satisfy any: an address or a password will do, and then no key is charged" {
    begin <<'CONF'
        set_real_ip_from unix:;
        real_ip_header X-Real-IP;
        satisfy any;
        allow 192.0.2.0/24;
        deny all;
        catlatch on;
CONF
    give_key first --rate 1/366d
    [ "$(fetch /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')" = 200 ]
    [ -z "$(field www-authenticate)" ]
    expect_refused 429 rate_limited "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')"
    expect_refused 401 missing_credentials "$(fetch /hello -H 'X-Real-IP: 198.51.100.7')"
}

@test "satisfy all: who is denied by address is not charged" {
    begin <<'CONF'
        set_real_ip_from unix:;
        real_ip_header X-Real-IP;
        allow 192.0.2.0/24;
        deny all;
        catlatch on;
CONF
    give_key first --rate 1/366d
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')" = 403 ]
    [ "$(field content-type)" = text/html ]
    expect_refused 401 missing_credentials "$(fetch /hello -H 'X-Real-IP: 192.0.2.7')"
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
}

@test "beside auth_basic either will do, and both challenges are sent" {
    printf 'someone:{PLAIN}secret\n' >"$dir/users"
    begin <<CONF
        satisfy any;
        auth_basic inner;
        auth_basic_user_file $dir/users;
        catlatch on;
CONF
    give_key first
    [ "$(fetch /hello -u someone:secret)" = 200 ]
    [ "$(fetch_with "$key" /hello)" = 200 ]
    [ -z "$(field www-authenticate)" ]
    expect_refused 401 missing_credentials "$(fetch /hello)"
    [ "$(field www-authenticate | sort | tr '\n' '|')" = 'Basic realm="inner"|Bearer realm="api"|' ]
}

@test "limit_except: other methods need a key" {
    begin <<'CONF'
        location / {
            limit_except GET { catlatch on; }
            try_files /hello =404;
        }
CONF
    give_key first
    [ "$(fetch /hello)" = 200 ]
    expect_refused 401 missing_credentials "$(fetch /hello -X DELETE)"
    [ "$(fetch_with "$key" /hello -X DELETE)" = 405 ] # by who serves files
}

@test "internal redirects are charged once, and ask for what the new location needs" {
    mkdir "$dir/html/folder" && echo index >"$dir/html/folder/index.html"
    begin <<'CONF'
        catlatch on;
        location / { }
        location /try { try_files /nothing /hello; }
        location /twice { try_files /nothing @app; }
        location @app { proxy_set_header X-Owner $catlatch_owner; proxy_pass http://app; }
        location /up { try_files /nothing /write; }
        location /write { catlatch_scope write; try_files /hello =404; }
CONF
    for each in /folder/ /try /twice /up; do
        give_key "for-${each//\//}" --owner acme --rate 1/366d --scope write
        [ "$(fetch_with "$key" "$each")" = 200 ]
        expect_refused 429 rate_limited "$(fetch_with "$key" "$each")"
    done
    [[ $(field ratelimit) == *r=0* ]]
    # Whom the first location refused the second does not let in.
    expect_refused 401 missing_credentials "$(fetch /twice)"
    give_key reader --owner acme
    [ "$(fetch_with "$key" /twice)" = 200 ]
    expect_text "$(cat "$dir/answer")" owner=acme
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /up)"
}

@test "an application's redirect asks about the key again, which may be revoked since" {
    echo inside >"$dir/html/inside"
    begin <<CONF
        catlatch on;
        location / { }
        location = /inside { internal; }
        location = /late { proxy_pass http://unix:$dir/late.sock; }
CONF
    start_app "$dir/late.sock"
    give_key kept --rate 1/366d
    touch "$dir/go"
    [ "$(fetch_with "$key" /late)" = 200 ]
    [ "$(cat "$dir/answer")" = inside ]
    expect_refused 429 rate_limited "$(fetch_with "$key" /late)"
    rm "$dir/go" "$dir/asked"
    give_key gone
    fetch_with "$key" /late >"$dir/status" 3>&- &
    local asking=$!
    until_true [ -e "$dir/asked" ]
    catlatch revoke "$id"
    touch "$dir/go"
    wait "$asking"
    expect_refused 401 invalid_api_key "$(cat "$dir/status")"
}

@test "an upgraded connection goes on after its key was granted, and is none without" {
    begin <<CONF
        location / { catlatch on; }
        location = /socket {
            catlatch on;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://unix:$dir/late.sock;
        }
CONF
    start_app "$dir/late.sock"
    check_upgrade /socket
}

@test "a page of the site's own takes the place of the body, and keeps the fields" {
    mkdir "$dir/html/errors" && echo 'no key' >"$dir/html/errors/401.txt"
    begin <<'CONF'
        catlatch on;
        error_page 401 /errors/401.txt;
        error_page 403 =200 /errors/401.txt;
        location /errors/ { internal; catlatch off; }
        location /write { catlatch_scope write; try_files /hello =404; }
        location /elsewhere { error_page 401 = @app; try_files /hello =404; }
        location @app { catlatch on; proxy_pass http://app; }
        location /strict { catlatch_scope write; error_page 403 = @app; try_files /hello =404; }
CONF
    give_key first
    [ "$(fetch /hello)" = 401 ]
    [ "$(cat "$dir/answer")" = 'no key' ]
    [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
    [ "$(field cache-control)" = no-store ]
    [ "$(field content-type)" = text/plain ]
    [ "$(fetch_with "$key" /write)" = 200 ]
    [ "$(cat "$dir/answer")" = 'no key' ]
    [ -z "$(field www-authenticate)" ]
    # A page that needs a key itself is not shown to who has none.
    expect_refused 401 missing_credentials "$(fetch /elsewhere)"
    # Nor does a refusal become a grant where less is asked.
    expect_refused 403 insufficient_scope "$(fetch_with "$key" /strict)"
}

@test "a dry run decides, logs and lets everybody through, without an owner" {
    begin <<'CONF'
        location / {
            catlatch on;
            catlatch_dry_run on;
            proxy_set_header X-Owner $catlatch_owner;
            proxy_pass http://app;
        }
        location = /hello { }
        location /listed/ { catlatch on; catlatch_dry_run on; catlatch_scope write; }
CONF
    mkdir "$dir/html/listed"
    give_key first --owner acme
    [ "$(fetch_with "$key" /listed/)" = 403 ] # by who lists folders
    [ "$(field content-type)" = text/html ]
    [ -z "$(field www-authenticate)$(field cache-control)" ]
    [ "$(fetch /app -H 'X-Owner: mallory')" = 200 ]
    [[ $(said) == *'owner=' ]]
    [ -z "$(field www-authenticate)" ]
    [ "$(fetch_with "$key" /app)" = 200 ]
    expect_text "$(cat "$dir/answer")" 'owner=acme'
    catlatch revoke "$id"
    [ "$(fetch_with "$key" /app)" = 200 ]
    [[ $(said) == *'owner=' ]]
    until_true grep -qF "GET /app 200 result=revoked id=$id owner=-" "$dir/access.log"
    until_true grep -qF "catlatch: revoked, $id; dry run" "$dir/error.log"
}

@test "keys come where the configuration says, and from there alone" {
    begin <<'CONF'
        catlatch on;
        location /bearer { try_files /hello =404; }
        location /header { catlatch_source header X-API-Key; try_files /hello =404; }
        location /basic { catlatch_source basic; try_files /hello =404; }
        location /any {
            catlatch_source bearer;
            catlatch_source basic;
            catlatch_source header X-API-Key;
            try_files /hello =404;
        }
CONF
    give_key first
    local bearer="Authorization: Bearer $key" header="X-API-Key: $key" each
    local user="Authorization: Basic $(printf '%s:' "$key" | base64 -w0)"
    local password="Authorization: Basic $(printf 'api:%s' "$key" | base64 -w0)"
    local both="Authorization: Basic $(printf '%s:x' "$key" | base64 -w0)"
    base64 -w0 <<<"$key" | cut -c1-40 >>"$dir/keys"
    for each in bearer any; do [ "$(fetch "/$each" -H @- <<<"$bearer")" = 200 ]; done
    for each in header any; do [ "$(fetch "/$each" -H @- <<<"$header")" = 200 ]; done
    for each in basic any; do
        [ "$(fetch "/$each" -H @- <<<"$user")" = 200 ]
        [ "$(fetch "/$each" -H @- <<<"$password")" = 200 ]
        [ "$(fetch "/$each" -H @- <<<"$both")" = 200 ]
        expect_refused 401 invalid_api_key "$(fetch "/$each" -H 'Authorization: Basic !!!')"
        expect_refused 401 invalid_api_key "$(fetch "/$each" -u api:nonsense)"
    done
    expect_refused 401 missing_credentials "$(fetch /bearer -H @- <<<"$header")"
    expect_refused 401 missing_credentials "$(fetch /bearer -H @- <<<"$user")"
    expect_refused 401 missing_credentials "$(fetch /header -H @- <<<"$bearer")"
    expect_refused 401 missing_credentials "$(fetch /basic -H @- <<<"$bearer")"
    expect_refused 401 missing_credentials "$(fetch "/bearer?key=$key")"
    sed -i '/cc_live/d' "$dir/keys" # that one is in the log by who sent it
    # Two ways at once are none.
    expect_refused 400 invalid_request "$(fetch /any -H @- <<<"$bearer"$'\n'"$header")"
    expect_refused 400 invalid_request "$(fetch /any -H @- <<<"$user"$'\n'"$header")"
    expect_refused 400 invalid_request "$(fetch /header -H @- <<<"$header"$'\n'"$header")"
    [ "$(field www-authenticate)" = 'Bearer realm="api", error="invalid_request"' ]
    [ "$(fetch /header -H @- <<<"$bearer"$'\n'"$header")" = 200 ]
}

@test "hidden credentials go no further, and other fields do" {
    begin <<'CONF'
        catlatch on;
        catlatch_hide_credentials on;
        catlatch_source bearer;
        catlatch_source header X-API-Key;
        proxy_set_header X-Owner $catlatch_owner;
        location /app { proxy_pass http://app; }
        location /shown { catlatch_hide_credentials off; proxy_pass http://app; }
        location /dry { catlatch_dry_run on; proxy_pass http://app; }
        location /any { satisfy any; allow all; proxy_pass http://app; }
CONF
    give_key first --owner acme
    local each
    for each in 'A: 1' 'X-A: 1'; do
        [ "$(fetch /app -H "$each" -H @- -H 'Z: 2' <<<"Authorization: Bearer $key")" = 200 ]
        [ "$(said)" = 'authorization= key= owner=acme' ]
        [ "$(fetch /app -H "$each" -H @- -H 'Z: 2' <<<"X-API-Key: $key")" = 200 ]
        [ "$(said)" = 'authorization= key= owner=acme' ]
    done
    # Wherever among others they stand: nginx keeps fields by twenty.
    local n place
    for place in 1 2 18 19 20 21 22 39 40 41 42; do
        for ((n = 1; n < place; n++)); do echo "before-$n: x"; done >"$dir/fields"
        echo "Authorization: Bearer $key" >>"$dir/fields"
        for ((n = place; n < 44; n++)); do echo "after-$n: x"; done >>"$dir/fields"
        [ "$(fetch /app -H 'First: 1' -H "@$dir/fields" -H 'Last: 2' -H 'Host: y')" = 200 ]
        [ "$(said)" = 'authorization= key= owner=acme' ]
        [ "$(tail -n 1 "$dir/answer")" = 'first=1 last=2' ]
        [ "$(fetch /app -H "@$dir/fields" -A '' -H 'Accept:' -H 'Host:' --http1.0)" = 200 ]
        [ "$(said)" = 'authorization= key= owner=acme' ]
    done
    [ "$(fetch_with "$key" /any)" = 200 ]
    [ "$(said)" = 'authorization= key= owner=' ]
    [ "$(fetch_with nonsense /dry)" = 200 ]
    [ "$(said)" = 'authorization= key= owner=' ]
    [ "$(fetch /dry -H 'Authorization: Digest x')" = 200 ] # which is no credential of ours
    [ "$(said)" = 'authorization=Digest x key= owner=' ]
    [ "$(fetch_with "$key" /shown)" = 200 ]
    [ "$(said)" = "authorization=Bearer $key key= owner=acme" ]
}

@test "a preflight is checked, or let through where that is said" {
    begin <<'CONF'
        catlatch on;
        location /checked { proxy_pass http://app; }
        location /passed { catlatch_preflight pass; proxy_pass http://app; }
CONF
    local ask=(-X OPTIONS -H 'Origin: https://a.example' -H 'Access-Control-Request-Method: GET')
    expect_refused 401 missing_credentials "$(fetch /checked "${ask[@]}")"
    [ "$(fetch /passed "${ask[@]}")" = 200 ]
    expect_refused 401 missing_credentials "$(fetch /passed -X OPTIONS -H 'Origin: https://a.example')"
    expect_refused 401 missing_credentials \
        "$(fetch /passed -X OPTIONS -H 'Access-Control-Request-Method: GET')"
    expect_refused 401 missing_credentials "$(fetch /passed "${ask[@]:2}")"
}

@test "a reload takes a changed service, and old connections have the old one until they end" {
    begin <<'CONF'
        location / { catlatch on; }
CONF
    give_key first
    [ "$(fetch_with "$key" /hello)" = 200 ]
    sed -i '/^\[service default\]/,$d' "$CATLATCH_CONFIG"
    printf '[service default]\nrequired = deny\n' >>"$CATLATCH_CONFIG"
    [ "$(fetch_with "$key" /hello)" = 200 ]
    kill -HUP "$nginx_pid"
    until_true eval '[ "$(fetch_with "$key" /hello)" = 403 ]'
    # One that is wrong is not taken, and the log says why.
    printf 'required = nosuch\n' >>"$CATLATCH_CONFIG"
    kill -HUP "$nginx_pid"
    until_true grep -q '\[emerg\].*catlatch: .*nosuch' "$dir/error.log"
    expect_refused 403 denied "$(fetch_with "$key" /hello)"
}

# Its port, its log and its application are the system's: here they are of the test's folder.
@test "the example that is installed is taken as it is, and does what it says" {
    write_nginx </dev/null
    sed -e "s|listen 80;|listen unix:$dir/example.sock;|; s|127.0.0.1:8000|unix:$dir/app.sock|" \
        -e "s|/var/log/nginx/api.log|$dir/example.log|" \
        "$BATS_TEST_DIRNAME/../../etc/nginx.conf" >"$dir/example.conf"
    sed -i "0,/^    server {/s||    include $dir/example.conf;\n&|" "$dir/nginx.conf"
    launch catlatchd
    start_nginx
    give_key first --owner acme
    ask() { # PATH [curl's options]
        fetch_with "$key" "$@" --unix-socket "$dir/example.sock"
    }
    [ "$(ask / -H 'X-Owner: mallory')" = 200 ]
    expect_text "$(cat "$dir/answer")" 'authorization= key= owner=acme'
    until_true grep -qF " 200 key=valid id=$id owner=acme" "$dir/example.log"
    expect_refused 403 insufficient_scope "$(ask /admin/)"
    [ "$(field www-authenticate)" = \
        'Bearer realm="Example API", error="insufficient_scope", scope="admin"' ]
    catlatch revoke "$id"
    expect_refused 401 invalid_api_key "$(ask /)"
    [ "$(ask /health)" = 200 ]
}
