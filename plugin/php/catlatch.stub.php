<?php

/**
 * What the extension catlatch gives a program: for people, editors and analysers. It is not loaded.
 */

namespace Catlatch;

/** A service could not be opened: the message says what, where and why. It never holds a key. */
class Exception extends \RuntimeException
{
}

/** A service that says who may pass. Opening it again costs nothing: the process keeps it. */
final class Latch
{
    private function __construct()
    {
    }

    /**
     * @param ?string $service of the configuration; null: the setting catlatch.service, or "default"
     * @throws Exception
     */
    public static function open(?string $service = null): Latch
    {
    }

    /**
     * Decides about one request.
     * @param ?string $authorization the header's value, "Bearer cc_live_..."; null: none was sent
     * @param list<string> $scopes that the key must have, all of them
     * @param ?string $address the peer's. Behind proxies: X-Forwarded-For, a comma, and the peer's
     */
    public function verify(
        #[\SensitiveParameter] ?string $authorization,
        array $scopes = [],
        ?string $address = null
    ): Outcome {
    }

    /** The same, of a key that was sent in another way. */
    public function verifyKey(
        #[\SensitiveParameter] string $key,
        array $scopes = [],
        ?string $address = null
    ): Outcome {
    }

    /** Asks again about a key that was verified before, for long connections. Charges nothing. */
    public function recheck(Outcome $known, array $scopes = [], ?string $address = null): Outcome
    {
    }
}

/** What came of a request. */
final class Outcome
{
    /** It may pass. */
    public readonly bool $granted;
    /** "valid", "revoked", "rate_limited", ...: for logs, not for who sent the request. */
    public readonly string $result;
    /** Of HTTP: 200, 400, 401, 403, 429 or 503. */
    public readonly int $status;
    /** Of refused keys too, if they were ever issued: for logs. */
    public readonly ?string $keyId;
    /** Of granted keys alone, as what follows. Null is nobody. */
    public readonly ?string $owner;
    public readonly ?string $name;
    public readonly ?string $environment;
    /** @var list<string> */
    public readonly array $scopes;
    /** Unix seconds; null: never. */
    public readonly ?int $expires;
    /** What the key's rates would let pass now; null: it has none. */
    public readonly ?int $remaining;
    /** Seconds; null: there is nothing to wait for. */
    public readonly ?int $retryAfter;

    private function __construct()
    {
    }

    /**
     * The header fields that go with it, by name: of a granted request what is left of its rates.
     * @return array<string, string>
     */
    public function headers(string $realm = "api", ?string $requestId = null): array
    {
    }

    /** Of a refusal, application/problem+json; "" where the request was granted. */
    public function body(?string $requestId = null): string
    {
    }

    /**
     * Sends both, and a refusal's status. Returns the request's id that was sent, for the log: yours,
     * or one that is made up where there is none or it is not 1 to 64 of visible ASCII.
     */
    public function send(string $realm = "api", ?string $requestId = null): string
    {
    }
}
