#!/usr/bin/env bats
# What nginx answers: each result, by HTTP/1.1 and HTTP/2, to each way of asking.

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
required = environment live
required = scope
required = address
required = limit

[service closed]
required = deny
INI
}

teardown() {
    [ -z "${dir:-}" ] || close_web_folder
}

@test "a granted key is served, and its owner is known behind" {
    begin <<'CONF'
        location / { catlatch on; }
        location /app {
            catlatch on;
            proxy_set_header X-Owner $catlatch_owner;
            proxy_pass http://app;
        }
CONF
    give_key first --owner acme
    [ "$(fetch_with "$key" /hello)" = 200 ]
    [ "$(cat "$dir/answer")" = hello ]
    [ "$(fetch_with "$key" /app -H 'X-Owner: mallory')" = 200 ]
    expect_text "$(cat "$dir/answer")" 'owner=acme'
    until_true grep -qF "GET /app 200 result=valid id=$id owner=acme user=-" "$dir/access.log"
    [ -z "$(field ratelimit)" ]
}

@test "each result has its status, challenge and code, by HTTP/1.1 and by HTTP/2" {
    begin <<'CONF'
        location / { catlatch on; }
        location /write { catlatch on; catlatch_scope read write; }
        location /closed { catlatch on; catlatch_service closed; }
CONF
    local invalid='Bearer realm="api", error="invalid_token", error_description="Invalid API key"'
    local version authorization
    give_key good
    local good=$key
    give_key revoked
    local revoked=$key
    catlatch revoke "$id"
    give_key disabled
    local disabled=$key
    catlatch disable "$id"
    give_key later --not-before 2099-01-01T00:00:00Z
    local later=$key
    give_key test --env test
    local test=$key
    give_key spent --uses 1
    local spent=$key
    give_key limited --rate 1/366d
    local limited=$key
    [ "$(fetch_with "$spent" /hello)" = 200 ]
    [ "$(fetch_with "$limited" /hello)" = 200 ]
    [ "$(field ratelimit-policy)" = '"key";q=1;w=31622400' ]
    [[ $(field ratelimit) =~ ^\"key\"\;r=0\;t=316224 ]]
    for version in fetch fetch2; do
        expect_refused 401 missing_credentials "$("$version" /hello)"
        [ "$(field www-authenticate)" = 'Bearer realm="api"' ]
        for each in "$revoked" "$disabled" "$later" "$test" nonsense \
            cc_live_0000000000000000000000000000000000000i6yS3; do
            expect_refused 401 invalid_api_key \
                "$("$version" /hello -H @- <<<"Authorization: Bearer $each")"
            [ "$(field www-authenticate)" = "$invalid" ]
            jq -S 'del(.request_id)' "$dir/answer" >"$dir/this"
            [ ! -e "$dir/those" ] || cmp "$dir/this" "$dir/those"
            mv "$dir/this" "$dir/those"
        done
        expect_refused 403 insufficient_scope \
            "$("$version" /write -H @- <<<"Authorization: Bearer $good")"
        [ "$(field www-authenticate)" = \
            'Bearer realm="api", error="insufficient_scope", scope="read write"' ]
        [ "$(jq -c .required_scopes "$dir/answer")" = '["read","write"]' ]
        expect_refused 403 denied "$("$version" /closed -H @- <<<"Authorization: Bearer $good")"
        [ -z "$(field www-authenticate)" ]
        expect_refused 403 usage_exceeded "$("$version" /hello -H @- <<<"Authorization: Bearer $spent")"
        [ -z "$(field www-authenticate)$(field retry-after)" ]
        expect_refused 429 rate_limited \
            "$("$version" /hello -H @- <<<"Authorization: Bearer $limited")"
        [[ $(field retry-after) =~ ^316224..$|^31622[0-9]{3}$|^3162[0-9]{4}$ ]]
        [ "$(field ratelimit-policy)" = '"key";q=1;w=31622400' ]
    done
}

# One request with this Authorization line.
expect_header() { # STATUS LINE
    local said
    said=$(statuses "GET /hello HTTP/1.1\r\nHost: x\r\n$2Connection: close\r\n\r\n")
    [ "$said" = "$1 " ] || {
        echo "$2: $said, expected $1"
        return 1
    }
}

@test "odd schemes, blanks, lengths and bytes: what RFC 6750 takes is taken, and nothing else" {
    begin <<'CONF'
        location / { catlatch on; }
CONF
    give_key first
    local long line
    long=$(printf 'x%.0s' {1..6000})
    for line in 'Authorization: Bearer KEY' 'authorization: Bearer KEY' 'AUTHORIZATION: bearer KEY' \
        'Authorization: BEARER KEY' 'Authorization: Bearer  KEY' 'Authorization:Bearer KEY' \
        'Authorization: Bearer KEY  '; do
        expect_header 200 "$line\r\n"
    done
    for line in '' 'Authorization:' 'Authorization: ' 'Authorization: Basic Og==' 'Authorization: KEY' \
        'Authorization: Bearerx KEY' 'Authorization: Digest KEY' 'X-API-Key: KEY' \
        'Authorization-X: Bearer KEY' 'Bearer: KEY' \
        'Authorization: Bearer' 'Authorization: Bearer ' 'Authorization: Bearer\tKEY' \
        'Authorization: Bearer KEY KEY' 'Authorization: Bearer KEYx' 'Authorization: Bearer "KEY"' \
        'Authorization: Bearer KEY,' 'Authorization: Bearer \303\244\303\266' \
        'Authorization: Bearer \001' "Authorization: Bearer $long"; do
        expect_header 401 "${line:+$line\r\n}"
    done
    # nginx itself refuses a NUL, and lines longer than its buffers. What it cannot read it logs as it
    # was sent: so no key of ours is sent there.
    expect_header 400 'Authorization: Bearer \000cc_live_\r\n'
    expect_header 400 "Authorization: Bearer $long$long\r\n"
    # A field that comes twice is none of both, whatever the other says. nginx sees to that itself,
    # and logs both.
    expect_header 400 'Authorization: Bearer one\r\nAuthorization: Bearer one\r\n'
    expect_header 400 'Authorization: Bearer one\r\nauthorization: Basic Og==\r\n'
    # A line that goes on in the next one was given up by RFC 9112: it does not make a key.
    said=$(statuses 'GET /hello HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n cc_live_\r\nConnection: close\r\n\r\n')
    [ "$said" = '400 ' ] || [ "$said" = '401 ' ]
}

@test "methods, bodies, 100-continue and pipelines: a refusal leaves the connection in order" {
    begin <<'CONF'
        location / { catlatch on; }
        location /app { catlatch on; proxy_pass http://app; }
CONF
    give_key first
    local auth='Host: x\r\nAuthorization: Bearer KEY\r\n' bare='Host: x\r\n' method
    for method in GET HEAD OPTIONS POST PUT DELETE PATCH; do
        [ "$(statuses "$method /app HTTP/1.1\r\n${bare}Connection: close\r\n\r\n")" = '401 ' ]
        [ "$method" != HEAD ] || ! grep -q problem.*detail "$dir/raw"
        [ "$(statuses "$method /app HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")" = '200 ' ]
    done
    # Bodies that were sent with what is refused are not taken for requests.
    [ "$(statuses "POST /app HTTP/1.1\r\n${bare}Content-Length: 5\r\n\r\nGET /POST /app HTTP/1.1\r\n${bare}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")" = '401 401 200 ' ]
    # Who waits for 100 is told 401, and does not send his body.
    [ "$(statuses "POST /app HTTP/1.1\r\n${bare}Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")" = '401 ' ]
    [ "$(statuses "POST /app HTTP/1.1\r\n${auth}Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")" = '100 200 ' ]
    [ "$(statuses "GET /hello HTTP/1.1\r\n${auth}\r\nGET /hello HTTP/1.1\r\n${bare}\r\nHEAD /hello HTTP/1.1\r\n${bare}\r\nGET /hello HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")" = '200 401 401 200 ' ]
    [ "$(statuses "GET /app HTTP/1.1\r\n${bare}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n")" = '401 ' ]
    [ "$(statuses "GET /hello HTTP/1.0\r\n\r\n")" = '401 ' ]
    [ "$(statuses "GET /hello HTTP/1.0\r\nAuthorization: Bearer KEY\r\n\r\n")" = '200 ' ]
}

@test "networks: a key is good from where it may be used, and from nowhere that is not known" {
    begin <<'CONF'
        set_real_ip_from unix:;
        real_ip_header X-Real-IP;
        location / { catlatch on; }
CONF
    give_key first --allow 192.0.2.0/24 --allow 2001:db8::/32
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 192.0.2.7')" = 200 ]
    [ "$(fetch_with "$key" /hello -H 'X-Real-IP: 2001:db8::7')" = 200 ]
    expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello -H 'X-Real-IP: 198.51.100.7')"
    [ -z "$(field www-authenticate)" ]
    expect_refused 403 ip_not_allowed "$(fetch_with "$key" /hello)"
    until_true eval "catlatch show --json $id | jq -e '.refused_count == 2 and .use_count == 2'"
    [[ $(catlatch show --json "$id" | jq -r .last_used_from) =~ ^(192.0.2.7|2001:db8::7)$ ]]
}
